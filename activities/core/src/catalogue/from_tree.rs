//! Reads a type from a [`Node`]: serde's own way, with the place of the fault.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::fault::nearest;
use super::tree::{Entry, Kind, Mark, Node};

/// Reads a `T`, or says the first thing that keeps this node from being one.
pub(crate) fn from_tree<'a, T: Deserialize<'a>>(node: &'a Node) -> Result<T, TypeFault> {
    T::deserialize(Reader(node))
}

/// Why a node is not of its type, and where.
#[derive(Debug)]
pub(crate) struct TypeFault {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
    /// Set by the innermost node that knows its place.
    pub(crate) place: Option<(String, Mark)>,
}

impl TypeFault {
    fn new(message: String) -> Self {
        Self {
            message,
            suggestion: None,
            place: None,
        }
    }

    fn at(mut self, path: impl FnOnce() -> String, mark: Mark) -> Self {
        self.place.get_or_insert_with(|| (path(), mark));
        self
    }
}

impl fmt::Display for TypeFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for TypeFault {}

impl de::Error for TypeFault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, allowed: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
            de::Unexpected::Str(text) => format!("the text `{text}`"),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Map => "a map".to_owned(),
            de::Unexpected::Unsigned(n) => format!("the number {n}"),
            de::Unexpected::Signed(n) => format!("the number {n}"),
            other => other.to_string(),
        };
        Self::new(format!("found {found}, allowed is {}", plain(allowed)))
    }

    fn invalid_value(found: de::Unexpected<'_>, allowed: &dyn de::Expected) -> Self {
        Self::invalid_type(found, allowed)
    }

    fn unknown_field(field: &str, allowed: &'static [&'static str]) -> Self {
        let listed = allowed.join(", ");
        Self {
            suggestion: nearest(field, allowed.iter().copied()),
            ..Self::new(format!("`{field}` is no key here; allowed are: {listed}"))
        }
    }

    fn unknown_variant(variant: &str, allowed: &'static [&'static str]) -> Self {
        let listed = allowed.join(", ");
        Self {
            suggestion: nearest(variant, allowed.iter().copied()),
            ..Self::new(format!("found `{variant}`; allowed are: {listed}"))
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing and has no default"))
    }
}

/// serde's names of Rust's types, in people's words.
fn plain(allowed: &dyn de::Expected) -> String {
    let allowed = allowed.to_string();
    match allowed.as_str() {
        "u32" | "u64" => "a whole number, not negative".to_owned(),
        "a string" => "a text (put a number in quotes)".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a map".to_owned(),
        other => other.to_owned(),
    }
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

impl Reader<'_> {
    fn place<T>(self, result: Result<T, TypeFault>) -> Result<T, TypeFault> {
        result.map_err(|fault| fault.at(|| self.0.path.clone(), self.0.at))
    }
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = TypeFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeFault> {
        self.place(match &self.0.kind {
            Kind::Scalar(Value::Null) => visitor.visit_unit(),
            Kind::Scalar(Value::Bool(value)) => visitor.visit_bool(*value),
            Kind::Scalar(Value::String(text)) => visitor.visit_borrowed_str(text),
            Kind::Scalar(Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            // A scalar is never one of these: the tree has its own lists and maps.
            Kind::Scalar(Value::Array(_) | Value::Object(_)) => visitor.visit_unit(),
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Entries {
                left: entries.iter(),
                value: None,
            }),
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeFault> {
        match &self.0.kind {
            Kind::Scalar(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeFault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeFault> {
        self.place(match &self.0.kind {
            Kind::Scalar(Value::String(text)) => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            _ => Err(TypeFault::new(format!(
                "found {}; allowed are: {}",
                self.0.found(),
                variants.join(", ")
            ))),
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// The items of a list, one after the other.
struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = TypeFault;

    /// What is wrong with an item as a whole is said at its own place.
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TypeFault> {
        let Some(node) = self.0.next() else {
            return Ok(None);
        };
        let reader = Reader(node);
        reader.place(seed.deserialize(reader)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The entries of a map, one after the other.
struct Entries<'a> {
    left: std::slice::Iter<'a, Entry>,
    value: Option<&'a Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = TypeFault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, TypeFault> {
        let Some(entry) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some(&entry.value);
        let key = de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key)
            .map(Some)
            .map_err(|fault: TypeFault| fault.at(|| entry.value.path.clone(), entry.key_at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TypeFault> {
        let node = self
            .value
            .take()
            .ok_or_else(|| TypeFault::new("a value was asked for before its key".to_owned()))?;
        let reader = Reader(node);
        reader.place(seed.deserialize(reader))
    }
}
