//! Outputs that Step Functions takes, and where the others go.

use futures::future::BoxFuture;
use serde_json::json;
use sha2::{Digest, Sha256};
use stepfleet_activity::catalogue::OutputLocation;
use stepfleet_activity::{ActivityError, Area, Attempt, Class, Output, names};

use crate::lane::Lane;
use crate::sfn::{BoxError, chain};

/// `SendTaskSuccess` takes at most this many bytes of output.
const MAX_OUTPUT: usize = 262_144;

/// Keeps outputs that are too large for Step Functions.
pub trait OutputStore: Send + Sync + 'static {
    /// Stores `body` under `bucket` and `key`, over what is there, and returns its ETag.
    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<String, BoxError>>;
}

/// The output as text that Step Functions takes: itself, or a pointer to where
/// it was stored.
pub(crate) async fn fit(
    lane: &Lane,
    attempt: Option<&Attempt>,
    output: &Output,
) -> Result<String, ActivityError> {
    let text = output.get();
    if text.len() <= MAX_OUTPUT {
        return Ok(text.to_owned());
    }
    let (Some(location), Some(store)) = (&lane.options.output, &lane.outputs) else {
        return Err(too_large(text.len()));
    };
    let bytes = text.len();
    let key = key(location, attempt, text);
    let stored = store
        .put(&location.bucket, &key, text.as_bytes().to_vec())
        .await;
    let etag = stored.map_err(|error| {
        let cause = format!(
            "the output of {bytes} bytes could not be stored in {}: {}",
            location.bucket,
            chain(&*error)
        );
        ActivityError::transient(Area::ACTIVITY, cause)
    })?;
    let pointer = json!({"bucket": location.bucket, "key": key, "etag": etag, "bytes": bytes});
    Ok(json!({ "s3": pointer }).to_string())
}

fn too_large(bytes: usize) -> ActivityError {
    let cause = format!(
        "the output has {bytes} bytes and Step Functions takes {MAX_OUTPUT}: \
         name a bucket in the activity's worker.output, or return less"
    );
    ActivityError::named(names::OUTPUT_TOO_LARGE, Class::Permanent, cause)
}

/// The same for the same attempt, so that a repeated upload leaves one object;
/// by content where nobody said which attempt this is.
fn key(location: &OutputLocation, attempt: Option<&Attempt>, text: &str) -> String {
    let mut hash = Sha256::new();
    match attempt {
        Some(attempt) => {
            let Attempt {
                execution,
                state,
                entered,
                retry,
            } = attempt;
            hash.update(format!("{execution}\n{state}\n{entered}\n{retry}"));
        }
        None => hash.update(text),
    }
    format!("{}{}.json", location.prefix, hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_attempt_s_own_and_always_the_same() {
        let location = OutputLocation {
            bucket: "b".to_owned(),
            prefix: "out/".to_owned(),
        };
        let first = Attempt {
            execution: "arn:x".to_owned(),
            state: "Load".to_owned(),
            entered: "2026-01-01T00:00:00Z".parse().expect("a time"),
            retry: 0,
        };
        let second = Attempt {
            retry: 1,
            ..first.clone()
        };
        let of = |attempt, text| key(&location, attempt, text);
        assert_eq!(of(Some(&first), "a"), of(Some(&first), "b"));
        assert_ne!(of(Some(&first), "a"), of(Some(&second), "a"));
        assert_ne!(of(None, "a"), of(None, "b"));
        assert!(of(None, "a").starts_with("out/"));
    }
}
