//! Whether SNS itself signed the envelopes that we receive.
//!
//! A certificate is trusted by where it comes from: SNS of our region over TLS,
//! or the endpoint that was configured. Whoever else may write to the queue
//! cannot speak in the topic's name then, but may name certificates that are
//! not there: fetching them is bounded, and holds up nobody else's message.

mod envelope;
mod fetch;
mod origin;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout};

pub(crate) use fetch::{Fetch, Http};

use crate::queue::Message;
use crate::signal::LONGEST;
use envelope::{Signed, Unsigned};
use fetch::FetchError;
use origin::Origin;

/// SNS has one certificate at a time and changes it once in a while.
const KEPT: usize = 16;
/// So many are fetched at a time, ...
const AT_ONCE: usize = 4;
/// ... and so many are begun in a second.
const A_SECOND: usize = 4;
/// For how long a fetch that failed is not tried again: until a message that
/// waits for it comes back.
const FORGOTTEN: Duration = Duration::from_secs(50);
/// So many failures are remembered; meanwhile nothing else is fetched.
const FAILED: usize = 64;
/// For how long messages wait for a fetch that they began.
const GRACE: Duration = Duration::from_millis(300);

/// What is known of a message's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It has none and needs none.
    Open,
    /// SNS signed it.
    Genuine,
    /// Nobody whom we trust signed it.
    Forged,
    /// Its certificate could not be fetched yet.
    Unknown,
}

/// A message whose signature was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) message: Message,
    pub(crate) seal: Seal,
}

/// What a body shows of a signature, before anything is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It is no envelope: there is nothing to be signed.
    NoEnvelope,
    /// It is one that nobody can have signed whom we trust.
    Forged,
    /// It is one, with a signature that the certificate at this URL would show.
    Signed(String),
}

/// Looks at a body as the autoscaler of a region does: whatever its bytes are, it
/// ends without a panic, in time and memory that their length bounds.
pub fn inspect(body: &[u8], region: &str) -> Shown {
    let body = std::str::from_utf8(body).unwrap_or_default();
    match look(body, &Origin::new(region, None)) {
        None => Shown::NoEnvelope,
        Some(Err(Unsigned)) => Shown::Forged,
        Some(Ok((_, url))) => Shown::Signed(url),
    }
}

/// A signature with the place of its certificate; none for what is no envelope.
fn look(body: &str, origin: &Origin) -> Option<Result<(Signed, String), Unsigned>> {
    if body.len() > LONGEST {
        return None;
    }
    let signed = Signed::read(body)?;
    Some(signed.and_then(|signed| {
        let url = origin.locate(&signed.certificate).ok_or(Unsigned)?;
        Ok((signed, url))
    }))
}

/// Looks at signatures, and keeps the certificates for that.
pub(crate) struct Verifier<F> {
    fetch: Arc<F>,
    origin: Origin,
    required: bool,
    certificates: BTreeMap<String, Kept>,
    /// Certificates that could not be fetched, and when that was.
    failed: BTreeMap<String, Instant>,
    fetching: JoinSet<Fetched>,
    /// What is being fetched.
    under_way: HashMap<Id, String>,
    /// When fetches were begun, as far as it matters.
    begun: VecDeque<Instant>,
    /// Why fetches failed, for whoever asks next.
    complaints: Vec<String>,
}

/// A certificate that was fetched.
struct Kept {
    certificate: CertificateDer<'static>,
    /// When something that it signed came last, or when it was fetched.
    used: Instant,
}

/// What an envelope shows before its certificate is looked at.
enum Looked {
    Known(Seal),
    Signed(Box<Signed>, String),
}

// === impl Verifier ===

impl<F: Fetch + 'static> Verifier<F> {
    /// Where signatures are not required, none is looked at.
    pub(crate) fn new(
        fetch: Arc<F>,
        (region, endpoint): (&str, Option<&str>),
        required: bool,
    ) -> Self {
        Self {
            fetch,
            origin: Origin::new(region, endpoint),
            required,
            certificates: BTreeMap::new(),
            failed: BTreeMap::new(),
            fetching: JoinSet::new(),
            under_way: HashMap::new(),
            begun: VecDeque::new(),
            complaints: Vec::new(),
        }
    }

    /// Looks at the signatures of one receive.
    pub(crate) async fn seal(&mut self, messages: Vec<Message>) -> Vec<Sealed> {
        let looked: Vec<_> = (messages.into_iter())
            .map(|message| (self.look(&message), message))
            .collect();
        let named = looked.iter().filter_map(|(looked, _)| match looked {
            Looked::Signed(_, url) => Some(url.as_str()),
            Looked::Known(_) => None,
        });
        self.obtain(named.collect()).await;
        let sealed = looked.into_iter().map(|(looked, message)| {
            let seal = match looked {
                Looked::Known(seal) => seal,
                Looked::Signed(signed, url) => self.verify(&signed, &url),
            };
            Sealed { message, seal }
        });
        sealed.collect()
    }

    /// Why certificates could not be fetched since this was asked.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    fn look(&self, message: &Message) -> Looked {
        if !self.required {
            return Looked::Known(Seal::Open);
        }
        match look(&message.body, &self.origin) {
            None => Looked::Known(Seal::Open),
            Some(Err(Unsigned)) => Looked::Known(Seal::Forged),
            Some(Ok((signed, url))) => Looked::Signed(Box::new(signed), url),
        }
    }

    fn verify(&mut self, signed: &Signed, url: &str) -> Seal {
        match self.certificates.get_mut(url) {
            Some(kept) if signed.holds(&kept.certificate) => {
                kept.used = Instant::now();
                Seal::Genuine
            }
            Some(_) => Seal::Forged,
            None => Seal::Unknown,
        }
    }

    /// Fetches what is not there yet, and waits a moment for what it began.
    async fn obtain(&mut self, named: BTreeSet<&str>) {
        while let Some(done) = self.fetching.try_join_next_with_id() {
            self.fetched(done);
        }
        self.failed.retain(|_, at| at.elapsed() < FORGOTTEN);
        let mut begun: BTreeSet<Id> = named
            .into_iter()
            .filter_map(|url| self.begin(url))
            .collect();
        let end = Instant::now() + GRACE;
        while !begun.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            match timeout(left, self.fetching.join_next_with_id()).await {
                Ok(Some(done)) => {
                    begun.remove(&self.fetched(done));
                }
                // It goes on meanwhile, for the messages after these.
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn begin(&mut self, url: &str) -> Option<Id> {
        let known = self.certificates.contains_key(url)
            || self.failed.contains_key(url)
            || self.under_way.values().any(|under_way| under_way == url);
        if known || !self.room() {
            return None;
        }
        self.begun.push_back(Instant::now());
        let (fetch, wanted) = (Arc::clone(&self.fetch), url.to_owned());
        let task = self
            .fetching
            .spawn(async move { fetch.fetch(&wanted).await });
        self.under_way.insert(task.id(), url.to_owned());
        Some(task.id())
    }

    /// Whether one more fetch may begin, whoever asked for those before.
    fn room(&mut self) -> bool {
        let past = |at: &Instant| at.elapsed() >= Duration::from_secs(1);
        while self.begun.front().is_some_and(past) {
            self.begun.pop_front();
        }
        self.under_way.len() < AT_ONCE && self.begun.len() < A_SECOND && self.failed.len() < FAILED
    }

    /// Takes in a fetch that ended; which one it was.
    fn fetched(&mut self, done: Result<(Id, Fetched), tokio::task::JoinError>) -> Id {
        let (id, fetched) =
            done.unwrap_or_else(|error| (error.id(), Err("the fetch ended by itself".to_owned())));
        let Some(url) = self.under_way.remove(&id) else {
            return id;
        };
        match fetched {
            Ok(certificate) => self.keep(url, certificate),
            Err(error) => {
                let why = format!("SNS's certificate {url} cannot be fetched: {error}");
                self.complaints.push(why);
                self.failed.insert(url, Instant::now());
            }
        }
        id
    }
}

impl<F> Verifier<F> {
    /// Keeps a certificate, in the place of the one that was of no use for longest.
    fn keep(&mut self, url: String, certificate: CertificateDer<'static>) {
        if self.certificates.len() == KEPT {
            let all = self.certificates.iter();
            let least = all.min_by_key(|(_, kept)| kept.used);
            let least = least.map(|(url, _)| url.clone());
            least.and_then(|url| self.certificates.remove(&url));
        }
        let used = Instant::now();
        self.certificates.insert(url, Kept { certificate, used });
    }
}

type Fetched = Result<CertificateDer<'static>, FetchError>;
