//! What the rows of a warehouse's results say.

use stepfleet_activity::Class;

use crate::outside::Answer;
use crate::outside::call::CallError;
use crate::s3_load::warehouse::{BadFile, Loaded};

/// Exactly so many columns.
pub(crate) fn columns<const N: usize>(row: Vec<String>) -> Answer<[String; N]> {
    row.try_into()
        .map_err(|row: Vec<String>| unexpected(format!("{} columns, not {N}", row.len())))
}

/// The first place of each file; the rows are ordered.
pub(crate) fn first_of_each(rows: Vec<Vec<String>>) -> Answer<Vec<BadFile>> {
    let mut files: Vec<BadFile> = Vec::new();
    for row in rows {
        // They are of fixed length in the warehouse, and padded.
        let row = columns(row)?.map(|text| text.trim_end().to_owned());
        let [file, line, column, reason, code, value] = row;
        if files.last().is_none_or(|last| last.file != file) {
            let value = if value.is_empty() {
                value_in(&reason).to_owned()
            } else {
                value
            };
            files.push(BadFile {
                file,
                line,
                column,
                reason,
                value,
                code,
                detail: String::new(),
            });
        }
    }
    Ok(files)
}

/// `b` of `Invalid digit, Value 'b', Pos 0, Type: Integer`.
fn value_in(reason: &str) -> &str {
    let value = reason.split_once("Value '");
    let value = value.and_then(|(_, rest)| rest.rsplit_once("', Pos"));
    value.map_or("", |(value, _)| value)
}

/// What a COPY loaded.
pub(crate) fn loaded(row: Vec<String>) -> Answer<Loaded> {
    let [files, rows] = columns(row)?;
    Ok(Loaded {
        files: number(&files)?,
        rows: number(&rows)?,
    })
}

/// A number that came as a text.
pub(crate) fn number(text: &str) -> Answer<u64> {
    text.parse()
        .map_err(|_| unexpected(format!("{text:?}, which is not a number")))
}

/// An answer that is not what was asked for.
pub(crate) fn unexpected(found: String) -> CallError {
    CallError {
        what: "read a result".to_owned(),
        reason: format!("the warehouse answered with {found}"),
        class: Class::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_of_each_file_counts_and_padding_does_not() {
        let row = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
        let digit = "Invalid digit, Value 'x', Pos 0, Type: Integer  ";
        let files = first_of_each(vec![
            row(["s3://land/a.csv   ", "2", "amount ", digit, "1207", ""]),
            row(["s3://land/a.csv   ", "7", "id", "Invalid digit", "1207", ""]),
            row(["s3://land/b.csv", "1", "", "", "1214", "seen  "]),
        ]);
        let files = files.expect("rows");
        let places = files.iter().map(|bad| {
            let BadFile {
                file,
                line,
                column,
                value,
                code,
                ..
            } = bad;
            [file, line, column, value, code].map(String::as_str)
        });
        let places: Vec<_> = places.collect();
        assert_eq!(
            places,
            [
                ["s3://land/a.csv", "2", "amount", "x", "1207"],
                ["s3://land/b.csv", "1", "", "seen", "1214"],
            ]
        );
        assert!(first_of_each(vec![vec!["one".to_owned()]]).is_err());
    }
}
