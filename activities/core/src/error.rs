//! How an activity fails: a name that state machines match, a cause that people read.

use std::fmt;

use serde::Serialize;

/// `SendTaskFailure` takes at most this many characters of `error`
/// (Step Functions API reference, SendTaskFailure).
pub(crate) const MAX_ERROR: usize = 256;
/// `SendTaskFailure` takes 32,768 characters of `cause`, and so does the execution
/// that ends with it: what is left is for what a state machine puts before it.
pub(crate) const MAX_CAUSE: usize = 32_000;

/// Failures that the worker itself reports. They are public API: state machines
/// name them in `ErrorEquals`, which knows no wildcards.
pub mod names {
    /// The worker was told to stop at once. Retry.
    pub const SHUTDOWN: &str = "Worker.Shutdown";
    /// The output is over 262,144 bytes and the activity names no bucket.
    pub const OUTPUT_TOO_LARGE: &str = "Worker.OutputTooLarge";
    /// The input is not JSON, or not of the handler's type.
    pub const BAD_INPUT: &str = "Worker.BadInput";
    /// The handler panicked.
    pub const PANIC: &str = "Worker.Panic";
    /// The attempt ran into the activity's timeout inside the worker. Retry, as
    /// after `States.Timeout`, which is Step Functions' own and not ours to say.
    pub const TIMEOUT: &str = "Worker.Timeout";
    /// All of them.
    pub const ALL: [&str; 5] = [SHUTDOWN, OUTPUT_TOO_LARGE, BAD_INPUT, PANIC, TIMEOUT];
}

/// What a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Class {
    /// It may work later: retry.
    Transient,
    /// It will fail again: a person must act.
    Permanent,
    /// Somebody else holds what this needs: later, or not at all.
    Conflict,
    /// A piece of the data is bad: set it aside, go on without it.
    Poison,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Transient,
        Self::Permanent,
        Self::Conflict,
        Self::Poison,
    ];

    /// The class as it stands in an error's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "Transient",
            Self::Permanent => "Permanent",
            Self::Conflict => "Conflict",
            Self::Poison => "Poison",
        }
    }
}

/// The part of an error's name before the dot: which kind of activity failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Area(&'static str);

impl Area {
    /// The S3 loader.
    pub const LOAD: Self = Self("Load");
    /// SQL activities.
    pub const SQL: Self = Self("Sql");
    /// Redshift-resize activities.
    pub const RESIZE: Self = Self("Resize");
    /// Activities that came without an area of their own.
    pub const ACTIVITY: Self = Self("Activity");

    /// An area of one's own. The name must not be `States`, nor begin with
    /// `States.`: Step Functions keeps these names.
    ///
    /// # Panics
    /// At compile time where it is used in a constant: if the name is empty or
    /// one that Step Functions keeps.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "an area has a name");
        assert!(
            !matches!(
                bytes,
                b"States" | [b'S', b't', b'a', b't', b'e', b's', b'.', ..]
            ),
            "Step Functions reserves `States`"
        );
        Self(name)
    }
}

/// Why an activity failed, as `SendTaskFailure` reports it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {cause}")]
pub struct ActivityError {
    name: String,
    cause: String,
    class: Class,
}

impl ActivityError {
    /// A failure of `area` in `class`; its name is `<area>.<class>`.
    pub fn new(area: Area, class: Class, cause: impl fmt::Display) -> Self {
        Self::named(format!("{}.{}", area.0, class.as_str()), class, cause)
    }

    /// It may work later.
    pub fn transient(area: Area, cause: impl fmt::Display) -> Self {
        Self::new(area, Class::Transient, cause)
    }

    /// It will fail again until a person acts.
    pub fn permanent(area: Area, cause: impl fmt::Display) -> Self {
        Self::new(area, Class::Permanent, cause)
    }

    /// Somebody else holds what this needs.
    pub fn conflict(area: Area, cause: impl fmt::Display) -> Self {
        Self::new(area, Class::Conflict, cause)
    }

    /// A piece of the data is bad.
    pub fn poison(area: Area, cause: impl fmt::Display) -> Self {
        Self::new(area, Class::Poison, cause)
    }

    /// A failure under a name of its own, cut to what Step Functions takes.
    pub fn named(name: impl Into<String>, class: Class, cause: impl fmt::Display) -> Self {
        let mut name = name.into();
        truncate(&mut name, MAX_ERROR);
        let mut cause = cause.to_string();
        truncate(&mut cause, MAX_CAUSE);
        Self { name, cause, class }
    }

    /// With a cause of at most so many bytes.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        truncate(&mut self.cause, bytes);
        self
    }

    /// What state machines match in `ErrorEquals`: at most 256 characters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a person reads: at most 32,000 bytes.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What a caller can do.
    pub fn class(&self) -> Class {
        self.class
    }
}

/// Cuts to at most `max` bytes of UTF-8 on a character boundary. The limits are
/// given in characters; bytes are never fewer, so this is always accepted.
fn truncate(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use stepfleet_docs::{Table, check_table};

    use super::*;

    #[test]
    fn the_reference_has_every_error() {
        let page = "docs/reference.md";
        let own = Table {
            page,
            name: "worker-errors",
        };
        check_table(own, names::ALL).expect("the table");
        let classes = Table {
            page,
            name: "error-classes",
        };
        check_table(classes, Class::ALL.map(Class::as_str)).expect("the table");
    }

    #[test]
    fn the_name_is_area_and_class() {
        let error = ActivityError::conflict(Area::LOAD, "held");
        assert_eq!(
            (error.name(), error.cause(), error.class()),
            ("Load.Conflict", "held", Class::Conflict)
        );
    }

    #[test]
    fn no_name_of_ours_is_one_that_step_functions_keeps() {
        for name in [
            names::SHUTDOWN,
            names::OUTPUT_TOO_LARGE,
            names::BAD_INPUT,
            names::PANIC,
            names::TIMEOUT,
        ] {
            assert!(name.starts_with("Worker."), "{name}");
        }
        for kept in ["States", "States.Mine", ""] {
            let made = std::panic::catch_unwind(|| Area::new(kept));
            assert!(made.is_err(), "{kept}");
        }
        assert_eq!(Area::new("Statesman"), Area("Statesman"));
    }

    #[test]
    fn long_texts_are_cut_on_a_character_boundary() {
        let error = ActivityError::named("é".repeat(300), Class::Permanent, "€".repeat(20_000));
        assert_eq!(error.name(), "é".repeat(128));
        assert_eq!(
            error.cause(),
            "€".repeat(10_666),
            "3 bytes each, 31,998 in all"
        );
    }

    /// Characters of one to four bytes, beginning at any offset, far over the limit.
    fn long(max: usize) -> impl Strategy<Value = String> {
        let character = select(vec!['a', '\u{7f}', 'é', '€', '\u{ffff}', '🦀']);
        (0..4usize, vec(character, 1..9)).prop_map(move |(offset, pattern)| {
            let pattern: String = pattern.into_iter().collect();
            "x".repeat(offset) + &pattern.repeat(max / pattern.len() + 2)
        })
    }

    /// What is kept is the longest beginning that fits.
    fn is_cut_well(whole: &str, kept: &str, max: usize) -> bool {
        let next = whole
            .strip_prefix(kept)
            .and_then(|rest| rest.chars().next());
        kept.len() <= max && next.is_some_and(|next| kept.len() + next.len_utf8() > max)
    }

    proptest! {
        #[test]
        fn long_names_and_causes_keep_all_that_fits(name in long(256), cause in long(MAX_CAUSE)) {
            let error = ActivityError::named(&name, Class::Permanent, &cause);
            prop_assert!(is_cut_well(&name, error.name(), 256), "{}", error.name());
            prop_assert!(is_cut_well(&cause, error.cause(), MAX_CAUSE));
        }

        #[test]
        fn what_fits_is_not_cut(name in "\\PC{0,64}", cause in "\\PC{0,400}") {
            let error = ActivityError::named(&name, Class::Poison, &cause);
            prop_assert_eq!(error.name(), &name);
            prop_assert_eq!(error.cause(), &cause);
        }
    }
}
