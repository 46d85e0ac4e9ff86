//! JSON objects as lines of fields.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::fault::Fault;
use super::read::{Field, Line};
use super::table::Column;

/// Reads objects, one per line or one after the other. A column without a key
/// is NULL, a key without a column is passed over. What is no object is a
/// fault, and reading goes on after its line.
pub(super) fn lines(
    body: &[u8],
    ignore_case: bool,
    columns: &[Column],
) -> Vec<Result<Line, Fault>> {
    let mut found = Vec::new();
    let (mut at, mut number) = (0, 1);
    loop {
        let start = at + blanks(&body[at..]);
        number += newlines(&body[at..start]);
        let mut stream = serde_json::Deserializer::from_slice(&body[start..])
            .into_iter::<BTreeMap<String, Box<RawValue>>>();
        match stream.next() {
            None => return found,
            Some(Ok(object)) => {
                found.push(Ok(Line {
                    number,
                    fields: fields(&object, ignore_case, columns),
                }));
                at = start + stream.byte_offset();
            }
            Some(Err(error)) => {
                let lines = error.line().max(1);
                found.push(Err(Fault {
                    line: number + lines as u64 - 1,
                    code: 1200,
                    message: format!("Invalid JSON: {error}"),
                    ..Fault::default()
                }));
                at = start + length(&body[start..], lines);
            }
        }
        number += newlines(&body[start..at]);
    }
}

fn blanks(bytes: &[u8]) -> usize {
    let blank = |byte: &&u8| byte.is_ascii_whitespace();
    bytes.iter().take_while(blank).count()
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The length of so many lines.
fn length(bytes: &[u8], lines: usize) -> usize {
    let all = bytes.split_inclusive(|byte| *byte == b'\n');
    all.take(lines).map(<[u8]>::len).sum()
}

fn fields(
    object: &BTreeMap<String, Box<RawValue>>,
    ignore_case: bool,
    columns: &[Column],
) -> Vec<Option<Field>> {
    let field = |column: &Column| {
        let named = |key: &str| {
            key == column.name || ignore_case && key.to_lowercase() == column.name.to_lowercase()
        };
        let (_, raw) = object.iter().find(|(key, _)| named(key))?;
        let value = text(raw.get())?.into_bytes();
        Some(Field {
            raw: value.clone(),
            value,
        })
    };
    columns.iter().map(field).collect()
}

/// A value as text: strings without quotes, anything else as it was written.
fn text(raw: &str) -> Option<String> {
    match raw {
        "null" => None,
        // What is no valid string cannot be here: the parser read it before.
        raw if raw.starts_with('"') => serde_json::from_str(raw).ok(),
        raw => Some(raw.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, ignore_case: bool) -> Vec<(u64, Vec<Option<String>>)> {
        let columns = ["id", "name", "more"].map(|name| Column {
            name: name.to_owned(),
            ..Column::default()
        });
        let value =
            |field: Option<Field>| field.map(|field| String::from_utf8(field.value).unwrap());
        lines(json.as_bytes(), ignore_case, &columns)
            .into_iter()
            .map(|line| match line {
                Ok(line) => (line.number, line.fields.into_iter().map(value).collect()),
                Err(fault) => (fault.line, vec![]),
            })
            .collect()
    }

    #[test]
    fn values_become_fields() {
        let some = |text: &str| Some(text.to_owned());
        for (json, ignore_case, wanted) in [
            (
                r#"{"id":1,"name":"a"}"#,
                false,
                [some("1"), some("a"), None],
            ),
            (
                r#"{"ID":"1","Name":"","x":3}"#,
                true,
                [some("1"), some(""), None],
            ),
            (
                r#"{"ID":"1","Name":"","id":3}"#,
                false,
                [some("3"), None, None],
            ),
            (r#"{"id":null}"#, false, [None, None, None]),
            (
                r#"{"id":12345678901234567890.10,"more":{"a":[1, "b"]}}"#,
                false,
                [
                    some("12345678901234567890.10"),
                    None,
                    some(r#"{"a":[1, "b"]}"#),
                ],
            ),
            (
                r#"{"name":"é\"\n","id":true}"#,
                false,
                [some("true"), some("é\"\n"), None],
            ),
        ] {
            assert_eq!(read(json, ignore_case), [(1, wanted.to_vec())], "{json}");
        }
        assert!(read("\n \n", false).is_empty());
    }

    #[test]
    fn a_line_is_that_of_its_object() {
        let json = "{\"name\":\"a\\nb\"}\n\n{\"id\":1,\n\"name\":\"c\"} {\"id\":2}\n{\"id\":3}";
        let numbers: Vec<u64> = read(json, false).into_iter().map(|(at, _)| at).collect();
        assert_eq!(numbers, [1, 3, 4, 5]);
    }

    #[test]
    fn what_is_no_object_names_its_line_and_the_next_is_read() {
        for (json, wanted) in [
            ("{\"id\":1}\n{\"id\":}\n{}", vec![(1, 3), (2, 0), (3, 3)]),
            ("{}\n[1]\n{}", vec![(1, 3), (2, 0), (3, 3)]),
            ("{}\n{\"id\":1", vec![(1, 3), (2, 0)]),
        ] {
            let found: Vec<(u64, usize)> = read(json, false)
                .into_iter()
                .map(|(line, fields)| (line, fields.len()))
                .collect();
            assert_eq!(found, wanted, "{json}");
        }
    }
}
