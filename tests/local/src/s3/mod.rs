//! S3 on files under one folder.
//!
//! s3s reads and writes the protocol; the store is ours, so that every
//! condition is checked under the lock that its effect takes.

mod checksum;
mod events;
mod list;
mod request;
mod service;
mod store;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::Context;
use crate::sqs::Sqs;
use events::Events;
use service::Api;
use store::Store;
pub use store::{About, Condition, ObjectInfo, StoreError};

/// S3: buckets and objects, kept in `<dir>/s3`.
pub struct S3 {
    account: String,
    api: Api,
    service: S3Service,
}

impl S3 {
    /// Opens the folder and what an earlier run left in it; events go to
    /// `queues`.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(context: &Context, queues: Arc<Sqs>) -> io::Result<Arc<Self>> {
        let clock = Arc::clone(&context.clock);
        let api = Api {
            store: Arc::new(Store::open(context.dir.join("s3"), clock)?),
            events: Arc::new(Events::new(context.clone(), queues)),
            region: context.region.clone(),
        };
        let service = S3ServiceBuilder::new(api.clone()).build();
        Ok(Arc::new(Self {
            account: context.account.clone(),
            api,
            service,
        }))
    }

    /// Answers one request in S3's protocol. Any access key is taken.
    pub async fn handle(&self, request: http::Request<Body>) -> http::Response<Body> {
        if !request::is_for(request.headers(), &self.account) {
            return denied();
        }
        let request = match request::prepare(request).await {
            Ok(request) => request,
            Err(message) => return refusal(400, message),
        };
        match self.service.call(request).await {
            Ok(response) => response.map(Body::new),
            Err(error) => refusal(500, format!("{error:?}")),
        }
    }

    /// The whole body of an object.
    ///
    /// # Errors
    /// There is no such bucket or key, or its file cannot be read.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Bytes, StoreError> {
        let (info, body) = self.api.store.get(bucket, key)?;
        Ok(Bytes::from(body.read(0..info.size)?))
    }

    /// All objects with a prefix, in the order of their keys; none where there
    /// is no such bucket.
    pub fn list(&self, bucket: &str, prefix: &str) -> Vec<ObjectInfo> {
        self.api.store.list(bucket, prefix).unwrap_or_default()
    }

    /// Shows every key of every bucket, for what only counts: nothing is copied,
    /// and nothing else happens here meanwhile.
    pub(crate) fn each_key(&self, work: impl FnMut(&str)) {
        self.api.store.each_key(work);
    }

    /// Writes an object, whatever was there.
    ///
    /// # Errors
    /// There is no such bucket, or the file cannot be written.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: &[u8],
    ) -> Result<ObjectInfo, StoreError> {
        self.api.place((bucket, key), body)
    }

    /// The names of all buckets.
    pub fn buckets(&self) -> Vec<String> {
        self.api.store.buckets()
    }

    /// Makes a bucket; one that is there stays as it is.
    ///
    /// # Errors
    /// Its folder cannot be made.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        match self.api.store.create_bucket(bucket) {
            Err(StoreError::BucketExists) => Ok(()),
            other => other,
        }
    }
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("S3").finish_non_exhaustive()
    }
}

/// Every bucket here is the account's own.
fn denied() -> http::Response<Body> {
    let mut response = refusal(
        403,
        "<Error><Code>AccessDenied</Code><Message>the bucket is of another account than \
         x-amz-expected-bucket-owner says</Message></Error>"
            .to_owned(),
    );
    let kind = http::HeaderValue::from_static("application/xml");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}

fn refusal(status: u16, message: String) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(message));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}
