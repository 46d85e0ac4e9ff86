//! The columns of the table, and where in it PostgreSQL found an error.

use serde::Deserialize;
use tokio_postgres::{Client, Error};

use super::token::{Kind, tokens};

/// A column to fill, as `stepfleet_columns` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As `format_type` writes it.
    pub(crate) sql_type: String,
    /// Whether an empty field is an empty string in it and not NULL.
    pub(crate) character: bool,
    /// Whether it fills itself.
    pub(crate) counts: bool,
    /// Whether it takes no NULL.
    pub(crate) required: bool,
}

impl Column {
    /// The name in quotes.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    /// The length of a type that has one.
    pub(super) fn length(sql_type: &str) -> Option<&str> {
        let (_, rest) = sql_type.split_once('(')?;
        rest.split_once(')').map(|(length, _)| length)
    }
}

const COLUMNS: &str =
    "SELECT name, sql_type, \"character\", counts, required FROM public.stepfleet_columns($1)";

/// The columns a COPY fills, in its order: those of its list, or all that do
/// not count by themselves. A name that is not there is the inner error.
pub(super) async fn columns(
    client: &Client,
    table: &str,
    listed: &[String],
) -> Result<Result<Vec<Column>, String>, Error> {
    let mut all = Vec::new();
    for row in client.query(COLUMNS, &[&table]).await? {
        all.push(Column {
            name: row.try_get(0)?,
            sql_type: row.try_get(1)?,
            character: row.try_get(2)?,
            counts: row.try_get(3)?,
            required: row.try_get(4)?,
        });
    }
    Ok(choose(all, table, listed))
}

/// Those of a COPY's list, or all that do not count by themselves.
///
/// # Errors
/// If a name is not there.
pub(crate) fn choose(
    all: Vec<Column>,
    table: &str,
    listed: &[String],
) -> Result<Vec<Column>, String> {
    if listed.is_empty() {
        return Ok(all.into_iter().filter(|column| !column.counts).collect());
    }
    let find = |written: &String| {
        let name = folded(written);
        let found = all.iter().find(|column| column.name == name);
        // Redshift folds names in quotes too, in the table as in the list.
        let mut alike = (all.iter()).filter(|column| column.name.eq_ignore_ascii_case(&name));
        found
            .or_else(|| alike.next().filter(|_| alike.next().is_none()))
            .cloned()
            .ok_or_else(|| format!("column {written} of relation {table} does not exist"))
    };
    listed.iter().map(find).collect()
}

/// A name as the catalogue has it: in lower case unless it is in quotes.
fn folded(written: &str) -> String {
    match tokens(written).first() {
        Some(token) if token.kind == Kind::Quoted => token.unquoted(),
        _ => written.to_lowercase(),
    }
}

/// What the context of an error says: `COPY t, line 3, column id: "x"`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: Option<String>,
    pub(super) value: Option<String>,
}

/// Reads a context, which may have more lines before the one of the COPY.
pub(super) fn place(context: &str) -> Option<Place> {
    let at = match context.find("COPY ") {
        Some(0) => 0,
        _ => context.find("\nCOPY ")? + 1,
    };
    let (_, rest) = context[at..].split_once(", line ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit());
    let (line, rest) = rest.split_at(digits.unwrap_or(rest.len()));
    let line = line.parse().ok()?;
    let named = rest.strip_prefix(", column ");
    let (column, value) = match named.map(|named| named.split_once(": ").unwrap_or((named, ""))) {
        Some((column, value)) => {
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            (Some(column.to_owned()), value.map(str::to_owned))
        }
        None => (None, None),
    };
    Some(Place {
        line,
        column,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read() {
        let place_of = |line, column: Option<&str>, value: Option<&str>| {
            Some(Place {
                line,
                column: column.map(str::to_owned),
                value: value.map(str::to_owned),
            })
        };
        for (context, wanted) in [
            (
                "COPY t, line 3, column id: \"x, line 9\"",
                place_of(3, Some("id"), Some("x, line 9")),
            ),
            (
                "COPY t, line 12, column id: null input",
                place_of(12, Some("id"), None),
            ),
            ("COPY t, line 4: \"1,2,3\"", place_of(4, None, None)),
            ("COPY t, line 5", place_of(5, None, None)),
            (
                "JSON data, line 1: {x\nCOPY t, line 2, column a: \"{x\"",
                place_of(2, Some("a"), Some("{x")),
            ),
            ("SQL statement \"x\"", None),
        ] {
            assert_eq!(place(context), wanted, "{context}");
        }
    }

    #[test]
    fn names_fold_as_they_are_written() {
        for (written, name) in [("Id", "id"), ("\"I\"\"d\"", "I\"d")] {
            assert_eq!(folded(written), name);
        }
    }

    #[test]
    fn a_list_finds_its_columns_in_any_case() {
        let column = |name: &str| Column {
            name: name.to_owned(),
            ..Column::default()
        };
        let all = ["id", "Name", "a", "A"].map(column).to_vec();
        let chosen = |name: &str| choose(all.clone(), "t", &[name.to_owned()]);
        for (written, wanted) in [("\"name\"", "Name"), ("ID", "id"), ("\"A\"", "A")] {
            assert_eq!(chosen(written), Ok(vec![column(wanted)]), "{written}");
        }
        let missing = chosen("\"b\"").expect_err("no column");
        assert_eq!(missing, "column \"b\" of relation t does not exist");
    }

    #[test]
    fn a_type_has_its_length() {
        assert_eq!(Column::length("character varying(10)"), Some("10"));
        assert_eq!(Column::length("integer"), None);
    }
}
