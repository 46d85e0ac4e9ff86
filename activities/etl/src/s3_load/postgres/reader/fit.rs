//! Fields as their columns take them, in the csv that a PostgreSQL is sent.

use crate::s3_load::formats::{Field, Options};

/// A column that a file fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Whether an empty field is an empty string in it.
    pub(crate) text: bool,
    /// How many characters it takes, if there is a limit.
    pub(crate) length: Option<usize>,
}

/// What fields become on their way into columns.
#[derive(Debug)]
pub(super) struct Fit {
    columns: Vec<Column>,
    null_as: String,
    empty_as_null: bool,
    blanks_as_null: bool,
    truncate: bool,
    instead: Option<u8>,
}

impl Fit {
    pub(super) fn new(options: &Options, columns: Vec<Column>) -> Self {
        let instead = options.accept_invalid_chars.as_deref();
        Self {
            columns,
            null_as: options.null_as.clone().unwrap_or_else(|| "\\N".to_owned()),
            empty_as_null: options.empty_as_null == Some(true),
            blanks_as_null: options.blanks_as_null == Some(true),
            truncate: options.truncate_columns == Some(true),
            instead: instead.and_then(|text| text.bytes().next()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A field of a record of fields; one that no column is for goes on as it is,
    /// so that the server says that there are too many.
    pub(super) fn field(&self, at: usize, field: Field<'_>, out: &mut Vec<u8>) {
        let null = !field.quoted && self.is_null(field);
        if !null {
            self.value(at, field.value, out);
        }
    }

    /// A field that is not there.
    pub(super) fn missing(&self, at: usize, out: &mut Vec<u8>) {
        self.value(at, b"", out);
    }

    /// `\N` is NULL with a backslash that was taken out, and `\\N` too, as in
    /// Redshift.
    fn is_null(&self, field: Field<'_>) -> bool {
        field.value == self.null_as.as_bytes()
            || field.escaped && field.value == b"N" && self.null_as == "\\N"
    }

    /// A value that is none of the signs for NULL.
    pub(super) fn value(&self, at: usize, value: &[u8], out: &mut Vec<u8>) {
        let column = self.columns.get(at);
        let blank = value.iter().all(u8::is_ascii_whitespace);
        let null = match column {
            Some(column) if !column.text => blank,
            _ if value.is_empty() => self.empty_as_null,
            _ => blank && self.blanks_as_null,
        };
        if null {
            return;
        }
        let length = column
            .and_then(|column| column.length)
            .filter(|_| self.truncate);
        let valid = self.instead.map(|instead| repaired(value, instead));
        let value = valid.as_deref().unwrap_or(value);
        write(length.map_or(value, |length| cut(value, length)), out);
    }
}

/// Every byte that is no UTF-8 becomes one character.
fn repaired(value: &[u8], instead: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        out.extend(chunk.invalid().iter().map(|_| instead));
    }
    out
}

/// So many characters of it.
fn cut(value: &[u8], length: usize) -> &[u8] {
    let begins = |byte: &u8| byte & 0xC0 != 0x80;
    let mut starts = value.iter().enumerate().filter(|(_, byte)| begins(byte));
    starts.nth(length).map_or(value, |(end, _)| &value[..end])
}

fn write(value: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| !matches!(byte, b'"' | b',' | b'\n' | b'\r' | b'\\');
    if !value.is_empty() && value.iter().all(plain) {
        out.extend_from_slice(value);
        return;
    }
    out.push(b'"');
    for piece in value.split_inclusive(|byte| *byte == b'"') {
        out.extend_from_slice(piece);
        if piece.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}
