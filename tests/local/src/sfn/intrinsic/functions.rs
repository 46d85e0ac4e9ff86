//! The functions, each over values.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use super::arrays;
use crate::sfn::digits;

/// The longest text to encode, decode or hash.
const LONGEST: usize = 10_000;

/// An intrinsic function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Array,
    ArrayContains,
    ArrayGetItem,
    ArrayLength,
    ArrayPartition,
    ArrayRange,
    ArrayUnique,
    Base64Decode,
    Base64Encode,
    Format,
    Hash,
    JsonMerge,
    JsonToString,
    MathAdd,
    MathRandom,
    StringSplit,
    StringToJson,
    Uuid,
}

const ANY: usize = usize::MAX;

/// Each with its name and how many arguments it takes.
const ALL: [(Function, &str, (usize, usize)); 18] = [
    (Function::Array, "Array", (0, ANY)),
    (Function::ArrayContains, "ArrayContains", (2, 2)),
    (Function::ArrayGetItem, "ArrayGetItem", (2, 2)),
    (Function::ArrayLength, "ArrayLength", (1, 1)),
    (Function::ArrayPartition, "ArrayPartition", (2, 2)),
    (Function::ArrayRange, "ArrayRange", (3, 3)),
    (Function::ArrayUnique, "ArrayUnique", (1, 1)),
    (Function::Base64Decode, "Base64Decode", (1, 1)),
    (Function::Base64Encode, "Base64Encode", (1, 1)),
    (Function::Format, "Format", (1, ANY)),
    (Function::Hash, "Hash", (2, 2)),
    (Function::JsonMerge, "JsonMerge", (3, 3)),
    (Function::JsonToString, "JsonToString", (1, 1)),
    (Function::MathAdd, "MathAdd", (2, 2)),
    (Function::MathRandom, "MathRandom", (2, 3)),
    (Function::StringSplit, "StringSplit", (2, 2)),
    (Function::StringToJson, "StringToJson", (1, 1)),
    (Function::Uuid, "UUID", (0, 0)),
];

// === impl Function ===

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        let found = ALL.iter().find(|(_, known, _)| *known == name);
        found.map(|(function, ..)| *function)
    }

    /// Without the `States.` before it.
    pub(super) fn name(self) -> &'static str {
        self.entry().1
    }

    pub(super) fn arity(self) -> (usize, usize) {
        self.entry().2
    }

    fn entry(self) -> (Self, &'static str, (usize, usize)) {
        let found = ALL.into_iter().find(|(function, ..)| *function == self);
        found.unwrap_or((self, "", (0, ANY)))
    }

    /// What it gives.
    ///
    /// # Errors
    /// What it cannot take, in words.
    pub(super) fn call(self, given: &[Value]) -> Result<Value, String> {
        match (self, given) {
            (Self::Array, all) => Ok(all.into()),
            (Self::ArrayContains, [all, one]) => Ok(arrays::contains(array(all)?, one).into()),
            (Self::ArrayGetItem, [all, at]) => arrays::item(array(all)?, integer(at)?),
            (Self::ArrayLength, [all]) => Ok(array(all)?.len().into()),
            (Self::ArrayPartition, [all, size]) => arrays::parts(array(all)?, integer(size)?),
            (Self::ArrayRange, [first, last, step]) => {
                arrays::range((integer(first)?, integer(last)?), integer(step)?)
            }
            (Self::ArrayUnique, [all]) => Ok(arrays::unique(array(all)?)),
            (Self::Base64Decode, [text]) => decode(text),
            (Self::Base64Encode, [text]) => Ok(STANDARD.encode(short(text)?).into()),
            (Self::Format, [template, rest @ ..]) => format(self::text(template)?, rest),
            (Self::Hash, [data, algorithm]) => hash(short(data)?, text(algorithm)?),
            (Self::JsonMerge, [one, other, deep]) => merge(one, other, deep),
            (Self::JsonToString, [value]) => Ok(digits::write(value).into()),
            (Self::MathAdd, [one, other]) => add(integer(one)?, integer(other)?),
            (Self::MathRandom, [from, to, seed @ ..]) => {
                let seed = seed.first().map(integer).transpose()?;
                random((integer(from)?, integer(to)?), seed)
            }
            (Self::StringSplit, [whole, between]) => {
                let between = text(between)?;
                let parts = text(whole)?.split(|c: char| between.contains(c));
                // As on AWS, nothing stands between two delimiters.
                Ok(parts.filter(|part| !part.is_empty()).collect())
            }
            (Self::StringToJson, [said]) => {
                digits::read(text(said)?).map_err(|error| format!("no JSON: {error}"))
            }
            (Self::Uuid, []) => Ok(uuid::Uuid::new_v4().to_string().into()),
            (_, given) => Err(format!("it does not take {} arguments", given.len())),
        }
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn short(value: &Value) -> Result<&str, String> {
    let text = text(value)?;
    let length = text.chars().count();
    if length > LONGEST {
        return Err(format!(
            "a text of {length} characters is longer than {LONGEST}"
        ));
    }
    Ok(text)
}

fn array(value: &Value) -> Result<&[Value], String> {
    let array = value.as_array().map(Vec::as_slice);
    array.ok_or_else(|| format!("{value} is no array"))
}

/// Numbers are rounded to the nearest integer, as AWS does.
#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
fn integer(value: &Value) -> Result<i64, String> {
    let rounded = || {
        let number = digits::as_f64(value)?.round();
        (number.abs() < 9e15).then_some(number as i64)
    };
    let number = value.as_i64().or_else(rounded);
    number.ok_or_else(|| format!("{value} is no number"))
}

fn decode(value: &Value) -> Result<Value, String> {
    let bytes = STANDARD.decode(short(value)?);
    let bytes = bytes.map_err(|error| format!("no Base64: {error}"))?;
    let text = String::from_utf8(bytes);
    text.map(Value::from)
        .map_err(|error| format!("no UTF-8: {error}"))
}

fn hash(data: &str, algorithm: &str) -> Result<Value, String> {
    let algorithm = match algorithm {
        "MD5" => return Ok(hex::encode(Md5::digest(data)).into()),
        "SHA-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-256" => &digest::SHA256,
        "SHA-384" => &digest::SHA384,
        "SHA-512" => &digest::SHA512,
        other => {
            return Err(format!(
                "there is no algorithm '{other}', only MD5, SHA-1, SHA-256, SHA-384, SHA-512"
            ));
        }
    };
    Ok(hex::encode(digest::digest(algorithm, data.as_bytes())).into())
}

fn merge(one: &Value, other: &Value, deep: &Value) -> Result<Value, String> {
    let object = |value: &Value| -> Result<Map<String, Value>, String> {
        let fields = value
            .as_object()
            .filter(|_| !digits::is_numeric(value))
            .cloned();
        fields.ok_or_else(|| format!("{value} is no object"))
    };
    if deep != &json!(false) {
        return Err("the third argument must be false: there is no deep merge".to_owned());
    }
    let mut merged = object(one)?;
    merged.extend(object(other)?);
    Ok(merged.into())
}

fn add(one: i64, other: i64) -> Result<Value, String> {
    let sum = one.checked_add(other);
    let sum = sum.and_then(|sum| i32::try_from(sum).ok());
    sum.map(Value::from)
        .ok_or_else(|| "the sum is not from -2147483648 to 2147483647".to_owned())
}

/// From the first to below the second; the same seed gives the same number.
fn random((from, to): (i64, i64), seed: Option<i64>) -> Result<Value, String> {
    if from >= to {
        return Err(format!("there is nothing from {from} to below {to}"));
    }
    let number = match seed {
        Some(seed) => StdRng::seed_from_u64(seed.cast_unsigned()).random_range(from..to),
        None => rand::random_range(from..to),
    };
    Ok(number.into())
}

/// `{}` stands for the next argument; a backslash takes a character for itself.
fn format(template: &str, arguments: &[Value]) -> Result<Value, String> {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = template.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.extend(rest.next()),
            '{' if rest.as_str().starts_with('}') => {
                rest.next();
                let value = arguments.next().ok_or("there are more {} than arguments")?;
                match value {
                    Value::String(text) => out.push_str(text),
                    number if digits::is_numeric(number) => out.push_str(&digits::write(number)),
                    Value::Array(_) | Value::Object(_) => {
                        return Err(format!("{value} has no place in a text"));
                    }
                    plain => out.push_str(&plain.to_string()),
                }
            }
            '{' | '}' => return Err(format!("'{c}' must be written as '\\{c}'")),
            c => out.push(c),
        }
    }
    match arguments.len() {
        0 => Ok(out.into()),
        left => Err(format!("there are {left} more arguments than {{}}")),
    }
}

/// A text without the backslashes before what they take for itself.
pub(super) fn unescaped(raw: &str) -> String {
    let mut out = String::new();
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        out.extend(if c == '\\' { rest.next() } else { Some(c) });
    }
    out
}
