//! The options of a COPY.

use super::parse::{Cursor, Format};
use super::token::Kind;

/// The most bad rows that may be allowed.
const MOST_ERRORS: u64 = 100_000;

/// What fields become on their way into columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) null_as: String,
    pub(crate) empty_as_null: bool,
    pub(crate) blanks_as_null: bool,
    pub(crate) trim_blanks: bool,
    pub(crate) truncate_columns: bool,
    pub(crate) fill_record: bool,
    pub(crate) ignore_blank_lines: bool,
    /// What a byte becomes that is no UTF-8; none for an error.
    pub(crate) accept_invalid: Option<char>,
    /// Whether dates may be written in any way.
    pub(crate) any_date: bool,
    pub(crate) times: Times,
}

/// How timestamps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// `YYYY-MM-DD HH:MI:SS`.
    Written,
    /// In any way.
    Auto,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            null_as: "\\N".to_owned(),
            empty_as_null: false,
            blanks_as_null: false,
            trim_blanks: false,
            truncate_columns: false,
            fill_record: false,
            ignore_blank_lines: false,
            accept_invalid: None,
            any_date: false,
            times: Times::Written,
        }
    }
}

/// How the characters of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    #[default]
    Utf8,
    /// By the byte order mark, unless it is said.
    Utf16 { big: Option<bool> },
    /// A byte a character.
    Latin1,
}

/// How all files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// GZIP.
    Gzip,
    /// BZIP2.
    Bzip2,
    /// ZSTD.
    Zstd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Csv,
    Json { ignore_case: bool },
    Fixed,
}

/// The options as they were read.
#[derive(Default)]
pub(super) struct Options {
    layout: Option<Layout>,
    delimiter: Option<u8>,
    quote: Option<u8>,
    remove_quotes: bool,
    escape: bool,
    pub(super) ignore_header: Option<u64>,
    pub(super) manifest: bool,
    pub(super) packing: Option<Packing>,
    pub(super) widths: Vec<usize>,
    pub(super) encoding: Encoding,
    null_as: bool,
    pub(super) rules: Rules,
    pub(super) max_errors: usize,
    pub(super) no_load: bool,
}

impl Options {
    /// Reads what follows the source.
    ///
    /// # Errors
    /// Names what is not here.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(token) = cursor.take(|_| true) {
            if token.is_symbol(";") && cursor.peek().is_none() {
                break;
            }
            if token.kind != Kind::Word {
                return Err(format!("COPY does not expect {} here", token.text));
            }
            let name = token.text.to_ascii_uppercase();
            if !options.flag(&name) {
                options.option(&name, cursor)?;
            }
        }
        Ok(options)
    }

    /// An option without a value.
    fn flag(&mut self, name: &str) -> bool {
        let flag = match name {
            "MANIFEST" => &mut self.manifest,
            "NOLOAD" => &mut self.no_load,
            "REMOVEQUOTES" => &mut self.remove_quotes,
            "ESCAPE" => &mut self.escape,
            "EMPTYASNULL" => &mut self.rules.empty_as_null,
            "BLANKSASNULL" => &mut self.rules.blanks_as_null,
            "TRIMBLANKS" => &mut self.rules.trim_blanks,
            "TRUNCATECOLUMNS" => &mut self.rules.truncate_columns,
            "FILLRECORD" => &mut self.rules.fill_record,
            "IGNOREBLANKLINES" => &mut self.rules.ignore_blank_lines,
            _ => return false,
        };
        *flag = true;
        true
    }

    fn option(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<(), String> {
        match name {
            "FORMAT" => {
                cursor.word("as");
                let layout = cursor.take(|token| token.is("csv") || token.is("json"));
                let layout = layout.ok_or("COPY FORMAT: only CSV and JSON are here")?;
                return self.option(&layout.text.to_ascii_uppercase(), cursor);
            }
            "CSV" => self.layout(Layout::Csv)?,
            "JSON" => {
                let ignore_case = json_option(cursor)?;
                self.layout(Layout::Json { ignore_case })?;
            }
            "GZIP" => self.pack(Packing::Gzip)?,
            "BZIP2" => self.pack(Packing::Bzip2)?,
            "ZSTD" => self.pack(Packing::Zstd)?,
            "LZOP" => return Err("COPY LZOP is not here: only GZIP, BZIP2 and ZSTD".to_owned()),
            "IGNOREHEADER" => self.ignore_header = Some(cursor.number_of(name)?),
            "DELIMITER" => self.delimiter = Some(character(name, &cursor.text_of(name)?)?),
            "QUOTE" => self.quote = Some(character(name, &cursor.text_of(name)?)?),
            "FIXEDWIDTH" => {
                self.widths = widths(&cursor.text_of(name)?)?;
                self.layout(Layout::Fixed)?;
            }
            "ENCODING" => self.encoding = encoding(cursor)?,
            "NULL" => {
                self.rules.null_as = cursor.text_of(name)?;
                self.null_as = true;
            }
            "ACCEPTINVCHARS" => {
                cursor.word("as");
                let instead = cursor.literal().unwrap_or_else(|| "?".to_owned());
                self.rules.accept_invalid = Some(character(name, &instead)?.into());
            }
            "TIMEFORMAT" => self.rules.times = times(&cursor.text_of(name)?)?,
            "DATEFORMAT" => self.rules.any_date = any_date(&cursor.text_of(name)?)?,
            "MAXERROR" => {
                let most = cursor.number_of(name)?;
                if most > MOST_ERRORS {
                    return Err(format!("COPY MAXERROR {most}: at most {MOST_ERRORS}"));
                }
                self.max_errors = usize::try_from(most).unwrap_or_default();
            }
            _ => return without_effect(name, cursor),
        }
        Ok(())
    }

    fn layout(&mut self, layout: Layout) -> Result<(), String> {
        if self.layout.replace(layout).is_some() {
            return Err("COPY names its format twice".to_owned());
        }
        Ok(())
    }

    fn pack(&mut self, packing: Packing) -> Result<(), String> {
        if self.packing.replace(packing).is_some() {
            return Err("COPY names its compression twice".to_owned());
        }
        Ok(())
    }

    /// The format, if the options go together.
    ///
    /// # Errors
    /// Names what does not.
    pub(super) fn format(&self) -> Result<Format, String> {
        let csv = self.layout == Some(Layout::Csv);
        let json = matches!(self.layout, Some(Layout::Json { .. }));
        let text = self.layout.is_none();
        for (given, allowed, name) in [
            (self.delimiter.is_some(), csv || text, "DELIMITER"),
            (self.ignore_header.is_some(), !json, "IGNOREHEADER"),
            (self.quote.is_some(), csv, "QUOTE"),
            (self.remove_quotes, text, "REMOVEQUOTES"),
            (self.escape, text, "ESCAPE"),
            (self.null_as, !json, "NULL"),
            (self.rules.fill_record, !json, "FILLRECORD"),
            (self.rules.ignore_blank_lines, !json, "IGNOREBLANKLINES"),
            (self.encoding != Encoding::Utf8, csv || text, "ENCODING"),
        ] {
            if given && !allowed {
                return Err(format!("COPY {name} does not go with this format"));
            }
        }
        Ok(match self.layout {
            Some(Layout::Csv) => {
                let (delimiter, quote) =
                    (self.delimiter.unwrap_or(b','), self.quote.unwrap_or(b'"'));
                if delimiter == quote {
                    return Err("COPY QUOTE and DELIMITER are the same".to_owned());
                }
                Format::Csv { delimiter, quote }
            }
            Some(Layout::Json { ignore_case }) => Format::Json { ignore_case },
            Some(Layout::Fixed) => Format::Fixed,
            None => Format::Text {
                delimiter: self.delimiter.unwrap_or(b'|'),
                remove_quotes: self.remove_quotes,
                escape: self.escape,
            },
        })
    }
}

/// What changes nothing here: who may read, where it lies, how it is laid out.
fn without_effect(name: &str, cursor: &mut Cursor<'_>) -> Result<(), String> {
    match name {
        "IAM_ROLE" => {
            if !cursor.word("default") {
                cursor.text_of(name)?;
            }
        }
        "REGION" => {
            cursor.text_of(name)?;
        }
        "COMPROWS" => {
            cursor.number_of(name)?;
        }
        "COMPUPDATE" | "STATUPDATE" => {
            // Both may stand alone, for ON.
            let _ = cursor.word("on") || cursor.word("off") || cursor.word("preset");
        }
        _ => return Err(format!("COPY option {name} is not here")),
    }
    Ok(())
}

/// `label:width,label:width`; what the labels are means nothing.
fn widths(spec: &str) -> Result<Vec<usize>, String> {
    let width = |part: &str| {
        let (_, width) = part.split_once(':')?;
        width.trim().parse().ok().filter(|width| *width > 0)
    };
    let widths: Option<Vec<usize>> = spec.split(',').map(width).collect();
    widths.ok_or_else(|| format!("COPY FIXEDWIDTH '{spec}': write it as 'label:width,...'"))
}

fn encoding(cursor: &mut Cursor<'_>) -> Result<Encoding, String> {
    cursor.word("as");
    let name = match cursor.literal() {
        Some(name) => name,
        None => {
            let word = cursor.take(|token| token.kind == Kind::Word);
            word.map_or_else(String::new, |word| word.text.to_owned())
        }
    };
    Ok(match name.to_ascii_uppercase().as_str() {
        "UTF8" => Encoding::Utf8,
        "UTF16" => Encoding::Utf16 { big: None },
        "UTF16LE" => Encoding::Utf16 { big: Some(false) },
        "UTF16BE" => Encoding::Utf16 { big: Some(true) },
        "ISO88591" => Encoding::Latin1,
        _ => return Err(format!("COPY ENCODING {name} is not here")),
    })
}

/// Whether keys find their columns in any case.
fn json_option(cursor: &mut Cursor<'_>) -> Result<bool, String> {
    let explicit = cursor.word("as");
    match cursor
        .literal()
        .map(|text| text.to_ascii_lowercase())
        .as_deref()
    {
        None if explicit => Err("COPY JSON AS wants 'auto'".to_owned()),
        None | Some("auto") => Ok(false),
        Some("auto ignorecase") => Ok(true),
        Some(text) => Err(format!(
            "COPY JSON '{text}' is not here: only 'auto' and 'auto ignorecase'"
        )),
    }
}

fn times(text: &str) -> Result<Times, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "auto" => Times::Auto,
        "epochsecs" => Times::Seconds,
        "epochmillisecs" => Times::Milliseconds,
        "yyyy-mm-dd hh:mi:ss" | "yyyy-mm-dd hh24:mi:ss" => Times::Written,
        _ => {
            return Err(format!(
                "COPY TIMEFORMAT '{text}' is not here: only 'auto', 'epochsecs', 'epochmillisecs'"
            ));
        }
    })
}

fn any_date(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(true),
        "yyyy-mm-dd" => Ok(false),
        _ => Err(format!("COPY DATEFORMAT '{text}' is not here: only 'auto'")),
    }
}

fn character(option: &str, text: &str) -> Result<u8, String> {
    let text = if text == "\\t" { "\t" } else { text };
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => Err(format!("COPY {option} '{text}': one ASCII character")),
    }
}
