//! GetObject and HeadObject: one choice of what is told, and its headers.

use std::ops;

use bytes::Bytes;
use s3s::dto::{
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, Range, StreamingBlob,
};
use s3s::{S3Response, S3Result, s3_error};

use super::super::store::ObjectInfo;
use super::conditions::Preconditions;
use super::{Api, etag, metadata, refused, time};

/// Which bytes of an object are told.
#[derive(Debug, PartialEq)]
struct Chosen {
    bytes: ops::Range<u64>,
    content_range: Option<String>,
    parts_count: Option<i32>,
}

/// An output whose headers tell of an object.
macro_rules! told {
    ($output:ident, $info:expr, $chosen:expr) => {{
        let (info, chosen): (ObjectInfo, Chosen) = ($info, $chosen);
        $output {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(chosen.bytes.end - chosen.bytes.start).ok(),
            content_range: chosen.content_range,
            parts_count: chosen.parts_count,
            e_tag: Some(etag(&info)),
            last_modified: Some(time(info.last_modified)),
            content_type: Some(info.about.content_type()),
            content_encoding: info.about.content_encoding,
            content_disposition: info.about.content_disposition,
            content_language: info.about.content_language,
            cache_control: info.about.cache_control,
            metadata: metadata(info.about.metadata),
            ..Default::default()
        }
    }};
}

impl Api {
    pub(super) fn get(&self, input: GetObjectInput) -> S3Result<S3Response<GetObjectOutput>> {
        let found = self.store.get(&input.bucket, &input.key);
        let (info, body) = found.map_err(refused)?;
        let conditions = Preconditions {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        conditions.of_read(&info)?;
        let chosen = choose(&info, input.range, input.part_number)?;
        let bytes = body.read(chosen.bytes.clone());
        let bytes = bytes.map_err(|error| refused(error.into()))?;
        let mut output = told!(GetObjectOutput, info, chosen);
        let body = s3s::Body::from(Bytes::from(bytes));
        output.body = Some(StreamingBlob::from(body));
        Ok(S3Response::new(output))
    }

    pub(super) fn head(&self, input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        let found = self.store.head(&input.bucket, &input.key);
        let info = found.map_err(refused)?;
        let conditions = Preconditions {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        conditions.of_read(&info)?;
        let chosen = choose(&info, input.range, input.part_number)?;
        let partial = chosen.content_range.is_some();
        let output = told!(HeadObjectOutput, info, chosen);
        Ok(if partial {
            S3Response::with_status(output, http::StatusCode::PARTIAL_CONTENT)
        } else {
            S3Response::new(output)
        })
    }
}

fn choose(info: &ObjectInfo, range: Option<Range>, part: Option<i32>) -> S3Result<Chosen> {
    let within = |bytes: ops::Range<u64>| Chosen {
        content_range: Some(format!(
            "bytes {}-{}/{}",
            bytes.start,
            bytes.end.saturating_sub(1),
            info.size
        )),
        bytes,
        parts_count: None,
    };
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
        (Some(range), None) => Ok(within(range.check(info.size)?)),
        (None, Some(number)) => {
            let bytes = part_of(info, number)?;
            Ok(Chosen {
                parts_count: i32::try_from(info.parts.len())
                    .ok()
                    .filter(|count| *count > 0),
                ..within(bytes)
            })
        }
        (None, None) => Ok(Chosen {
            bytes: 0..info.size,
            content_range: None,
            parts_count: None,
        }),
    }
}

/// What was uploaded as this part; an object that came whole is its part 1.
fn part_of(info: &ObjectInfo, number: i32) -> S3Result<ops::Range<u64>> {
    if info.parts.is_empty() && number == 1 {
        return Ok(0..info.size);
    }
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let size = info.parts.get(at).ok_or_else(|| {
        s3_error!(
            InvalidRange,
            "The requested partnumber is not satisfiable: there is no part {number}"
        )
    })?;
    let start: u64 = info.parts.iter().take(at).sum();
    Ok(start..start + size)
}
