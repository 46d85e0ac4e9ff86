//! A bucket that keeps S3's conditions, as far as the probe of `setup` asks.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// The objects' ETags by path.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Store {
    etags: BTreeMap<String, String>,
    writes: u32,
}

impl Store {
    /// The keys that are there.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.etags.keys().map(String::as_str).collect()
    }

    pub(crate) fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let path = uri.path().to_owned();
        let query = uri.query().unwrap_or_default();
        let there = self.etags.get(&path).cloned();
        let absent = said("if-none-match").is_some_and(|_| there.is_some());
        let other = said("if-match").is_some_and(|etag| Some(etag) != there.as_deref());
        let source = said("x-amz-copy-source").map(|source| format!("/{source}"));
        let replaced = source.as_ref().is_some_and(|source| {
            let etag = said("x-amz-copy-source-if-match");
            etag.is_some_and(|etag| self.etags.get(source).map(String::as_str) != Some(etag))
        });
        if absent || other || replaced {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
        let is_upload = query.contains("uploads") || query.contains("uploadId");
        match *method {
            Method::GET if query.contains("uploads") => {
                "<ListMultipartUploadsResult></ListMultipartUploadsResult>".into_response()
            }
            Method::POST => "<InitiateMultipartUploadResult><UploadId>u</UploadId>\
                </InitiateMultipartUploadResult>"
                .into_response(),
            Method::DELETE => {
                if !is_upload {
                    self.etags.remove(&path);
                }
                StatusCode::NO_CONTENT.into_response()
            }
            Method::PUT => {
                self.writes += 1;
                let etag = format!("\"{}\"", self.writes);
                if !is_upload {
                    self.etags.insert(path, etag.clone());
                }
                let result = match (&source, is_upload) {
                    (None, _) => String::new(),
                    (Some(_), false) => {
                        format!("<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>")
                    }
                    (Some(_), true) => {
                        format!("<CopyPartResult><ETag>{etag}</ETag></CopyPartResult>")
                    }
                };
                ([("etag", etag)], result).into_response()
            }
            _ => match there {
                Some(etag) => [("etag", etag)].into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            },
        }
    }
}
