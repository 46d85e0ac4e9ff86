//! What a PostgreSQL says of a load that it refuses: whose fault, and where.

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::outside::Answer;
use crate::outside::postgres::{Blame, failed};
use crate::s3_load::input::LoadInput;
use crate::s3_load::warehouse::{BadFile, FileOutcome};

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
