//! What a PostgreSQL says of a load that it refuses: whose fault, and where.

use stepfleet_activity::Class;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use super::failed;
use crate::input::LoadInput;
use crate::outside::{Answer, BadFile, FileOutcome};

/// Whose fault an SQLSTATE is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The data's.
    File,
    /// Nobody says: the other files judge it.
    Suspect,
    /// The table's, a right's or the user's, whatever is loaded.
    Table,
    /// The server's, and it may be over later.
    Later,
}

impl Blame {
    /// By Appendix A of PostgreSQL's documentation.
    pub(super) fn of(code: &str) -> Self {
        match code {
            // A statement, or its transaction (25P04), that took too long takes as
            // long again.
            "57014" | "25P04" => Self::Suspect,
            // Read-only: a failover. Idle for too long: we were.
            "25006" | "25P02" | "25P03" => Self::Later,
            // A lock that was not to be had, an object in use. The rest of 55 is of
            // sequences and the like, which a trigger may use.
            "55P03" | "55006" => Self::Later,
            // The database is gone.
            "57P04" => Self::Table,
            _ => Self::of_class(code.get(..2).unwrap_or_default()),
        }
    }

    fn of_class(class: &str) -> Self {
        match class {
            "22" | "23" | "44" => Self::File,
            // 58 is the system's: a disk. XX is the server's own fault, and may be
            // that of what it has read.
            "08" | "40" | "53" | "57" | "58" => Self::Later,
            // What is not there, not allowed, or not made for COPY.
            "0A" | "0L" | "0P" | "28" | "3D" | "3F" | "42" => Self::Table,
            _ => Self::Suspect,
        }
    }

    pub(super) fn class(self) -> Class {
        match self {
            Self::Later => Class::Transient,
            Self::File | Self::Suspect | Self::Table => Class::Permanent,
        }
    }
}

/// What came of a file whose load was refused.
pub(super) fn outcome(url: &str, input: &LoadInput, error: &Error) -> Answer<FileOutcome> {
    let refused = || Err(failed(format!("load {url}"), error));
    let Some(said) = error.as_db_error() else {
        return refused();
    };
    let bad = || bad(url, input, said);
    match Blame::of(said.code().code()) {
        Blame::File => Ok(FileOutcome::Bad(bad())),
        Blame::Suspect => Ok(FileOutcome::Odd(bad())),
        Blame::Table | Blame::Later => refused(),
    }
}

fn bad(url: &str, input: &LoadInput, said: &DbError) -> BadFile {
    let place = Place::read(input.table.name(), said.where_().unwrap_or_default());
    let missing = said.message().strip_prefix("missing data for column \"");
    let missing = missing.and_then(|rest| rest.strip_suffix('"'));
    let column = said.column().or(missing).map(str::to_owned);
    BadFile {
        file: url.to_owned(),
        line: place.line,
        column: column.unwrap_or(place.column),
        value: place.value,
        reason: said.message().to_owned(),
        code: said.code().code().to_owned(),
        detail: said.detail().unwrap_or_default().to_owned(),
    }
}

/// Where COPY was. Its line is the file's own, counted from 1 with the header; a
/// record of several lines is on its last one.
#[derive(Debug, PartialEq, Eq, Default)]
struct Place {
    line: String,
    column: String,
    value: String,
}

impl Place {
    /// Of the context of an error: `COPY t, line 5, column b: "x"`. What stands
    /// before it, like the place within a JSON value, has lines of its own.
    fn read(table: &str, context: &str) -> Self {
        let begin = format!("COPY {table}, line ");
        let mut starts = context.match_indices(&begin).map(|(at, _)| at);
        let start = starts.find(|at| *at == 0 || context[..*at].ends_with('\n'));
        let Some(place) = start.map(|at| &context[at + begin.len()..]) else {
            return Self::default();
        };
        let digits = place.find(|c: char| !c.is_ascii_digit());
        let (line, rest) = place.split_at(digits.unwrap_or(place.len()));
        let (named, value) = match rest.split_once(": \"") {
            Some((named, value)) => (
                named,
                value.rsplit_once('"').map_or(value, |(value, _)| value),
            ),
            None => (rest.strip_suffix(": null input").unwrap_or(rest), ""),
        };
        Self {
            line: line.to_owned(),
            column: named
                .strip_prefix(", column ")
                .unwrap_or_default()
                .to_owned(),
            value: value.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_is_somebodys_fault() {
        let cases: [(Blame, &[&str]); 4] = [
            (
                Blame::File,
                &[
                    "22000", "22P02", "22P04", "22001", "22021", "23502", "23503", "23505",
                    "23514", "44000",
                ],
            ),
            (
                Blame::Suspect,
                &[
                    "57014", "25P04", "P0001", "54000", "54001", "38000", "39000", "2F005",
                    "27000", "21000", "24000", "55000", "XX000", "XX001", "0Z002", "09000", "",
                ],
            ),
            (
                Blame::Table,
                &[
                    "42501", "42P01", "42703", "42804", "42809", "42601", "3F000", "3D000",
                    "28000", "28P01", "0A000", "57P04", "0LP01",
                ],
            ),
            (
                Blame::Later,
                &[
                    "08000", "08006", "08P01", "40001", "40P01", "40003", "53000", "53100",
                    "53200", "53300", "53400", "57P01", "57P02", "57P03", "57P05", "55P03",
                    "55006", "25006", "25P03", "58030",
                ],
            ),
        ];
        for (blame, codes) in cases {
            for code in codes {
                assert_eq!(Blame::of(code), blame, "{code}");
                assert_eq!(blame.class() == Class::Transient, blame == Blame::Later);
            }
        }
    }

    #[test]
    fn the_line_is_the_files_own() {
        let place = |line: &str, column: &str, value: &str| Place {
            line: line.to_owned(),
            column: column.to_owned(),
            value: value.to_owned(),
        };
        for (context, want) in [
            (
                "COPY t, line 3, column amount: \"ten\"",
                place("3", "amount", "ten"),
            ),
            (
                "JSON data, line 1: {\"a\": x\nCOPY t, line 5, column data: \"{\"a\": x}\"",
                place("5", "data", "{\"a\": x}"),
            ),
            ("COPY t, line 2: \"1,2,3\"", place("2", "", "1,2,3")),
            ("COPY t, line 7, column a: null input", place("7", "a", "")),
            ("COPY t, line 9", place("9", "", "")),
            (
                "PL/pgSQL function f() line 3 at RAISE\nCOPY t, line 4: \"x\nCOPY t, line 8\"",
                place("4", "", "x\nCOPY t, line 8"),
            ),
            ("JSON data, line 1: COPY t, line 2", place("", "", "")),
            ("", place("", "", "")),
        ] {
            assert_eq!(Place::read("t", context), want, "{context}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_context_is_too_odd(context in "(COPY t, line )?[0-9]{0,3}.{0,40}") {
            let place = Place::read("t", &context);
            proptest::prop_assert!(place.line.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
