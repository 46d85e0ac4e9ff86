//! Where a file goes: the table's columns, in the file's order.

use tokio_postgres::{Error, Transaction};

use super::Stop;
use super::reader::Column;
use crate::s3_load::column::{self, ColumnName};
use crate::s3_load::formats::{HEAD, Head, Header, HeaderFault, RecordFault, columns_of};
use crate::s3_load::input::LoadInput;

/// What a COPY without a list fills, in that order. Strings have the category S,
/// domains over them too; `varchar` and `char` are 1043 and 1042.
const COLUMNS: &str = "SELECT a.attname::text, t.typcategory = 'S', \
    CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod > 4 THEN a.atttypmod - 4 END \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
    AND a.attgenerated = '' ORDER BY a.attnum";

/// How a file is sent.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) copy: String,
    /// In the file's order.
    pub(super) columns: Vec<Column>,
}

/// The target of a file that begins so; of its beginning [`HEAD`] bytes are enough.
/// Where there is no such table, it is COPY that says so.
pub(super) async fn of(
    transaction: &Transaction<'_>,
    input: &LoadInput,
    body: &[u8],
) -> Result<Target, Stop> {
    let table = columns(transaction, input).await?;
    let listed = listed(input, &table, body).map_err(|fault| RecordFault {
        column: fault.column,
        value: fault.name,
        ..RecordFault::new(1, fault.reason)
    })?;
    Ok(target(input, table, &listed))
}

async fn columns(transaction: &Transaction<'_>, input: &LoadInput) -> Result<Vec<Column>, Error> {
    let rows = transaction.query(COLUMNS, &[&input.table.sql()]).await?;
    let rows = rows.iter().map(|row| Column {
        name: row.get(0),
        text: row.get(1),
        length: row
            .get::<_, Option<i32>>(2)
            .and_then(|length| usize::try_from(length).ok()),
    });
    Ok(rows.collect())
}

/// What the COPY lists: what the file's header says, or the load; else nothing.
fn listed(
    input: &LoadInput,
    table: &[Column],
    body: &[u8],
) -> Result<Vec<ColumnName>, HeaderFault> {
    if input.header != Header::Match {
        return Ok(input.columns.clone());
    }
    let head = &body[..body.len().min(HEAD)];
    let head = Head::unpacked(input, head, head.len() == body.len());
    let Some(names) = head.names(input)? else {
        return Ok(input.columns.clone());
    };
    if !input.columns.is_empty() {
        return columns_of(&names, &input.columns, true);
    }
    // One whose name is not sayable is no column that a header could mean.
    let known = table
        .iter()
        .filter_map(|one| ColumnName::exactly(&one.name).ok());
    let known: Vec<ColumnName> = known.collect();
    columns_of(&names, &known, false)
}

/// All that stands in this text is in quotes, and on an allow-list ([`LoadInput`],
/// [`ColumnName`]).
fn target(input: &LoadInput, table: Vec<Column>, listed: &[ColumnName]) -> Target {
    let copy = format!(
        "COPY {}{} FROM STDIN (FORMAT csv)",
        input.table.sql(),
        column::list(listed)
    );
    if listed.is_empty() {
        return Target {
            copy,
            columns: table,
        };
    }
    let find = |name: &ColumnName| {
        let found = table.iter().find(|column| column.name == name.name());
        // One that is not there is what COPY says itself.
        found.cloned().unwrap_or_else(|| Column {
            name: name.name().to_owned(),
            text: true,
            length: None,
        })
    };
    Target {
        copy,
        columns: listed.iter().map(find).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn input(more: &Value) -> LoadInput {
        super::super::tests::input(more)
    }

    fn table() -> Vec<Column> {
        let column = |name: &str, text| Column {
            name: name.to_owned(),
            text,
            length: None,
        };
        vec![
            column("id", false),
            column("desc", true),
            column("Unit Price", false),
        ]
    }

    #[test]
    fn the_copy_names_what_the_file_has() {
        for (more, body, want, columns) in [
            (json!({}), "1,a,2\n", "", &["id", "desc", "Unit Price"][..]),
            (
                json!({"columns": ["DESC", "id"]}),
                "a,1\n",
                " (\"desc\", \"id\")",
                &["desc", "id"],
            ),
            (
                json!({"header": true}),
                "unit price,ID\n2,1\n",
                " (\"Unit Price\", \"id\")",
                &["Unit Price", "id"],
            ),
            (
                json!({"header": true, "columns": ["id", "desc"]}),
                "Desc,Id\n",
                " (\"desc\", \"id\")",
                &["desc", "id"],
            ),
            (
                json!({"header": "skip"}),
                "x,y,z\n",
                "",
                &["id", "desc", "Unit Price"],
            ),
            (
                json!({"header": true}),
                "",
                "",
                &["id", "desc", "Unit Price"],
            ),
        ] {
            let input = input(&more);
            let listed = listed(&input, &table(), body.as_bytes()).expect("columns");
            let target = target(&input, table(), &listed);
            assert_eq!(
                target.copy,
                format!("COPY \"public\".\"t\"{want} FROM STDIN (FORMAT csv)"),
                "{more}"
            );
            let names: Vec<&str> = target.columns.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, columns, "{more}");
        }
        let fault =
            listed(&input(&json!({"header": true})), &table(), b"1,ann\n").expect_err("no header");
        assert_eq!(fault.name, "1");
        assert!(
            fault.reason.contains("none of the columns: id, desc"),
            "{fault:?}"
        );
    }
}
