//! The beginning of a file: its line of names, or its first objects.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::de::IgnoredAny;

use super::cut::{Cutter, Marks};
use super::{Encoding, HeaderFault, names_of};
use crate::s3_load::codec::Codec;
use crate::s3_load::column::ColumnName;
use crate::s3_load::input::LoadInput;
use crate::s3_load::postgres::unpack::{said, unpacked};

/// How much of a file is read to know its form.
pub(crate) const HEAD: usize = 64 << 10;

/// The beginning of a file, unpacked and in UTF-8.
#[derive(Debug)]
pub(crate) struct Head {
    text: Vec<u8>,
    /// Whether the file has no more than this.
    whole: bool,
}

impl Head {
    /// Of the first bytes of an object of so many.
    pub(crate) fn of(
        input: &LoadInput,
        codec: Codec,
        (packed, size): (&[u8], u64),
    ) -> Result<Self, String> {
        let all = packed.len() as u64 >= size;
        let (plain, whole) = match codec {
            Codec::Plain => (packed.to_vec(), all),
            _ if packed.is_empty() => (Vec::new(), all),
            codec => inflate(codec, packed, all)?,
        };
        Ok(Self::unpacked(input, &plain, whole))
    }

    /// Of the first bytes of what was packed; a byte order mark is none of them.
    pub(crate) fn unpacked(input: &LoadInput, plain: &[u8], whole: bool) -> Self {
        let text = decoded(plain, input.options.encoding.unwrap_or_default());
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
        Self {
            text: text.to_vec(),
            whole,
        }
    }

    /// The names of the first line; none where the file is empty.
    pub(crate) fn names(&self, input: &LoadInput) -> Result<Option<Vec<String>>, HeaderFault> {
        let mut cutter = Cutter::new(Marks::of(input));
        let mut fields: Option<Vec<Vec<u8>>> = None;
        let mut first = |record: &super::cut::Record| {
            fields
                .get_or_insert_with(|| record.fields().map(|field| field.value.to_vec()).collect());
            Ok(false)
        };
        let fault = |fault: super::cut::RecordFault| {
            HeaderFault::new("", format!("the header is no record: {}", fault.reason))
        };
        let used = cutter.pass(&self.text, &mut first).map_err(fault)?;
        if used == self.text.len() && self.whole {
            cutter.finish(&mut first).map_err(fault)?;
        }
        match fields {
            Some(fields) => names_of(&fields).map(Some),
            None if self.whole => Ok(None),
            None => {
                let reason = format!("the header is longer than {HEAD} bytes");
                Err(HeaderFault::new("", reason))
            }
        }
    }

    /// Whether there are objects here, and none of them has a key that is a column:
    /// COPY would load rows of NULLs. What is no JSON is left to COPY, which says it
    /// with its line.
    pub(crate) fn matches_nothing(&self, columns: &[ColumnName], ignore_case: bool) -> bool {
        let objects = serde_json::Deserializer::from_slice(&self.text)
            .into_iter::<BTreeMap<String, IgnoredAny>>();
        let mut any = false;
        for object in objects.map_while(Result::ok) {
            any = true;
            let known = |key: &String| {
                columns.iter().any(|column| {
                    column.name() == key
                        || ignore_case && column.name().to_lowercase() == key.to_lowercase()
                })
            };
            if object.keys().any(known) {
                return false;
            }
        }
        any
    }
}

/// As much as there is of it, and whether that is all.
fn inflate(codec: Codec, packed: &[u8], all: bool) -> Result<(Vec<u8>, bool), String> {
    let (mut plain, mut failure) = (Vec::new(), None);
    let mut inside = unpacked(codec, packed)?.take(HEAD as u64 + 1);
    let mut piece = [0; 4 << 10];
    loop {
        match inside.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => plain.extend_from_slice(&piece[..read]),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let more = plain.len() > HEAD;
    plain.truncate(HEAD);
    match failure {
        None => Ok((plain, all && !more)),
        // The rest of it was not asked for.
        Some(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !all => {
            Ok((plain, false))
        }
        Some(error) => Err(said(codec, &error)),
    }
}

fn decoded(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let wide = |big: bool| {
        let units = bytes.chunks_exact(2).map(|pair| match big {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        });
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        text.into_bytes()
    };
    match encoding {
        Encoding::Utf8 => bytes.to_vec(),
        Encoding::Utf16 => wide(bytes.starts_with(&[0xFE, 0xFF])),
        Encoding::Utf16le => wide(false),
        Encoding::Utf16be => wide(true),
        Encoding::Iso88591 => bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value, json};

    use super::*;

    fn input(more: Value) -> LoadInput {
        let mut input =
            json!({"bucket": "land", "table": "public.t", "format": "csv", "header": true});
        let fields = input.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        serde_json::from_value(input).expect("an input")
    }

    fn names(input: &LoadInput, body: &[u8]) -> Result<Option<Vec<String>>, HeaderFault> {
        let cut = &body[..body.len().min(HEAD)];
        let codec = input.compression().of_all().unwrap_or_default();
        let head = Head::of(input, codec, (cut, body.len() as u64))
            .map_err(|reason| HeaderFault::new("", reason))?;
        head.names(input)
    }

    #[test]
    fn the_names_are_read_from_the_first_line() {
        let utf16: Vec<u8> = "\u{feff}id,größe\n1,2\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (more, body, want) in [
            (json!({}), b"id,name\n1,a\n".to_vec(), vec!["id", "name"]),
            (
                json!({}),
                "\u{feff}id , \"na\"\"me\"\r\n1,a\r\n".into(),
                vec!["id", "na\"me"],
            ),
            (json!({}), b"id,name".to_vec(), vec!["id", "name"]),
            (
                json!({}),
                b"\"id\nx\",name\n".to_vec(),
                vec!["id\nx", "name"],
            ),
            (
                json!({"options": {"delimiter": "tab"}}),
                b"id\tname\n".to_vec(),
                vec!["id", "name"],
            ),
            (
                json!({"format": "text"}),
                b"id|name\n".to_vec(),
                vec!["id", "name"],
            ),
            (
                json!({"options": {"encoding": "utf16"}}),
                utf16,
                vec!["id", "größe"],
            ),
            (
                json!({"options": {"encoding": "iso88591"}}),
                b"id,gr\xf6\xdfe\n".to_vec(),
                vec!["id", "größe"],
            ),
        ] {
            let found = names(&input(more.clone()), &body).expect("names");
            assert_eq!(
                found,
                Some(want.into_iter().map(str::to_owned).collect()),
                "{more}"
            );
        }
        assert_eq!(names(&input(json!({})), b""), Ok(None));
        let long = format!("{},x\n1,2\n", "a".repeat(HEAD));
        let fault = names(&input(json!({})), long.as_bytes()).expect_err("too long");
        assert!(fault.reason.contains("longer than"), "{fault:?}");
        let fault = names(&input(json!({})), b"\xff,a\n").expect_err("no text");
        assert!(fault.reason.contains("no UTF-8"), "{fault:?}");
        let fault = names(&input(json!({})), b"a\"b,c\n").expect_err("no record");
        assert!(fault.reason.contains("no record"), "{fault:?}");
    }

    #[test]
    fn a_packed_file_is_read_as_far_as_it_was_asked_for() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::none());
        packed.write_all(b"id,name\n").expect("memory");
        packed.write_all(&b"1,a\n".repeat(HEAD)).expect("memory");
        let packed = packed.finish().expect("memory");
        let gzip = input(json!({"gzip": true}));
        assert_eq!(
            names(&gzip, &packed),
            Ok(Some(vec!["id".to_owned(), "name".to_owned()]))
        );
        let cut = names(&gzip, &packed[..100]).expect_err("cut");
        assert!(cut.reason.contains("middle"), "{cut:?}");
        let plain = names(&gzip, &b"id,name\n".repeat(4)).expect_err("plain");
        assert!(plain.reason.contains("not gzip"), "{plain:?}");
    }

    #[test]
    fn objects_that_match_no_column_are_known() {
        let columns: Vec<ColumnName> = ["id", "\"Name\""]
            .iter()
            .map(|name| name.parse().expect("a name"))
            .collect();
        for (text, ignore_case, want) in [
            ("{\"ID\": 1}\n", true, false),
            ("{\"ID\": 1}\n", false, true),
            ("{\"foo\": 1}\n{\"name\": 1}\n", true, false),
            ("{\"foo\": 1}\n{\"bar\": 1}\n{\"b", true, true),
            ("{\"foo\": {\"id\": 1}}", true, true),
            ("", true, false),
            ("[1]", true, false),
        ] {
            let head = Head::unpacked(&input(json!({"format": "json"})), text.as_bytes(), false);
            assert_eq!(head.matches_nothing(&columns, ignore_case), want, "{text}");
        }
    }
}
