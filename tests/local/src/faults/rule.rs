//! One fault: which calls it strikes, and how many it struck.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::call::Call;
use super::raw::Moment;

/// What happens to a call.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// It is held up.
    Latency(Duration),
    /// It is refused.
    Error {
        code: &'static str,
        status: u16,
        message: String,
    },
    /// It is refused as one too many.
    Throttle,
    /// Its connection is closed without an answer.
    HangUp(Moment),
    /// It has its effect twice; what it receives is delivered again.
    Duplicate,
    /// What it receives comes in another order.
    Reorder,
    /// What it receives is gone.
    Lose,
    /// The process that calls is killed.
    Kill(Moment),
}

/// Which calls: none said is all.
#[derive(Debug)]
pub(super) struct On {
    pub(super) service: Option<&'static str>,
    pub(super) operation: Option<&'static str>,
}

/// A text in which `*` stands for any.
#[derive(Debug)]
pub(super) struct Glob(pub(super) String);

/// Which of the calls, counted from one.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Always,
    Nth(u64),
    First(u64),
    Every(u64),
    Probability(f64),
}

/// A fault.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) on: On,
    pub(super) resource: Option<Glob>,
    pub(super) when: When,
    /// Counts the calls of each process apart.
    pub(super) per_caller: bool,
    pub(super) act: Act,
    pub(super) counts: Mutex<Counts>,
}

/// What came of a fault.
#[derive(Debug)]
pub(super) struct Counts {
    matched: u64,
    struck: u64,
    refused: u64,
    last_refusal: Option<String>,
    by_caller: BTreeMap<i32, u64>,
    dice: StdRng,
}

// === impl Rule ===

impl Rule {
    /// Whether it is about calls like this one.
    pub(super) fn matches(&self, call: &Call) -> bool {
        let service = self.on.service.is_none_or(|name| name == call.service);
        let operation = self.on.operation.is_none_or(|name| name == call.operation);
        let resource = self.resource.as_ref().is_none_or(|glob| {
            let last = |text: &str| {
                text.rsplit([':', '/'])
                    .next()
                    .map(|last| glob.matches(last))
            };
            let mut named = call.resources.iter();
            named.any(|name| glob.matches(name) || last(name) == Some(true))
        });
        service && operation && resource && self.suits(call)
    }

    /// A poll hands a task out once, however it is asked.
    fn suits(&self, call: &Call) -> bool {
        !matches!(self.act, Act::Duplicate) || !call.is("states", "GetActivityTask")
    }

    /// Whether it looks at the answer: there has to be something in it.
    pub(super) fn takes_answers(&self, call: &Call) -> bool {
        match self.act {
            Act::Lose => true,
            Act::Duplicate => call.is("sqs", "ReceiveMessage"),
            _ => false,
        }
    }

    /// Counts a call that matches; whether this is the one to strike.
    pub(super) fn counts(&self, caller: Option<i32>) -> bool {
        let mut counts = self.lock();
        counts.matched += 1;
        let nth = match caller {
            Some(caller) => {
                let nth = counts.by_caller.entry(caller).or_default();
                *nth += 1;
                *nth
            }
            None => counts.matched,
        };
        match self.when {
            When::Always => true,
            When::Nth(at) => nth == at,
            When::First(many) => nth <= many,
            When::Every(many) => nth.is_multiple_of(many),
            When::Probability(chance) => counts.dice.random::<f64>() < chance,
        }
    }

    /// It struck.
    pub(super) fn struck(&self) {
        self.lock().struck += 1;
    }

    /// It should have struck, and could not.
    pub(super) fn refused(&self, why: &str) {
        let mut counts = self.lock();
        counts.refused += 1;
        counts.last_refusal = Some(why.to_owned());
    }

    pub(super) fn report(&self) -> Value {
        let counts = self.lock();
        json!({
            "name": self.name,
            "on": self.on.to_string(),
            "resource": self.resource.as_ref().map(|glob| &glob.0),
            "when": self.when.to_string(),
            "fault": self.act.to_string(),
            "matched": counts.matched,
            "struck": counts.struck,
            "refused": counts.refused,
            "lastRefusal": counts.last_refusal,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Counts ===

impl Counts {
    /// `at` is the place of the fault in its plan: each has dice of its own.
    pub(super) fn new(seed: u64, at: usize) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&(at as u64).to_le_bytes());
        Self {
            matched: 0,
            struck: 0,
            refused: 0,
            last_refusal: None,
            by_caller: BTreeMap::new(),
            dice: StdRng::from_seed(bytes),
        }
    }
}

// === impl Glob ===

impl Glob {
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for On {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.service, self.operation) {
            (Some(service), Some(operation)) => write!(formatter, "{service}:{operation}"),
            (Some(service), None) => write!(formatter, "{service}:*"),
            (None, _) => formatter.write_str("*"),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => formatter.write_str("always"),
            Self::Nth(at) => write!(formatter, "nth {at}"),
            Self::First(many) => write!(formatter, "first {many}"),
            Self::Every(many) => write!(formatter, "every {many}"),
            Self::Probability(chance) => write!(formatter, "probability {chance}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(span) => {
                write!(formatter, "latency {}", humantime::format_duration(*span))
            }
            Self::Error { code, status, .. } => write!(formatter, "error {code} ({status})"),
            Self::Throttle => formatter.write_str("throttle"),
            Self::HangUp(moment) => write!(formatter, "hang_up {}", moment.as_str()),
            Self::Duplicate => formatter.write_str("duplicate"),
            Self::Reorder => formatter.write_str("reorder"),
            Self::Lose => formatter.write_str("lose"),
            Self::Kill(moment) => write!(formatter, "kill {}", moment.as_str()),
        }
    }
}
