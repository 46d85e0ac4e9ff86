//! A page of a listing.

use std::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object,
};
use s3s::{S3Result, s3_error};

use super::service::{etag, time};
use super::store::ObjectInfo;

/// The most that a page has.
const MOST: i32 = 1_000;

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Query {
    prefix: String,
    delimiter: Option<String>,
    /// Nothing up to this is listed.
    after: Option<String>,
    /// Whether `after` stands for all keys below it, where it names a group.
    after_group: bool,
    limit: usize,
}

/// What one answer lists.
#[derive(Default)]
pub(super) struct Page {
    contents: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    /// What the next one goes on behind.
    next: Option<String>,
}

impl Query {
    pub(super) fn v2(input: &ListObjectsV2Input) -> S3Result<Self> {
        let token = input.continuation_token.as_deref();
        let token = token.map(resume).transpose()?;
        Ok(Self {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: delimiter(input.delimiter.as_ref()),
            after_group: token.is_some(),
            after: token.or_else(|| input.start_after.clone()),
            limit: limit(input.max_keys)?,
        })
    }

    pub(super) fn v1(input: &ListObjectsInput) -> S3Result<Self> {
        Ok(Self {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: delimiter(input.delimiter.as_ref()),
            after: input.marker.clone().filter(|marker| !marker.is_empty()),
            after_group: true,
            limit: limit(input.max_keys)?,
        })
    }

    /// The part of a key that stands for it, where the delimiter is in it.
    fn group(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = key.strip_prefix(self.prefix.as_str())?;
        let end = rest.find(delimiter)? + delimiter.len();
        Some(format!("{}{}", self.prefix, &rest[..end]))
    }

    fn start(&self) -> Bound<String> {
        match &self.after {
            Some(after) if *after >= self.prefix => {
                if self.after_group && self.group(after).as_ref() == Some(after) {
                    behind(after)
                } else {
                    Bound::Excluded(after.clone())
                }
            }
            _ => Bound::Included(self.prefix.clone()),
        }
    }
}

fn delimiter(given: Option<&String>) -> Option<String> {
    given.filter(|text| !text.is_empty()).cloned()
}

fn limit(given: Option<i32>) -> S3Result<usize> {
    usize::try_from(given.unwrap_or(MOST).min(MOST))
        .map_err(|_| s3_error!(InvalidArgument, "max-keys is 0 or more"))
}

/// The first place behind every key that begins with a text.
fn behind(text: &str) -> Bound<String> {
    let mut chars: Vec<char> = text.chars().collect();
    while let Some(last) = chars.pop() {
        // Where there is no next character, the one before has to grow.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Bound::Included(chars.into_iter().collect());
        }
    }
    Bound::Excluded(text.to_owned())
}

impl Page {
    /// Looks at one object for each entry of the page, and at one more: a
    /// group costs one look, however many keys are in it.
    pub(super) fn of(
        query: &Query,
        next: &mut dyn FnMut(Bound<&str>) -> Option<ObjectInfo>,
    ) -> Self {
        let mut page = Self::default();
        let mut last = None;
        let mut from = query.start();
        while let Some(info) = next(from.as_ref().map(String::as_str)) {
            if !info.key.starts_with(&query.prefix) {
                break;
            }
            if page.contents.len() + page.prefixes.len() >= query.limit {
                page.next = last;
                break;
            }
            if let Some(group) = query.group(&info.key) {
                from = behind(&group);
                last = Some(group.clone());
                page.prefixes.push(CommonPrefix {
                    prefix: Some(group),
                });
            } else {
                from = Bound::Excluded(info.key.clone());
                last = Some(info.key.clone());
                page.contents.push(listed(info));
            }
        }
        page
    }

    /// As `ListObjectsV2` answers.
    pub(super) fn answer_v2(self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let encodes = encodes(input.encoding_type.as_ref())?;
        let count = self.contents.len() + self.prefixes.len();
        let mut output = ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(input.prefix.unwrap_or_default()),
            max_keys: Some(input.max_keys.unwrap_or(MOST)),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(self.next.is_some()),
            next_continuation_token: self.next.map(|last| URL_SAFE_NO_PAD.encode(last)),
            contents: Some(self.contents),
            common_prefixes: Some(self.prefixes),
            delimiter: input.delimiter,
            start_after: input.start_after,
            ..Default::default()
        };
        if encodes {
            let contents = output.contents.iter_mut().flatten();
            let prefixes = output.common_prefixes.iter_mut().flatten();
            let more = [
                &mut output.prefix,
                &mut output.delimiter,
                &mut output.start_after,
            ];
            encode(contents, prefixes, more);
            output.encoding_type = Some(EncodingType::from_static(EncodingType::URL));
        }
        Ok(output)
    }

    /// As `ListObjects` answers: only where there is a delimiter does it say
    /// where to go on, since the last key says it otherwise.
    pub(super) fn answer_v1(self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let encodes = encodes(input.encoding_type.as_ref())?;
        let mut output = ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(input.prefix.unwrap_or_default()),
            marker: Some(input.marker.unwrap_or_default()),
            max_keys: Some(input.max_keys.unwrap_or(MOST)),
            is_truncated: Some(self.next.is_some()),
            next_marker: self.next.filter(|_| input.delimiter.is_some()),
            contents: Some(self.contents),
            common_prefixes: Some(self.prefixes),
            delimiter: input.delimiter,
            ..Default::default()
        };
        if encodes {
            let contents = output.contents.iter_mut().flatten();
            let prefixes = output.common_prefixes.iter_mut().flatten();
            let more = [
                &mut output.prefix,
                &mut output.delimiter,
                &mut output.marker,
                &mut output.next_marker,
            ];
            encode(contents, prefixes, more);
            output.encoding_type = Some(EncodingType::from_static(EncodingType::URL));
        }
        Ok(output)
    }
}

fn listed(info: ObjectInfo) -> Object {
    Object {
        e_tag: Some(etag(&info)),
        last_modified: Some(time(info.last_modified)),
        size: i64::try_from(info.size).ok(),
        key: Some(info.key),
        ..Default::default()
    }
}

fn resume(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of ours"))
}

/// Whether names are to be encoded, which clients ask for since XML cannot
/// carry every key.
pub(super) fn encodes(encoding: Option<&EncodingType>) -> S3Result<bool> {
    match encoding.map(EncodingType::as_str) {
        None => Ok(false),
        Some(EncodingType::URL) => Ok(true),
        Some(other) => Err(s3_error!(
            InvalidArgument,
            "encoding-type {other}: there is only url"
        )),
    }
}

fn encode<'a>(
    contents: impl Iterator<Item = &'a mut Object>,
    prefixes: impl Iterator<Item = &'a mut CommonPrefix>,
    more: impl IntoIterator<Item = &'a mut Option<String>>,
) {
    let names = contents
        .map(|object| &mut object.key)
        .chain(prefixes.map(|common| &mut common.prefix))
        .chain(more);
    for name in names.flatten() {
        *name = url(name);
    }
}

/// Byte by byte, with slashes as they are.
pub(super) fn url(name: &str) -> String {
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
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::s3::store::About;

    fn object(key: &str) -> ObjectInfo {
        let record = serde_json::json!({
            "key": key, "etag": "0", "size": 1, "last_modified": "1970-01-01T00:00:00Z",
            "about": About::default(), "file": 1,
        });
        serde_json::from_value(record).unwrap()
    }

    /// Every page to the end, and how many objects were looked at for each.
    fn pages(keys: &BTreeSet<String>, mut query: Query) -> Vec<(Vec<String>, usize)> {
        let mut pages = Vec::new();
        loop {
            let mut looks = 0;
            let page = Page::of(&query, &mut |from| {
                looks += 1;
                let mut found = keys.range::<str, _>((from, Bound::Unbounded));
                found.next().map(|key| object(key))
            });
            let names = page.contents.into_iter().filter_map(|one| one.key);
            let groups = page.prefixes.into_iter().filter_map(|one| one.prefix);
            let mut names: Vec<String> = names.chain(groups).collect();
            names.sort();
            pages.push((names, looks));
            query.after_group = true;
            match page.next {
                Some(next) => query.after = Some(next),
                None => return pages,
            }
        }
    }

    fn query(prefix: &str, delimiter: Option<&str>, limit: usize) -> Query {
        Query {
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            limit,
            ..Query::default()
        }
    }

    #[test]
    fn a_page_costs_what_it_lists() {
        let keys = (0..100_000).map(|n| format!("in/{}/{n:06}", n % 10));
        let keys: BTreeSet<String> = keys.chain(["zz".to_owned()]).collect();
        let all = pages(&keys, query("in/", None, 1_000));
        assert_eq!(all.len(), 100);
        let listed: BTreeSet<&String> = all.iter().flat_map(|(names, _)| names).collect();
        assert_eq!(listed.len(), 100_000);
        for (names, looks) in &all {
            assert_eq!((names.len(), *looks), (1_000, 1_001));
        }
        // Ten groups of 10,000 keys each.
        let groups = pages(&keys, query("in/", Some("/"), 4));
        let shape: Vec<(usize, usize)> =
            groups.iter().map(|(n, looks)| (n.len(), *looks)).collect();
        assert_eq!(shape, [(4, 5), (4, 5), (2, 3)]);
    }

    #[test]
    fn what_is_listed_after_a_key() {
        let keys: BTreeSet<String> = ["a/1", "a/2", "b", "b/1", "c\u{10ffff}x", "d"]
            .map(str::to_owned)
            .into();
        let cases: [(&str, Option<&str>, bool, &[&str]); 7] = [
            ("", None, false, &["a/", "b", "b/", "c\u{10ffff}x", "d"]),
            ("", Some("a/"), true, &["b", "b/", "c\u{10ffff}x", "d"]),
            (
                "",
                Some("a/1"),
                false,
                &["a/", "b", "b/", "c\u{10ffff}x", "d"],
            ),
            ("", Some("b"), true, &["b/", "c\u{10ffff}x", "d"]),
            ("b", Some("a"), false, &["b", "b/"]),
            ("b", Some("c"), false, &[]),
            ("c", Some("c\u{10ffff}"), false, &["c\u{10ffff}x"]),
        ];
        for (prefix, after, after_group, wanted) in cases {
            let query = Query {
                after: after.map(str::to_owned),
                after_group,
                ..query(prefix, Some("/"), 100)
            };
            let found = pages(&keys, query);
            assert_eq!(found[0].0, wanted, "{prefix} {after:?}");
        }
        assert_eq!(pages(&keys, query("", None, 0)), [(vec![], 1)]);
    }

    proptest! {
        /// However long the pages are, they list each key or group once.
        #[test]
        fn pages_put_together_are_the_whole(
            keys in proptest::collection::btree_set("[a-c/\u{10ffff}]{1,4}", 0..30),
            prefix in "[a-c/]{0,2}",
            delimiter in proptest::option::of(Just("/")),
            limit in 1usize..5,
        ) {
            let plain = query(&prefix, delimiter, limit);
            let wanted: BTreeSet<String> = keys
                .iter()
                .filter(|key| key.starts_with(&prefix))
                .map(|key| plain.group(key).unwrap_or_else(|| key.clone()))
                .collect();
            let listed: Vec<String> =
                pages(&keys, plain).into_iter().flat_map(|(names, _)| names).collect();
            prop_assert_eq!(listed.len(), wanted.len());
            prop_assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted);
        }
    }

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
