//! The block `options`: closed, and each value on an allow-list, since some of them
//! reach SQL text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepfleet_activity::ConfigFault;

/// Options of a format. What is left out is what the format has by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What stands between fields: `tab`, or one character. `,` in csv, `|` in text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// What stands around fields of csv: one character, `"` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Whether a backslash takes the next character as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<bool>,
    /// The field that is NULL, where it has no quotes: `\N` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_as: Option<String>,
    /// Whether an empty field is NULL in columns of text too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_as_null: Option<bool>,
    /// Whether a field of blanks is NULL in columns of text too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blanks_as_null: Option<bool>,
    /// How dates are written: `auto`, or like `MM/DD/YYYY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
    /// How timestamps are written: `auto` (the default of json), `epochsecs`,
    /// `epochmillisecs`, or like `DD.MM.YYYY HH:MI:SS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_format: Option<String>,
    /// What each byte becomes that is no UTF-8: one character. Without it, a file
    /// with such bytes is a bad file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_invalid_chars: Option<String>,
    /// Whether texts that are too long for their column are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate_columns: Option<bool>,
    /// Whether fields that are missing at a record's end are filled in as empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_record: Option<bool>,
    /// Whether lines with nothing in them are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_blank_lines: Option<bool>,
    /// The encoding of the files: `utf8` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// How keys find their columns: `auto ignorecase` (the default), `auto`,
    /// `noshred`, or the URL of a JSONPaths file, like `s3://bucket/paths.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// The columns' widths in characters, which `fixed_width` needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widths: Option<Vec<u32>>,
}

/// An encoding of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16 with a byte order mark.
    Utf16,
    /// UTF-16, little-endian.
    Utf16le,
    /// UTF-16, big-endian.
    Utf16be,
    /// ISO 8859-1, a byte a character.
    Iso88591,
}

/// The longest text that an option may have.
const LONGEST: usize = 256;
/// The most columns that a table of Redshift has.
const MOST_WIDTHS: usize = 1_600;
/// The widest row, in characters.
const WIDEST: u64 = 4 << 20;

const CHARACTER: &str =
    "`tab`, or one printable ASCII character that is no letter, digit or backslash";

impl Options {
    /// Whether nothing is said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The values that nothing can take, whatever the format.
    pub(crate) fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Faults::default();
        faults.character("delimiter", self.delimiter.as_deref());
        faults.character("quote", self.quote.as_deref());
        // As they are where nothing is said.
        let delimiter = self.delimiter.as_deref().unwrap_or(",");
        let quote = self.quote.as_deref().unwrap_or("\"");
        if quote == delimiter {
            let (path, other) = match self.quote {
                Some(_) => ("quote", "delimiter"),
                None => ("delimiter", "quote"),
            };
            let allowed = format!("another character than that of `{other}`");
            faults.say(path, quote, &allowed);
        }
        if let Some(text) = &self.null_as {
            let fine = text == "\\N" || is_text(text);
            let allowed =
                "`\\N`, or up to 256 characters without backslashes and control characters";
            faults.unless(fine, ("null_as", text), allowed);
        }
        for (name, format) in [
            ("date_format", &self.date_format),
            ("time_format", &self.time_format),
        ] {
            if let Some(format) = format {
                let fine = !format.is_empty() && format.is_ascii() && is_text(format);
                faults.unless(fine, (name, format), "`auto`, or a format like YYYY-MM-DD");
            }
        }
        if let Some(instead) = &self.accept_invalid_chars {
            let fine = matches!(instead.as_bytes(), [b' '..=b'[' | b']'..=b'~']);
            let allowed = "one printable ASCII character, and no backslash";
            faults.unless(fine, ("accept_invalid_chars", instead), allowed);
        }
        if let Some(json) = &self.json {
            let fine =
                matches!(json.as_str(), "auto" | "auto ignorecase" | "noshred") || is_paths(json);
            let allowed = "`auto`, `auto ignorecase`, `noshred`, or the URL of a JSONPaths file like `s3://bucket/paths.json`";
            faults.unless(fine, ("json", json), allowed);
        }
        if let Some(fault) = self.widths.as_deref().and_then(widths_fault) {
            faults.0.push(fault);
        }
        faults.0
    }
}

/// One character by the name that it has in a catalogue.
pub(super) fn character(text: &str) -> Option<u8> {
    match text.as_bytes() {
        b"tab" => Some(b'\t'),
        [byte] if *byte == b'\t' => Some(b'\t'),
        [byte] if byte.is_ascii_graphic() || *byte == b' ' => {
            let plain = !byte.is_ascii_alphanumeric() && *byte != b'\\';
            plain.then_some(*byte)
        }
        _ => None,
    }
}

/// What is wrong with the widths of columns.
fn widths_fault(widths: &[u32]) -> Option<ConfigFault> {
    let sum: u64 = widths.iter().map(|width| u64::from(*width)).sum();
    let fine = (1..=MOST_WIDTHS).contains(&widths.len())
        && widths.iter().all(|width| *width > 0)
        && sum <= WIDEST;
    (!fine).then(|| {
        let message = format!(
            "found {} widths of {sum} characters together; allowed are 1 to {MOST_WIDTHS} of them, each 1 or more, and {WIDEST} together",
            widths.len()
        );
        ConfigFault::new("options.widths", message)
    })
}

fn is_text(text: &str) -> bool {
    text.chars().count() <= LONGEST && text.chars().all(|c| !c.is_control() && c != '\\')
}

fn is_paths(url: &str) -> bool {
    let parts = url
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(bucket, key)| {
        let name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        (3..=63).contains(&bucket.len())
            && bucket.bytes().all(name)
            && (1..=1_024).contains(&key.len())
            && key.chars().all(|c| !c.is_control() && c != '\\')
    })
}

#[derive(Default)]
struct Faults(Vec<ConfigFault>);

impl Faults {
    fn say(&mut self, option: &str, found: &str, allowed: &str) {
        let found: String = found.chars().take(LONGEST).collect();
        let message = format!("found {found:?}; allowed is {allowed}");
        self.0
            .push(ConfigFault::new(format!("options.{option}"), message));
    }

    fn unless(&mut self, fine: bool, (option, found): (&str, &str), allowed: &str) {
        if !fine {
            self.say(option, found, allowed);
        }
    }

    fn character(&mut self, option: &str, found: Option<&str>) {
        if let Some(found) = found {
            self.unless(character(found).is_some(), (option, found), CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_that_nothing_takes_is_named_with_its_path() {
        for (options, path) in [
            (json!({"delimiter": "ab"}), "options.delimiter"),
            (json!({"delimiter": ""}), "options.delimiter"),
            (json!({"delimiter": "\n"}), "options.delimiter"),
            (json!({"delimiter": "\\"}), "options.delimiter"),
            (json!({"delimiter": "é"}), "options.delimiter"),
            (json!({"delimiter": "a"}), "options.delimiter"),
            (json!({"quote": "''"}), "options.quote"),
            (json!({"quote": ";", "delimiter": ";"}), "options.quote"),
            (json!({"quote": ","}), "options.quote"),
            (json!({"delimiter": "\""}), "options.delimiter"),
            (json!({"null_as": "a\\b"}), "options.null_as"),
            (json!({"null_as": "a\nb"}), "options.null_as"),
            (json!({"null_as": "x".repeat(257)}), "options.null_as"),
            (json!({"date_format": ""}), "options.date_format"),
            (json!({"time_format": "é"}), "options.time_format"),
            (json!({"time_format": "a\0"}), "options.time_format"),
            (
                json!({"accept_invalid_chars": ""}),
                "options.accept_invalid_chars",
            ),
            (
                json!({"accept_invalid_chars": "\\"}),
                "options.accept_invalid_chars",
            ),
            (json!({"json": "paths"}), "options.json"),
            (json!({"json": "s3://b/x"}), "options.json"),
            (json!({"json": "s3://bucket/a\\'b"}), "options.json"),
            (json!({"widths": []}), "options.widths"),
            (json!({"widths": [1, 0]}), "options.widths"),
        ] {
            let read: Options = serde_json::from_value(options.clone()).expect("options");
            let paths: Vec<String> = read.faults().into_iter().map(|fault| fault.path).collect();
            assert_eq!(paths, [path], "{options}");
        }
        let fine = json!({"delimiter": "tab", "quote": "'", "null_as": "it's $$ null", "json": "s3://bucket/it's.json",
            "date_format": "auto", "time_format": "DD.MM.YYYY HH:MI:SS", "accept_invalid_chars": "'"});
        let fine: Options = serde_json::from_value(fine).expect("options");
        assert_eq!(fine.faults(), []);
        serde_json::from_value::<Options>(json!({"nul_as": ""})).expect_err("closed");
    }
}
