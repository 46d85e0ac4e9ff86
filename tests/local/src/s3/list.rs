//! A page of a listing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{CommonPrefix, EncodingType, ListObjectsV2Input, ListObjectsV2Output, Object};
use s3s::{S3Result, s3_error};

use super::service::{etag, time};
use super::store::ObjectInfo;

/// What one answer lists.
#[derive(Default)]
pub(super) struct Page {
    pub(super) contents: Vec<Object>,
    pub(super) prefixes: Vec<CommonPrefix>,
    /// Where the next one goes on.
    pub(super) next: Option<String>,
}

impl Page {
    pub(super) fn of(objects: Vec<ObjectInfo>, input: &ListObjectsV2Input) -> S3Result<Self> {
        let limit = usize::try_from(input.max_keys.unwrap_or(1_000)).unwrap_or(0);
        let limit = limit.min(1_000);
        let token = input
            .continuation_token
            .as_deref()
            .map(resume)
            .transpose()?;
        let after = token.as_ref().or(input.start_after.as_ref());
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|text| !text.is_empty());
        let mut page = Self::default();
        let mut last: Option<String> = None;
        for info in objects {
            if after.is_some_and(|after| info.key <= *after) {
                continue;
            }
            let group = delimiter.and_then(|delimiter| group(&info.key, prefix, delimiter));
            // A token that names a group stands for all keys in it.
            if group.is_some() && (group == last || group == token) {
                continue;
            }
            if page.contents.len() + page.prefixes.len() >= limit {
                page.next = last.map(|last| URL_SAFE_NO_PAD.encode(last));
                break;
            }
            last = Some(group.clone().unwrap_or_else(|| info.key.clone()));
            match group {
                Some(prefix) => page.prefixes.push(CommonPrefix {
                    prefix: Some(prefix),
                }),
                None => page.contents.push(Object {
                    e_tag: Some(etag(&info)),
                    last_modified: Some(time(&info)),
                    size: i64::try_from(info.size).ok(),
                    key: Some(info.key),
                    ..Default::default()
                }),
            }
        }
        Ok(page)
    }
}

fn group(key: &str, prefix: &str, delimiter: &str) -> Option<String> {
    let rest = key.strip_prefix(prefix)?;
    let end = rest.find(delimiter)? + delimiter.len();
    Some(format!("{prefix}{}", &rest[..end]))
}

fn resume(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of ours"))
}

/// Whether names are to be encoded, which clients ask for since XML cannot
/// carry every key.
pub(super) fn encoded(encoding: Option<&EncodingType>) -> S3Result<bool> {
    match encoding.map(EncodingType::as_str) {
        None => Ok(false),
        Some(EncodingType::URL) => Ok(true),
        Some(other) => Err(s3_error!(
            InvalidArgument,
            "encoding-type {other}: there is only url"
        )),
    }
}

/// Encodes every name of an answer.
pub(super) fn encode(output: &mut ListObjectsV2Output) {
    let contents = output.contents.iter_mut().flatten();
    let prefixes = output.common_prefixes.iter_mut().flatten();
    let names = contents
        .map(|object| &mut object.key)
        .chain(prefixes.map(|common| &mut common.prefix))
        .chain([
            &mut output.prefix,
            &mut output.delimiter,
            &mut output.start_after,
        ]);
    for name in names.flatten() {
        *name = url(name);
    }
    output.encoding_type = Some(EncodingType::from_static(EncodingType::URL));
}

fn url(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_byte_by_byte() {
        for (name, wanted) in [
            ("a/b-c_d.e~f", "a/b-c_d.e~f"),
            ("a b+c%", "a%20b%2Bc%25"),
            ("\u{1}\u{e4}", "%01%C3%A4"),
        ] {
            assert_eq!(url(name), wanted);
        }
    }
}
