//! Reads a COPY command.

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
    /// Rows of fields.
    Csv {
        /// Between the fields.
        delimiter: char,
        /// Lines to skip at the head of each file.
        ignore_header: u64,
    },
    /// Objects whose keys are columns.
    JsonLines,
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
    pub(crate) gzip: bool,
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
                gzip: options.gzip,
            })
        },
    ))
}

struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, wanted: impl Fn(&Token<'_>) -> bool) -> Option<Token<'a>> {
        let token = self.peek().filter(|token| wanted(token))?;
        self.at += 1;
        Some(token)
    }

    fn word(&mut self, word: &str) -> bool {
        self.take(|token| token.is(word)).is_some()
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.take(|token| token.is_symbol(symbol)).is_some()
    }

    fn literal(&mut self) -> Option<String> {
        self.take(|token| token.kind == Kind::Literal)
            .map(|token| token.unquoted())
    }

    fn identifier(&mut self) -> Option<&'a str> {
        self.take(|token| matches!(token.kind, Kind::Word | Kind::Quoted))
            .map(|token| token.text)
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
    fn text_of(&mut self, option: &str) -> Result<String, String> {
        self.word("as");
        self.literal()
            .ok_or_else(|| format!("COPY {option} wants a string"))
    }

    fn number_of(&mut self, option: &str) -> Result<u64, String> {
        self.word("as");
        self.take(|token| token.kind == Kind::Number)
            .and_then(|token| token.text.parse().ok())
            .ok_or_else(|| format!("COPY {option} wants a number"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Csv,
    Json,
}

#[derive(Default)]
struct Options {
    layout: Option<Layout>,
    delimiter: Option<char>,
    ignore_header: Option<u64>,
    manifest: bool,
    gzip: bool,
}

impl Options {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(token) = cursor.take(|_| true) {
            if token.is_symbol(";") && cursor.peek().is_none() {
                break;
            }
            if token.kind != Kind::Word {
                return Err(format!("COPY does not expect {} here", token.text));
            }
            options.option(&token.text.to_ascii_uppercase(), cursor)?;
        }
        Ok(options)
    }

    fn option(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<(), String> {
        match name {
            "IAM_ROLE" => {
                if !cursor.word("default") {
                    cursor.text_of(name)?;
                }
            }
            "MANIFEST" => self.manifest = true,
            "GZIP" => self.gzip = true,
            "FORMAT" => {
                cursor.word("as");
                let layout = cursor.take(|token| token.is("csv") || token.is("json"));
                let layout = layout.ok_or("COPY FORMAT: only CSV and JSON are here")?;
                return self.option(&layout.text.to_ascii_uppercase(), cursor);
            }
            "CSV" => self.layout(Layout::Csv)?,
            "JSON" => {
                self.layout(Layout::Json)?;
                json_paths(cursor)?;
            }
            "IGNOREHEADER" => self.ignore_header = Some(cursor.number_of(name)?),
            "DELIMITER" => self.delimiter = Some(delimiter(&cursor.text_of(name)?)?),
            "REGION" => {
                cursor.text_of(name)?;
            }
            "COMPUPDATE" | "STATUPDATE" => {
                // Both may stand alone, for ON.
                if !cursor.word("on") {
                    cursor.word("off");
                }
            }
            "TIMEFORMAT" | "DATEFORMAT" => {
                let text = cursor.text_of(name)?;
                if !text.eq_ignore_ascii_case("auto") {
                    return Err(format!("COPY {name} '{text}' is not here: only 'auto'"));
                }
            }
            "MAXERROR" => {
                if cursor.number_of(name)? != 0 {
                    return Err("COPY MAXERROR is not here: only 0".to_owned());
                }
            }
            _ => return Err(format!("COPY option {name} is not here")),
        }
        Ok(())
    }

    fn layout(&mut self, layout: Layout) -> Result<(), String> {
        if self.layout.replace(layout).is_some() {
            return Err("COPY names its format twice".to_owned());
        }
        Ok(())
    }

    fn format(&self) -> Result<Format, String> {
        match self.layout {
            Some(Layout::Csv) => Ok(Format::Csv {
                delimiter: self.delimiter.unwrap_or(','),
                ignore_header: self.ignore_header.unwrap_or(0),
            }),
            Some(Layout::Json) if self.delimiter.is_some() => {
                Err("COPY DELIMITER does not go with JSON".to_owned())
            }
            Some(Layout::Json) if self.ignore_header.is_some() => {
                Err("COPY IGNOREHEADER does not go with JSON".to_owned())
            }
            Some(Layout::Json) => Ok(Format::JsonLines),
            None => Err("COPY of delimited text is not here: say FORMAT CSV or JSON".to_owned()),
        }
    }
}

fn json_paths(cursor: &mut Cursor<'_>) -> Result<(), String> {
    let explicit = cursor.word("as");
    match cursor.literal() {
        None if explicit => Err("COPY JSON AS wants 'auto'".to_owned()),
        None => Ok(()),
        Some(text) if text.eq_ignore_ascii_case("auto") => Ok(()),
        Some(text) => Err(format!("COPY JSON '{text}' is not here: only 'auto'")),
    }
}

fn delimiter(text: &str) -> Result<char, String> {
    let text = if text == "\\t" { "\t" } else { text };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii() && !matches!(c, '"' | '\n' | '\r') => Ok(c),
        _ => Err(format!("COPY DELIMITER '{text}': one ASCII character")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Format = Format::Csv {
        delimiter: ',',
        ignore_header: 0,
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
            gzip: false,
        }
    }

    #[test]
    fn reads_what_is_there() {
        let header = |delimiter, ignore_header| CopyCommand {
            format: Format::Csv {
                delimiter,
                ignore_header,
            },
            ..plain()
        };
        let json = CopyCommand {
            format: Format::JsonLines,
            ..plain()
        };
        let cases = [
            ("copy t from 's3://b/k' iam_role default csv", plain()),
            ("COPY t FROM 's3://b/k' FORMAT AS CSV;", plain()),
            (
                "COPY t FROM 's3://b/k' CSV IGNOREHEADER AS 2",
                header(',', 2),
            ),
            ("COPY t FROM 's3://b/k' DELIMITER '|' CSV", header('|', 0)),
            (
                "COPY t FROM 's3://b/k' CSV DELIMITER AS '\\t'",
                header('\t', 0),
            ),
            ("COPY t FROM 's3://b/k' JSON 'auto'", json.clone()),
            (
                "COPY t FROM 's3://b/k' FORMAT JSON REGION 'x'",
                json.clone(),
            ),
            ("COPY t FROM 's3://b/k' FORMAT AS JSON AS 'auto'", json),
            (
                "-- load\nCOPY /* ; */ s.\"T x\" (a, \"b,\") FROM 's3://b/it''s' \
                 IAM_ROLE 'arn:aws:iam::1:role/r' MANIFEST GZIP CSV COMPUPDATE OFF \
                 STATUPDATE ON TIMEFORMAT 'auto' DATEFORMAT AS 'auto' MAXERROR 0",
                CopyCommand {
                    table: "s.\"T x\"".to_owned(),
                    columns: vec!["a".to_owned(), "\"b,\"".to_owned()],
                    source: Source {
                        bucket: "b".to_owned(),
                        key: "it's".to_owned(),
                    },
                    manifest: true,
                    gzip: true,
                    ..plain()
                },
            ),
        ];
        for (sql, wanted) in cases {
            assert_eq!(parse(sql), Some(Ok(wanted)), "{sql}");
        }
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
    fn refuses_by_name() {
        for (options, named) in [
            ("CSV CREDENTIALS 'x'", "CREDENTIALS"),
            ("CSV NOLOAD", "NOLOAD"),
            ("CSV MAXERROR 3", "MAXERROR"),
            ("CSV IGNOREHEADER x", "IGNOREHEADER"),
            ("CSV DELIMITER '||'", "DELIMITER"),
            ("CSV TIMEFORMAT 'epochsecs'", "TIMEFORMAT"),
            ("FORMAT PARQUET", "FORMAT"),
            ("JSON 's3://b/paths'", "s3://b/paths"),
            ("JSON DELIMITER ','", "DELIMITER"),
            ("JSON IGNOREHEADER 1", "IGNOREHEADER"),
            ("CSV JSON", "twice"),
            ("", "delimited text"),
            ("CSV; SELECT 1", ";"),
        ] {
            let refused = parse(&format!("COPY t FROM 's3://b/k' {options}"));
            let message = refused.expect("a COPY").expect_err(options);
            assert!(message.contains(named), "{options}: {message}");
        }
        assert!(parse("COPY t FROM 's3://b' CSV").expect("a COPY").is_err());
    }
}
