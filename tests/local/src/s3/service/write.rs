//! PutObject, CopyObject and the deletions.

use futures::TryStreamExt;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::super::checksum::{self, Given};
use super::super::events::Kind;
use super::super::store::{About, Condition, Object as New, ObjectInfo, StoreError};
use super::conditions::{self, Preconditions};
use super::{Api, etag, refused, time};

/// The most bytes that one copy takes.
pub(super) const LARGEST_COPY: u64 = 5 * 1024 * 1024 * 1024;

/// What a writer says of an object; all inputs have the same members.
macro_rules! about {
    ($input:expr) => {
        About {
            content_type: $input.content_type,
            content_encoding: $input.content_encoding,
            content_disposition: $input.content_disposition,
            content_language: $input.content_language,
            cache_control: $input.cache_control,
            metadata: $input.metadata.into_iter().flatten().collect(),
        }
    };
}
/// The checksums that came with a body; both inputs have the same members.
macro_rules! given {
    ($input:expr) => {
        Given {
            sums: Checksum {
                checksum_crc32: $input.checksum_crc32,
                checksum_crc32c: $input.checksum_crc32c,
                checksum_crc64nvme: $input.checksum_crc64nvme,
                checksum_sha1: $input.checksum_sha1,
                checksum_sha256: $input.checksum_sha256,
                checksum_type: None,
            },
            md5: $input.content_md5,
        }
    };
}
pub(super) use {about, given};

/// A body to its end, if it is what its sender says.
pub(super) async fn body(stream: Option<StreamingBlob>, given: &Given) -> S3Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(mut stream) = stream {
        let broken = |error| s3_error!(IncompleteBody, "the body could not be read: {error}");
        while let Some(chunk) = stream.try_next().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
        }
    }
    checksum::verify(&body, given)?;
    Ok(body)
}

impl Api {
    pub(super) async fn put(&self, input: PutObjectInput) -> S3Result<PutObjectOutput> {
        let condition = conditions::of_write(input.if_match, input.if_none_match)?;
        let given = given!(input);
        let about = about!(input);
        let body = body(input.body, &given).await?;
        let object = New { body: &body, about };
        let at = (input.bucket.as_str(), input.key.as_str());
        let info = self.store.put(at, object, &condition).map_err(refused)?;
        self.events.created(&input.bucket, Kind::Put, &info);
        Ok(PutObjectOutput {
            e_tag: Some(etag(&info)),
            checksum_crc32: given.sums.checksum_crc32,
            checksum_crc32c: given.sums.checksum_crc32c,
            checksum_crc64nvme: given.sums.checksum_crc64nvme,
            checksum_sha1: given.sums.checksum_sha1,
            checksum_sha256: given.sums.checksum_sha256,
            ..Default::default()
        })
    }

    pub(super) fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        let input = request.input;
        let (from, key) = source(&input.copy_source)?;
        let (info, body) = self.store.get(from, key).map_err(refused)?;
        let conditions = Preconditions {
            matches: input.copy_source_if_match,
            none_match: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.of_source(&info)?;
        if info.size > LARGEST_COPY {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy \
                 source: {LARGEST_COPY}"
            ));
        }
        // The body was opened with the ETag that was checked, so what is written
        // is what the caller asked for, whatever happens to the source now.
        let body = body.read(0..info.size);
        let body = body.map_err(|error| refused(error.into()))?;
        let headers = &request.headers;
        let condition = conditions::of_write(
            conditions::header(headers, "if-match")?,
            conditions::header(headers, "if-none-match")?,
        )?;
        let replaces =
            |directive: &MetadataDirective| directive.as_str() == MetadataDirective::REPLACE;
        let about = if input.metadata_directive.as_ref().is_some_and(replaces) {
            about!(input)
        } else if (from, key) == (input.bucket.as_str(), input.key.as_str()) {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes."
            ));
        } else {
            info.about
        };
        let object = New { body: &body, about };
        let at = (input.bucket.as_str(), input.key.as_str());
        let copied = self.store.put(at, object, &condition).map_err(refused)?;
        self.events.created(&input.bucket, Kind::Copy, &copied);
        Ok(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(etag(&copied)),
                last_modified: Some(time(copied.last_modified)),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    pub(super) fn delete(&self, input: &DeleteObjectInput) -> S3Result<()> {
        if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "only directory buckets have conditions on size and time"
            ));
        }
        let condition = conditions::of_write(input.if_match.clone(), None)?;
        self.remove(&input.bucket, &input.key, &condition)
            .map_err(refused)
    }

    pub(super) fn delete_many(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        let objects = input.delete.objects;
        if !(1..=1_000).contains(&objects.len()) {
            return Err(s3_error!(
                MalformedXML,
                "1 to 1,000 keys are deleted at once, not {}",
                objects.len()
            ));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in objects {
            let condition = match object.e_tag.map(ETag::into_value) {
                None => Condition::None,
                Some(any) if any == "*" => Condition::Present,
                Some(etag) => Condition::Etag(etag),
            };
            match self.remove(&input.bucket, &object.key, &condition) {
                Ok(()) => deleted.push(DeletedObject {
                    key: Some(object.key),
                    ..Default::default()
                }),
                Err(StoreError::NoSuchBucket) => return Err(refused(StoreError::NoSuchBucket)),
                Err(error) => {
                    let error = refused(error);
                    errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: error.message().map(ToOwned::to_owned),
                        ..Default::default()
                    });
                }
            }
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        Ok(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: Some(errors),
            ..Default::default()
        })
    }

    fn remove(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), StoreError> {
        if let Some(change) = self.store.delete(bucket, key, condition)? {
            self.events.removed(bucket, key, change);
        }
        Ok(())
    }

    /// Writes what comes from within, as PutObject does.
    pub(in crate::s3) fn place(
        &self,
        (bucket, key): (&str, &str),
        body: &[u8],
    ) -> Result<ObjectInfo, StoreError> {
        let about = About::default();
        let object = New { body, about };
        let info = self.store.put((bucket, key), object, &Condition::None)?;
        self.events.created(bucket, Kind::Put, &info);
        Ok(info)
    }
}

/// Bucket and key of what is copied.
pub(super) fn source(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket {
            bucket,
            key,
            version_id: None,
        } => Ok((bucket, key)),
        _ => Err(s3_error!(
            NotImplemented,
            "a copy takes bucket/key: there are no versions and access points here"
        )),
    }
}
