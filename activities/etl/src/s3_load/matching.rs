//! Which keys of `incoming/` are files to load, and which are ignored: pure, and
//! by the key alone, so that the listing and an event of S3 decide alike.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most globs that a load may have, and characters that one may.
const MOST: usize = 100;
const LONGEST: usize = 512;

/// Globs that a key is matched against, without what all keys begin with.
///
/// A `*` crosses `/`, as in IAM and in the AWS CLI: keys have no folders, and
/// `*.csv` means every key that ends so, at any depth.
#[derive(Debug, Clone)]
pub struct Match {
    globs: Vec<Pattern>,
    /// All of them.
    any: GlobSet,
    /// Those that name a marker by its mark.
    marked: GlobSet,
}

/// One glob that is one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(String);

/// Whether a key is a file to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is loaded.
    Yes,
    /// It is a folder's, or says something about files without being one.
    Marker,
    /// No glob is about it.
    Unmatched,
}

impl Match {
    /// Whether a key without `incoming/` is to be loaded.
    pub(crate) fn takes(&self, rest: &str) -> Taken {
        if is_marker(rest) {
            return if self.marked.is_match(rest) {
                Taken::Yes
            } else {
                Taken::Marker
            };
        }
        if self.any.is_match(rest) {
            Taken::Yes
        } else {
            Taken::Unmatched
        }
    }

    /// Whether nothing was said.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    fn new(globs: Vec<Pattern>) -> Result<Self, String> {
        if globs.is_empty() || globs.len() > MOST {
            return Err(format!(
                "found {} globs; allowed are 1 to {MOST}, and `*` takes everything",
                globs.len()
            ));
        }
        Ok(Self {
            any: set(globs.iter())?,
            marked: set(globs.iter().filter(|glob| is_marker(&glob.0)))?,
            globs,
        })
    }
}

fn set<'a>(globs: impl Iterator<Item = &'a Pattern>) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for Pattern(glob) in globs {
        set.add(compile(glob)?);
    }
    set.build().map_err(|error| error.to_string())
}

fn compile(glob: &str) -> Result<globset::Glob, String> {
    if glob.is_empty() || glob.len() > LONGEST {
        return Err(format!(
            "found a glob of {} bytes; allowed are 1 to {LONGEST}",
            glob.len()
        ));
    }
    let built = GlobBuilder::new(glob)
        .literal_separator(false)
        .backslash_escape(true)
        .build();
    built.map_err(|error| {
        format!(
            "found `{glob}`; allowed is a glob with *, ?, [a-z] and {{a,b}}, after a \\ each as it is: {}",
            error.kind()
        )
    })
}

/// What Spark, Hive, Hadoop and the console leave beside files: a key of a folder,
/// and a part of a key that begins with `_` or `.`, but for a column's folder
/// (`_year=2026`). Of a glob it says that it begins a part so itself.
fn is_marker(rest: &str) -> bool {
    let hidden = |part: &str| part.starts_with('.') || part.starts_with('_') && !part.contains('=');
    rest.is_empty()
        || rest.ends_with('/')
        || rest.ends_with(".crc")
        || rest.ends_with("_$folder$")
        || rest.split('/').any(hidden)
}

// === impl Match ===

impl Default for Match {
    /// Everything that is no marker.
    fn default() -> Self {
        Self::new(vec![Pattern("*".to_owned())]).unwrap_or_else(|_| Self {
            globs: Vec::new(),
            any: GlobSet::empty(),
            marked: GlobSet::empty(),
        })
    }
}

impl PartialEq for Match {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

impl Eq for Match {}

impl Serialize for Match {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut globs = serializer.serialize_seq(Some(self.globs.len()))?;
        for Pattern(glob) in &self.globs {
            globs.serialize_element(glob)?;
        }
        globs.end()
    }
}

impl<'de> Deserialize<'de> for Match {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Globs;

        impl<'de> Visitor<'de> for Globs {
            type Value = Match;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a glob like `*.csv`, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, glob: &str) -> Result<Match, E> {
                compile(glob).map_err(E::custom)?;
                Match::new(vec![Pattern(glob.to_owned())]).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Match, A::Error> {
                let mut globs = Vec::new();
                while let Some(glob) = list.next_element()? {
                    globs.push(glob);
                }
                Match::new(globs).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Globs)
    }
}

/// By itself, so that a list says which of its globs is none.
impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let glob = String::deserialize(deserializer)?;
        compile(&glob).map_err(D::Error::custom)?;
        Ok(Self(glob))
    }
}

impl JsonSchema for Match {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Match".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kind": "a glob like *.csv, or a list of them",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MOST},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn globs(said: &Value) -> Match {
        serde_json::from_value(said.clone()).expect("globs")
    }

    #[test]
    fn every_key_is_a_file_a_marker_or_what_no_glob_is_about() {
        use Taken::{Marker, Unmatched, Yes};
        let all = json!("*");
        for (said, key, want) in [
            // What people's tools write.
            (&all, "part-00000-x", Yes),
            (&all, "0000_part_00", Yes),
            (&all, "stream-1-2026-03-01-12-00-00-5e1c", Yes),
            (&all, "2026/03/01/12/c.txt", Yes),
            (&all, "d.tsv", Yes),
            (&all, "x.ndjson", Yes),
            (&all, "b.csv.gz", Yes),
            (&all, "é/日本.csv", Yes),
            (&all, "\"q\"\n.csv", Yes),
            (&all, "_year=2026/a.csv", Yes),
            // What they leave beside it.
            (&all, "", Marker),
            (&all, "a/", Marker),
            (&all, "a_$folder$", Marker),
            (&all, "a/_SUCCESS", Marker),
            (&all, "_committed_123", Marker),
            (&all, "_started_123", Marker),
            (&all, ".part-00000.crc", Marker),
            (&all, "part-00000.crc", Marker),
            (&all, "_temporary/0/part-00000", Marker),
            (&all, ".hive-staging_1/part-00000", Marker),
            // A star crosses folders, and case is the key's.
            (&json!("*.csv"), "a/b/c.csv", Yes),
            (&json!("*.csv"), "a/b/c.CSV", Unmatched),
            (&json!("*.csv"), "a.csv.bak", Unmatched),
            (&json!(["*.csv", "*.csv.gz"]), "a.csv.gz", Yes),
            (&json!("day=*/part-?.{csv,tsv}"), "day=1/part-7.tsv", Yes),
            (
                &json!("day=*/part-?.{csv,tsv}"),
                "day=1/part-77.tsv",
                Unmatched,
            ),
            (&json!("a\\*b"), "a*b", Yes),
            (&json!("a\\*b"), "axb", Unmatched),
            // A marker is a file to who says its mark.
            (&json!(["*", "_*"]), "_a.csv", Yes),
            (&json!(["*", "*/_*"]), "x/_a.csv", Yes),
            (&json!(["*", "_*"]), ".a.csv", Marker),
            (&json!("*_a.csv"), "_a.csv", Marker),
        ] {
            assert_eq!(globs(said).takes(key), want, "{said} {key:?}");
        }
    }

    #[test]
    fn what_is_said_comes_back_as_it_was() {
        for said in [json!(["*.csv", "_*"]), json!(["*"])] {
            assert_eq!(json!(globs(&said)), said);
        }
        assert_eq!(json!(globs(&json!("*.csv"))), json!(["*.csv"]));
        assert!(Match::default().is_all() && !globs(&json!("*.csv")).is_all());
        for none in [
            json!("["),
            json!([]),
            json!(""),
            json!(7),
            json!(["*", "{a"]),
        ] {
            assert!(
                serde_json::from_value::<Match>(none.clone()).is_err(),
                "{none}"
            );
        }
    }

    proptest::proptest! {
        /// No text makes it panic, and what is a glob takes or leaves any key.
        #[test]
        fn any_text_is_a_glob_or_refused(glob in "[*?\\[\\]{},!^a-z/\\\\_.-]{0,12}", key in "[a-z/_.*-]{0,12}") {
            if let Ok(globs) = serde_json::from_value::<Match>(json!(glob)) {
                let _ = globs.takes(&key);
            }
        }
    }
}
