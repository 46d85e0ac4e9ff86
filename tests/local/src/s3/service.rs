//! The operations, between s3s's types and the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::checksum::{self, Given};
use super::list::{self, Page};
use super::store::{About, Condition, Object as New, ObjectInfo, Store, StoreError};

/// The store as s3s calls it. What is not here answers `NotImplemented`.
pub(super) struct Api {
    pub(super) store: Arc<Store>,
    pub(super) region: String,
}

fn refused(error: StoreError) -> s3s::S3Error {
    match error {
        StoreError::NoSuchBucket => s3_error!(NoSuchBucket, "{error}"),
        StoreError::NoSuchKey => s3_error!(NoSuchKey, "{error}"),
        StoreError::Precondition => s3_error!(PreconditionFailed, "{error}"),
        StoreError::BucketExists => s3_error!(BucketAlreadyOwnedByYou, "{error}"),
        StoreError::NotEmpty => s3_error!(BucketNotEmpty, "{error}"),
        StoreError::Io(_) => s3_error!(InternalError, "{error}"),
    }
}

pub(super) fn time(info: &ObjectInfo) -> Timestamp {
    Timestamp::from(SystemTime::from(info.last_modified))
}

pub(super) fn etag(info: &ObjectInfo) -> ETag {
    ETag::Strong(info.etag.clone())
}

fn condition(matches: Option<ETagCondition>, none: Option<ETagCondition>) -> S3Result<Condition> {
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

/// Conditions of a read: 412, or 304 for what the caller has already.
fn readable(
    info: &ObjectInfo,
    matches: Option<&ETagCondition>,
    none: Option<&ETagCondition>,
) -> S3Result<()> {
    let is = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == info.etag,
    };
    if matches.is_some_and(|condition| !is(condition)) {
        return Err(refused(StoreError::Precondition));
    }
    if none.is_some_and(is) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn metadata(kept: BTreeMap<String, String>) -> Option<Metadata> {
    (!kept.is_empty()).then(|| kept.into_iter().collect())
}

fn whole(body: Bytes) -> StreamingBlob {
    StreamingBlob::from(s3s::Body::from(body))
}

#[async_trait::async_trait]
impl s3s::S3 for Api {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        self.store.create_bucket(&bucket).map_err(refused)?;
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(format!("/{bucket}")),
        }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        if !self.store.buckets().contains(&request.input.bucket) {
            return Err(refused(StoreError::NoSuchBucket));
        }
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.region.clone()),
            ..Default::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        if !self.store.buckets().contains(&request.input.bucket) {
            return Err(refused(StoreError::NoSuchBucket));
        }
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: Some(self.region.clone().into()),
        }))
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |name| Bucket {
            name: Some(name),
            ..Default::default()
        };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(self.store.buckets().into_iter().map(bucket).collect()),
            ..Default::default()
        }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = request.input.bucket;
        self.store.delete_bucket(&bucket).map_err(refused)?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let condition = condition(input.if_match, input.if_none_match)?;
        let given = Given {
            sums: Checksum {
                checksum_crc32: input.checksum_crc32,
                checksum_crc32c: input.checksum_crc32c,
                checksum_crc64nvme: input.checksum_crc64nvme,
                checksum_sha1: input.checksum_sha1,
                checksum_sha256: input.checksum_sha256,
                checksum_type: None,
            },
            md5: input.content_md5,
        };
        let about = About {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata.into_iter().flatten().collect(),
        };
        let mut body = Vec::new();
        if let Some(mut stream) = input.body {
            while let Some(chunk) = stream
                .try_next()
                .await
                .map_err(|error| s3_error!(IncompleteBody, "the body could not be read: {error}"))?
            {
                body.extend_from_slice(&chunk);
            }
        }
        checksum::verify(&body, &given)?;
        let object = New { body: &body, about };
        let info = self
            .store
            .put((&input.bucket, &input.key), object, &condition)
            .map_err(refused)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(etag(&info)),
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let (info, body) = self.store.get(&input.bucket, &input.key).map_err(refused)?;
        readable(&info, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let mut body = Bytes::from(body);
        let mut content_range = None;
        if let Some(range) = input.range {
            let range = range.check(info.size)?;
            let last = range.end.saturating_sub(1);
            content_range = Some(format!("bytes {}-{last}/{}", range.start, info.size));
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            body = body.slice(at(range.start)..at(range.end));
        }
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(body.len()).ok(),
            content_range,
            body: Some(whole(body)),
            e_tag: Some(etag(&info)),
            last_modified: Some(time(&info)),
            content_type: Some(info.about.content_type()),
            content_encoding: info.about.content_encoding,
            content_disposition: info.about.content_disposition,
            content_language: info.about.content_language,
            cache_control: info.about.cache_control,
            metadata: metadata(info.about.metadata),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let info = self
            .store
            .head(&input.bucket, &input.key)
            .map_err(refused)?;
        readable(&info, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(info.size).ok(),
            e_tag: Some(etag(&info)),
            last_modified: Some(time(&info)),
            content_type: Some(info.about.content_type()),
            content_encoding: info.about.content_encoding,
            content_disposition: info.about.content_disposition,
            content_language: info.about.content_language,
            cache_control: info.about.cache_control,
            metadata: metadata(info.about.metadata),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let condition = condition(input.if_match, None)?;
        self.store
            .delete(&input.bucket, &input.key, &condition)
            .map_err(refused)?;
        Ok(S3Response::with_status(
            DeleteObjectOutput::default(),
            http::StatusCode::NO_CONTENT,
        ))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let condition = object
                .e_tag
                .map_or(Condition::None, |etag| Condition::Etag(etag.into_value()));
            match self.store.delete(&input.bucket, &object.key, &condition) {
                Ok(_) => deleted.push(DeletedObject {
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
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: Some(errors),
            ..Default::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let CopySource::Bucket { bucket, key, .. } = input.copy_source else {
            return Err(s3_error!(NotImplemented, "a copy takes bucket/key"));
        };
        let (info, body) = self.store.get(&bucket, &key).map_err(refused)?;
        let none = input.copy_source_if_none_match.as_ref();
        if readable(&info, input.copy_source_if_match.as_ref(), none).is_err() {
            return Err(refused(StoreError::Precondition));
        }
        // The body was read with the ETag that was checked, so what is written
        // is what the caller asked for, whatever happens to the source now.
        let headers = &request.headers;
        let condition = condition(
            target(headers, "if-match")?,
            target(headers, "if-none-match")?,
        )?;
        let replaces =
            |directive: &MetadataDirective| directive.as_str() == MetadataDirective::REPLACE;
        let about = if input.metadata_directive.as_ref().is_some_and(replaces) {
            About {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                metadata: input.metadata.into_iter().flatten().collect(),
            }
        } else {
            info.about
        };
        let object = New { body: &body, about };
        let copied = self
            .store
            .put((&input.bucket, &input.key), object, &condition)
            .map_err(refused)?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(etag(&copied)),
                last_modified: Some(time(&copied)),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let encoded = list::encoded(input.encoding_type.as_ref())?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let objects = self.store.list(&input.bucket, &prefix).map_err(refused)?;
        let page = Page::of(objects, &input)?;
        let count = page.contents.len() + page.prefixes.len();
        let mut output = ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(prefix),
            max_keys: Some(input.max_keys.unwrap_or(1_000)),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next,
            contents: Some(page.contents),
            common_prefixes: Some(page.prefixes),
            delimiter: input.delimiter,
            start_after: input.start_after,
            ..Default::default()
        };
        if encoded {
            list::encode(&mut output);
        }
        Ok(S3Response::new(output))
    }
}

/// The conditions on a copy's target, which s3s 0.14 does not read.
fn target(headers: &http::HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    ETagCondition::parse_http_header(value.as_bytes())
        .map(Some)
        .map_err(|error| s3_error!(InvalidArgument, "{name}: {error}"))
}
