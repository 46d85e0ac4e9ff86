//! Files of any format as the one csv that a PostgreSQL is sent.
//!
//! Its own COPY has another rule for NULLs, quotes and backslashes than Redshift's,
//! takes `\.` for the end of all, and has neither text options nor JSON. So records
//! are cut and fitted here, and the csv that comes of them means one thing only.

mod fit;
mod json;
mod lines;

use crate::s3_load::formats::{
    Cutter, Encoding, Header, JsonMapping, LONGEST, Marks, Record, RecordFault,
};
use crate::s3_load::input::{Format, LoadInput};
pub(super) use fit::Column;
use fit::Fit;
use json::Objects;
use lines::Lines;

/// Reads one file that comes in pieces of any size.
#[derive(Debug)]
pub(super) struct Reader {
    cut: Cut,
    writer: Writer,
    encoding: Encoding,
    /// Bytes of a byte order mark that may begin the file; none after that.
    mark: Option<usize>,
}

#[derive(Debug)]
enum Cut {
    Fields(Box<Cutter>),
    Objects(Objects),
}

/// What becomes of records.
#[derive(Debug)]
struct Writer {
    fit: Fit,
    out: Vec<u8>,
    /// Where in it the last record begins.
    began: usize,
    lines: Lines,
    /// Lines at the beginning that are no data.
    header: bool,
    ignore_blank_lines: bool,
    fill: bool,
    records: u64,
}

const MARK: &[u8] = "\u{feff}".as_bytes();

impl Reader {
    /// A reader of a load's files into these columns, in the files' order.
    pub(super) fn new(input: &LoadInput, columns: Vec<Column>) -> Self {
        let options = &input.options;
        let cut = match input.format {
            Format::Json => {
                let ignore_case = JsonMapping::of(input) == JsonMapping::IgnoreCase;
                Cut::Objects(Objects::new(ignore_case))
            }
            _ => Cut::Fields(Box::new(Cutter::new(Marks::of(input)))),
        };
        Self {
            cut,
            writer: Writer {
                fit: Fit::new(options, columns),
                out: Vec::new(),
                began: 0,
                lines: Lines::default(),
                header: input.header != Header::None,
                ignore_blank_lines: options.ignore_blank_lines == Some(true),
                fill: options.fill_record == Some(true),
                records: 0,
            },
            encoding: options.encoding.unwrap_or_default(),
            mark: Some(0),
        }
    }

    /// Gives what is to be sent for this piece.
    ///
    /// # Errors
    /// The first thing that is no record.
    pub(super) fn pass(&mut self, piece: &[u8]) -> Result<Vec<u8>, RecordFault> {
        if self.encoding == Encoding::Iso88591 {
            let text: String = piece.iter().map(|byte| char::from(*byte)).collect();
            self.cut(text.as_bytes())?;
        } else {
            let rest = self.past_mark(piece);
            let held = rest.1;
            self.cut(held)?;
            self.cut(rest.0)?;
        }
        Ok(std::mem::take(&mut self.writer.out))
    }

    /// What is left to send, and how many records there were in all.
    ///
    /// # Errors
    /// If the file ends inside of a record, or nothing of it is the table's.
    pub(super) fn finish(&mut self) -> Result<(Vec<u8>, u64), RecordFault> {
        // A file that is no more than the beginning of a mark.
        let held = self.mark.take().unwrap_or_default();
        self.cut(&MARK[..held])?;
        let writer = &mut self.writer;
        match &mut self.cut {
            Cut::Fields(cutter) => cutter.finish(|record| writer.record(record))?,
            Cut::Objects(objects) => objects.finish(&writer.fit)?,
        }
        Ok((std::mem::take(&mut writer.out), writer.records))
    }

    /// The line of the file that a PostgreSQL calls so.
    pub(super) fn line(&self, sent: u64) -> u64 {
        self.writer.lines.of(sent)
    }

    fn cut(&mut self, text: &[u8]) -> Result<(), RecordFault> {
        let writer = &mut self.writer;
        match &mut self.cut {
            Cut::Fields(cutter) => cutter.pass(text, |record| writer.record(record)).map(drop),
            Cut::Objects(objects) => objects.pass(text, writer),
        }
    }

    /// What follows a byte order mark at the beginning, and what was held back of
    /// one that is none.
    fn past_mark<'a>(&mut self, piece: &'a [u8]) -> (&'a [u8], &'static [u8]) {
        let Some(held) = self.mark else {
            return (piece, b"");
        };
        let like = MARK[held..].iter().zip(piece);
        let like = like.take_while(|(mark, byte)| mark == byte).count();
        if held + like == MARK.len() {
            self.mark = None;
            return (&piece[like..], b"");
        }
        if like == piece.len() {
            self.mark = Some(held + like);
            return (b"", b"");
        }
        self.mark = None;
        (piece, &MARK[..held])
    }
}

impl Writer {
    fn record(&mut self, record: &Record) -> Result<bool, RecordFault> {
        if std::mem::take(&mut self.header) || self.ignore_blank_lines && record.is_blank() {
            return Ok(true);
        }
        self.begin(record.line);
        let mut count = 0;
        for field in record.fields() {
            self.separate(count);
            self.fit.field(count, field, &mut self.out);
            count += 1;
        }
        while self.fill && count < self.fit.len() {
            self.separate(count);
            self.fit.missing(count, &mut self.out);
            count += 1;
        }
        self.end();
        Ok(true)
    }

    fn begin(&mut self, line: u64) {
        self.records += 1;
        self.began = self.out.len();
        self.lines.begin(line);
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.out.push(b',');
        }
    }

    fn end(&mut self) {
        self.out.push(b'\n');
        let fresh = self.out[self.began..].iter();
        let lines = fresh.filter(|byte| **byte == b'\n').count();
        self.lines.end(lines as u64);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reader(more: Value) -> Reader {
        let mut input = json!({"bucket": "land", "table": "public.t", "format": "csv"});
        let fields = input.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        let input: LoadInput = serde_json::from_value(input).expect("an input");
        let columns = [
            ("id", false, None),
            ("name", true, Some(4)),
            ("day", false, None),
        ];
        let columns = columns.map(|(name, text, length)| Column {
            name: name.to_owned(),
            text,
            length,
        });
        Reader::new(&input, columns.to_vec())
    }

    fn read(more: Value, body: &[u8], size: usize) -> Result<(String, u64), RecordFault> {
        let mut reader = reader(more);
        let mut out = Vec::new();
        for piece in body.chunks(size) {
            out.extend(reader.pass(piece)?);
        }
        let (rest, records) = reader.finish()?;
        out.extend(rest);
        Ok((String::from_utf8_lossy(&out).into_owned(), records))
    }

    /// Options, a file, and the csv that a PostgreSQL is sent: nothing between two
    /// commas is NULL there, and `""` an empty string.
    #[test]
    fn one_rule_for_nulls_quotes_and_backslashes() {
        for (more, body, want) in [
            (json!({}), "1,a,2\n", "1,a,2\n"),
            (json!({}), "1,,\n", "1,\"\",\n"),
            (json!({}), "1,\"\",\"\"\n", "1,\"\",\n"),
            (
                json!({"options": {"empty_as_null": true}}),
                "1,,\n2,\"\",\n",
                "1,,\n2,,\n",
            ),
            (json!({}), "\\N,\\N,\\N\n", ",,\n"),
            (json!({}), "1,\"\\N\",2\n", "1,\"\\N\",2\n"),
            (
                json!({"options": {"null_as": "NULL"}}),
                "NULL,NULL,\\N\n",
                ",,\"\\N\"\n",
            ),
            (
                json!({"options": {"null_as": "NULL"}}),
                "1,\"NULL\",2\n",
                "1,NULL,2\n",
            ),
            (json!({}), "  ,  ,\n", ",  ,\n"),
            (
                json!({"options": {"blanks_as_null": true}}),
                "1,  ,\n",
                "1,,\n",
            ),
            (json!({}), "1,\"a \"\"b\",2\n", "1,\"a \"\"b\",2\n"),
            (
                json!({"options": {"escape": true}}),
                "1,\"\\\"hi\\\"\",2\n",
                "1,\"\"\"hi\"\"\",2\n",
            ),
            (json!({}), "1,\\.,2\n\\.\n", "1,\"\\.\",2\n\"\\.\"\n"),
            (json!({}), "\u{feff}1,a,2", "1,a,2\n"),
            (
                json!({}),
                "1,\"a\nb\",2\r\n3,c,4\r\n",
                "1,\"a\nb\",2\n3,c,4\n",
            ),
            (json!({"header": "skip"}), "a,b,c\n1,a,2\n", "1,a,2\n"),
            (
                json!({"options": {"truncate_columns": true}}),
                "1,äöüßx,2\n",
                "1,äöüß,2\n",
            ),
            (
                json!({"options": {"fill_record": true}}),
                "1\n",
                "1,\"\",\n",
            ),
            (json!({}), "1\n1,a,2,3\n", "1\n1,a,2,3\n"),
            (
                json!({"options": {"ignore_blank_lines": true}}),
                "\n1,a,2\n\n",
                "1,a,2\n",
            ),
            (
                json!({"options": {"delimiter": ";", "quote": "'"}}),
                "1;'a;''b';\"\n",
                "1,a;'b,\"\"\"\"\n",
            ),
            (json!({"format": "text"}), "1|\"a|2\n", "1,\"\"\"a\",2\n"),
            (
                json!({"format": "text", "options": {"escape": true}}),
                "1|a\\|b|\\N\n2|\\\\N|3\n",
                "1,a|b,\n2,,3\n",
            ),
            (
                json!({"options": {"accept_invalid_chars": "?"}}),
                "1,\u{fffd},2\n",
                "1,\u{fffd},2\n",
            ),
        ] {
            for size in [1, 3, 64] {
                let (found, records) = read(more.clone(), body.as_bytes(), size).expect("records");
                assert_eq!(found, want, "{more}: {body:?} by {size}");
                assert!(records > 0);
            }
        }
        let invalid = read(
            json!({"options": {"accept_invalid_chars": "?"}}),
            b"1,a\xffb\xc3,2\n",
            2,
        );
        assert_eq!(invalid.expect("records").0, "1,a?b?,2\n");
        let latin = read(
            json!({"options": {"encoding": "iso88591"}}),
            b"1,\xfc,2\n",
            2,
        );
        assert_eq!(latin.expect("records").0, "1,ü,2\n");
    }

    #[test]
    fn objects_become_records_by_their_keys() {
        let auto = json!({"format": "json"});
        let exact = json!({"format": "json", "options": {"json": "auto"}});
        for (more, body, want) in [
            (&auto, "{\"ID\": 1, \"Name\": \"ann\"}\n", "1,ann,\n"),
            (
                &auto,
                "{\"name\": \"\", \"id\": null, \"x\": {\"id\": 7}}\n{\"id\":2}",
                ",\"\",\n2,,\n",
            ),
            (
                &auto,
                "{\"id\": 1,\n \"name\": \"a}\\\"{\\n\"} {\"id\": 2}",
                "1,\"a}\"\"{\n\",\n2,,\n",
            ),
            (
                &auto,
                "{\"id\": 123456789012345678901234567890.10}\n",
                "123456789012345678901234567890.10,,\n",
            ),
            (&auto, "{\"name\": \"\\\\N\"}\n", ",\"\\N\",\n"),
            (
                &auto,
                "{\"name\": {\"a\": [1, \"b\"]}}\n",
                ",\"{\"\"a\"\": [1, \"\"b\"\"]}\",\n",
            ),
            (&exact, "{\"ID\": 1, \"id\": 2}\n", "2,,\n"),
            (&auto, "", ""),
        ] {
            for size in [1, 3, 64] {
                let (found, _) = read(more.clone(), body.as_bytes(), size).expect("records");
                assert_eq!(found, want, "{body:?} by {size}");
            }
        }
        for (body, line, says) in [
            ("{\"foo\": 1}\n{\"bar\": 2}\n", 1, "no object"),
            ("{\"id\": 1}\n{\"id\": }\n", 2, "no JSON object"),
            ("{\"id\": 1}\n\n[1]\n", 3, "begins with `[`"),
            ("{\"id\": 1}\n{\"id\": 2", 2, "ends in the middle"),
        ] {
            for size in [1, 64] {
                let fault = read(auto.clone(), body.as_bytes(), size).expect_err("a fault");
                assert_eq!(fault.line, line, "{fault:?}");
                assert!(fault.reason.contains(says), "{fault:?}");
            }
        }
    }

    #[test]
    fn a_line_is_that_of_the_file() {
        let mut reader = reader(json!({"header": "skip", "options": {"ignore_blank_lines": true}}));
        reader
            .pass(b"a,b,c\n1,a,2\n\n\n2,\"b\nc\",3\n4,d,5\n")
            .expect("records");
        let lines: Vec<u64> = (1..=4).map(|sent| reader.line(sent)).collect();
        assert_eq!(lines, [2, 5, 6, 7]);
        let mut reader = self::reader(json!({"format": "json"}));
        reader
            .pass(b"{\"id\": 1,\n\"name\": \"a\"}\n{\"id\": 2}\n")
            .expect("records");
        assert_eq!((reader.line(1), reader.line(2)), (1, 3));
    }

    proptest::proptest! {
        /// Whatever is in a file, what is sent is one csv record a record.
        #[test]
        fn what_is_sent_has_as_many_records_as_are_counted(text in "[a1,\"'\n\\\\N. |]{0,40}", size in 1usize..9) {
            let Ok((sent, records)) = read(json!({}), text.as_bytes(), size) else { return Ok(()); };
            let mut in_quotes = false;
            let mut ends = 0;
            for c in sent.chars() {
                in_quotes ^= c == '"';
                ends += u64::from(c == '\n' && !in_quotes);
            }
            proptest::prop_assert!(!in_quotes);
            proptest::prop_assert_eq!(ends, records);
            proptest::prop_assert!(!sent.lines().any(|line| line == "\\."));
        }
    }
}
