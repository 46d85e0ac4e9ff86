//! Which operation of S3 a request is: its path, its method, its parameters.

use http::{HeaderMap, Method, Request};

/// The bucket and the key of a request, whichever style it has.
pub(super) fn place<B>(request: &Request<B>) -> (String, String) {
    let path = decoded(request.uri().path().trim_start_matches('/'));
    if let Some(bucket) = hosted(request.headers()) {
        return (bucket, path);
    }
    match path.split_once('/') {
        Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
        None => (path, String::new()),
    }
}

/// The bucket of `bucket.s3.somewhere` or `bucket.localhost`.
fn hosted(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(http::header::HOST)?.to_str().ok()?;
    let host = host.split(':').next()?;
    let (bucket, rest) = host.split_once('.')?;
    (rest == "localhost" || rest.starts_with("s3.") || rest.starts_with("s3-"))
        .then(|| bucket.to_owned())
}

fn decoded(text: &str) -> String {
    // A form has `+` for a space, a path does not.
    let form = format!("a={}", text.replace('+', "%2B"));
    serde_urlencoded::from_str::<Vec<(String, String)>>(&form)
        .ok()
        .and_then(|mut pairs| pairs.pop())
        .map_or_else(|| text.to_owned(), |(_, text)| text)
}

/// As AWS names it.
pub(super) fn operation<B>(request: &Request<B>) -> &'static str {
    let (bucket, key) = place(request);
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| {
        let mut pairs = query.split('&');
        pairs.any(|pair| pair.split('=').next() == Some(name))
    };
    let copies = request.headers().contains_key("x-amz-copy-source");
    match (bucket.is_empty(), key.is_empty()) {
        (true, _) => "ListBuckets",
        (false, true) => of_bucket(request.method(), has),
        (false, false) => of_object(request.method(), has, copies),
    }
}

fn of_bucket(method: &Method, has: impl Fn(&str) -> bool) -> &'static str {
    match *method {
        Method::HEAD => "HeadBucket",
        Method::PUT if has("notification") => "PutBucketNotificationConfiguration",
        Method::PUT => "CreateBucket",
        Method::DELETE => "DeleteBucket",
        Method::POST => "DeleteObjects",
        _ if has("location") => "GetBucketLocation",
        _ if has("notification") => "GetBucketNotificationConfiguration",
        _ if has("uploads") => "ListMultipartUploads",
        _ if has("list-type") => "ListObjectsV2",
        _ => "ListObjects",
    }
}

fn of_object(method: &Method, has: impl Fn(&str) -> bool, copies: bool) -> &'static str {
    match *method {
        Method::HEAD => "HeadObject",
        Method::PUT if has("partNumber") && copies => "UploadPartCopy",
        Method::PUT if has("partNumber") => "UploadPart",
        Method::PUT if has("tagging") => "PutObjectTagging",
        Method::PUT if copies => "CopyObject",
        Method::PUT => "PutObject",
        Method::POST if has("uploads") => "CreateMultipartUpload",
        Method::POST => "CompleteMultipartUpload",
        Method::DELETE if has("uploadId") => "AbortMultipartUpload",
        Method::DELETE => "DeleteObject",
        _ if has("uploadId") => "ListParts",
        _ if has("attributes") => "GetObjectAttributes",
        _ if has("tagging") => "GetObjectTagging",
        _ => "GetObject",
    }
}
