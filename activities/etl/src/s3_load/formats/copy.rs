//! A format as Redshift's COPY is told it.

use super::options::character;
use super::{Encoding, Header};
use crate::s3_load::input::{Format, LoadInput};

/// How keys of JSON find their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonMapping<'a> {
    /// By name, in any case.
    IgnoreCase,
    /// By name, to the letter.
    Exact,
    /// By a file of paths, or as a whole.
    Other(&'a str),
}

impl<'a> JsonMapping<'a> {
    pub(crate) fn of(input: &'a LoadInput) -> Self {
        match input.options.json.as_deref() {
            None | Some("auto ignorecase") => Self::IgnoreCase,
            Some("auto") => Self::Exact,
            Some(other) => Self::Other(other),
        }
    }
}

/// `FORMAT CSV IGNOREHEADER 1`: words in capitals, numbers and literals.
///
/// Whatever the values are, each stays in its literal: a quote is doubled, and what
/// has a backslash is refused with the input. The procedure looks once more.
pub(crate) fn how(input: &LoadInput) -> String {
    let options = &input.options;
    let mut words = vec![format(input)];
    let mut text = |word: &str, value: Option<&str>| {
        words.extend(value.map(|value| format!("{word} {}", literal(value))));
    };
    text(
        "NULL AS",
        options.null_as.as_deref().filter(|null| *null != "\\N"),
    );
    text("DATEFORMAT", options.date_format.as_deref());
    let json = (input.format == Format::Json).then_some("auto");
    text("TIMEFORMAT", options.time_format.as_deref().or(json));
    text("ACCEPTINVCHARS", options.accept_invalid_chars.as_deref());
    for (word, said) in [
        ("ESCAPE", options.escape),
        ("EMPTYASNULL", options.empty_as_null),
        ("BLANKSASNULL", options.blanks_as_null),
        ("TRUNCATECOLUMNS", options.truncate_columns),
        ("FILLRECORD", options.fill_record),
        ("IGNOREBLANKLINES", options.ignore_blank_lines),
        ("IGNOREHEADER 1", Some(input.header != Header::None)),
    ] {
        words.extend((said == Some(true)).then(|| word.to_owned()));
    }
    words.extend(encoding(options.encoding.unwrap_or_default()).map(str::to_owned));
    words.join(" ")
}

fn format(input: &LoadInput) -> String {
    let options = &input.options;
    let one = |text: &Option<String>| {
        let byte = text.as_deref().and_then(character);
        byte.map(|byte| literal(&char::from(byte).to_string()))
    };
    match input.format {
        Format::Csv => {
            let quote = one(&options.quote).map(|quote| format!(" QUOTE {quote}"));
            let delimiter = one(&options.delimiter).map(|one| format!(" DELIMITER {one}"));
            format!(
                "FORMAT CSV{}{}",
                quote.unwrap_or_default(),
                delimiter.unwrap_or_default()
            )
        }
        Format::Text => {
            let delimiter = one(&options.delimiter).unwrap_or_else(|| "'|'".to_owned());
            format!("DELIMITER {delimiter}")
        }
        Format::Json => {
            let how = match JsonMapping::of(input) {
                JsonMapping::IgnoreCase => "auto ignorecase",
                JsonMapping::Exact => "auto",
                JsonMapping::Other(other) => other,
            };
            format!("FORMAT JSON {}", literal(how))
        }
        Format::FixedWidth => {
            let widths = options.widths.iter().flatten().enumerate();
            let widths: Vec<String> = widths.map(|(at, width)| format!("{at}:{width}")).collect();
            format!("FIXEDWIDTH {}", literal(&widths.join(",")))
        }
    }
}

fn encoding(encoding: Encoding) -> Option<&'static str> {
    Some(match encoding {
        Encoding::Utf8 => return None,
        Encoding::Utf16 => "ENCODING UTF16",
        Encoding::Utf16le => "ENCODING UTF16LE",
        Encoding::Utf16be => "ENCODING UTF16BE",
        Encoding::Iso88591 => "ENCODING ISO88591",
    })
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn input(more: Value) -> LoadInput {
        let mut input = json!({"bucket": "land", "table": "public.t", "format": "csv"});
        let fields = input.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        serde_json::from_value(input).expect("an input")
    }

    #[test]
    fn the_copy_says_what_the_options_say() {
        for (more, want) in [
            (json!({}), "FORMAT CSV"),
            (json!({"header": true}), "FORMAT CSV IGNOREHEADER 1"),
            (json!({"header": "skip"}), "FORMAT CSV IGNOREHEADER 1"),
            (
                json!({"options": {"delimiter": "tab", "quote": "'", "null_as": "it's", "empty_as_null": true}}),
                "FORMAT CSV QUOTE '''' DELIMITER '\t' NULL AS 'it''s' EMPTYASNULL",
            ),
            (
                json!({"options": {"null_as": "\\N", "fill_record": false}}),
                "FORMAT CSV",
            ),
            (
                json!({"options": {"date_format": "auto", "time_format": "epochsecs", "accept_invalid_chars": "^"}}),
                "FORMAT CSV DATEFORMAT 'auto' TIMEFORMAT 'epochsecs' ACCEPTINVCHARS '^'",
            ),
            (json!({"format": "text"}), "DELIMITER '|'"),
            (
                json!({"format": "text", "options": {"delimiter": ";", "escape": true, "blanks_as_null": true}}),
                "DELIMITER ';' ESCAPE BLANKSASNULL",
            ),
            (
                json!({"options": {"truncate_columns": true, "fill_record": true, "ignore_blank_lines": true, "encoding": "utf16le"}}),
                "FORMAT CSV TRUNCATECOLUMNS FILLRECORD IGNOREBLANKLINES ENCODING UTF16LE",
            ),
            (
                json!({"format": "json"}),
                "FORMAT JSON 'auto ignorecase' TIMEFORMAT 'auto'",
            ),
            (
                json!({"format": "json", "options": {"json": "auto", "time_format": "epochmillisecs"}}),
                "FORMAT JSON 'auto' TIMEFORMAT 'epochmillisecs'",
            ),
            (
                json!({"format": "json", "options": {"json": "s3://bucket/it's.json"}}),
                "FORMAT JSON 's3://bucket/it''s.json' TIMEFORMAT 'auto'",
            ),
            (
                json!({"format": "fixed_width", "options": {"widths": [3, 25]}}),
                "FIXEDWIDTH '0:3,1:25'",
            ),
        ] {
            assert_eq!(how(&input(more)), want);
        }
    }

    /// What is outside of literals, and whether the last one is closed.
    fn outside(sql: &str) -> Option<String> {
        let mut rest = String::new();
        let mut pieces = sql.split('\'');
        rest.push_str(pieces.next()?);
        while let Some(_literal) = pieces.next() {
            rest.push_str(pieces.next()?);
        }
        Some(rest)
    }

    proptest! {
        /// What the checks let through never leaves its literal.
        #[test]
        fn no_value_leaves_its_literal(
            text in "[a-z'\"\\\\$; \u{0}\n-]{0,12}",
            format in "(csv|text|json|fixed_width)",
        ) {
            let said = input(json!({"format": format, "options": {
                "delimiter": text, "quote": text, "null_as": text, "date_format": text, "time_format": text,
                "accept_invalid_chars": text, "json": format!("s3://bucket/{text}"), "widths": [1],
            }}));
            let mut said = said;
            let faulty: Vec<String> = said.options.faults().into_iter().map(|fault| fault.path).collect();
            let options = &mut said.options;
            for (path, option) in [
                ("options.delimiter", &mut options.delimiter), ("options.quote", &mut options.quote),
                ("options.null_as", &mut options.null_as), ("options.date_format", &mut options.date_format),
                ("options.time_format", &mut options.time_format),
                ("options.accept_invalid_chars", &mut options.accept_invalid_chars), ("options.json", &mut options.json),
            ] {
                if faulty.iter().any(|one| one == path) {
                    *option = None;
                }
            }
            let sql = how(&said);
            let outside = outside(&sql);
            prop_assert!(outside.is_some(), "{sql}");
            let plain = outside.unwrap_or_default();
            prop_assert!(plain.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' '), "{sql}");
            prop_assert!(!sql.contains(['\\', '\0', '\n']), "{sql}");
        }
    }
}
