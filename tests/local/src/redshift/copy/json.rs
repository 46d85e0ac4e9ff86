//! JSON objects as rows of CSV.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::table::Column;

/// A converted file.
#[derive(Debug, Default)]
pub(super) struct Converted {
    /// One record per object.
    pub(super) csv: String,
    /// The last line of each record in the CSV and the line of its object.
    lines: Vec<(u64, u64)>,
}

impl Converted {
    /// The line in the JSON file of a line in the CSV.
    pub(super) fn origin(&self, line: u64) -> u64 {
        let at = self.lines.partition_point(|(last, _)| *last < line);
        self.lines.get(at).map_or(line, |(_, origin)| *origin)
    }
}

/// A file that is not objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: u64,
    pub(super) message: String,
}

/// Converts objects, one per line or one after the other. A key finds its
/// column in any case; a column without a key is NULL.
pub(super) fn convert(body: &[u8], columns: &[Column]) -> Result<Converted, Broken> {
    let mut stream =
        serde_json::Deserializer::from_slice(body).into_iter::<BTreeMap<String, Box<RawValue>>>();
    let mut converted = Converted::default();
    let (mut read, mut line, mut last) = (0, 1, 0);
    loop {
        let start = read + blanks(&body[read..]);
        line += newlines(&body[read..start]);
        let Some(object) = stream.next() else {
            return Ok(converted);
        };
        let object = object.map_err(|error| Broken {
            line: error.line() as u64,
            message: format!("Invalid JSON: {error}"),
        })?;
        let before = converted.csv.len();
        record(&mut converted.csv, &object, columns);
        last += newlines(&converted.csv.as_bytes()[before..]);
        converted.lines.push((last, line));
        read = stream.byte_offset();
        line += newlines(&body[start..read]);
    }
}

fn blanks(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count()
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Writes a record. Every value is quoted, as a field without quotes is NULL.
fn record(csv: &mut String, object: &BTreeMap<String, Box<RawValue>>, columns: &[Column]) {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            csv.push(',');
        }
        let value = object
            .iter()
            .find(|(key, _)| key.to_lowercase() == column.name.to_lowercase())
            .and_then(|(_, raw)| text(raw.get()))
            .filter(|value| column.character || !value.is_empty());
        if let Some(value) = value {
            csv.push('"');
            csv.push_str(&value.replace('"', "\"\""));
            csv.push('"');
        }
    }
    csv.push('\n');
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

    fn columns() -> Vec<Column> {
        [("id", false), ("Name", true), ("more", false)]
            .map(|(name, character)| Column {
                name: name.to_owned(),
                character,
                ..Column::default()
            })
            .to_vec()
    }

    #[test]
    fn values_become_fields() {
        for (json, wanted) in [
            (r#"{"id":1,"name":"a"}"#, "\"1\",\"a\",\n"),
            (r#"{"ID":"","NAME":"","x":3}"#, ",\"\",\n"),
            (r#"{"id":null}"#, ",,\n"),
            (
                r#"{"id":12345678901234567890.10,"more":{"a":[1, "b"]}}"#,
                "\"12345678901234567890.10\",,\"{\"\"a\"\":[1, \"\"b\"\"]}\"\n",
            ),
            (
                r#"{"name":"é\"\n"}{"id":true}"#,
                ",\"é\"\"\n\",\n\"true\",,\n",
            ),
            ("\n \n", ""),
        ] {
            let converted = convert(json.as_bytes(), &columns()).expect(json);
            assert_eq!(converted.csv, wanted, "{json}");
        }
    }

    #[test]
    fn a_line_is_found_again() {
        let json = "{\"name\":\"a\\nb\"}\n\n{\"id\":1,\n\"name\":\"c\"} {\"id\":2}\n{\"id\":3}";
        let converted = convert(json.as_bytes(), &columns()).expect("objects");
        let origins: Vec<u64> = (1..=5).map(|line| converted.origin(line)).collect();
        assert_eq!(origins, [1, 1, 3, 4, 5]);
    }

    #[test]
    fn what_is_no_object_names_its_line() {
        for json in ["{\"id\":1}\n{\"id\":}\n", "{}\n[1]\n", "{}\n{\"id\":1"] {
            let broken = convert(json.as_bytes(), &columns()).expect_err(json);
            assert_eq!(broken.line, 2, "{json}");
        }
    }
}
