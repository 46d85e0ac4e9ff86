//! Reads a COPY command.

use super::super::reserved;
use super::options::{Encoding, Options, Packing, Rules};
use super::token::{Kind, Token, tokens};

/// Where the data or the manifest is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Source {
    /// Reads `s3://bucket/key`; the key may be empty.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (bucket, key) = url.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty()).then(|| Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Fields in quotes where they need them.
    Csv {
        /// Between the fields.
        delimiter: u8,
        /// Around them.
        quote: u8,
    },
    /// Fields between delimiters, which is Redshift's default.
    Text {
        /// Between the fields.
        delimiter: u8,
        /// Whether quotes around a field go.
        remove_quotes: bool,
        /// Whether a backslash takes a character as it is.
        escape: bool,
    },
    /// Objects whose keys are columns.
    Json {
        /// Whether a key finds its column in any case.
        ignore_case: bool,
    },
    /// Fields of fixed widths, which are the command's.
    Fixed,
}

/// A COPY command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyCommand {
    /// As written, with schema and quotes.
    pub(crate) table: String,
    /// As written; empty where no list is given.
    pub(crate) columns: Vec<String>,
    pub(crate) source: Source,
    /// Whether the source is a manifest and not a prefix.
    pub(crate) manifest: bool,
    pub(crate) format: Format,
    /// The widths of the fields in characters, where they are fixed.
    pub(crate) widths: Vec<usize>,
    pub(crate) encoding: Encoding,
    /// How all files are packed, if they are.
    pub(crate) packing: Option<Packing>,
    /// Lines to skip at the head of each file.
    pub(crate) ignore_header: u64,
    pub(crate) rules: Rules,
    /// So many bad rows, or one if it is 0, fail the load.
    pub(crate) max_errors: usize,
    /// Whether the rows are only checked.
    pub(crate) no_load: bool,
}

impl CopyCommand {
    /// The table without its schema, as Redshift says it.
    pub(crate) fn bare_table(&self) -> String {
        tokens(&self.table)
            .last()
            .map_or_else(String::new, Token::unquoted)
    }
}

/// Reads a COPY from S3: `None` where the statement is something else.
pub(crate) fn parse(sql: &str) -> Option<Result<CopyCommand, String>> {
    let mut cursor = Cursor {
        tokens: tokens(sql)
            .into_iter()
            .filter(|token| token.kind != Kind::Space)
            .collect(),
        at: 0,
        reserved: None,
    };
    if !cursor.word("copy") {
        return None;
    }
    let table = cursor.table()?;
    let columns = cursor.columns()?;
    if !cursor.word("from") {
        return None;
    }
    let url = cursor.literal()?;
    if !url.starts_with("s3://") {
        return None;
    }
    if let Some(word) = cursor.reserved {
        return Some(Err(reserved::refusal(word)));
    }
    Some(Source::parse(&url).map_or_else(
        || Err(format!("COPY from {url}: write it as s3://bucket/key")),
        |source| {
            let options = Options::read(&mut cursor)?;
            Ok(CopyCommand {
                table,
                columns,
                source,
                manifest: options.manifest,
                format: options.format()?,
                widths: options.widths,
                encoding: options.encoding,
                packing: options.packing,
                ignore_header: options.ignore_header.unwrap_or(0),
                rules: options.rules,
                max_errors: options.max_errors,
                no_load: options.no_load,
            })
        },
    ))
}

/// Where the reading of a command is.
pub(super) struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// The first reserved word that stood for a name.
    reserved: Option<&'a str>,
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    pub(super) fn take(&mut self, wanted: impl Fn(&Token<'_>) -> bool) -> Option<Token<'a>> {
        let token = self.peek().filter(|token| wanted(token))?;
        self.at += 1;
        Some(token)
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        self.take(|token| token.is(word)).is_some()
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.take(|token| token.is_symbol(symbol)).is_some()
    }

    pub(super) fn literal(&mut self) -> Option<String> {
        self.take(|token| token.kind == Kind::Literal)
            .map(|token| token.unquoted())
    }

    fn identifier(&mut self) -> Option<&'a str> {
        let token = self.take(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?;
        if reserved::is_reserved(&token) {
            self.reserved.get_or_insert(token.text);
        }
        Some(token.text)
    }

    fn table(&mut self) -> Option<String> {
        let mut table = self.identifier()?.to_owned();
        while self.symbol(".") {
            table.push('.');
            table.push_str(self.identifier()?);
        }
        Some(table)
    }

    fn columns(&mut self) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        if self.symbol("(") {
            columns.push(self.identifier()?.to_owned());
            while self.symbol(",") {
                columns.push(self.identifier()?.to_owned());
            }
            if !self.symbol(")") {
                return None;
            }
        }
        Some(columns)
    }

    /// The literal of an option, after an optional AS.
    pub(super) fn text_of(&mut self, option: &str) -> Result<String, String> {
        self.word("as");
        self.literal()
            .ok_or_else(|| format!("COPY {option} wants a string"))
    }

    pub(super) fn number_of(&mut self, option: &str) -> Result<u64, String> {
        self.word("as");
        self.take(|token| token.kind == Kind::Number)
            .and_then(|token| token.text.parse().ok())
            .ok_or_else(|| format!("COPY {option} wants a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::Times;
    use super::*;

    const CSV: Format = Format::Csv {
        delimiter: b',',
        quote: b'"',
    };

    fn plain() -> CopyCommand {
        CopyCommand {
            table: "t".to_owned(),
            columns: Vec::new(),
            source: Source {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
            },
            manifest: false,
            format: CSV,
            widths: Vec::new(),
            encoding: Encoding::Utf8,
            packing: None,
            ignore_header: 0,
            rules: Rules::default(),
            max_errors: 0,
            no_load: false,
        }
    }

    #[test]
    fn reads_what_is_there() {
        let of = |change: fn(&mut CopyCommand)| {
            let mut command = plain();
            change(&mut command);
            command
        };
        let delimited = |delimiter, remove_quotes, escape| CopyCommand {
            format: Format::Text {
                delimiter,
                remove_quotes,
                escape,
            },
            ..plain()
        };
        let csv = |delimiter, quote| CopyCommand {
            format: Format::Csv { delimiter, quote },
            ..plain()
        };
        let json = |ignore_case| CopyCommand {
            format: Format::Json { ignore_case },
            ..plain()
        };
        let auto = of(|command| {
            command.rules.any_date = true;
            command.rules.times = Times::Auto;
        });
        let cases = [
            ("iam_role default csv", plain()),
            ("FORMAT AS CSV;", plain()),
            (
                "CSV IGNOREHEADER AS 2",
                of(|command| command.ignore_header = 2),
            ),
            ("DELIMITER '|' CSV", csv(b'|', b'"')),
            ("CSV QUOTE AS '%' DELIMITER AS '\\t'", csv(b'\t', b'%')),
            ("", delimited(b'|', false, false)),
            (
                "DELIMITER ',' REMOVEQUOTES ESCAPE",
                delimited(b',', true, true),
            ),
            ("JSON 'auto'", json(false)),
            ("FORMAT JSON REGION 'x'", json(false)),
            ("FORMAT AS JSON AS 'auto ignorecase'", json(true)),
            (
                "CSV NULL AS 'x' EMPTYASNULL",
                of(|command| {
                    command.rules.null_as = "x".to_owned();
                    command.rules.empty_as_null = true;
                }),
            ),
            (
                "CSV BLANKSASNULL TRIMBLANKS TRUNCATECOLUMNS",
                of(|command| {
                    command.rules.blanks_as_null = true;
                    command.rules.trim_blanks = true;
                    command.rules.truncate_columns = true;
                }),
            ),
            (
                "CSV FILLRECORD IGNOREBLANKLINES",
                of(|command| {
                    command.rules.fill_record = true;
                    command.rules.ignore_blank_lines = true;
                }),
            ),
            (
                "CSV ACCEPTINVCHARS",
                of(|command| command.rules.accept_invalid = Some('?')),
            ),
            (
                "CSV ACCEPTINVCHARS AS '^'",
                of(|command| command.rules.accept_invalid = Some('^')),
            ),
            ("CSV TIMEFORMAT 'auto' DATEFORMAT AS 'auto'", auto),
            (
                "CSV TIMEFORMAT AS 'epochmillisecs'",
                of(|command| command.rules.times = Times::Milliseconds),
            ),
            (
                "CSV MAXERROR AS 3 NOLOAD",
                of(|command| {
                    command.max_errors = 3;
                    command.no_load = true;
                }),
            ),
            (
                "FIXEDWIDTH '0:3,name:10' IGNOREHEADER 1",
                of(|command| {
                    command.format = Format::Fixed;
                    command.widths = vec![3, 10];
                    command.ignore_header = 1;
                }),
            ),
            (
                "CSV ENCODING UTF16LE",
                of(|command| command.encoding = Encoding::Utf16 { big: Some(false) }),
            ),
            (
                "CSV COMPUPDATE PRESET STATUPDATE COMPROWS 9 ENCODING UTF8",
                plain(),
            ),
        ];
        for (options, wanted) in cases {
            let found = parse(&format!("copy t FROM 's3://b/k' {options}"));
            assert_eq!(found, Some(Ok(wanted)), "{options}");
        }
        let sql = "-- load\nCOPY /* ; */ s.\"T x\" (a, \"b,\") FROM 's3://b/it''s' \
                   IAM_ROLE 'arn:aws:iam::1:role/r' MANIFEST GZIP CSV COMPUPDATE OFF STATUPDATE ON";
        let wanted = CopyCommand {
            table: "s.\"T x\"".to_owned(),
            columns: vec!["a".to_owned(), "\"b,\"".to_owned()],
            source: Source {
                bucket: "b".to_owned(),
                key: "it's".to_owned(),
            },
            manifest: true,
            packing: Some(Packing::Gzip),
            ..plain()
        };
        assert_eq!(wanted.bare_table(), "T x");
        assert_eq!(parse(sql), Some(Ok(wanted)));
    }

    #[test]
    fn leaves_other_statements_alone() {
        for sql in [
            "",
            "SELECT 'COPY t FROM ''s3://b/k'''",
            "COPY t FROM STDIN",
            "COPY t FROM 'dynamodb://t'",
            "COPY (SELECT 1) TO 'x'",
            "-- COPY t FROM 's3://b/k' CSV",
        ] {
            assert_eq!(parse(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_reserved_word_is_a_name_only_in_quotes() {
        for (what, word) in [
            ("t (id, desc)", "desc"),
            ("t (id, User)", "User"),
            ("s.tag (id)", "tag"),
            ("open", "open"),
        ] {
            let refused = parse(&format!("COPY {what} FROM 's3://b/k' CSV"));
            let message = refused.expect("a COPY").expect_err(what);
            assert_eq!(message, format!("syntax error at or near \"{word}\""));
        }
        let quoted = parse("COPY \"open\" (\"desc\", \"a-b c\") FROM 's3://b/k' CSV");
        assert_eq!(quoted.expect("a COPY").expect("fine").columns.len(), 2);
    }

    #[test]
    fn refuses_by_name() {
        for (options, named) in [
            ("CSV CREDENTIALS 'x'", "CREDENTIALS"),
            ("CSV MAXERROR 100001", "MAXERROR"),
            ("CSV QUOTE ','", "QUOTE"),
            ("QUOTE '%'", "QUOTE"),
            ("CSV REMOVEQUOTES", "REMOVEQUOTES"),
            ("CSV ESCAPE", "ESCAPE"),
            ("CSV LZOP", "LZOP"),
            ("CSV ENCODING LATIN9", "ENCODING"),
            ("JSON 'auto' NULL AS 'x'", "NULL"),
            ("JSON 'auto' FILLRECORD", "FILLRECORD"),
            ("JSON 'auto' IGNOREBLANKLINES", "IGNOREBLANKLINES"),
            ("JSON 'auto' ENCODING UTF16", "ENCODING"),
            ("FIXEDWIDTH '0:1' ENCODING UTF16", "ENCODING"),
            ("FIXEDWIDTH '0:1' DELIMITER ','", "DELIMITER"),
            ("FIXEDWIDTH '0:1' CSV", "twice"),
            ("FIXEDWIDTH '0:0'", "FIXEDWIDTH"),
            ("FIXEDWIDTH 'a'", "FIXEDWIDTH"),
            ("CSV DATEFORMAT 'MM/DD/YYYY'", "DATEFORMAT"),
            ("CSV IGNOREHEADER x", "IGNOREHEADER"),
            ("CSV DELIMITER '||'", "DELIMITER"),
            ("CSV TIMEFORMAT 'MM.DD.YYYY'", "TIMEFORMAT"),
            ("FORMAT PARQUET", "FORMAT"),
            ("JSON 's3://b/paths'", "s3://b/paths"),
            ("JSON DELIMITER ','", "DELIMITER"),
            ("JSON IGNOREHEADER 1", "IGNOREHEADER"),
            ("CSV JSON", "twice"),
            ("CSV; SELECT 1", ";"),
        ] {
            let refused = parse(&format!("COPY t FROM 's3://b/k' {options}"));
            let message = refused.expect("a COPY").expect_err(options);
            assert!(message.contains(named), "{options}: {message}");
        }
        assert!(parse("COPY t FROM 's3://b' CSV").expect("a COPY").is_err());
    }
}
