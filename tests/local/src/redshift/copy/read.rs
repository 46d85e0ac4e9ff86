//! Lines of fields, as files of CSV and of delimited text have them.

use super::fault::Fault;
use super::parse::Format;

/// A field as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Field {
    pub(super) value: Vec<u8>,
    /// Before quotes and escapes went; where a NULL is looked for.
    pub(super) raw: Vec<u8>,
}

/// A record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1, header lines counted.
    pub(super) number: u64,
    /// None is NULL.
    pub(super) fields: Vec<Option<Field>>,
}

impl Line {
    /// Whether nothing but a line feed is there.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.fields.as_slice(), [Some(field)] if field.raw.is_empty())
    }
}

/// How the fields of a line end and what else is special in them.
#[derive(Clone, Copy)]
struct Marks {
    delimiter: u8,
    /// Around fields; in CSV also where it is doubled.
    quotes: &'static [u8],
    own_quote: Option<u8>,
    escape: bool,
}

impl Marks {
    fn quote(&self, byte: u8) -> bool {
        self.own_quote == Some(byte) || self.quotes.contains(&byte)
    }
}

/// Cuts a body into records; what is no record is a fault, and reading goes on
/// after its line.
pub(super) fn lines(body: &[u8], format: Format, header: u64) -> Vec<Result<Line, Fault>> {
    let marks = match format {
        Format::Csv { delimiter, quote } => Marks {
            delimiter,
            quotes: &[],
            own_quote: Some(quote),
            escape: false,
        },
        Format::Text {
            delimiter,
            remove_quotes,
            escape,
        } => Marks {
            delimiter,
            quotes: if remove_quotes { b"\"'" } else { b"" },
            own_quote: None,
            escape,
        },
        Format::Json { .. } | Format::Fixed => return Vec::new(),
    };
    let mut reader = Reader {
        body,
        marks,
        at: 0,
        number: 1,
    };
    for _ in 0..header {
        reader.skip_line();
    }
    let mut lines = Vec::new();
    while reader.at < body.len() {
        lines.push(reader.line());
    }
    lines
}

/// Cuts lines into fields of so many characters each; what is longer has one more.
pub(super) fn fixed(body: &[u8], widths: &[usize], header: u64) -> Vec<Result<Line, Fault>> {
    let lines = body.split_inclusive(|byte| *byte == b'\n').zip(1..);
    let lines = lines.skip(usize::try_from(header).unwrap_or(usize::MAX));
    lines
        .map(|(line, number)| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut rest = line;
            let mut fields = Vec::new();
            for width in widths {
                if rest.is_empty() && !fields.is_empty() {
                    break;
                }
                let (field, after) = rest.split_at(length(rest, *width));
                fields.push(whole(field));
                rest = after;
            }
            if !rest.is_empty() {
                fields.push(whole(rest));
            }
            Ok(Line { number, fields })
        })
        .collect()
}

fn whole(field: &[u8]) -> Option<Field> {
    Some(Field {
        value: field.to_vec(),
        raw: field.to_vec(),
    })
}

/// The bytes of so many characters.
fn length(text: &[u8], width: usize) -> usize {
    let begins = |byte: &u8| byte & 0xC0 != 0x80;
    let mut starts = text.iter().enumerate().filter(|(_, byte)| begins(byte));
    starts.nth(width).map_or(text.len(), |(end, _)| end)
}

struct Reader<'a> {
    body: &'a [u8],
    marks: Marks,
    at: usize,
    number: u64,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Past the next line feed.
    fn skip_line(&mut self) {
        while let Some(byte) = self.take() {
            if byte == b'\n' {
                return;
            }
        }
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.number += 1;
        }
        Some(byte)
    }

    /// Past a line's end, if one is here.
    fn ends(&mut self) -> bool {
        let rest = &self.body[self.at..];
        let length = match rest {
            [] => return true,
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return false,
        };
        for _ in 0..length {
            self.take();
        }
        true
    }

    fn line(&mut self) -> Result<Line, Fault> {
        let number = self.number;
        let mut fields = Vec::new();
        loop {
            match self.field() {
                Ok(field) => fields.push(Some(field)),
                Err(message) => {
                    self.skip_line();
                    return Err(Fault::line(number, fields.len(), message));
                }
            }
            if self.ends() {
                return Ok(Line { number, fields });
            }
            // A field ends at the end of its line or before a delimiter.
            self.take();
        }
    }

    fn field(&mut self) -> Result<Field, &'static str> {
        let from = self.at + self.blanks();
        let mut value = Vec::new();
        let quote = self.body.get(from).copied();
        if let Some(quote) = quote.filter(|byte| self.marks.quote(*byte)) {
            self.at = from + 1;
            self.quoted(quote, &mut value)?;
        } else {
            let from = self.at;
            self.bare(&mut value)?;
            let raw = self.body[from..self.at].to_vec();
            return Ok(Field { value, raw });
        }
        Ok(Field {
            value,
            raw: self.body[from..self.at].to_vec(),
        })
    }

    /// How many blanks are here that CSV passes over beside its quotes.
    fn blanks(&self) -> usize {
        let csv = self.marks.own_quote.is_some();
        let blank = |byte: &&u8| **byte == b' ' && self.marks.delimiter != b' ';
        let blanks = self.body[self.at..].iter().take_while(blank);
        if csv { blanks.count() } else { 0 }
    }

    fn bare(&mut self, value: &mut Vec<u8>) -> Result<(), &'static str> {
        loop {
            let rest = &self.body[self.at..];
            match rest {
                [] | [b'\n', ..] | [b'\r', b'\n', ..] => return Ok(()),
                [byte, ..] if *byte == self.marks.delimiter => return Ok(()),
                [byte, ..] if self.marks.own_quote == Some(*byte) => {
                    return Err("Invalid quote formatting for CSV");
                }
                _ => self.character(value),
            }
        }
    }

    /// One byte, or what an escape stands before.
    fn character(&mut self, value: &mut Vec<u8>) {
        let escaped = self.marks.escape && self.peek() == Some(b'\\');
        if escaped {
            self.take();
        }
        value.extend(self.take());
    }

    fn quoted(&mut self, quote: u8, value: &mut Vec<u8>) -> Result<(), &'static str> {
        loop {
            let Some(byte) = self.peek() else {
                return Err("The closing quotation mark is missing");
            };
            if byte != quote {
                if byte == b'\n' && self.marks.own_quote.is_none() && !self.marks.escape {
                    return Err("The closing quotation mark is missing");
                }
                self.character(value);
                continue;
            }
            self.take();
            // CSV doubles a quote to mean it.
            if self.marks.own_quote.is_some() && self.peek() == Some(quote) {
                value.extend(self.take());
                continue;
            }
            self.at += self.blanks();
            let rest = &self.body[self.at..];
            return match rest {
                [] | [b'\n', ..] | [b'\r', b'\n', ..] => Ok(()),
                [byte, ..] if *byte == self.marks.delimiter => Ok(()),
                _ => Err("Invalid quote formatting for CSV"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Format = Format::Csv {
        delimiter: b',',
        quote: b'"',
    };
    const TEXT: Format = Format::Text {
        delimiter: b'|',
        remove_quotes: false,
        escape: false,
    };
    const QUOTES: Format = Format::Text {
        delimiter: b'|',
        remove_quotes: true,
        escape: false,
    };
    const ESCAPE: Format = Format::Text {
        delimiter: b'|',
        remove_quotes: false,
        escape: true,
    };

    fn read(body: &str, format: Format, header: u64) -> Vec<(u64, Vec<String>)> {
        let values = |line: Line| {
            let fields = line.fields.into_iter().flatten();
            fields
                .map(|field| String::from_utf8(field.value).expect("UTF-8"))
                .collect()
        };
        lines(body.as_bytes(), format, header)
            .into_iter()
            .map(|line| match line {
                Ok(line) => (line.number, values(line)),
                Err(fault) => (fault.line, vec![format!("!{}", fault.message)]),
            })
            .collect()
    }

    #[test]
    fn fields_are_cut_as_the_format_says() {
        let cases: [(&str, Format, &[&[&str]]); 15] = [
            (" \"a\" , b ,\"\" \n", CSV, &[&["a", " b ", ""]]),
            ("a,b\nc,\n", CSV, &[&["a", "b"], &["c", ""]]),
            ("a,b\r\nc,d", CSV, &[&["a", "b"], &["c", "d"]]),
            ("\"a,\"\"b\",\"\n\"\n", CSV, &[&["a,\"b", "\n"]]),
            (
                "a \"b\",c\nd\n",
                CSV,
                &[&["!Invalid quote formatting for CSV"], &["d"]],
            ),
            (
                "\"a\"b,c\nd\n",
                CSV,
                &[&["!Invalid quote formatting for CSV"], &["d"]],
            ),
            ("\"a\n", CSV, &[&["!The closing quotation mark is missing"]]),
            ("a|\"b\"|c\\|\n", TEXT, &[&["a", "\"b\"", "c\\", ""]]),
            ("\"a|b\"|'c\"'|d'e\n", QUOTES, &[&["a|b", "c\"", "d'e"]]),
            (
                "'a|b\nc\n",
                QUOTES,
                &[&["!The closing quotation mark is missing"], &["c"]],
            ),
            ("a\\|b|c\\\nd|\\\\e\n", ESCAPE, &[&["a|b", "c\nd", "\\e"]]),
            ("a\n\nb\n", CSV, &[&["a"], &[""], &["b"]]),
            ("", CSV, &[]),
            ("a\rb\n", CSV, &[&["a\rb"]]),
            ("\n", TEXT, &[&[""]]),
        ];
        for (body, format, wanted) in cases {
            let found: Vec<Vec<String>> = read(body, format, 0)
                .into_iter()
                .map(|(_, fields)| fields)
                .collect();
            assert_eq!(found, wanted, "{body:?}");
        }
    }

    #[test]
    fn fields_of_fixed_widths_are_cut_by_characters() {
        let lines = fixed("no\naübc\r\nab\n\nabcde\n".as_bytes(), &[2, 2], 1).into_iter();
        let fields = lines.map(|line| {
            let fields = line.expect("a line").fields.into_iter().flatten();
            let fields = fields.map(|field| String::from_utf8(field.value).expect("UTF-8"));
            fields.collect::<Vec<_>>().join("|")
        });
        let fields: Vec<String> = fields.collect();
        assert_eq!(fields, ["aü|bc", "ab", "", "ab|cd|e"]);
    }

    #[test]
    fn lines_are_counted_with_the_header_and_inside_of_quotes() {
        let body = "id\nx\n1,\"a\nb\"\n2\n";
        let numbers: Vec<u64> = read(body, CSV, 2).into_iter().map(|(at, _)| at).collect();
        assert_eq!(numbers, [3, 5]);
        assert!(read(body, CSV, 9).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_in_quotes_is_read_again(rows in proptest::collection::vec(proptest::collection::vec("[a,\"'\n\r\\\\|é]{0,6}", 1..4), 1..5)) {
            let line = |row: &Vec<String>| {
                let fields: Vec<String> = row.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
                fields.join(",") + "\n"
            };
            let body: String = rows.iter().map(line).collect();
            let found: Vec<Vec<String>> = read(&body, CSV, 0).into_iter().map(|(_, fields)| fields).collect();
            proptest::prop_assert_eq!(found, rows);
        }
    }
}
