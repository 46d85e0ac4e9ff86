//! Writes a catalogue out as it was merged.

use std::fmt::Write as _;

use serde_json::Value;

use super::fault::File;
use super::tree::{Kind, Node};
use super::types::Catalogue;

impl Catalogue {
    /// The catalogue as it was read, all files merged, in YAML. Where there are
    /// several files, each value has the file and the line that it comes from.
    pub fn to_yaml(&self) -> String {
        let mut printer = Printer {
            files: &self.source.files,
            text: String::new(),
        };
        printer.map(&self.source.root, 0);
        printer.text
    }
}

struct Printer<'a> {
    files: &'a [File],
    text: String,
}

impl Printer<'_> {
    fn map(&mut self, node: &Node, indent: usize) {
        for entry in node.entries() {
            let _ = write!(self.text, "{:indent$}{}:", "", quote(&entry.key));
            self.value(&entry.value, indent);
        }
    }

    fn value(&mut self, node: &Node, indent: usize) {
        match &node.kind {
            Kind::Map(entries) if !entries.is_empty() => {
                self.text.push('\n');
                self.map(node, indent + 2);
            }
            Kind::List(items) if !items.is_empty() => {
                self.text.push('\n');
                for item in items {
                    let _ = write!(self.text, "{:1$}-", "", indent + 2);
                    self.line(item);
                }
            }
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) => self.line(node),
        }
    }

    /// What stands on a line, and where it comes from.
    fn line(&mut self, node: &Node) {
        let _ = write!(self.text, " {}", flow(node));
        if let [_, _, ..] = self.files
            && let Some(file) = self.files.get(node.at.file)
        {
            let _ = write!(self.text, "  # {}:{}", file.name, node.at.line);
        }
        self.text.push('\n');
    }
}

fn flow(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(Value::String(text)) => quote(text),
        Kind::Scalar(value) => value.to_string(),
        Kind::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Map(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|entry| format!("{}: {}", quote(&entry.key), flow(&entry.value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// A text that every YAML reader takes for a text: plain where nobody could take
/// it for something else, else in quotes.
fn quote(text: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./%+".contains(&b))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    let is_text = || matches!(Node::parse(text, 0), Ok(node) if node.is_text(text));
    if plain && is_text() {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            '\n' => write!(quoted, "\\n"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(quoted, "\\u{:04x}", u32::from(c))
            }
            c => write!(quoted, "{c}"),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for (text, want) in [
            ("15m", "15m"),
            ("eu-west-1", "eu-west-1"),
            ("5%", "5%"),
            ("etl.s3-load", "etl.s3-load"),
            ("123456789012", "\"123456789012\""),
            ("1e3", "\"1e3\""),
            ("06:00", "\"06:00\""),
            ("No", "\"No\""),
            ("null", "\"null\""),
            ("", "\"\""),
            ("a # b", "\"a # b\""),
            ("a\"b\\c\n", r#""a\"b\\c\n""#),
        ] {
            assert_eq!(quote(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_read_as_it_was_written(text in "(\\PC|[a-z0-9.:%\\-\"\\\\\n]){0,12}") {
            let read = Node::parse(&quote(&text), 0).expect("YAML");
            prop_assert!(read.is_text(&text), "{} is not {text:?}", quote(&text));
        }
    }
}
