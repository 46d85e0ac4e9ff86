//! Records of csv and text, cut from pieces of any size.
//!
//! One rule for both warehouses, which is that of Redshift's COPY: a quote inside
//! of quotes is written twice, what follows a closing quote ends its field, and a
//! field that does not begin with a quote has none. With `escape`, a backslash takes
//! the next character as it is.

use super::options::character;
use crate::s3_load::input::{Format, LoadInput};

/// The longest record. Redshift takes 4 MiB; this is what a worker holds at most.
pub(crate) const LONGEST: usize = 16 << 20;

/// What is special in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    delimiter: u8,
    quote: Option<u8>,
    escape: bool,
}

impl Marks {
    pub(crate) fn of(input: &LoadInput) -> Self {
        let options = &input.options;
        let one = |text: &Option<String>| text.as_deref().and_then(character);
        let csv = input.format == Format::Csv;
        Self {
            delimiter: one(&options.delimiter).unwrap_or(if csv { b',' } else { b'|' }),
            quote: csv.then(|| one(&options.quote).unwrap_or(b'"')),
            escape: options.escape == Some(true),
        }
    }
}

/// One record: its fields, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Record {
    text: Vec<u8>,
    fields: Vec<End>,
    /// Its first line in the file, from 1.
    pub(crate) line: u64,
}

/// Where a field ends.
#[derive(Debug, Clone, Copy)]
struct End {
    at: usize,
    quoted: bool,
    escaped: bool,
}

/// A field of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// Without quotes and escapes.
    pub(crate) value: &'a [u8],
    pub(crate) quoted: bool,
    /// Whether a backslash was taken out of it.
    pub(crate) escaped: bool,
}

impl Record {
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let mut from = 0;
        self.fields.iter().map(move |end| {
            let value = &self.text[std::mem::replace(&mut from, end.at)..end.at];
            Field {
                value,
                quoted: end.quoted,
                escaped: end.escaped,
            }
        })
    }

    /// Whether nothing but a line's end is there.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(
            self.fields.as_slice(),
            [End {
                at: 0,
                quoted: false,
                ..
            }]
        )
    }
}

/// What is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordFault {
    /// From 1.
    pub(crate) line: u64,
    pub(crate) column: String,
    /// What stands there.
    pub(crate) value: String,
    pub(crate) reason: String,
}

impl RecordFault {
    pub(crate) fn new(line: u64, reason: impl Into<String>) -> Self {
        Self {
            line,
            column: String::new(),
            value: String::new(),
            reason: reason.into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before a field, or in blanks that may precede a quote.
    #[default]
    Begins,
    Bare,
    Quoted,
    /// After a quote in quotes: the end, or the first of two.
    Closing,
    /// In blanks behind a closing quote.
    Closed,
}

/// Cuts a file that comes in pieces.
#[derive(Debug)]
pub(crate) struct Cutter {
    marks: Marks,
    /// What is more than data, by byte.
    special: [bool; 256],
    record: Record,
    state: State,
    escaped: bool,
    /// Whether a backslash waits for its character.
    escapes: bool,
    /// Whether the last byte was a `\r` that ended a record.
    after_return: bool,
    /// Whether a record has ended with a line feed: a lone `\r` is data no more.
    feeds: bool,
    /// Whether anything of a record has come.
    begun: bool,
    line: u64,
}

impl Cutter {
    pub(crate) fn new(marks: Marks) -> Self {
        let mut special = [false; 256];
        for byte in [marks.delimiter, b'\n', b'\r', b'\\'] {
            special[usize::from(byte)] = true;
        }
        if let Some(quote) = marks.quote {
            special[usize::from(quote)] = true;
        }
        Self {
            marks,
            special,
            record: Record {
                line: 1,
                ..Record::default()
            },
            state: State::Begins,
            escaped: false,
            escapes: false,
            after_return: false,
            feeds: false,
            begun: false,
            line: 1,
        }
    }

    /// Gives each record that ends in this piece; stops where `each` says so, and
    /// tells how much was used.
    pub(crate) fn pass(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&Record) -> Result<bool, RecordFault>,
    ) -> Result<usize, RecordFault> {
        let mut at = 0;
        loop {
            at += self.plain(&piece[at..]);
            let Some(byte) = piece.get(at) else {
                return Ok(at);
            };
            at += 1;
            if self.byte(*byte)? {
                let more = each(&self.record)?;
                self.next();
                if !more {
                    return Ok(at);
                }
            }
        }
    }

    /// Takes what is nothing but data at once; gives how much that was.
    fn plain(&mut self, piece: &[u8]) -> usize {
        let inside = matches!(self.state, State::Bare | State::Quoted) && !self.escapes;
        let room = LONGEST.saturating_sub(self.record.text.len());
        if !inside {
            return 0;
        }
        let data = piece.iter().take(room);
        let data = data.take_while(|byte| !self.special[usize::from(**byte)]);
        let length = data.count();
        self.record.text.extend_from_slice(&piece[..length]);
        length
    }

    /// The last record, if its line has no end.
    pub(crate) fn finish(
        &mut self,
        each: impl FnOnce(&Record) -> Result<bool, RecordFault>,
    ) -> Result<(), RecordFault> {
        if self.state == State::Quoted {
            let reason = "its closing quotation mark is missing";
            return Err(RecordFault::new(self.record.line, reason));
        }
        if self.begun {
            if self.escapes {
                self.push(b'\\')?;
            }
            self.end_field();
            each(&self.record)?;
            self.next();
        }
        Ok(())
    }

    fn next(&mut self) {
        self.record.text.clear();
        self.record.fields.clear();
        self.record.line = self.line;
        self.begun = false;
    }

    fn fault(&self, reason: &str) -> RecordFault {
        let field = self.record.fields.len() + 1;
        RecordFault::new(self.record.line, format!("field {field}: {reason}"))
    }

    /// Whether a record ends with this byte.
    fn byte(&mut self, byte: u8) -> Result<bool, RecordFault> {
        if byte == b'\n' {
            self.line += 1;
            // The second half of an end that was counted.
            if std::mem::take(&mut self.after_return) {
                self.record.line = self.line;
                self.feeds = true;
                return Ok(false);
            }
        } else if std::mem::take(&mut self.after_return) {
            if self.feeds {
                return Err(self.fault("it has a carriage return without quotes"));
            }
            self.line += 1;
            self.record.line = self.line;
        }
        self.begun = true;
        if std::mem::take(&mut self.escapes) {
            self.escaped = true;
            return self.push(byte).map(|()| false);
        }
        match self.state {
            State::Begins | State::Bare => self.bare(byte),
            State::Quoted => self.quoted(byte),
            State::Closing if self.marks.quote == Some(byte) => {
                self.state = State::Quoted;
                self.push(byte).map(|()| false)
            }
            State::Closing | State::Closed => self.closed(byte),
        }
    }

    fn bare(&mut self, byte: u8) -> Result<bool, RecordFault> {
        if byte == self.marks.delimiter {
            self.end_field();
            return Ok(false);
        }
        match byte {
            b'\n' | b'\r' => return Ok(self.end_record(byte)),
            b'\\' if self.marks.escape => {
                self.escapes = true;
                self.state = State::Bare;
                return Ok(false);
            }
            byte if self.marks.quote == Some(byte) => {
                if self.state == State::Bare {
                    return Err(self.fault("it has a quotation mark and does not begin with one"));
                }
                // Blanks before it are none of the value.
                let from = self.record.fields.last().map_or(0, |end| end.at);
                self.record.text.truncate(from);
                self.state = State::Quoted;
                return Ok(false);
            }
            b' ' if self.state == State::Begins => {}
            _ => self.state = State::Bare,
        }
        self.push(byte).map(|()| false)
    }

    fn quoted(&mut self, byte: u8) -> Result<bool, RecordFault> {
        if byte == b'\\' && self.marks.escape {
            self.escapes = true;
            return Ok(false);
        }
        if self.marks.quote == Some(byte) {
            self.state = State::Closing;
            return Ok(false);
        }
        self.push(byte).map(|()| false)
    }

    fn closed(&mut self, byte: u8) -> Result<bool, RecordFault> {
        self.state = State::Closed;
        if byte == self.marks.delimiter {
            self.end_field();
            return Ok(false);
        }
        match byte {
            b'\n' | b'\r' => Ok(self.end_record(byte)),
            b' ' => Ok(false),
            _ => Err(self.fault(
                "something follows its closing quotation mark; a quotation mark inside of quotes is written twice, or, with the option `escape`, after a backslash",
            )),
        }
    }

    fn push(&mut self, byte: u8) -> Result<(), RecordFault> {
        if self.record.text.len() >= LONGEST {
            let reason = format!("its record is longer than {LONGEST} bytes");
            return Err(self.fault(&reason));
        }
        self.record.text.push(byte);
        Ok(())
    }

    fn end_field(&mut self) {
        self.record.fields.push(End {
            at: self.record.text.len(),
            quoted: matches!(self.state, State::Closing | State::Closed),
            escaped: std::mem::take(&mut self.escaped),
        });
        self.state = State::Begins;
    }

    fn end_record(&mut self, byte: u8) -> bool {
        self.end_field();
        self.after_return = byte == b'\r';
        self.feeds |= byte == b'\n';
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Marks = Marks {
        delimiter: b',',
        quote: Some(b'"'),
        escape: false,
    };
    const ESCAPED: Marks = Marks {
        escape: true,
        ..CSV
    };
    const TEXT: Marks = Marks {
        delimiter: b'|',
        quote: None,
        escape: false,
    };
    const ESCAPED_TEXT: Marks = Marks {
        escape: true,
        ..TEXT
    };

    /// Each record as `line: field|field`, quoted ones in brackets.
    fn cut(marks: Marks, text: &str, size: usize) -> Result<Vec<String>, RecordFault> {
        let mut cutter = Cutter::new(marks);
        let mut found = Vec::new();
        let mut each = |record: &Record| {
            let fields = record.fields().map(|field| {
                let value = String::from_utf8_lossy(field.value).into_owned();
                if field.quoted {
                    format!("[{value}]")
                } else {
                    value
                }
            });
            let fields: Vec<String> = fields.collect();
            found.push(format!("{}: {}", record.line, fields.join("|")));
            Ok(true)
        };
        for piece in text.as_bytes().chunks(size) {
            cutter.pass(piece, &mut each)?;
        }
        cutter.finish(&mut each)?;
        Ok(found)
    }

    #[test]
    fn records_are_cut_as_redshift_cuts_them() {
        let cases: [(Marks, &str, &[&str]); 17] = [
            (CSV, "", &[]),
            (CSV, "1,a\n2,b", &["1: 1|a", "2: 2|b"]),
            (CSV, "1,\n,\n", &["1: 1|", "2: |"]),
            (CSV, "1\r\n2\r\n", &["1: 1", "2: 2"]),
            (CSV, "1\r2\r", &["1: 1", "2: 2"]),
            (CSV, "1\n\n2\n", &["1: 1", "2: ", "3: 2"]),
            (CSV, "\"a,\"\"b\",\"\n\"\nx\n", &["1: [a,\"b]|[\n]", "3: x"]),
            (CSV, " \"a\" ,  b , \"\"\n", &["1: [a]|  b |[]"]),
            (CSV, "\\.\n\"\\.\"\n", &["1: \\.", "2: [\\.]"]),
            (CSV, "a\\,b\\\n", &["1: a\\|b\\"]),
            (
                ESCAPED,
                "\"he said \\\"hi\\\"\",\\\\\n",
                &["1: [he said \"hi\"]|\\"],
            ),
            (ESCAPED, "\"a\"\"b\",c\\,d\n", &["1: [a\"b]|c,d"]),
            (TEXT, "a|\"b\"|\n", &["1: a|\"b\"|"]),
            (TEXT, "a\\|b\n", &["1: a\\|b"]),
            (ESCAPED_TEXT, "a\\|b|c\\\nd\n", &["1: a|b|c\nd"]),
            (ESCAPED_TEXT, "a\\", &["1: a\\"]),
            (CSV, "a", &["1: a"]),
        ];
        for (marks, text, want) in cases {
            for size in [1, 2, 3, 64] {
                let found = cut(marks, text, size).expect("records");
                assert_eq!(found, want, "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn what_is_no_record_is_named_with_its_line() {
        for (text, line, says) in [
            (
                "1,a\n2,\"he said \\\"hi\\\"\"\n",
                2,
                "field 2: something follows",
            ),
            ("1,a\"b\n", 1, "field 2: it has a quotation mark"),
            ("1,a\n\"2", 2, "is missing"),
            ("1\n2\r3\n", 2, "carriage return"),
        ] {
            for size in [1, 64] {
                let fault = cut(CSV, text, size).expect_err("a fault");
                assert_eq!(fault.line, line, "{fault:?}");
                assert!(fault.reason.contains(says), "{fault:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_in_quotes_is_read_again(rows in proptest::collection::vec(proptest::collection::vec("[a,\"'\n\r\\\\|é]{0,6}", 1..4), 1..5), size in 1usize..9) {
            let line = |row: &Vec<String>| {
                let fields: Vec<String> = row.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
                fields.join(",") + "\n"
            };
            let text: String = rows.iter().map(line).collect();
            let mut cutter = Cutter::new(CSV);
            let mut found: Vec<Vec<String>> = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                cutter.pass(piece, |record| {
                    found.push(record.fields().map(|field| String::from_utf8(field.value.to_vec()).expect("text")).collect());
                    Ok(true)
                }).expect("records");
            }
            proptest::prop_assert_eq!(found, rows);
        }

        #[test]
        fn no_bytes_are_too_much_for_it(text in proptest::collection::vec(0u8..=255, 0..64), size in 1usize..9, quoted in proptest::bool::ANY) {
            let marks = if quoted { ESCAPED } else { ESCAPED_TEXT };
            let mut cutter = Cutter::new(marks);
            for piece in text.chunks(size) {
                if cutter.pass(piece, |_| Ok(true)).is_err() {
                    return Ok(());
                }
            }
            let _ = cutter.finish(|_| Ok(true));
        }
    }
}
