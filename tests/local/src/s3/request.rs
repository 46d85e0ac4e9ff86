//! Takes off a request what only AWS can check: the signature and its framing.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use s3s::dto::Range;

/// The largest body of one request. It is held in memory: AWS's 5 GiB would not be.
const LARGEST: usize = 2 * 1024 * 1024 * 1024;

const SIGNATURE_HEADERS: [&str; 5] = [
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-trailer",
    "x-amz-decoded-content-length",
];

/// Whether the owner that a request expects is this account.
pub(super) fn is_for(headers: &HeaderMap, account: &str) -> bool {
    let names = [
        "x-amz-expected-bucket-owner",
        "x-amz-source-expected-bucket-owner",
    ];
    let mut owners = names.iter().filter_map(|name| headers.get(*name));
    owners.all(|owner| owner.as_bytes() == account.as_bytes())
}

/// The request without its signature, its body without `aws-chunked` framing.
pub(super) async fn prepare(request: Request<Body>) -> Result<Request<s3s::Body>, String> {
    let (mut parts, body) = request.into_parts();
    let told = parts.headers.get(CONTENT_LENGTH);
    let told = told.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > LARGEST) {
        // Before any of it is read.
        return Err(too_large());
    }
    let body = Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => too_large(),
        false => error.to_string(),
    });
    let mut body = body?.to_bytes();
    if is_chunked(&parts.headers) {
        let (plain, checksums) = unframe(body)?;
        body = plain;
        without_chunked(&mut parts.headers);
        // Verified like those that come as headers.
        parts.headers.extend(checksums);
    }
    // What is no range is as if it were not there, as RFC 9110 has it.
    let range = parts.headers.get(RANGE).map(HeaderValue::to_str);
    if range.is_some_and(|range| range.ok().is_none_or(|text| Range::parse(text).is_err())) {
        parts.headers.remove(RANGE);
    }
    parts.headers.remove(AUTHORIZATION);
    for name in SIGNATURE_HEADERS {
        parts.headers.remove(name);
    }
    parts.headers.remove(http::header::TRANSFER_ENCODING);
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Ok(Request::from_parts(parts, s3s::Body::from(body)))
}

fn too_large() -> String {
    format!(
        "the body is larger than {LARGEST} bytes, which is all that stepfleet-local takes in one \
         request: upload it in parts"
    )
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers
        .get("x-amz-content-sha256")
        .is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"))
}

fn without_chunked(headers: &mut HeaderMap) {
    let kept: Vec<String> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().to_owned())
        .filter(|value| value != "aws-chunked")
        .collect();
    headers.remove(CONTENT_ENCODING);
    if let Ok(value) = HeaderValue::from_str(&kept.join(","))
        && !kept.is_empty()
    {
        headers.insert(CONTENT_ENCODING, value);
    }
}

/// Chunks of `<hex size>[;extension]\r\n<bytes>\r\n` up to one of size 0; gives
/// the plain body, and the checksums in the trailers behind it.
fn unframe(mut framed: Bytes) -> Result<(Bytes, HeaderMap), String> {
    let mut plain = BytesMut::new();
    loop {
        let line = line(&mut framed)?;
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| malformed())?;
        if size == 0 {
            return Ok((plain.freeze(), trailers(framed)?));
        }
        if framed.len().saturating_sub(2) < size {
            return Err(malformed());
        }
        plain.extend_from_slice(&framed.split_to(size));
        if framed.split_to(2).as_ref() != b"\r\n" {
            return Err(malformed());
        }
    }
}

/// `<name>:<value>\r\n` up to an empty line.
fn trailers(mut framed: Bytes) -> Result<HeaderMap, String> {
    let mut checksums = HeaderMap::new();
    while !framed.is_empty() {
        let line = line(&mut framed)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let name = name.trim().to_ascii_lowercase();
        if name.starts_with("x-amz-checksum-") {
            let name = HeaderName::try_from(name).map_err(|_| malformed())?;
            let value = HeaderValue::try_from(value.trim()).map_err(|_| malformed())?;
            checksums.insert(name, value);
        }
    }
    Ok(checksums)
}

/// Takes off a line, without its end.
fn line(framed: &mut Bytes) -> Result<String, String> {
    let end = framed
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .ok_or_else(malformed)?;
    let line = framed.split_to(end + 2);
    let line = std::str::from_utf8(&line[..end]).map_err(|_| malformed())?;
    Ok(line.to_owned())
}

fn malformed() -> String {
    "the aws-chunked body is malformed".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_off() {
        let cases: [(&[u8], Option<&[u8]>); 5] = [
            (b"0\r\n\r\n", Some(b"")),
            (
                b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n",
                Some(b"abc"),
            ),
            (
                b"3;chunk-signature=1\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n",
                Some(b"abc0123456789"),
            ),
            (b"4\r\nabc\r\n", None),
            (b"zz\r\nabc\r\n0\r\n", None),
        ];
        for (framed, plain) in cases {
            let got = unframe(Bytes::from_static(framed)).ok();
            let got = got.map(|(got, _)| got);
            assert_eq!(got.as_deref(), plain, "{framed:?}");
        }
    }

    #[tokio::test]
    async fn no_body_is_held_that_is_larger_than_that() {
        let told = |length: usize| {
            let request = Request::put("/b/k").header(CONTENT_LENGTH, length);
            prepare(request.body(Body::empty()).unwrap())
        };
        assert!(told(0).await.is_ok());
        let said = told(LARGEST + 1).await.unwrap_err();
        assert!(said.contains("upload it in parts"), "{said}");
    }

    #[test]
    fn checksums_behind_the_body_are_kept() {
        let framed = b"0\r\nx-amz-checksum-crc32:AA==\r\nX-Amz-Checksum-Sha1: BB==\r\n\
            x-amz-trailer-signature:1\r\n\r\n";
        let (_, checksums) = unframe(Bytes::from_static(framed)).unwrap();
        assert_eq!(checksums.len(), 2);
        assert_eq!(checksums["x-amz-checksum-crc32"], "AA==");
        assert_eq!(checksums["x-amz-checksum-sha1"], "BB==");
    }
}
