//! The line of names that a file may begin with.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::s3_load::column::ColumnName;

/// Whether files begin with a line of names, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// They begin with data.
    #[default]
    None,
    /// The names say which field goes into which column.
    Match,
    /// The first line is passed over, whatever it says.
    Skip,
}

const ALLOWED: &str = "match (or true), skip, none (or false)";

impl Header {
    /// Whether nothing is said.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::None => "none",
            Self::Match => "match",
            Self::Skip => "skip",
        })
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Said;

        impl de::Visitor<'_> for Said {
            type Value = Header;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(ALLOWED)
            }

            fn visit_bool<E: de::Error>(self, said: bool) -> Result<Header, E> {
                Ok(if said { Header::Match } else { Header::None })
            }

            fn visit_str<E: de::Error>(self, said: &str) -> Result<Header, E> {
                match said {
                    "match" => Ok(Header::Match),
                    "skip" => Ok(Header::Skip),
                    "none" => Ok(Header::None),
                    _ => Err(E::custom(format!("found `{said}`; allowed are {ALLOWED}"))),
                }
            }
        }

        deserializer.deserialize_any(Said)
    }
}

impl JsonSchema for Header {
    fn schema_name() -> Cow<'static, str> {
        "Header".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": ["match", "skip", "none", true, false], "x-kind": "match | skip | none"})
    }
}

/// What is wrong with a file's first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderFault {
    /// The column, if one is at fault.
    pub(crate) column: String,
    /// The name that the file has, if that is at fault. Without a header it is a
    /// value of the first row: files that lack one fail alike, and not each by a
    /// column of its own.
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl HeaderFault {
    pub(crate) fn new(name: &str, reason: impl Into<String>) -> Self {
        Self {
            column: String::new(),
            name: name.chars().take(100).collect(),
            reason: reason.into(),
        }
    }

    /// About a column of the load or of the table.
    pub(crate) fn of_column(column: &ColumnName, reason: impl Into<String>) -> Self {
        Self {
            column: column.name().to_owned(),
            ..Self::new("", reason)
        }
    }
}

/// The names of a record of fields, as they are written.
pub(crate) fn names_of(fields: &[Vec<u8>]) -> Result<Vec<String>, HeaderFault> {
    let mut names = Vec::with_capacity(fields.len());
    for field in fields {
        let Ok(name) = std::str::from_utf8(field) else {
            let name = String::from_utf8_lossy(field);
            return Err(HeaderFault::new(
                &name,
                "the header has a name that is no UTF-8",
            ));
        };
        names.push(name.trim().to_owned());
    }
    Ok(names)
}

/// The columns that these names mean, in their order: each of `known` once. Where
/// nothing is known, they are the names themselves, folded as the warehouse folds
/// them, and it is the warehouse that judges.
pub(crate) fn columns_of(
    names: &[String],
    known: &[ColumnName],
    all: bool,
) -> Result<Vec<ColumnName>, HeaderFault> {
    let mut columns: Vec<ColumnName> = Vec::with_capacity(names.len());
    for name in names {
        let column = match known {
            [] => unknown(name)?,
            known => known_as(name, known)?,
        };
        if columns.contains(&column) {
            let reason = format!("the header names {:?} twice", column.name());
            return Err(HeaderFault::of_column(&column, reason));
        }
        columns.push(column);
    }
    let missing = known.iter().find(|column| !columns.contains(column));
    match missing.filter(|_| all) {
        None => Ok(columns),
        Some(column) => {
            let reason = format!(
                "the header does not name {:?}, which is one of the columns: {}",
                column.name(),
                list(known)
            );
            Err(HeaderFault::of_column(column, reason))
        }
    }
}

fn unknown(name: &str) -> Result<ColumnName, HeaderFault> {
    let folded = ColumnName::exactly(&name.to_ascii_lowercase());
    folded
        .map_err(|error| HeaderFault::new(name, format!("the header is no list of names: {error}")))
}

/// As it is written, or else in any case where that is one column.
fn known_as(name: &str, known: &[ColumnName]) -> Result<ColumnName, HeaderFault> {
    let exact = known.iter().find(|column| column.name() == name);
    let lower = name.to_lowercase();
    let mut alike = known
        .iter()
        .filter(|column| column.name().to_lowercase() == lower);
    match (exact, alike.next(), alike.next()) {
        (Some(column), ..) | (None, Some(column), None) => Ok(column.clone()),
        (None, Some(_), Some(_)) => {
            let reason = format!(
                "the header names {name:?}, which may be two of the columns: {}",
                list(known)
            );
            Err(HeaderFault::new(name, reason))
        }
        (None, None, _) => {
            let name_said: String = name.chars().take(100).collect();
            let reason = format!(
                "the header names {name_said:?}, which is none of the columns: {}",
                list(known)
            );
            Err(HeaderFault::new(name, reason))
        }
    }
}

/// As many as an error can have.
fn list(columns: &[ColumnName]) -> String {
    let mut names: Vec<String> = columns.iter().take(50).map(ToString::to_string).collect();
    if columns.len() > names.len() {
        names.push(format!("and {} more", columns.len() - names.len()));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn true_is_match_and_what_is_left_out_is_none() {
        for (said, want) in [
            (json!(true), Header::Match),
            (json!("match"), Header::Match),
            (json!("skip"), Header::Skip),
            (json!(false), Header::None),
            (json!("none"), Header::None),
        ] {
            assert_eq!(
                serde_json::from_value::<Header>(said).expect("a header"),
                want
            );
        }
        let error = serde_json::from_value::<Header>(json!("yes")).expect_err("no header");
        assert!(error.to_string().contains("allowed are match"), "{error}");
    }

    fn columns(names: &[&str]) -> Vec<ColumnName> {
        names.iter().map(|name| name.parse().expect(name)).collect()
    }

    #[test]
    fn names_find_their_columns_in_any_order_and_case() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        for (header, known, want) in [
            (
                &["name", "id"][..],
                &["id", "name"][..],
                &["name", "id"][..],
            ),
            (&["ID", "Name"], &["id", "name"], &["id", "name"]),
            (
                &["Unit Price", "id"],
                &["id", "\"Unit Price\""],
                &["\"Unit Price\"", "id"],
            ),
            (
                &["unit price", "id"],
                &["id", "\"Unit Price\""],
                &["\"Unit Price\"", "id"],
            ),
            (&["Id", "id"], &["\"Id\"", "id"], &["\"Id\"", "id"]),
            (&["ID", "User"], &[], &["id", "user"]),
        ] {
            let found = columns_of(&names(header), &columns(known), true).expect("columns");
            assert_eq!(found, columns(want), "{header:?}");
        }
        for (header, known, name, says) in [
            (
                &["1", "ann"][..],
                &["id", "name"][..],
                "1",
                "none of the columns: id, name",
            ),
            (&["id"], &["id", "name"], "name", "does not name \"name\""),
            (&["id", "ID", "name"], &["id", "name"], "id", "twice"),
            (&["id", "id"], &[], "id", "twice"),
            (&["id", ""], &[], "", "no list of names"),
            (&["id", "a\"b"], &[], "a\"b", "no list of names"),
            (&["ID"], &["\"Id\"", "id"], "ID", "may be two"),
        ] {
            let fault = columns_of(&names(header), &columns(known), true).expect_err("a fault");
            let place = format!("{}{}", fault.column, fault.name);
            assert_eq!(place, name, "{fault:?}");
            assert!(fault.reason.contains(says), "{fault:?}");
        }
        let some = columns_of(&names(&["id"]), &columns(&["id", "name"]), false);
        assert_eq!(
            some,
            Ok(columns(&["id"])),
            "the table's others have their defaults"
        );
    }
}
