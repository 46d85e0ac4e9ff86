//! Message attributes: typed values beside the body.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::md5;
use crate::AwsError;

/// The most attributes that a message may have.
const MOST: usize = 10;

/// A message's attributes, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Attributes(pub(crate) BTreeMap<String, Attribute>);

/// One of them: a text, or bytes in Base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Attribute {
    pub(crate) data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binary_value: Option<String>,
}

// === impl Attributes ===

impl Attributes {
    /// Those that a receiver asks for: a name, `All`, or what a name begins with and `.*`.
    pub(super) fn named(&self, wanted: &[String]) -> Self {
        let is_wanted = |name: &str| {
            wanted.iter().any(|wanted| match wanted.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => wanted == "All" || wanted == name,
            })
        };
        let named = self.0.iter().filter(|(name, _)| is_wanted(name));
        Self(
            named
                .map(|(name, one)| (name.clone(), one.clone()))
                .collect(),
        )
    }

    pub(super) fn size(&self) -> usize {
        let size = |(name, one): (&String, &Attribute)| {
            name.len() + one.data_type.len() + one.bytes().map_or(0, |(_, bytes)| bytes.len())
        };
        self.0.iter().map(size).sum()
    }

    pub(crate) fn check(&self) -> Result<(), AwsError> {
        if self.0.len() > MOST {
            let count = self.0.len();
            return Err(invalid(format!(
                "a message has up to {MOST} attributes, not {count}"
            )));
        }
        self.0.iter().try_for_each(|(name, one)| one.check(name))
    }

    /// As clients compare it; `None` where there is nothing to compare.
    pub(super) fn md5(&self) -> Option<String> {
        let mut all = Vec::new();
        let mut put = |bytes: &[u8], kind: Option<u8>| {
            all.extend(kind);
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            all.extend_from_slice(&length.to_be_bytes());
            all.extend_from_slice(bytes);
        };
        for (name, one) in &self.0 {
            let (kind, bytes) = one.bytes()?;
            put(name.as_bytes(), None);
            put(one.data_type.as_bytes(), None);
            put(&bytes, Some(kind));
        }
        (!self.0.is_empty()).then(|| md5(&all))
    }
}

// === impl Attribute ===

impl Attribute {
    /// How it travels (1 for texts, 2 for bytes), and what it is.
    fn bytes(&self) -> Option<(u8, Vec<u8>)> {
        match (&self.string_value, &self.binary_value) {
            (Some(text), None) => Some((1, text.as_bytes().to_vec())),
            (None, Some(bytes)) => Some((2, STANDARD.decode(bytes).ok()?)),
            _ => None,
        }
    }

    fn check(&self, name: &str) -> Result<(), AwsError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(1..=256).contains(&name.len()) || !name.chars().all(plain) {
            return Err(invalid(format!(
                "an attribute's name is 1 to 256 letters, digits, underscores, hyphens and periods, not {name:?}"
            )));
        }
        let base = self.data_type.split('.').next().unwrap_or_default();
        let empty = || {
            invalid(format!(
                "the attribute {name} must have a value of its type"
            ))
        };
        let (kind, bytes) = self
            .bytes()
            .filter(|(_, bytes)| !bytes.is_empty())
            .ok_or_else(empty)?;
        match (base, kind) {
            ("String", 1) | ("Binary", 2) => Ok(()),
            ("Number", 1) => {
                let number = std::str::from_utf8(&bytes)
                    .ok()
                    .and_then(|text| text.parse::<f64>().ok());
                let wrong = || invalid(format!("the attribute {name} is no number"));
                number.map(drop).ok_or_else(wrong)
            }
            ("String" | "Binary" | "Number", _) => Err(empty()),
            _ => Err(invalid(format!(
                "the attribute {name} is a String, a Number or a Binary, not {:?}",
                self.data_type
            ))),
        }
    }
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidParameterValue", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(json: serde_json::Value) -> Attributes {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_sum_is_that_of_the_clients() {
        // As botocore and the Java SDK compute it for one text.
        let one = attributes(serde_json::json!({"a": {"DataType": "String", "StringValue": "b"}}));
        let bytes = b"\0\0\0\x01a\0\0\0\x06String\x01\0\0\0\x01b";
        assert_eq!(one.md5(), Some(md5(bytes)));
        assert_eq!(Attributes::default().md5(), None);
    }

    #[test]
    fn a_receiver_gets_what_it_asks_for() {
        let text = serde_json::json!({"DataType": "String", "StringValue": "x"});
        let all =
            attributes(serde_json::json!({"trace.id": text, "trace.span": text, "other": text}));
        for (wanted, names) in [
            (&[][..], &[][..]),
            (&["All"], &["other", "trace.id", "trace.span"]),
            (&[".*"], &["other", "trace.id", "trace.span"]),
            (&["trace.*"], &["trace.id", "trace.span"]),
            (&["other", "none"], &["other"]),
        ] {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let found = all.named(&wanted);
            assert_eq!(found.0.keys().collect::<Vec<_>>(), names, "{wanted:?}");
        }
    }

    #[test]
    fn an_attribute_is_checked_by_its_type() {
        let cases = [
            ("String", Some("x"), None, true),
            ("String.url", Some("x"), None, true),
            ("Number", Some("-1.5e3"), None, true),
            ("Number", Some("one"), None, false),
            ("Binary", None, Some("AAE="), true),
            ("Binary", None, Some("?"), false),
            ("Binary", Some("x"), None, false),
            ("String", Some(""), None, false),
            ("String", None, None, false),
            ("Text", Some("x"), None, false),
        ];
        for (kind, text, bytes, good) in cases {
            let one = Attribute {
                data_type: kind.to_owned(),
                string_value: text.map(str::to_owned),
                binary_value: bytes.map(str::to_owned),
            };
            assert_eq!(one.check("name").is_ok(), good, "{one:?}");
            assert!(one.check("a b").is_err());
        }
    }
}
