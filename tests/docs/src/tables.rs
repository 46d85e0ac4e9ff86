//! Tables whose first column names what the code has.

use anyhow::{Context as _, bail, ensure};

use crate::Page;

/// A table of a page that names all of something.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// The page, from the repository's root.
    pub page: &'a str,
    /// The table's mark: it follows the line `<!-- table: NAME -->`.
    pub name: &'a str,
}

/// Compares the first column of a table with what the code has, in any order. Each
/// row also has to say something about it.
///
/// # Errors
/// If the table is not there, or with the names that it lacks, has too much or
/// twice, or says nothing about.
pub fn check_table<'a>(
    table: Table<'_>,
    names: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<()> {
    let page = Page::read(table.page)?;
    let rows = rows(&page, table.name)?;
    let names: Vec<&str> = names.into_iter().collect();
    let mut faults = Vec::new();
    for name in &names {
        match rows.iter().filter(|row| row.name == *name).count() {
            0 => faults.push(format!("{name} has no row")),
            1 => {}
            _ => faults.push(format!("{name} has several rows")),
        }
    }
    for row in &rows {
        if !names.contains(&row.name.as_str()) {
            faults.push(format!("{} is not in the code", row.name));
        }
        if row.text.is_empty() {
            faults.push(format!("{}: nothing is said about it", row.name));
        }
    }
    ensure!(
        faults.is_empty(),
        "{}, table {}: {}",
        table.page,
        table.name,
        faults.join("; ")
    );
    Ok(())
}

struct Row {
    name: String,
    text: String,
}

fn rows(page: &Page, name: &str) -> anyhow::Result<Vec<Row>> {
    let mark = format!("<!-- table: {name} -->");
    let lines = page.text.lines();
    let table = lines
        .skip_while(|line| line.trim() != mark)
        .skip(1)
        .skip_while(|line| line.trim().is_empty())
        .take_while(|line| line.starts_with('|'));
    // The head, and the line below it.
    let rows: Vec<&str> = table.skip(2).collect();
    if rows.is_empty() {
        bail!("{} has no table after {mark}", page.path.display());
    }
    rows.into_iter()
        .map(|line| {
            let mut cells = line.trim_matches('|').splitn(2, '|').map(str::trim);
            let name = cells.next().context("a row has cells")?;
            Ok(Row {
                name: name.trim_matches('`').to_owned(),
                text: cells
                    .next()
                    .unwrap_or_default()
                    .replace('|', "")
                    .trim()
                    .to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_mark() {
        let text = "| no | table |\n\n<!-- table: things -->\n| thing | what |\n|---|---|\n\
            | `one` | the first |\n| `two` | |\n\n| three | not here |\n";
        let page = Page {
            path: "x.md".into(),
            text: text.to_owned(),
        };
        let rows = rows(&page, "things").expect("a table");
        let said: Vec<_> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.text.as_str()))
            .collect();
        assert_eq!(said, [("one", "the first"), ("two", "")]);
        assert!(super::rows(&page, "others").is_err());
    }
}
