//! What a request wants to hold before it has an effect.

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::super::store::{Condition, ObjectInfo, StoreError};
use super::{refused, time};

/// Of a write or a deletion.
pub(super) fn of_write(
    matches: Option<ETagCondition>,
    none: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (matches, none) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Etag(etag.into_value())),
        _ => Err(s3_error!(
            NotImplemented,
            "a write takes If-Match, or If-None-Match with *"
        )),
    }
}

/// The conditions on a copy's target, which s3s 0.14 does not read.
pub(super) fn header(headers: &http::HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    ETagCondition::parse_http_header(value.as_bytes())
        .map(Some)
        .map_err(|error| s3_error!(InvalidArgument, "{name}: {error}"))
}

/// Of a read, or of what is copied.
#[derive(Debug, Default)]
pub(super) struct Preconditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_match: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unmet {
    /// It is not as the caller expects.
    Failed,
    /// It is as the caller has it already.
    NotModified,
}

impl Preconditions {
    /// For a read: 412, or 304 for what the caller has already.
    pub(super) fn of_read(&self, info: &ObjectInfo) -> S3Result<()> {
        self.check(info).map_err(|unmet| match unmet {
            Unmet::Failed => refused(StoreError::Precondition),
            Unmet::NotModified => s3_error!(NotModified),
        })
    }

    /// For the source of a copy: 412 either way.
    pub(super) fn of_source(&self, info: &ObjectInfo) -> S3Result<()> {
        self.check(info)
            .map_err(|_| refused(StoreError::Precondition))
    }

    /// An ETag outweighs the time that says the same, as in RFC 9110.
    fn check(&self, info: &ObjectInfo) -> Result<(), Unmet> {
        let is = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == info.etag,
        };
        let modified = time(info.last_modified);
        let as_expected = match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) => is(condition),
            (None, Some(since)) => modified <= *since,
            (None, None) => true,
        };
        if !as_expected {
            return Err(Unmet::Failed);
        }
        let news = match (&self.none_match, &self.modified_since) {
            (Some(condition), _) => !is(condition),
            (None, Some(since)) => modified > *since,
            (None, None) => true,
        };
        if news {
            Ok(())
        } else {
            Err(Unmet::NotModified)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use s3s::dto::ETag;

    use super::*;
    use crate::s3::store::About;

    /// The tables of GetObject and CopyObject, for an object of second 100.
    #[test]
    fn an_etag_outweighs_the_time() {
        let info = serde_json::json!({
            "key": "k", "etag": "e", "size": 1, "last_modified": "1970-01-01T00:01:40Z",
            "about": About::default(), "file": 1,
        });
        let info: ObjectInfo = serde_json::from_value(info).unwrap();
        let etag = |text: &str| match text {
            "" => None,
            "*" => Some(ETagCondition::Any),
            text => Some(ETagCondition::ETag(ETag::Strong(text.to_owned()))),
        };
        let at = |second: u64| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            (second > 0).then(|| Timestamp::from(at))
        };
        let (good, failed, same) = (Ok(()), Err(Unmet::Failed), Err(Unmet::NotModified));
        let table = [
            (("", "", 0, 0), good),
            (("e", "", 0, 0), good),
            (("*", "", 0, 0), good),
            (("x", "", 0, 0), failed),
            (("", "e", 0, 0), same),
            (("", "*", 0, 0), same),
            (("", "x", 0, 0), good),
            (("", "", 99, 0), good),
            (("", "", 100, 0), same),
            (("", "", 0, 100), good),
            (("", "", 0, 99), failed),
            // Match true, unmodified false: the data.
            (("e", "", 0, 99), good),
            (("x", "", 0, 100), failed),
            // None-match false, modified true: not modified.
            (("", "e", 99, 0), same),
            (("", "x", 100, 0), good),
            // What is not as expected is no news either.
            (("x", "e", 0, 0), failed),
        ];
        for ((matches, none, modified, unmodified), wanted) in table {
            let conditions = Preconditions {
                matches: etag(matches),
                none_match: etag(none),
                modified_since: at(modified),
                unmodified_since: at(unmodified),
            };
            assert_eq!(conditions.check(&info), wanted, "{conditions:?}");
        }
    }
}
