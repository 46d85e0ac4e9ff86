//! JSON whose numbers keep their digits on the way through an execution.
//!
//! A `Value` holds 64 bits of a number. One that would come out otherwise than it
//! was written (`1.10`, `1e400`, 30 digits) is kept as an object of one field whose
//! name nobody has: `U+FDD0`, which Unicode leaves to the inside of programs.
//! `arbitrary_precision` of serde_json would do the same in its own way, and would
//! do it to every crate of the workspace.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::value::RawValue;
use serde_json::{Number, Value};

const KEPT: &str = "\u{FDD0}";
/// How a kept number is written before its digits, and behind them.
const BEFORE: &str = "{\"\u{FDD0}\":\"";
const BEHIND: &str = "\"}";

/// Reads JSON.
///
/// # Errors
/// If it is none.
pub(crate) fn read(text: &str) -> serde_json::Result<Value> {
    // What is grammar; a number of any size is.
    let whole: &RawValue = serde_json::from_str(text)?;
    serde_json::from_str(&keeping(whole.get()))
}

/// Writes JSON.
pub(crate) fn write(value: &Value) -> String {
    let text = value.to_string();
    let mut out = String::new();
    let mut rest = text.as_str();
    // Inside a text the quotes would have backslashes before them.
    while let Some((before, kept)) = rest.split_once(BEFORE) {
        out.push_str(before);
        match kept.split_once(BEHIND) {
            Some((digits, behind)) if is_number(digits) => {
                out.push_str(digits);
                rest = behind;
            }
            _ => {
                out.push_str(BEFORE);
                rest = kept;
            }
        }
    }
    if out.is_empty() {
        return text;
    }
    out + rest
}

/// Whether it is a number, kept or not.
pub(crate) fn is_numeric(value: &Value) -> bool {
    value.is_number() || kept(value).is_some()
}

/// What a number is about.
pub(crate) fn as_f64(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| kept(value)?.parse().ok())
}

/// The digits of a number that is kept.
pub(crate) fn kept(value: &Value) -> Option<&str> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    let digits = fields.get(KEPT)?.as_str()?;
    is_number(digits).then_some(digits)
}

/// For others, who know 64 bits and no more.
pub(crate) fn plain(value: Value) -> Value {
    if let Some(number) = kept(&value).and_then(|digits| digits.parse().ok()) {
        return Number::from_f64(number).map_or(Value::Null, Value::Number);
    }
    match value {
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            Value::Object(fields.map(|(key, value)| (key, plain(value))).collect())
        }
        other => other,
    }
}

/// Whether two values are the same: of numbers, whether they say the same.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    let order = |one: &Value, other: &Value| as_f64(one)?.partial_cmp(&as_f64(other)?);
    let kept = kept(one).is_some() != kept(other).is_some();
    one == other || kept && order(one, other) == Some(Ordering::Equal)
}

/// JSON in which the numbers that a `Value` would change are kept.
fn keeping(json: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut done, mut at) = (0, 0);
    let bytes = json.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_text(bytes, at),
            b'-' | b'0'..=b'9' => {
                let inside =
                    |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = bytes[at..].iter().take_while(|byte| inside(byte)).count();
                let digits = &json[at..at + length];
                if !survives(digits) {
                    out.push_str(&json[done..at]);
                    out.extend([BEFORE, digits, BEHIND]);
                    done = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(json);
    }
    Cow::Owned(out + &json[done..])
}

/// Where a text that begins here has ended.
fn end_of_text(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

/// Whether a number comes out of a `Value` as it went in.
fn survives(digits: &str) -> bool {
    let number: serde_json::Result<Number> = serde_json::from_str(digits);
    number.is_ok_and(|number| number.to_string() == digits)
}

fn is_number(digits: &str) -> bool {
    let begins = digits.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    begins && serde_json::from_str::<&RawValue>(digits).is_ok_and(|raw| raw.get() == digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_come_out_as_they_went_in() {
        for text in [
            "123456789012345678901234567890",
            "-9223372036854775809",
            "18446744073709551615",
            "1e400",
            "-1e-400",
            "-0.0",
            "-0",
            "1.10",
            "0.1e-7",
            "1E+2",
            "5",
            "0.5",
            r#"{"a":[1.10,{"b":-0,"c":"1.10 \" -0 \\"},"\\",2.50],"d\"1.10":1}"#,
        ] {
            assert_eq!(write(&read(text).expect(text)), text);
        }
        assert_eq!(write(&read(" [ 1 , 1.50 ] ").expect("JSON")), "[1,1.50]");
        for text in ["01", "1.", "+1", "[1,]", "1e", "--1", "nan", ""] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_kept_number_is_a_number_and_nothing_else_is_kept() {
        let values = read(r#"[1.10, 1.1, 12345678901234567890123, "1.10"]"#).expect("JSON");
        assert!(is_numeric(&values[0]) && is_numeric(&values[2]) && !is_numeric(&values[3]));
        assert_eq!(as_f64(&values[0]), Some(1.1));
        assert!(same(&values[0], &values[1]) && !same(&values[0], &values[3]));
        assert_eq!(
            plain(values),
            json!([1.1, 1.1, 1.234_567_890_123_456_8e22, "1.10"])
        );
        // Somebody's own object of that name stays what it is.
        for own in [
            json!({KEPT: "x\"}"}),
            json!({KEPT: 1}),
            json!({KEPT: "1", "a": 1}),
        ] {
            assert_eq!(write(&own), own.to_string());
            assert!(!is_numeric(&own));
        }
    }
}
