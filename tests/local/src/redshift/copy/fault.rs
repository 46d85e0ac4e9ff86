//! What is wrong with a record, in Redshift's numbers and words.

use tokio_postgres::error::DbError;

use super::table::{Column, Place};

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fault {
    /// From 1, header lines counted.
    pub(super) line: u64,
    /// Which column of the COPY, from 0, if one is at fault.
    pub(super) column: Option<usize>,
    /// Redshift's number.
    pub(super) code: i32,
    pub(super) message: String,
    /// Of the fault in the value.
    pub(super) position: i32,
    pub(super) value: Option<String>,
}

impl Fault {
    /// The line cannot be cut into fields.
    pub(super) fn line(line: u64, column: usize, message: &str) -> Self {
        Self {
            line,
            column: Some(column),
            code: 1216,
            message: message.to_owned(),
            ..Self::default()
        }
    }

    /// A value does not go into its column.
    pub(super) fn value(code: i32, message: impl Into<String>, value: &str) -> Self {
        Self {
            code,
            message: message.into(),
            value: Some(value.to_owned()),
            ..Self::default()
        }
    }

    /// What PostgreSQL refused.
    pub(super) fn postgres(error: &DbError, place: &Place, columns: &[Column]) -> Self {
        let name = place.column.as_deref().or(error.column());
        let column = name.and_then(|name| columns.iter().position(|one| one.name == name));
        let sql_type = column.map_or("", |at| columns[at].sql_type.as_str());
        let value = place.value.as_deref().unwrap_or_default();
        let code = code(error.code().code(), sql_type);
        let position = position(value);
        let message = match (code, digits(sql_type)) {
            (1205, _) => "Invalid date format or value [YYYY-MM-DD]".to_owned(),
            (1206, _) => "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]".to_owned(),
            (1207 | 1209, Some(named)) => {
                format!(
                    "Invalid digit, Value '{}', Pos {position}, Type: {named}",
                    at(value, position)
                )
            }
            (1213, _) => "Missing data for not-null field".to_owned(),
            _ => error.message().to_owned(),
        };
        Self {
            line: place.line,
            column,
            position: if code == 1207 || code == 1209 {
                position
            } else {
                0
            },
            code,
            message,
            value: place.value.clone(),
        }
    }
}

/// Redshift's name of a type that is written in digits.
fn digits(sql_type: &str) -> Option<&'static str> {
    Some(match sql_type.split('(').next()? {
        "smallint" => "Short",
        "integer" => "Integer",
        "bigint" => "Long",
        "numeric" => "Decimal",
        _ => return None,
    })
}

/// The place of the first character that is none of a number's.
fn position(value: &str) -> i32 {
    let found = value
        .char_indices()
        .position(|(at, c)| !(c.is_ascii_digit() || at == 0 && matches!(c, '-' | '+')));
    i32::try_from(found.unwrap_or_default()).unwrap_or_default()
}

fn at(value: &str, position: i32) -> String {
    let at = usize::try_from(position).unwrap_or_default();
    value.chars().nth(at).map(String::from).unwrap_or_default()
}

/// Redshift's number for an SQLSTATE; 1200 is its "unknown".
fn code(state: &str, sql_type: &str) -> i32 {
    match state {
        "22001" | "22003" => 1204,
        "23502" => 1213,
        "22007" | "22008" if sql_type == "date" => 1205,
        "22007" | "22008" => 1206,
        "22P02" => match sql_type.split('(').next().unwrap_or_default() {
            "smallint" | "integer" | "bigint" => 1207,
            "real" | "double precision" => 1208,
            "numeric" => 1209,
            "boolean" => 1210,
            _ => 1200,
        },
        _ => 1200,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_their_numbers() {
        for (state, sql_type, wanted) in [
            ("22001", "character varying(3)", 1204),
            ("22003", "smallint", 1204),
            ("22P02", "integer", 1207),
            ("22P02", "real", 1208),
            ("22P02", "numeric(10,2)", 1209),
            ("22P02", "boolean", 1210),
            ("22P02", "uuid", 1200),
            ("22007", "date", 1205),
            ("22008", "timestamp without time zone", 1206),
            ("23502", "integer", 1213),
            ("23505", "", 1200),
        ] {
            assert_eq!(code(state, sql_type), wanted, "{state} {sql_type}");
        }
    }

    #[test]
    fn the_place_of_a_bad_digit_is_found() {
        for (value, place, character) in [
            ("b1", 0, "b"),
            ("-1é2", 2, "é"),
            ("1-", 1, "-"),
            ("", 0, ""),
        ] {
            assert_eq!(position(value), place, "{value}");
            assert_eq!(at(value, place), character, "{value}");
        }
    }
}
