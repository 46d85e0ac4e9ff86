//! Which option goes with which format, and in which warehouse: the one table. The
//! table in `docs/formats.md` is held against it by a test.

use serde_json::Value;
use stepfleet_activity::ConfigFault;

use super::{Header, Options};
use crate::s3_load::input::{Format, LoadInput};
use crate::s3_load::table::Dialect;

/// Where something can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// In no warehouse: Redshift's COPY refuses it, or there is nothing to say.
    Nowhere,
    /// Redshift's COPY does it, and our reader before a PostgreSQL's.
    Both,
    /// Only Redshift's COPY does it.
    Redshift,
    /// Only our reader does it, before the COPY of a PostgreSQL.
    Postgres,
}

use Where::{Both, Nowhere, Postgres, Redshift};

/// A row of the table: an option, and where each format has it.
struct Rule {
    option: &'static str,
    /// In the order of [`FORMATS`].
    formats: [Where; 4],
}

/// The columns of the table.
const FORMATS: [(Format, &str); 4] = [
    (Format::Csv, "csv"),
    (Format::Text, "text"),
    (Format::Json, "json"),
    (Format::FixedWidth, "fixed_width"),
];

const fn rule(option: &'static str, formats: [Where; 4]) -> Rule {
    Rule { option, formats }
}

/// What the formats themselves are good for, and what goes with them.
const RULES: [Rule; 18] = [
    rule("the format itself", [Both, Both, Both, Redshift]),
    rule("header: match", [Both, Both, Nowhere, Nowhere]),
    rule("header: skip", [Both, Both, Nowhere, Redshift]),
    rule("delimiter", [Both, Both, Nowhere, Nowhere]),
    rule("quote", [Both, Nowhere, Nowhere, Nowhere]),
    // COPY has ESCAPE for text alone.
    rule("escape", [Postgres, Both, Nowhere, Nowhere]),
    rule("null_as", [Both, Both, Nowhere, Redshift]),
    rule("empty_as_null", [Both, Both, Both, Redshift]),
    rule("blanks_as_null", [Both, Both, Both, Redshift]),
    rule("date_format", [Redshift, Redshift, Redshift, Redshift]),
    rule("time_format", [Redshift, Redshift, Redshift, Redshift]),
    rule("accept_invalid_chars", [Both, Both, Both, Redshift]),
    rule("truncate_columns", [Both, Both, Both, Redshift]),
    rule("fill_record", [Both, Both, Nowhere, Redshift]),
    rule("ignore_blank_lines", [Both, Both, Nowhere, Redshift]),
    rule("encoding", [Both, Both, Nowhere, Nowhere]),
    rule("json", [Nowhere, Nowhere, Both, Nowhere]),
    rule("widths", [Nowhere, Nowhere, Nowhere, Redshift]),
];

impl Where {
    fn is_in(self, dialect: Option<Dialect>) -> bool {
        match self {
            Nowhere => false,
            Both => true,
            Redshift => dialect != Some(Dialect::Postgres),
            Postgres => dialect != Some(Dialect::Redshift),
        }
    }
}

/// Everything about a load's format that its warehouse cannot do; without a
/// warehouse, that none can.
pub(crate) fn faults_on(input: &LoadInput, dialect: Option<Dialect>) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    let format = FORMATS
        .iter()
        .position(|(format, _)| *format == input.format);
    let format = format.unwrap_or_default();
    for (option, path, found) in said(input) {
        let rule = RULES.iter().find(|rule| rule.option == option);
        let allowed = rule.map_or(Nowhere, |rule| rule.formats[format]);
        if !allowed.is_in(dialect) {
            let message = refusal(input, &found, dialect, &RULES);
            faults.push(ConfigFault::new(path, message));
        }
    }
    faults.extend(values_on(input, dialect));
    faults
}

/// What a load says: the name in the table, its path, and what was found.
fn said(input: &LoadInput) -> Vec<(String, String, String)> {
    let format = FORMATS.iter().find(|(format, _)| *format == input.format);
    let format = format.map_or("", |(_, name)| name);
    let mut said = vec![(
        "the format itself".to_owned(),
        "format".to_owned(),
        format!("`{format}`"),
    )];
    let header = match input.header {
        Header::None => None,
        Header::Match => Some("match"),
        Header::Skip => Some("skip"),
    };
    if let Some(header) = header {
        said.push((
            format!("header: {header}"),
            "header".to_owned(),
            format!("`{header}`"),
        ));
    }
    // One list of the options' names, which is the type itself.
    let options = serde_json::to_value(&input.options).unwrap_or_default();
    let options = options.as_object().cloned().unwrap_or_default();
    let options = options
        .into_iter()
        .filter(|(_, value)| *value != Value::Bool(false));
    said.extend(
        options.map(|(name, value)| (name.clone(), format!("options.{name}"), value.to_string())),
    );
    said
}

fn refusal(input: &LoadInput, found: &str, dialect: Option<Dialect>, rules: &[Rule]) -> String {
    let at = FORMATS
        .iter()
        .position(|(format, _)| *format == input.format);
    let at = at.unwrap_or_default();
    let format = FORMATS[at].1;
    let warehouse = match dialect {
        None => "",
        Some(Dialect::Redshift) => " in Redshift",
        Some(Dialect::Postgres) => " in PostgreSQL",
    };
    if !rules[0].formats[at].is_in(dialect) {
        let formats = FORMATS.iter().enumerate();
        let formats = formats.filter(|(at, _)| rules[0].formats[*at].is_in(dialect));
        let formats: Vec<&str> = formats.map(|(_, (_, name))| *name).collect();
        return format!(
            "found {found}; allowed{warehouse} are: {}",
            formats.join(", ")
        );
    }
    let allowed = rules[1..]
        .iter()
        .filter(|rule| rule.formats[at].is_in(dialect));
    let allowed: Vec<&str> = allowed.map(|rule| rule.option).collect();
    format!(
        "found {found}, which does not go with `format: {format}`{warehouse}; allowed there are: {}",
        allowed.join(", ")
    )
}

/// Options that go, with values that do not.
fn values_on(input: &LoadInput, dialect: Option<Dialect>) -> Vec<ConfigFault> {
    let Options {
        encoding,
        json,
        widths,
        ..
    } = &input.options;
    let mut faults = Vec::new();
    let mut say = |path: &str, message: String| faults.push(ConfigFault::new(path, message));
    if input.format == Format::FixedWidth && widths.is_none() {
        let message = "`widths` is missing; allowed are the columns' widths, like [3, 25, 12]";
        say("options.widths", message.to_owned());
    }
    if dialect != Some(Dialect::Postgres) {
        return faults;
    }
    use super::Encoding::{Iso88591, Utf8};
    if encoding.is_some_and(|encoding| !matches!(encoding, Utf8 | Iso88591)) {
        let found = serde_json::to_value(encoding).unwrap_or_default();
        let message = format!("found {found}; allowed in PostgreSQL are: utf8, iso88591");
        say("options.encoding", message);
    }
    if let Some(json) = json.as_deref().filter(|json| !json.starts_with("auto")) {
        let message = format!("found {json:?}; allowed in PostgreSQL are: auto ignorecase, auto");
        say("options.json", message);
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The table of the docs, cell by cell.
    #[test]
    fn the_table_of_the_docs_is_this_one() {
        let docs = include_str!("../../../../../docs/formats.md");
        let rows: Vec<Vec<&str>> = docs
            .lines()
            .skip_while(|line| !line.starts_with("| what "))
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let names: Vec<&str> = FORMATS.iter().map(|(_, name)| *name).collect();
        assert_eq!(
            rows[0][1..],
            names
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
        );
        assert_eq!(rows.len(), RULES.len() + 2, "a row an option");
        for (row, rule) in rows[2..].iter().zip(&RULES) {
            assert_eq!(row[0].trim_matches('`'), rule.option);
            let cells = rule.formats.map(|cell| match cell {
                Nowhere => "no",
                Both => "yes",
                Redshift => "Redshift",
                Postgres => "PostgreSQL",
            });
            assert_eq!(row[1..], cells, "{}", rule.option);
        }
    }

    /// One value of each option that is one.
    fn options() -> Vec<(&'static str, Value)> {
        vec![
            ("delimiter", json!(";")),
            ("quote", json!("'")),
            ("escape", json!(true)),
            ("null_as", json!("NULL")),
            ("empty_as_null", json!(true)),
            ("blanks_as_null", json!(true)),
            ("date_format", json!("auto")),
            ("time_format", json!("auto")),
            ("accept_invalid_chars", json!("?")),
            ("truncate_columns", json!(true)),
            ("fill_record", json!(true)),
            ("ignore_blank_lines", json!(true)),
            ("encoding", json!("iso88591")),
            ("json", json!("auto")),
            ("widths", json!([3, 4])),
        ]
    }

    #[test]
    fn every_option_is_in_the_table_and_is_checked_by_it() {
        let schema = schemars::schema_for!(Options).to_value();
        let known: Vec<&String> = schema["properties"]
            .as_object()
            .expect("options")
            .keys()
            .collect();
        assert_eq!(known.len(), options().len(), "{known:?}");
        for (option, value) in options() {
            let rule = RULES
                .iter()
                .find(|rule| rule.option == option)
                .expect(option);
            for ((_, format), cell) in FORMATS.iter().zip(rule.formats) {
                let mut said = serde_json::Map::new();
                if *format == "fixed_width" {
                    said.insert("widths".to_owned(), json!([3, 4]));
                }
                said.insert(option.to_owned(), value.clone());
                let input: LoadInput = serde_json::from_value(json!({"bucket": "land", "table": "public.t", "format": format, "options": said})).expect("an input");
                for (dialect, name) in [
                    (Dialect::Redshift, "Redshift"),
                    (Dialect::Postgres, "PostgreSQL"),
                ] {
                    let path = format!("options.{option}");
                    let faults = faults_on(&input, Some(dialect));
                    let fault = faults.iter().find(|fault| fault.path == path);
                    assert_eq!(
                        fault.is_none(),
                        cell.is_in(Some(dialect)),
                        "{option} in {format} on {name}: {faults:?}"
                    );
                    if let Some(fault) = fault {
                        assert!(
                            fault.message.contains("allowed") && fault.message.contains(name),
                            "{fault:?}"
                        );
                    }
                }
            }
        }
    }
}
