//! The bucket on S3: the only file that names its SDK.

#[cfg(test)]
mod lacks;
#[cfg(test)]
mod live;

use std::fmt::Write as _;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use stepfleet_activity::Class;

use crate::outside::call::{CallError, failed, is_not_there, status};
use crate::outside::{Answer, At, Conditional, Object, ObjectStore, Part, PutIf, To, Upload};

/// The S3 client that the loader is given.
pub(crate) type Client = aws_sdk_s3::Client;

impl ObjectStore for Client {
    async fn list(&self, bucket: &str, prefix: &str) -> Answer<Vec<Object>> {
        let what = || format!("list s3://{bucket}/{prefix}");
        let mut pages = self
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut objects = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(what(), &error))?;
            for object in page.contents() {
                let modified = object
                    .last_modified()
                    .and_then(|at| Timestamp::from_nanosecond(at.as_nanos()).ok());
                let (Some(key), Some(etag), Some(modified)) =
                    (object.key(), object.e_tag(), modified)
                else {
                    return Err(CallError {
                        what: what(),
                        reason: "an object came without key, ETag or time".to_owned(),
                        class: Class::Transient,
                    });
                };
                objects.push(Object {
                    key: key.to_owned(),
                    etag: bare(etag),
                    size: object
                        .size()
                        .and_then(|size| u64::try_from(size).ok())
                        .unwrap_or(0),
                    modified,
                });
            }
        }
        Ok(objects)
    }

    async fn etag(&self, at: At<'_>) -> Answer<Option<String>> {
        match self
            .head_object()
            .bucket(at.bucket)
            .key(at.key)
            .send()
            .await
        {
            Ok(head) => Ok(Some(bare(head.e_tag().unwrap_or_default()))),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed(format!("look at {}", url(at)), &error)),
        }
    }

    async fn get(&self, at: At<'_>) -> Answer<Option<(Vec<u8>, String)>> {
        let what = || format!("read {}", url(at));
        let got = match self.get_object().bucket(at.bucket).key(at.key).send().await {
            Ok(got) => got,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failed(what(), &error)),
        };
        let etag = bare(got.e_tag().unwrap_or_default());
        let body = got.body.collect().await.map_err(|error| CallError {
            what: what(),
            reason: error.to_string(),
            class: Class::Transient,
        })?;
        Ok(Some((body.to_vec(), etag)))
    }

    async fn begins(&self, at: At<'_>, etag: &str, bytes: u64) -> Answer<Conditional<Vec<u8>>> {
        let what = || format!("read the beginning of {}", url(at));
        let got = self.get_object().bucket(at.bucket).key(at.key);
        let got = got.if_match(quoted(etag));
        let got = got.range(format!("bytes=0-{}", bytes.saturating_sub(1)));
        let got = match got.send().await {
            Ok(got) => got,
            // There is no first byte.
            Err(error) if status(&error) == Some(416) => return Ok(Conditional::Done(Vec::new())),
            Err(error) => return unmet(status(&error)).ok_or_else(|| failed(what(), &error)),
        };
        let body = got.body.collect().await.map_err(|error| CallError {
            what: what(),
            reason: error.to_string(),
            class: Class::Transient,
        })?;
        Ok(Conditional::Done(body.to_vec()))
    }

    async fn put(
        &self,
        at: At<'_>,
        body: Vec<u8>,
        condition: PutIf<'_>,
    ) -> Answer<Conditional<String>> {
        let put = self
            .put_object()
            .bucket(at.bucket)
            .key(at.key)
            .body(ByteStream::from(body));
        let put = match condition {
            PutIf::Absent => put.if_none_match("*"),
            PutIf::Match(etag) => put.if_match(quoted(etag)),
        };
        match put.send().await {
            Ok(done) => Ok(Conditional::Done(bare(done.e_tag().unwrap_or_default()))),
            Err(error) => unmet(status(&error))
                .ok_or_else(|| failed_if(format!("write {}", url(at)), NO_PUT, &error)),
        }
    }

    async fn copy(&self, from: At<'_>, etag: &str, to: To<'_>) -> Answer<Conditional<()>> {
        let copied = self
            .copy_object()
            .bucket(from.bucket)
            .key(to.key)
            .set_if_none_match(to.absent.then(|| "*".to_owned()))
            .copy_source(source(from))
            .copy_source_if_match(quoted(etag))
            .send()
            .await;
        match copied {
            Ok(_) => Ok(Conditional::Done(())),
            Err(error) => unmet(status(&error)).ok_or_else(|| {
                let what = format!("copy {} to {}", url(from), to.key);
                failed_if(what, NO_COPY, &error)
            }),
        }
    }

    /// A copy in parts does not take the original's metadata with it by itself.
    async fn begin(&self, from: At<'_>, etag: &str, to: &str) -> Answer<Conditional<String>> {
        let what = || format!("begin a copy of {} to {to} in parts", url(from));
        let head = self.head_object().bucket(from.bucket).key(from.key);
        let original = match head.if_match(quoted(etag)).send().await {
            Ok(original) => original,
            Err(error) => return unmet(status(&error)).ok_or_else(|| failed(what(), &error)),
        };
        abandon(self, from.bucket, to).await?;
        let begun = self
            .create_multipart_upload()
            .bucket(from.bucket)
            .key(to)
            .set_content_type(original.content_type)
            .set_content_encoding(original.content_encoding)
            .set_metadata(original.metadata)
            .send()
            .await
            .map_err(|error| failed(what(), &error))?;
        begun
            .upload_id
            .map(Conditional::Done)
            .ok_or_else(|| incomplete(what(), "no id"))
    }

    async fn copy_part(
        &self,
        (from, etag): (At<'_>, &str),
        upload: Upload<'_>,
        part: Part,
    ) -> Answer<Conditional<String>> {
        let what = || format!("copy part {} of {}", part.number, url(from));
        let copied = self
            .upload_part_copy()
            .bucket(upload.bucket)
            .key(upload.to.key)
            .upload_id(upload.id)
            .part_number(part.number)
            .copy_source(source(from))
            .copy_source_if_match(quoted(etag))
            .copy_source_range(format!("bytes={}-{}", part.first, part.last))
            .send()
            .await;
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) => {
                return unmet(status(&error)).ok_or_else(|| failed_if(what(), NO_COPY, &error));
            }
        };
        copied
            .copy_part_result
            .and_then(|result| result.e_tag)
            .map(Conditional::Done)
            .ok_or_else(|| incomplete(what(), "no ETag"))
    }

    async fn complete(&self, upload: Upload<'_>, etags: &[String]) -> Answer<Conditional<()>> {
        let parts = (1..).zip(etags).map(|(number, etag)| {
            CompletedPart::builder()
                .part_number(number)
                .e_tag(etag)
                .build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect()));
        let completed = self
            .complete_multipart_upload()
            .bucket(upload.bucket)
            .key(upload.to.key)
            .upload_id(upload.id)
            .set_if_none_match(upload.to.absent.then(|| "*".to_owned()))
            .multipart_upload(parts.build())
            .send()
            .await;
        match completed {
            Ok(_) => Ok(Conditional::Done(())),
            Err(error) => unmet(status(&error)).ok_or_else(|| {
                let what = format!("complete the copy to {}", upload.to.key);
                failed_if(what, NO_COPY, &error)
            }),
        }
    }

    async fn abort(&self, upload: Upload<'_>) -> Answer<()> {
        self.abort_multipart_upload()
            .bucket(upload.bucket)
            .key(upload.to.key)
            .upload_id(upload.id)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(format!("give up the copy to {}", upload.to.key), &error))
    }

    async fn delete(&self, at: At<'_>, etag: &str) -> Answer<Conditional<()>> {
        let deleted = self
            .delete_object()
            .bucket(at.bucket)
            .key(at.key)
            .if_match(quoted(etag))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(Conditional::Done(())),
            Err(error) => unmet(status(&error))
                .ok_or_else(|| failed_if(format!("delete {}", url(at)), NO_DELETE, &error)),
        }
    }

    async fn remove(&self, at: At<'_>) -> Answer<()> {
        self.delete_object()
            .bucket(at.bucket)
            .key(at.key)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(format!("delete {}", url(at)), &error))
    }
}

const NO_DELETE: &str = "no DELETE with If-Match: say `s3: {conditional_delete: head}` in the activity's config, and the loader compares by HEAD before it deletes";
const NO_PUT: &str = "no PUT with If-Match or If-None-Match, without which there is no lease: the loader cannot work with it";
const NO_COPY: &str = "no COPY with x-amz-copy-source-if-match or If-None-Match, without which a file that changes would be lost: the loader cannot work with it";

/// A call with a condition that failed; a store that has no such condition is said
/// to have none, and what can be done.
fn failed_if<E>(what: String, lack: &str, error: &SdkError<E, HttpResponse>) -> CallError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let failed = failed(what, error);
    if !is_not_there(error) {
        return failed;
    }
    CallError {
        reason: format!("{}; this store has {lack}", failed.reason),
        ..failed
    }
}

/// Gives up what a worker that died has begun for this key: parts that nobody
/// completes are not seen, and are paid for.
async fn abandon(client: &Client, bucket: &str, key: &str) -> Answer<()> {
    let what = || format!("list the unfinished copies to {key}");
    let list = client.list_multipart_uploads().bucket(bucket).prefix(key);
    // The whole key is the prefix: more than a page of them would be others' keys.
    let listed = list.send().await;
    let listed = listed.map_err(|error| failed(what(), &error))?;
    let left = listed.uploads().iter();
    for upload in left.filter(|upload| upload.key() == Some(key)) {
        let id = upload.upload_id().unwrap_or_default();
        let to = To::over(key);
        client.abort(Upload { bucket, to, id }).await?;
    }
    Ok(())
}

/// What a status says about a precondition: 412 and 409 that it did not hold.
fn unmet<T>(status: Option<u16>) -> Option<Conditional<T>> {
    match status {
        Some(412 | 409) => Some(Conditional::Refused),
        Some(404) => Some(Conditional::Missing),
        _ => None,
    }
}

fn url(at: At<'_>) -> String {
    format!("s3://{}/{}", at.bucket, at.key)
}

/// An answer that lacks what it is asked for.
fn incomplete(what: String, reason: &str) -> CallError {
    CallError {
        what,
        reason: format!("the answer has {reason}"),
        class: Class::Transient,
    }
}

fn source(from: At<'_>) -> String {
    format!("{}/{}", from.bucket, encode(from.key))
}

fn bare(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// `CopySource` is the one key that the caller encodes.
fn encode(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_source_survives_any_key() {
        assert_eq!(encode("a/b c+'é%.csv"), "a/b%20c%2B%27%C3%A9%25.csv");
    }
}
