//! Operations on objects, as requests to S3 and back.

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Map, Value, json};

use super::xml;
use crate::AwsError;
use crate::server::HttpService;

/// The largest object that is read into a state.
const LARGEST: usize = 262_144;
/// Members of an input that are headers.
const HEADERS: [(&str, &str); 7] = [
    ("CacheControl", "cache-control"),
    ("ContentDisposition", "content-disposition"),
    ("ContentEncoding", "content-encoding"),
    ("ContentType", "content-type"),
    ("IfMatch", "if-match"),
    ("IfNoneMatch", "if-none-match"),
    ("Range", "range"),
];
/// Members of a listing that are in the query.
const QUERY: [(&str, &str); 6] = [
    ("ContinuationToken", "continuation-token"),
    ("Delimiter", "delimiter"),
    ("EncodingType", "encoding-type"),
    ("MaxKeys", "max-keys"),
    ("Prefix", "prefix"),
    ("StartAfter", "start-after"),
];
/// What S3 answers in headers.
const ANSWERED: [(&str, &str); 8] = [
    ("accept-ranges", "AcceptRanges"),
    ("cache-control", "CacheControl"),
    ("content-disposition", "ContentDisposition"),
    ("content-encoding", "ContentEncoding"),
    ("content-range", "ContentRange"),
    ("content-type", "ContentType"),
    ("etag", "ETag"),
    ("last-modified", "LastModified"),
];

pub(super) async fn call(
    s3: &dyn HttpService,
    operation: &str,
    input: Value,
) -> Result<Value, AwsError> {
    let method = match operation {
        "GetObject" | "ListObjectsV2" => Method::GET,
        "HeadObject" => Method::HEAD,
        "PutObject" => Method::PUT,
        "DeleteObject" => Method::DELETE,
        other => return Err(AwsError::unknown_operation("S3", other)),
    };
    let response = s3.handle(request((method, operation), &input)?).await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, LARGEST).await.map_err(|_| {
        AwsError::new(
            "EntityTooLarge",
            format!("an object of more than {LARGEST} bytes does not fit into a state"),
        )
    })?;
    let text = String::from_utf8_lossy(&body);
    if !parts.status.is_success() {
        return Err(refusal(parts.status, &text));
    }
    if operation == "ListObjectsV2" {
        let listed = xml::read(&text)?;
        return Ok(listed["ListBucketResult"].clone());
    }
    let mut answer = answered(&parts.headers);
    if operation == "GetObject" {
        answer.insert("Body".to_owned(), json!(text));
    }
    Ok(Value::Object(answer))
}

fn request((method, operation): (Method, &str), input: &Value) -> Result<Request<Body>, AwsError> {
    let listing = operation == "ListObjectsV2";
    let fields = input.as_object().cloned().unwrap_or_default();
    let bucket = part(&fields, "Bucket")?;
    let path = if listing {
        let mut query = vec![("list-type", "2".to_owned())];
        for (member, name) in QUERY {
            query.extend(fields.get(member).map(|value| (name, plain(value))));
        }
        let query = serde_urlencoded::to_string(query);
        let query = query.map_err(|error| AwsError::validation(error.to_string()))?;
        format!("/{bucket}?{query}")
    } else {
        format!("/{bucket}/{}", encoded(&part(&fields, "Key")?))
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost");
    let places = if listing { &QUERY[..] } else { &HEADERS[..] };
    for (member, value) in &fields {
        let place = places.iter().find(|(name, _)| name == member);
        match (member.as_str(), place) {
            ("Bucket", _) => {}
            ("Key", _) if !listing => {}
            ("Body", _) if operation == "PutObject" => {}
            (_, Some(_)) if listing => {}
            (_, Some((_, name))) => request = request.header(*name, plain(value)),
            ("Metadata", None) if operation == "PutObject" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    request = request.header(format!("x-amz-meta-{key}"), plain(value));
                }
            }
            (other, None) => {
                return Err(AwsError::validation(format!(
                    "stepfleet-local has no {other} of {operation} in a Task state"
                )));
            }
        }
    }
    let body = match (operation, fields.get("Body")) {
        ("PutObject", Some(body)) => plain(body),
        _ => String::new(),
    };
    let request = request.header(header::CONTENT_LENGTH, body.len());
    let request = request.body(Body::from(body));
    request.map_err(|error| AwsError::validation(error.to_string()))
}

fn part(fields: &Map<String, Value>, name: &str) -> Result<String, AwsError> {
    let text = fields.get(name).and_then(Value::as_str);
    let text = text.filter(|text| !text.is_empty());
    text.map(str::to_owned)
        .ok_or_else(|| AwsError::validation(format!("{name} must be a text")))
}

/// JSON in the place of a text is written as its text.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn encoded(key: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    key.bytes().map(byte).collect()
}

fn answered(headers: &HeaderMap) -> Map<String, Value> {
    let mut answer = Map::new();
    let mut metadata = Map::new();
    for (name, value) in headers {
        let Ok(text) = value.to_str() else {
            continue;
        };
        let known = ANSWERED.iter().find(|(header, _)| *header == name.as_str());
        if let Some((header, member)) = known {
            let text = match *header {
                "last-modified" => iso(text),
                _ => text.to_owned(),
            };
            answer.insert((*member).to_owned(), json!(text));
        } else if name == header::CONTENT_LENGTH {
            let length = text.parse::<u64>().unwrap_or_default();
            answer.insert("ContentLength".to_owned(), json!(length));
        } else if let Some(key) = name.as_str().strip_prefix("x-amz-meta-") {
            metadata.insert(key.to_owned(), json!(text));
        }
    }
    answer.insert("Metadata".to_owned(), Value::Object(metadata));
    answer
}

/// `Sat, 21 Nov 2026 19:00:00 GMT` as other times in a state are.
fn iso(text: &str) -> String {
    let read = jiff::fmt::rfc2822::parse(text);
    read.map_or_else(|_| text.to_owned(), |at| at.timestamp().to_string())
}

/// An error as S3 writes it; those that Step Functions has no name for keep
/// theirs in the message.
fn refusal(status: StatusCode, text: &str) -> AwsError {
    const NAMES: [&str; 2] = ["NoSuchBucket", "NoSuchKey"];
    let read = xml::read(text).unwrap_or_default();
    let told = |field: &str| read["Error"][field].as_str().unwrap_or_default().to_owned();
    let (code, message) = (told("Code"), told("Message"));
    let error = match NAMES.iter().find(|name| **name == code) {
        Some(name) => AwsError::new(name, message),
        None if code.is_empty() => AwsError::new("S3Error", status.to_string()),
        None => AwsError::new("S3Error", format!("{code}: {message}")),
    };
    AwsError {
        status: status.as_u16(),
        ..error
    }
}
