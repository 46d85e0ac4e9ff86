//! Whether a store keeps the conditions that the loader relies on, tried at an
//! object that nobody needs. A store that does not know one, and one that lets it
//! pass, are both said before the first file: the second would lose files.

use stepfleet_activity::Class;

use crate::outside::call::CallError;
use crate::outside::parts::Original;
use crate::outside::{Answer, At, Conditional, ObjectStore, Part, PutIf, To, Upload};

/// No object has it.
const WRONG: &str = "00000000000000000000000000000000";

/// What is to be said of the one condition that the loader can do without.
const DELETE: &str = "DELETE with If-Match (say `s3: {conditional_delete: head}` in the activity's config, and the loader compares by HEAD before it deletes)";

/// A probe at two keys of `leases/`, which are gone afterwards.
#[derive(Debug)]
pub(crate) struct Probe<'a, S> {
    pub(crate) store: &'a S,
    pub(crate) bucket: &'a str,
    /// The load's prefix.
    pub(crate) prefix: &'a str,
    /// Makes the keys this probe's own.
    pub(crate) nonce: &'a str,
}

/// The conditions that do not hold, each by name with what came instead.
#[derive(Debug, Default)]
struct Lacks(Vec<String>);

impl Lacks {
    /// A call whose condition does not hold.
    fn refused<T>(&mut self, condition: &str, answer: Answer<Conditional<T>>) -> Answer<()> {
        match answer {
            Ok(Conditional::Refused) => {}
            Ok(Conditional::Done(_) | Conditional::Missing) => {
                self.add(condition, "it is let pass");
            }
            Err(error) => self.failed(condition, error)?,
        }
        Ok(())
    }

    /// A call whose condition holds; gives what it answered.
    fn done<T>(&mut self, condition: &str, answer: Answer<Conditional<T>>) -> Answer<Option<T>> {
        match answer {
            Ok(Conditional::Done(value)) => return Ok(Some(value)),
            Ok(Conditional::Refused | Conditional::Missing) => {
                self.add(condition, "it is refused where it holds");
            }
            Err(error) => self.failed(condition, error)?,
        }
        Ok(None)
    }

    /// What may be over later says nothing about the store.
    fn failed(&mut self, condition: &str, error: CallError) -> Answer<()> {
        if error.class == Class::Transient {
            return Err(error);
        }
        self.add(condition, &error.reason);
        Ok(())
    }

    /// What a condition did first; the rest follows from that.
    fn add(&mut self, condition: &str, found: &str) {
        let condition = format!("{condition}: ");
        if !self.0.iter().any(|lack| lack.starts_with(&condition)) {
            self.0.push(condition + found);
        }
    }
}

impl<S: ObjectStore> Probe<'_, S> {
    /// # Errors
    /// Every condition that does not hold, by name.
    pub(crate) async fn run(&self) -> Answer<()> {
        let (one, two) = (self.key("a"), self.key("b"));
        let (at, copy) = (self.at(&one), self.at(&two));
        let mut lacks = Lacks::default();
        let probed = self.conditions(at, copy, &mut lacks).await;
        for at in [at, copy] {
            // Without a condition, which may be what is not there.
            if let Err(error) = self.store.remove(at).await {
                tracing::warn!(%error, "an object of the probe was not removed");
            }
        }
        probed?;
        if lacks.0.is_empty() {
            return Ok(());
        }
        Err(CallError {
            what: format!("s3://{}/{}", self.bucket, self.prefix),
            reason: format!(
                "the store does not keep what the loader relies on: {}",
                lacks.0.join("; ")
            ),
            class: Class::Permanent,
        })
    }

    async fn conditions(&self, at: At<'_>, copy: At<'_>, lacks: &mut Lacks) -> Answer<()> {
        let body = || self.nonce.as_bytes().to_vec();
        let absent = "PUT with If-None-Match";
        let put = self.store.put(at, body(), PutIf::Absent).await;
        if matches!(put, Ok(Conditional::Missing)) {
            return Err(CallError {
                what: format!("probe s3://{}/{}", self.bucket, self.prefix),
                reason: "there is no such bucket".to_owned(),
                class: Class::Permanent,
            });
        }
        // Where this fails there is no object to go on with.
        if lacks.done(absent, put)?.is_none() {
            return Ok(());
        }
        lacks.refused(absent, self.store.put(at, body(), PutIf::Absent).await)?;
        let matching = "PUT with If-Match";
        lacks.refused(
            matching,
            self.store.put(at, body(), PutIf::Match(WRONG)).await,
        )?;
        let Some(etag) = self.store.etag(at).await? else {
            return Err(self.gone());
        };
        let put = self.store.put(at, body(), PutIf::Match(&etag)).await;
        lacks.done(matching, put)?;
        let Some(etag) = self.store.etag(at).await? else {
            return Err(self.gone());
        };
        let begins = self.store.begins(at, WRONG, 1).await;
        lacks.refused("GET with If-Match", begins)?;
        let original = Original {
            at,
            etag: &etag,
            bytes: self.nonce.len() as u64,
        };
        self.copies(original, copy, lacks).await?;
        lacks.refused(DELETE, self.store.delete(at, WRONG).await)?;
        lacks.done(DELETE, self.store.delete(at, &etag).await)?;
        Ok(())
    }

    async fn copies(&self, original: Original<'_>, copy: At<'_>, lacks: &mut Lacks) -> Answer<()> {
        let Original { at, etag, bytes } = original;
        let source = "COPY with x-amz-copy-source-if-match";
        let to = To::over(copy.key);
        lacks.refused(source, self.store.copy(at, WRONG, to).await)?;
        let copied = self.store.copy(at, etag, to).await;
        if lacks.done(source, copied)?.is_some() {
            let over = self.store.copy(at, etag, To::new(copy.key)).await;
            lacks.refused("COPY with If-None-Match", over)?;
        }
        let part = "UploadPartCopy with x-amz-copy-source-if-match";
        let begun = self.store.begin(at, etag, copy.key).await;
        let Some(id) = lacks.done(part, begun)? else {
            return Ok(());
        };
        let upload = Upload {
            bucket: self.bucket,
            to,
            id: &id,
        };
        let whole = Part {
            number: 1,
            first: 0,
            last: bytes.saturating_sub(1),
        };
        let copied = self.store.copy_part((at, WRONG), upload, whole).await;
        self.store.abort(upload).await?;
        lacks.refused(part, copied)
    }

    fn key(&self, which: &str) -> String {
        format!("{}leases/probe-{}-{which}", self.prefix, self.nonce)
    }

    fn at<'b>(&'b self, key: &'b str) -> At<'b> {
        At {
            bucket: self.bucket,
            key,
        }
    }

    fn gone(&self) -> CallError {
        CallError {
            what: format!("probe s3://{}/{}", self.bucket, self.prefix),
            reason: "what was written is not there".to_owned(),
            class: Class::Transient,
        }
    }
}
