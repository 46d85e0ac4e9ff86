//! How files are packed, and how that is found out.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a load says of how its files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Each as its name ends (`.gz`, `.gzip`, `.bz2`, `.zst`, `.lzo`), or else as it begins.
    #[default]
    Auto,
    /// All with gzip.
    Gzip,
    /// All with bzip2.
    Bzip2,
    /// All with zstd.
    Zstd,
    /// All with lzop, which only Redshift reads.
    Lzop,
    /// Not at all.
    None,
}

/// A short form of [`Compression`]: `true`, `false` or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gzip {
    /// All with gzip.
    Yes,
    /// Not at all.
    No,
    /// Each as it is.
    Auto,
}

/// How one file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Codec {
    #[default]
    Plain,
    Gzip,
    Bzip2,
    Zstd,
    Lzop,
}

/// Endings of what is packed.
const PACKED: [(&str, Codec); 5] = [
    (".gz", Codec::Gzip),
    (".gzip", Codec::Gzip),
    (".bz2", Codec::Bzip2),
    (".zst", Codec::Zstd),
    (".lzo", Codec::Lzop),
];

/// Endings of what is not: such a file is not looked into before it is loaded.
const PLAIN: [&str; 7] = [".csv", ".tsv", ".psv", ".txt", ".json", ".jsonl", ".ndjson"];

impl Compression {
    /// The same for all files, where it is.
    pub(crate) fn of_all(self) -> Option<Codec> {
        match self {
            Self::Auto => None,
            Self::Gzip => Some(Codec::Gzip),
            Self::Bzip2 => Some(Codec::Bzip2),
            Self::Zstd => Some(Codec::Zstd),
            Self::Lzop => Some(Codec::Lzop),
            Self::None => Some(Codec::Plain),
        }
    }
}

impl Codec {
    /// So many first bytes tell.
    pub(crate) const TELLING: u64 = 10;

    /// What a name says, if it says anything.
    pub(crate) fn by_name(key: &str) -> Option<Self> {
        let key = key.to_ascii_lowercase();
        let packed = PACKED.iter().find(|(ending, _)| key.ends_with(ending));
        let plain = || PLAIN.iter().any(|ending| key.ends_with(ending));
        packed
            .map(|(_, codec)| *codec)
            .or_else(|| plain().then_some(Self::Plain))
    }

    /// What the first bytes say.
    pub(crate) fn by_beginning(bytes: &[u8]) -> Self {
        // A text may begin with `BZh9`; the sign of a block that follows it, or of
        // the end where there is none, is no text.
        let block = |bytes: &[u8]| {
            bytes.starts_with(b"\x31\x41\x59\x26\x53\x59")
                || bytes.starts_with(b"\x17\x72\x45\x38\x50\x90")
        };
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if block(rest) => Self::Bzip2,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0x89, b'L', b'Z', b'O', 0x00, 0x0d, 0x0a, 0x1a, 0x0a, ..] => Self::Lzop,
            _ => Self::Plain,
        }
    }
}

// === impl Codec ===

impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
            Self::Lzop => "lzop",
        })
    }
}

impl From<Gzip> for Compression {
    fn from(gzip: Gzip) -> Self {
        match gzip {
            Gzip::Yes => Self::Gzip,
            Gzip::No => Self::None,
            Gzip::Auto => Self::Auto,
        }
    }
}

impl Serialize for Gzip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Gzip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;

        impl Visitor<'_> for Word {
            type Value = Gzip;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true, false or auto")
            }

            fn visit_bool<E: Error>(self, yes: bool) -> Result<Gzip, E> {
                Ok(if yes { Gzip::Yes } else { Gzip::No })
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Gzip, E> {
                match word {
                    "auto" => Ok(Gzip::Auto),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }

        deserializer.deserialize_any(Word)
    }
}

impl JsonSchema for Gzip {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Gzip".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kind": "true, false or auto",
            "anyOf": [{"type": "boolean"}, {"type": "string", "const": "auto"}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_a_file_is_packed_or_nothing() {
        for (key, want) in [
            ("a.csv.gz", Some(Codec::Gzip)),
            ("a.GZ", Some(Codec::Gzip)),
            ("a.gzip", Some(Codec::Gzip)),
            ("a.json.bz2", Some(Codec::Bzip2)),
            ("a.zst", Some(Codec::Zstd)),
            ("a.lzo", Some(Codec::Lzop)),
            ("a.csv", Some(Codec::Plain)),
            ("a.ndjson", Some(Codec::Plain)),
            ("part-00000-x", None),
            ("a.gz.part", None),
            ("gz", None),
        ] {
            assert_eq!(Codec::by_name(key), want, "{key}");
        }
    }

    #[test]
    fn the_first_bytes_say_how_a_file_is_packed() {
        for (bytes, want) in [
            (&b"\x1f\x8b\x08\x00"[..], Codec::Gzip),
            (b"BZh91AY&SY", Codec::Bzip2),
            (b"BZh9\x17\x72\x45\x38\x50\x90", Codec::Bzip2),
            (b"BZh9,1,2\n", Codec::Plain),
            (b"\x28\xb5\x2f\xfd\x04", Codec::Zstd),
            (b"\x5a\x2a\x4d\x18\x04", Codec::Zstd),
            (b"\x89LZO\x00\x0d\x0a\x1a\x0a\x10", Codec::Lzop),
            (b"1,2\n", Codec::Plain),
            (b"\x1f", Codec::Plain),
            (b"", Codec::Plain),
        ] {
            assert!(bytes.len() as u64 <= Codec::TELLING);
            assert_eq!(Codec::by_beginning(bytes), want, "{bytes:?}");
        }
    }
}
