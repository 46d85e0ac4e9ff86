//! Reading a JSON object field by field, keeping every fault with its place.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::Number;
use crate::sfn::path::Path;
use crate::sfn::template::Template;

/// The longest span that AWS takes.
pub(super) const LONGEST: u64 = 99_999_999;

/// Something that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Like `/States/Load/Next`.
    pub(crate) place: String,
}

/// All that is wrong with a definition.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<Fault>>);

/// An object and where it is.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    at: String,
    map: &'a Map<String, Value>,
    pub(super) faults: &'a Faults,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at {}", self.code, self.message, self.place)
    }
}

// === impl Faults ===

impl Faults {
    pub(super) fn add(&self, at: &str, message: String) {
        self.push("SCHEMA_VALIDATION_FAILED", message, at);
    }

    pub(super) fn push(&self, code: &'static str, message: String, at: &str) {
        let place = if at.is_empty() { "/" } else { at }.to_owned();
        self.0.borrow_mut().push(Fault {
            code,
            message,
            place,
        });
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, at: &str, faults: &'a Faults) -> Option<Self> {
        let Some(map) = value.as_object() else {
            faults.add(at, "must be an object".to_owned());
            return None;
        };
        Some(Self {
            at: at.to_owned(),
            map,
            faults,
        })
    }

    pub(super) fn fault(&self, key: &str, what: impl Into<String>) {
        self.faults.add(&format!("{}/{key}", self.at), what.into());
    }

    /// Where it is.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.map.iter()
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    /// Every other field is a fault.
    pub(super) fn only(&self, known: &[&str], of: &str) {
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.fault(
                key,
                format!("the field '{key}' of {of} is not supported here"),
            );
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        let value = self.get(key)?;
        if !value.is_string() {
            self.fault(key, "must be a string");
        }
        value.as_str()
    }

    pub(super) fn required_text(&self, key: &str) -> Option<&'a str> {
        if self.get(key).is_none() {
            self.fault(key, format!("the field '{key}' is missing"));
        }
        self.text(key)
    }

    pub(super) fn one_of(&self, key: &str, allowed: &[&str]) {
        if let Some(text) = self.text(key)
            && !allowed.contains(&text)
        {
            self.fault(
                key,
                format!(
                    "'{text}' is not supported here, only {}",
                    allowed.join(", ")
                ),
            );
        }
    }

    /// Whole seconds from `least` on.
    pub(super) fn seconds(&self, key: &str, least: u64) -> Option<u64> {
        self.whole(key, &(least..=LONGEST))
    }

    fn whole(&self, key: &str, within: &RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let number = value.as_u64().filter(|number| within.contains(number));
        if number.is_none() {
            let (least, most) = (within.start(), within.end());
            self.fault(
                key,
                format!("must be a whole number from {least} to {most}"),
            );
        }
        number
    }

    /// The whole number of `Key`, or the path of `KeyPath`; not both.
    pub(super) fn number(&self, key: &str, within: RangeInclusive<u64>) -> Option<Number> {
        let by_path = self.beside(key);
        let number = self.whole(key, &within).map(Number::Literal);
        number.or_else(|| Some(Number::Path(self.path(&by_path)?, within)))
    }

    /// The name of the field with a path in it, which does not stand beside `key`.
    pub(super) fn beside(&self, key: &str) -> String {
        let by_path = format!("{key}Path");
        if self.get(key).is_some() && self.get(&by_path).is_some() {
            self.fault(key, format!("must not stand beside {by_path}"));
        }
        by_path
    }

    pub(super) fn path(&self, key: &str) -> Option<Path> {
        let text = self.text(key)?;
        Path::parse(text).map_err(|why| self.fault(key, why)).ok()
    }

    /// A path that is `$` unless it is said, and `None` where it is `null`.
    pub(super) fn path_or_root(&self, key: &str) -> Option<Path> {
        match self.get(key) {
            None => Some(Path::root()),
            Some(Value::Null) => None,
            Some(_) => Some(self.path(key).unwrap_or_else(Path::root)),
        }
    }

    /// The same, where something is put.
    pub(super) fn result_path(&self) -> Option<Path> {
        let path = self.path_or_root("ResultPath");
        if path.as_ref().is_some_and(Path::is_context) {
            self.fault("ResultPath", "must not lead into the context object");
        }
        path
    }

    pub(super) fn template(&self, key: &str) -> Option<Template> {
        let value = self.get(key)?;
        let at = format!("{}/{key}", self.at);
        Some(Template::parse(value, &at, &mut |at, why| {
            self.faults.add(at, why)
        }))
    }

    /// The items of an array, each an object; a missing one is empty.
    pub(super) fn objects(&self, key: &str) -> Vec<Fields<'a>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.fault(key, "must be an array");
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| {
                Fields::of(item, &format!("{}/{key}[{i}]", self.at), self.faults)
            })
            .collect()
    }
}
