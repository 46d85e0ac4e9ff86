//! The bucket as the loader uses it, also where its store is S3 in all but the
//! condition of a DELETE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, At, Conditional, Object, ObjectStore, Part, PutIf, To, Upload};

/// How the loader deletes an object only if it is the one that it means.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionalDelete {
    /// The store compares, as S3 does: DELETE with If-Match.
    #[default]
    IfMatch,
    /// The loader compares by HEAD, and then deletes. What is written again in
    /// between is deleted unseen: for stores without the other way.
    Head,
}

/// A bucket's store, with the way to delete in it.
#[derive(Debug, Clone)]
pub(crate) struct Store<S> {
    inner: S,
    deletes: ConditionalDelete,
}

impl<S> Store<S> {
    pub(crate) fn new(inner: S, deletes: ConditionalDelete) -> Self {
        Self { inner, deletes }
    }
}

impl<S: ObjectStore> ObjectStore for Store<S> {
    async fn list(&self, bucket: &str, prefix: &str) -> Answer<Vec<Object>> {
        self.inner.list(bucket, prefix).await
    }

    async fn etag(&self, at: At<'_>) -> Answer<Option<String>> {
        self.inner.etag(at).await
    }

    async fn get(&self, at: At<'_>) -> Answer<Option<(Vec<u8>, String)>> {
        self.inner.get(at).await
    }

    async fn begins(&self, from: At<'_>, etag: &str, bytes: u64) -> Answer<Conditional<Vec<u8>>> {
        self.inner.begins(from, etag, bytes).await
    }

    async fn put(
        &self,
        at: At<'_>,
        body: Vec<u8>,
        condition: PutIf<'_>,
    ) -> Answer<Conditional<String>> {
        self.inner.put(at, body, condition).await
    }

    async fn copy(&self, from: At<'_>, etag: &str, to: To<'_>) -> Answer<Conditional<()>> {
        self.inner.copy(from, etag, to).await
    }

    async fn begin(&self, from: At<'_>, etag: &str, to: &str) -> Answer<Conditional<String>> {
        self.inner.begin(from, etag, to).await
    }

    async fn copy_part(
        &self,
        from: (At<'_>, &str),
        upload: Upload<'_>,
        part: Part,
    ) -> Answer<Conditional<String>> {
        self.inner.copy_part(from, upload, part).await
    }

    async fn complete(&self, upload: Upload<'_>, etags: &[String]) -> Answer<Conditional<()>> {
        self.inner.complete(upload, etags).await
    }

    async fn abort(&self, upload: Upload<'_>) -> Answer<()> {
        self.inner.abort(upload).await
    }

    async fn delete(&self, at: At<'_>, etag: &str) -> Answer<Conditional<()>> {
        if self.deletes == ConditionalDelete::IfMatch {
            return self.inner.delete(at, etag).await;
        }
        match self.inner.etag(at).await? {
            None => Ok(Conditional::Missing),
            Some(found) if found != etag => Ok(Conditional::Refused),
            Some(_) => self.inner.remove(at).await.map(Conditional::Done),
        }
    }

    async fn remove(&self, at: At<'_>) -> Answer<()> {
        self.inner.remove(at).await
    }
}
