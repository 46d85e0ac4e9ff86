//! Fields as the columns take them: NULLs, blanks, lengths and times, by the
//! options of the COPY. What is left for PostgreSQL is to parse the types.

use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

use super::fault::Fault;
use super::options::{Rules, Times};
use super::read::{Field, Line};
use super::table::Column;

/// A record whose values PostgreSQL can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: u64,
    pub(super) values: Vec<Option<String>>,
}

/// Fits a line's fields to the columns.
pub(super) fn fit(line: Line, rules: &Rules, columns: &[Column]) -> Result<Record, Fault> {
    let number = line.number;
    let mut fields = line.fields;
    if rules.fill_record && fields.len() < columns.len() {
        fields.resize(columns.len(), Some(Field::default()));
    }
    let misfit = |column: usize, code, message: &str| Fault {
        line: number,
        column: Some(column),
        code,
        message: message.to_owned(),
        ..Fault::default()
    };
    if fields.len() < columns.len() {
        return Err(misfit(fields.len(), 1214, "Delimiter not found"));
    }
    if fields.len() > columns.len() {
        return Err(misfit(columns.len(), 1202, "Extra column(s) found"));
    }
    let mut values = Vec::with_capacity(columns.len());
    for (at, (field, column)) in fields.into_iter().zip(columns).enumerate() {
        let value = value(field, rules, column).map_err(|fault| Fault {
            line: number,
            column: Some(at),
            ..fault
        })?;
        values.push(value);
    }
    Ok(Record {
        line: number,
        values,
    })
}

fn value(field: Option<Field>, rules: &Rules, column: &Column) -> Result<Option<String>, Fault> {
    let kept = match field {
        Some(field) if field.raw == rules.null_as.as_bytes() => None,
        Some(field) => fitted(text(field.value, rules)?, rules, column)?,
        None => None,
    };
    if kept.is_none() && column.required {
        return Err(Fault::value(1213, "Missing data for not-null field", ""));
    }
    Ok(kept)
}

fn fitted(text: String, rules: &Rules, column: &Column) -> Result<Option<String>, Fault> {
    if column.character {
        return characters(text, rules, column);
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    let sql_type = column.sql_type.as_str();
    if sql_type == "date" && !rules.any_date {
        date(&text)?;
    }
    if sql_type.starts_with("timestamp") {
        return time(text, rules.times).map(Some);
    }
    Ok(Some(text))
}

/// Lengths are bytes in Redshift, and CHAR has single ones only.
fn characters(mut text: String, rules: &Rules, column: &Column) -> Result<Option<String>, Fault> {
    let nothing = rules.empty_as_null && text.is_empty();
    let blank = rules.blanks_as_null && !text.is_empty() && text.trim().is_empty();
    if nothing || blank {
        return Ok(None);
    }
    let fixed = column.sql_type.starts_with("character(");
    if rules.trim_blanks && !fixed {
        text.truncate(text.trim_end().len());
    }
    if let Some(wide) = text.chars().find(|c| fixed && !c.is_ascii()) {
        let bytes: Vec<String> = wide
            .to_string()
            .bytes()
            .map(|byte| format!("{byte:x}"))
            .collect();
        let message = format!(
            "Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char: {}",
            bytes.join(" ")
        );
        return Err(Fault::value(1220, message, &text));
    }
    let length = Column::length(&column.sql_type).and_then(|length| length.parse().ok());
    let Some(length) = length.filter(|length| text.len() > *length) else {
        return Ok(Some(text));
    };
    if !rules.truncate_columns {
        return Err(Fault::value(
            1204,
            "String length exceeds DDL length",
            &text,
        ));
    }
    let end = (0..=length).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or_default());
    Ok(Some(text))
}

/// UTF-8; each byte that is none becomes what ACCEPTINVCHARS says.
fn text(bytes: Vec<u8>, rules: &Rules) -> Result<String, Fault> {
    let error = match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => {
            return Err(Fault::value(
                1220,
                "String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 hex sequence: 00 (error 3)",
                &text.replace('\0', ""),
            ));
        }
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let Some(instead) = rules.accept_invalid else {
        let at = error.utf8_error().valid_up_to();
        let length = error.utf8_error().error_len();
        let bad = &error.as_bytes()[at..][..length.unwrap_or(error.as_bytes().len() - at)];
        let number = match (length, bad.first()) {
            (None, _) => 2,
            (_, Some(0xC2..=0xF4)) => 4,
            _ => 3,
        };
        let message = format!(
            "String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 hex sequence: {} (error {number})",
            hex::encode(bad)
        );
        return Err(Fault::value(
            1220,
            message,
            &String::from_utf8_lossy(error.as_bytes()),
        ));
    };
    let mut text = String::with_capacity(error.as_bytes().len());
    for chunk in error.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| instead));
    }
    Ok(text)
}

/// `YYYY-MM-DD`, which is all that COPY knows without DATEFORMAT 'auto'.
fn date(text: &str) -> Result<(), Fault> {
    if text.trim().len() < 10 {
        return Err(Fault::value(
            1205,
            "Invalid Date Format - length must be 10 or more",
            text,
        ));
    }
    if starts_with_date(text.trim()) {
        return Ok(());
    }
    Err(Fault::value(
        1205,
        "Invalid date format or value [YYYY-MM-DD]",
        text,
    ))
}

fn starts_with_date(text: &str) -> bool {
    like(text.get(..10).unwrap_or_default(), "0000-00-00")
}

/// Whether each character is as the pattern's: a digit for 0, else the same.
fn like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(found, wanted)| match wanted {
                b'0' => found.is_ascii_digit(),
                wanted => found == wanted,
            })
}

fn time(text: String, times: Times) -> Result<String, Fault> {
    let trimmed = text.trim();
    let instant = match times {
        Times::Auto => return Ok(text),
        Times::Written if is_written(trimmed) => return Ok(text),
        Times::Written => None,
        Times::Seconds => epoch(trimmed, 1_000_000_000),
        Times::Milliseconds => epoch(trimmed, 1_000_000),
    };
    let written = instant.and_then(|at| {
        let utc = at.to_zoned(TimeZone::UTC);
        strtime::format("%Y-%m-%d %H:%M:%S%.f+00", &utc).ok()
    });
    written.ok_or_else(|| {
        let format = match times {
            Times::Seconds => "epochsecs",
            Times::Milliseconds => "epochmillisecs",
            Times::Auto | Times::Written => "YYYY-MM-DD HH24:MI:SS",
        };
        Fault::value(
            1206,
            format!("Invalid timestamp format or value [{format}]"),
            &text,
        )
    })
}

/// A count of units since 1970, with or without a fraction.
fn epoch(text: &str, unit: i128) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let whole: i128 = whole.parse().ok()?;
    let mut part = 0;
    if !fraction.is_empty() {
        let digits = fraction.get(..fraction.len().min(9))?;
        let scale = 10_i128.pow(u32::try_from(digits.len()).ok()?);
        part = i128::from(digits.parse::<u32>().ok()?) * unit / scale;
    }
    let part = if negative { -part } else { part };
    Timestamp::from_nanosecond(whole.checked_mul(unit)?.checked_add(part)?).ok()
}

/// `YYYY-MM-DD HH:MI:SS`, with a fraction and an offset or without: a `T` or a
/// `Z` needs TIMEFORMAT 'auto'.
fn is_written(text: &str) -> bool {
    if !starts_with_date(text) {
        return false;
    }
    let rest = &text[10..];
    let offset = rest.find(['+', '-']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at(offset);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let clock = ["", " 00:00", " 00:00:00"]
        .iter()
        .any(|pattern| like(clock, pattern));
    let offset = offset.replacen('-', "+", 1);
    let offset = ["", "+00", "+0000", "+00:00"]
        .iter()
        .any(|pattern| like(&offset, pattern));
    clock && offset && !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
