//! The operations, between s3s's types and the store.

mod conditions;
mod multipart;
mod read;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::events::Events;
use super::list::{Page, Query};
use super::store::{ObjectInfo, Store, StoreError, UploadAt};

/// The store as s3s calls it. What is not here answers `NotImplemented`.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) store: Arc<Store>,
    pub(super) events: Arc<Events>,
    pub(super) region: String,
}

fn refused(error: StoreError) -> s3s::S3Error {
    match error {
        StoreError::NoSuchBucket => s3_error!(NoSuchBucket, "{error}"),
        StoreError::NoSuchKey => s3_error!(NoSuchKey, "{error}"),
        StoreError::NoSuchUpload => s3_error!(NoSuchUpload, "{error}"),
        StoreError::Precondition => s3_error!(PreconditionFailed, "{error}"),
        StoreError::Conflict => s3_error!(ConditionalRequestConflict, "{error}"),
        StoreError::InvalidPart(_) => s3_error!(InvalidPart, "{error}"),
        StoreError::InvalidPartOrder => s3_error!(InvalidPartOrder, "{error}"),
        StoreError::TooSmall(_) => s3_error!(EntityTooSmall, "{error}"),
        StoreError::BucketExists => s3_error!(BucketAlreadyOwnedByYou, "{error}"),
        StoreError::NotEmpty => s3_error!(BucketNotEmpty, "{error}"),
        StoreError::Io(_) => s3_error!(InternalError, "{error}"),
    }
}

pub(super) fn time(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from(SystemTime::from(at))
}

pub(super) fn etag(info: &ObjectInfo) -> ETag {
    ETag::Strong(info.etag.clone())
}

fn metadata(kept: BTreeMap<String, String>) -> Option<Metadata> {
    (!kept.is_empty()).then(|| kept.into_iter().collect())
}

/// Refuses what a writer asks for and nobody here would do.
fn check_headers(headers: &http::HeaderMap) -> S3Result<()> {
    const ABSENT: [&str; 5] = [
        "x-amz-object-lock-",
        "x-amz-server-side-encryption-customer-",
        "x-amz-tagging",
        "x-amz-website-redirect-location",
        "x-amz-write-offset-bytes",
    ];
    let mut names = headers.keys().map(http::HeaderName::as_str);
    let absent = |name: &&str| {
        *name != "x-amz-tagging-directive" && ABSENT.iter().any(|front| name.starts_with(front))
    };
    match names.find(absent) {
        None => Ok(()),
        Some(name) => Err(s3_error!(NotImplemented, "stepfleet-local has no {name}")),
    }
}

impl Api {
    fn known(&self, bucket: &str) -> S3Result<()> {
        if self.store.has(bucket) {
            return Ok(());
        }
        Err(refused(StoreError::NoSuchBucket))
    }
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
        self.known(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.region.clone()),
            ..Default::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.known(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: Some(self.region.clone().into()),
        }))
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.unwrap_or_default();
        let most = usize::try_from(input.max_buckets.unwrap_or(10_000)).unwrap_or(0);
        let mut names = self.store.buckets();
        names.retain(|name| name.starts_with(&prefix) && *name > after);
        let more = names.len() > most;
        names.truncate(most);
        let next = names.last().filter(|_| more).cloned();
        let bucket = |name| Bucket {
            name: Some(name),
            ..Default::default()
        };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(names.into_iter().map(bucket).collect()),
            continuation_token: next,
            prefix: input.prefix,
            ..Default::default()
        }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = request.input.bucket;
        self.store.delete_bucket(&bucket).map_err(refused)?;
        self.events.forget(&bucket);
        Ok(S3Response::with_status(
            DeleteBucketOutput {},
            http::StatusCode::NO_CONTENT,
        ))
    }

    async fn put_bucket_notification_configuration(
        &self,
        request: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        let input = request.input;
        self.known(&input.bucket)?;
        let unchecked = input.skip_destination_validation.unwrap_or(false);
        let configuration = input.notification_configuration;
        self.events
            .configure(&input.bucket, configuration, unchecked)?;
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput {}))
    }

    async fn get_bucket_notification_configuration(
        &self,
        request: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
        self.known(&request.input.bucket)?;
        let queues = self.events.configured(&request.input.bucket);
        Ok(S3Response::new(GetBucketNotificationConfigurationOutput {
            queue_configurations: Some(queues),
            ..Default::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        check_headers(&request.headers)?;
        self.put(request.input).await.map(S3Response::new)
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(request.input)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(request.input)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(&request.input)?;
        Ok(S3Response::with_status(
            DeleteObjectOutput::default(),
            http::StatusCode::NO_CONTENT,
        ))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.delete_many(request.input).map(S3Response::new)
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        check_headers(&request.headers)?;
        self.copy(request).map(S3Response::new)
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let query = Query::v1(&input)?;
        let page = self
            .store
            .walk(&input.bucket, |next| Page::of(&query, next));
        let output = page.map_err(refused)?.answer_v1(input)?;
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let query = Query::v2(&input)?;
        let page = self
            .store
            .walk(&input.bucket, |next| Page::of(&query, next));
        let output = page.map_err(refused)?.answer_v2(input)?;
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        check_headers(&request.headers)?;
        self.create_upload(request.input).map(S3Response::new)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        Api::upload_part(self, request.input)
            .await
            .map(S3Response::new)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.copy_part(request.input).map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(request.input).map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let at = UploadAt {
            bucket: &input.bucket,
            key: &input.key,
            id: &input.upload_id,
        };
        self.store.abort_upload(at).map_err(refused)?;
        Ok(S3Response::with_status(
            AbortMultipartUploadOutput::default(),
            http::StatusCode::NO_CONTENT,
        ))
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        Api::list_parts(self, request.input).map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.list_uploads(request.input).map(S3Response::new)
    }
}
