//! The files of a COPY and what is in them.

use std::io::Read;

use bytes::Bytes;
use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::options::{Encoding, Packing};
use super::parse::{CopyCommand, Source};
use crate::s3::S3;

#[derive(Deserialize)]
struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    url: String,
    #[serde(default)]
    mandatory: bool,
}

/// The files to load, in the order of the manifest or of their keys.
pub(super) async fn files(command: &CopyCommand, s3: &S3) -> Result<Vec<Source>, String> {
    let source = &command.source;
    let files = if command.manifest {
        let manifest = s3.get(&source.bucket, &source.key).await;
        let manifest = manifest.map_err(|error| format!("The manifest {source}: {error}"))?;
        listed(&manifest, s3)?
    } else {
        below(source, s3)?
    };
    if files.is_empty() {
        return Err("COPY will terminate: no file of the manifest was found".to_owned());
    }
    Ok(files)
}

/// All whose keys begin so: `a.csv` means `a.csv.bak` too.
fn below(source: &Source, s3: &S3) -> Result<Vec<Source>, String> {
    if !s3.buckets().contains(&source.bucket) {
        return Err(format!(
            "The specified S3 bucket '{}' does not exist",
            source.bucket
        ));
    }
    let found = s3.list(&source.bucket, &source.key).into_iter();
    let files: Vec<Source> = found
        .map(|object| Source {
            bucket: source.bucket.clone(),
            key: object.key,
        })
        .collect();
    if files.is_empty() {
        return Err(format!(
            "The specified S3 prefix '{}' does not exist",
            source.key
        ));
    }
    Ok(files)
}

fn listed(manifest: &[u8], s3: &S3) -> Result<Vec<Source>, String> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| format!("The manifest is not valid: {error}"))?;
    let mut files = Vec::new();
    for entry in manifest.entries {
        let file = Source::parse(&entry.url)
            .ok_or_else(|| format!("The manifest is not valid: url {}", entry.url))?;
        let mut objects = s3.list(&file.bucket, &file.key).into_iter();
        if objects.any(|object| object.key == file.key) {
            files.push(file);
        } else if entry.mandatory {
            return Err(format!(
                "The file {file} is missing, and the manifest has it as mandatory"
            ));
        }
    }
    Ok(files)
}

/// What is in a file, unpacked where it is packed.
pub(super) fn unpacked(body: Bytes, packing: Option<Packing>) -> Result<Bytes, String> {
    let packed = body.as_ref();
    let (mut reader, name): (Box<dyn Read + '_>, &str) = match packing {
        None => return Ok(body),
        Some(Packing::Gzip) => (Box::new(MultiGzDecoder::new(packed)), "gzip"),
        Some(Packing::Bzip2) => (Box::new(MultiBzDecoder::new(packed)), "bzip2"),
        Some(Packing::Zstd) => {
            let decoder = zstd::Decoder::new(packed);
            let decoder = decoder.map_err(|error| format!("not valid zstd: {error}"))?;
            (Box::new(decoder), "zstd")
        }
    };
    let mut plain = Vec::new();
    reader
        .read_to_end(&mut plain)
        .map_err(|error| format!("not valid {name}: {error}"))?;
    Ok(Bytes::from(plain))
}

/// A body in UTF-8, whatever it came in.
pub(super) fn decoded(body: Bytes, encoding: Encoding) -> Result<Bytes, String> {
    let big = match encoding {
        Encoding::Utf8 => return Ok(body),
        Encoding::Latin1 => {
            let text: String = body.iter().map(|byte| char::from(*byte)).collect();
            return Ok(Bytes::from(text));
        }
        Encoding::Utf16 { big } => big,
    };
    let big = match (big, body.as_ref()) {
        (Some(big), _) => big,
        (None, [0xFE, 0xFF, ..]) => true,
        (None, [0xFF, 0xFE, ..]) => false,
        (None, _) => return Err("no byte order mark in a file of UTF16".to_owned()),
    };
    let units = body.chunks_exact(2).map(|pair| match big {
        true => u16::from_be_bytes([pair[0], pair[1]]),
        false => u16::from_le_bytes([pair[0], pair[1]]),
    });
    let text: Result<String, _> = char::decode_utf16(units).collect();
    let text = text.map_err(|_| "not valid UTF16".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    Ok(Bytes::from(text))
}

/// A line of a body, counted from 1.
pub(super) fn line(body: &[u8], number: u64) -> String {
    let at = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let line = body.split(|byte| *byte == b'\n').nth(at).unwrap_or(b"");
    String::from_utf8_lossy(line).replace('\0', "")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(line(b"a\nb\n", 2), "b");
        assert_eq!(line(b"a\nb\n", 9), "");
    }

    #[test]
    fn a_body_is_read_in_its_encoding() {
        let wide = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
        };
        for (body, encoding, wanted) in [
            (b"a\xfc".to_vec(), Encoding::Latin1, "aü"),
            (wide("\u{feff}ü"), Encoding::Utf16 { big: None }, "ü"),
            (wide("ü"), Encoding::Utf16 { big: Some(false) }, "ü"),
            ("ü".into(), Encoding::Utf8, "ü"),
        ] {
            assert_eq!(decoded(body.into(), encoding).expect("text"), wanted);
        }
        decoded(wide("a").into(), Encoding::Utf16 { big: None }).expect_err("no mark");
    }

    #[test]
    fn every_member_of_what_is_packed_is_read() {
        let gzip = |text: &[u8]| {
            let mut to = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            to.write_all(text).expect("written");
            to.finish().expect("finished")
        };
        let bzip2 = |text: &[u8]| {
            let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            to.write_all(text).expect("written");
            to.finish().expect("finished")
        };
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).expect("packed");
        for (packing, pack) in [
            (Packing::Gzip, &gzip as &dyn Fn(&[u8]) -> Vec<u8>),
            (Packing::Bzip2, &bzip2),
            (Packing::Zstd, &zstd),
        ] {
            let packed = Bytes::from([pack(b"a\n"), pack(b"b\n")].concat());
            let plain = unpacked(packed.clone(), Some(packing));
            assert_eq!(plain.expect("packed"), "a\nb\n");
            assert_eq!(unpacked(packed.clone(), None).expect("as is"), packed);
            assert!(unpacked(Bytes::from("a\n"), Some(packing)).is_err());
        }
    }
}
