//! S3 on files under one folder.
//!
//! s3s reads and writes the protocol; the store is ours, so that every
//! condition is checked under the lock that its effect takes.

mod checksum;
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
use service::Api;
use store::Store;
pub use store::{About, Condition, ObjectInfo, StoreError};

/// S3: buckets and objects, kept in `<dir>/s3`.
pub struct S3 {
    store: Arc<Store>,
    service: S3Service,
}

impl S3 {
    /// Opens the folder and what an earlier run left in it.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(context: &Context) -> io::Result<Arc<Self>> {
        let store = Arc::new(Store::open(
            context.dir.join("s3"),
            Arc::clone(&context.clock),
        )?);
        let api = Api {
            store: Arc::clone(&store),
            region: context.region.clone(),
        };
        let service = S3ServiceBuilder::new(api).build();
        Ok(Arc::new(Self { store, service }))
    }

    /// Answers one request in S3's protocol. Any access key is taken.
    pub async fn handle(&self, request: http::Request<Body>) -> http::Response<Body> {
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
        let (_, body) = self.store.get(bucket, key)?;
        Ok(Bytes::from(body))
    }

    /// All objects with a prefix, in the order of their keys; none where there
    /// is no such bucket.
    pub fn list(&self, bucket: &str, prefix: &str) -> Vec<ObjectInfo> {
        self.store.list(bucket, prefix).unwrap_or_default()
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
        let about = About::default();
        let object = store::Object { body, about };
        self.store.put((bucket, key), object, &Condition::None)
    }

    /// The names of all buckets.
    pub fn buckets(&self) -> Vec<String> {
        self.store.buckets()
    }

    /// Makes a bucket; one that is there stays as it is.
    ///
    /// # Errors
    /// Its folder cannot be made.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        match self.store.create_bucket(bucket) {
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

fn refusal(status: u16, message: String) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(message));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}
