//! Whether SNS itself signed the envelopes that we receive.
//!
//! A certificate is trusted by where it comes from: SNS of our region over TLS,
//! or the endpoint that was configured. Whoever else may write to the queue
//! cannot speak in the topic's name then. A message without an envelope has no
//! signature; those rely on the queue's policy.

mod envelope;
mod fetch;
mod origin;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

pub(crate) use fetch::{Fetch, Http};

use crate::queue::Message;
use crate::signal::{Rejection, Signal};
use envelope::Signed;
use origin::Origin;

/// SNS has one certificate at a time and changes it once in a while.
const KEPT: usize = 16;
/// So many URLs without a certificate are asked again.
const MISSING: usize = 4;
/// By then every message that named it is in the dead-letter queue.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What is known of a message's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It has none and needs none.
    Open,
    /// SNS signed it.
    Genuine,
    /// Nobody whom we trust signed it.
    Forged,
    /// Its certificate could not be fetched, and why.
    Unknown(String),
}

impl Seal {
    /// A signal that is trusted as far as its words go: whether it may be
    /// folded, or why it has to wait.
    pub(crate) fn admit(self, signal: Signal) -> Result<Result<Signal, String>, Rejection> {
        match self {
            Self::Open | Self::Genuine => Ok(Ok(signal)),
            Self::Unknown(why) => Ok(Err(why)),
            Self::Forged => Err(Rejection::Signature),
        }
    }
}

/// A message whose signature was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) message: Message,
    pub(crate) seal: Seal,
}

/// Looks at signatures, and keeps the certificates for that.
pub(crate) struct Verifier<F> {
    fetch: F,
    origin: Origin,
    required: bool,
    certificates: BTreeMap<String, CertificateDer<'static>>,
    /// Certificates that could not be fetched: since when, and why.
    missing: BTreeMap<String, (Instant, String)>,
}

impl<F: Fetch> Verifier<F> {
    /// Where signatures are not required, none is looked at.
    pub(crate) fn new(fetch: F, (region, endpoint): (&str, Option<&str>), required: bool) -> Self {
        Self {
            fetch,
            origin: Origin::new(region, endpoint),
            required,
            certificates: BTreeMap::new(),
            missing: BTreeMap::new(),
        }
    }

    /// Tries once more to fetch what is missing. Whether nothing is missing any
    /// more; what failed otherwise.
    pub(crate) async fn catch_up(&mut self) -> Result<(), String> {
        self.missing
            .retain(|_, (since, _)| since.elapsed() < FORGOTTEN);
        let urls: Vec<String> = self.missing.keys().cloned().collect();
        let mut failed = Ok(());
        for url in urls {
            failed = failed.and(self.obtain(&url).await);
        }
        failed
    }

    /// Looks at one message's signature. One that cannot be told yet is to be
    /// left in the queue.
    pub(crate) async fn seal(&mut self, message: Message) -> Sealed {
        let seal = match Signed::read(&message.body).filter(|_| self.required) {
            None => Seal::Open,
            Some(Err(_)) => Seal::Forged,
            Some(Ok(signed)) => self.verify(&signed).await,
        };
        Sealed { message, seal }
    }

    async fn verify(&mut self, signed: &Signed) -> Seal {
        let Some(url) = self.origin.locate(&signed.certificate) else {
            return Seal::Forged;
        };
        if !self.certificates.contains_key(&url) {
            // Each receive asks once for it.
            if let Some((_, why)) = self.missing.get(&url) {
                return Seal::Unknown(why.clone());
            }
            if let Err(why) = self.obtain(&url).await {
                return Seal::Unknown(why);
            }
        }
        match self.certificates.get(&url) {
            Some(certificate) if signed.holds(certificate) => Seal::Genuine,
            _ => Seal::Forged,
        }
    }

    async fn obtain(&mut self, url: &str) -> Result<(), String> {
        match self.fetch.fetch(url).await {
            Ok(certificate) => {
                self.missing.remove(url);
                if self.certificates.len() == KEPT {
                    self.certificates.clear();
                }
                self.certificates.insert(url.to_owned(), certificate);
                Ok(())
            }
            Err(error) => {
                let why = format!("SNS's certificate {url} cannot be fetched: {error}");
                if self.missing.len() < MISSING || self.missing.contains_key(url) {
                    let entry = self.missing.entry(url.to_owned());
                    entry
                        .or_insert_with(|| (Instant::now(), why.clone()))
                        .1
                        .clone_from(&why);
                }
                Err(why)
            }
        }
    }
}
