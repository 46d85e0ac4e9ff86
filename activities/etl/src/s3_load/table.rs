//! The name of a table: one thing however it is spelt.
//!
//! `public.casey`, `Public.Casey` and `"public"."casey"` are one table, so they
//! have one lease, one batch, one lock and one ledger. Names have a schema: no
//! search path has a say in what they mean.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stepfleet_activity::catalogue::{Warehouse, WarehouseTarget};

/// The longest part that Redshift keeps whole.
const LONGEST: usize = 127;
/// What both parts may have together: the ledger keeps 256 characters of a name,
/// and so much takes the procedure with its quotes.
const TOGETHER: usize = 250;
/// The longest part that PostgreSQL keeps whole; it cuts a longer one in silence.
const LONGEST_IN_POSTGRES: usize = 63;

/// How a warehouse reads names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Folds quoted parts too, unless `enable_case_sensitive_identifier` is on.
    Redshift,
    /// Keeps quoted parts as they are.
    Postgres,
}

impl Dialect {
    /// Of a warehouse of the catalogue.
    pub(crate) fn of(warehouse: &Warehouse) -> Self {
        match warehouse.target {
            WarehouseTarget::Postgres { .. } => Self::Postgres,
            WarehouseTarget::Workgroup(_) | WarehouseTarget::Cluster { .. } => Self::Redshift,
        }
    }
}

/// A table's name, with its schema. Parts without quotes are folded to lower
/// case, as every warehouse does; quoted ones are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: String,
    name: String,
    id: String,
}

/// What is no table's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`; allowed is {allowed}")]
pub struct TableNameError {
    found: String,
    allowed: &'static str,
}

const ALLOWED: &str = "schema.table in letters, digits and _, not beginning with a digit up to 127 of them and 250 together; a part in double quotes may have $, - and spaces too";
const ALLOWED_IN_POSTGRES: &str = "a name whose parts have up to 63 characters: PostgreSQL cuts longer ones, and two of them may be one table";

impl TableName {
    /// What the table is called wherever it must be the same for every spelling.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Without its schema, and as the warehouse has it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// As it stands in SQL. All of it is on an allow-list.
    pub(crate) fn sql(&self) -> String {
        format!("\"{}\".\"{}\"", self.schema, self.name)
    }

    /// As a warehouse reads it.
    ///
    /// In Redshift two names that differ in the case of a quoted part are one
    /// here even where `enable_case_sensitive_identifier` makes them two tables:
    /// these two wait for each other, and the SQL still names the one that was
    /// meant. The other way round, one table would be two.
    pub(crate) fn on(mut self, dialect: Dialect) -> Result<Self, TableNameError> {
        match dialect {
            Dialect::Redshift => {
                self.id = format!("{}.{}", self.schema, self.name).to_ascii_lowercase();
            }
            Dialect::Postgres => {
                if self.schema.len().max(self.name.len()) > LONGEST_IN_POSTGRES {
                    return Err(TableNameError {
                        found: self.to_string(),
                        allowed: ALLOWED_IN_POSTGRES,
                    });
                }
            }
        }
        Ok(self)
    }
}

// === impl TableName ===

/// With quotes only where they say something.
impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", bare(&self.schema), bare(&self.name))
    }
}

impl FromStr for TableName {
    type Err = TableNameError;

    fn from_str(text: &str) -> Result<Self, TableNameError> {
        let parsed = part(text).and_then(|(schema, rest)| {
            let (name, rest) = part(rest.strip_prefix('.')?)?;
            rest.is_empty().then_some((schema, name))
        });
        let parsed = parsed.filter(|(schema, name)| schema.len() + name.len() <= TOGETHER);
        let (schema, name) = parsed.ok_or_else(|| TableNameError {
            found: text.chars().take(2 * LONGEST + 5).collect(),
            allowed: ALLOWED,
        })?;
        let mut parsed = Self {
            schema,
            name,
            id: String::new(),
        };
        parsed.id = parsed.to_string();
        Ok(parsed)
    }
}

impl TryFrom<String> for TableName {
    type Error = TableNameError;

    fn try_from(text: String) -> Result<Self, TableNameError> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(table: TableName) -> Self {
        table.to_string()
    }
}

/// One part as the warehouse has it, and what follows.
fn part(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (part, rest) = quoted.split_once('"')?;
        return is_quotable(part).then(|| (part.to_owned(), rest));
    }
    let (part, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    is_identifier(part).then(|| (part.to_ascii_lowercase(), rest))
}

fn bare(part: &str) -> String {
    let folds = part.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_identifier(part) && !folds {
        part.to_owned()
    } else {
        format!("\"{part}\"")
    }
}

/// Whether a name needs no quotes.
pub(crate) fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.len() <= LONGEST
}

/// Whether a name may stand in quotes. Neither a quote nor a dot is among what it
/// may have, so that no two names look alike, and nothing leaves its place in SQL.
fn is_quotable(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-' | b' ');
    !text.is_empty() && text.len() <= LONGEST && text.trim() == text && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spelling, its id in PostgreSQL, its id in Redshift, its SQL.
    const SPELLINGS: [(&str, &str, &str, &str); 9] = [
        (
            "public.casey",
            "public.casey",
            "public.casey",
            r#""public"."casey""#,
        ),
        (
            "Public.Casey",
            "public.casey",
            "public.casey",
            r#""public"."casey""#,
        ),
        (
            r#""public".CASEY"#,
            "public.casey",
            "public.casey",
            r#""public"."casey""#,
        ),
        (
            r#"public."casey""#,
            "public.casey",
            "public.casey",
            r#""public"."casey""#,
        ),
        (
            r#"public."Casey""#,
            r#"public."Casey""#,
            "public.casey",
            r#""public"."Casey""#,
        ),
        (r#""A"."b-c""#, r#""A"."b-c""#, "a.b-c", r#""A"."b-c""#),
        (
            r#"public."user""#,
            "public.user",
            "public.user",
            r#""public"."user""#,
        ),
        (
            r#"public."a b$1""#,
            r#"public."a b$1""#,
            "public.a b$1",
            r#""public"."a b$1""#,
        ),
        (
            r#"public."1""#,
            r#"public."1""#,
            "public.1",
            r#""public"."1""#,
        ),
    ];

    #[test]
    fn a_table_is_one_thing_however_it_is_spelt() {
        for (text, postgres, redshift, sql) in SPELLINGS {
            let name: TableName = text.parse().expect(text);
            assert_eq!(name.sql(), sql, "{text}");
            // What goes to a state machine and comes back is the same table.
            let again: TableName = name.to_string().parse().expect(text);
            assert_eq!(again, name, "{text}");
            let id = |dialect| name.clone().on(dialect).expect("short").id;
            assert_eq!(id(Dialect::Postgres), postgres, "{text}");
            assert_eq!(id(Dialect::Redshift), redshift, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_table_is_refused_with_what_is() {
        let long = format!("public.{}", "a".repeat(128));
        let both = format!("{0}.{0}", "a".repeat(126));
        let cut = format!("public.{}", "a".repeat(64));
        for text in [
            "t",
            "",
            ".",
            "a.",
            ".b",
            "a.b.c",
            "a..b",
            "a.b;",
            "a.b c",
            "a.1",
            "é.t",
            "a.\"\"",
            "a.\"b",
            "a.b\"",
            &both,
            "a.\"b\"c",
            "a.\"b\"\"c\"",
            "a.\"b'c\"",
            "a.\"b.c\"",
            "a.\" b\"",
            "\"a.b\"",
            "a.\"b\n\"",
            &long,
        ] {
            let error = text.parse::<TableName>().expect_err(text).to_string();
            assert!(error.contains("allowed is schema.table"), "{error}");
        }
        let cut: TableName = cut.parse().expect("Redshift has it");
        let error = cut.clone().on(Dialect::Postgres).expect_err("cut");
        assert!(error.to_string().contains("63"), "{error}");
        cut.on(Dialect::Redshift).expect("Redshift has it");
    }

    proptest::proptest! {
        #[test]
        fn nothing_leaves_its_quotes(text in "[a-zA-Z\"'. ;$é-]{0,24}") {
            if let Ok(name) = text.parse::<TableName>() {
                let sql = name.sql();
                proptest::prop_assert_eq!(sql.matches('"').count(), 4);
                proptest::prop_assert!(!sql.contains(['\'', ';']));
                proptest::prop_assert!(!name.id().contains('\''));
            }
        }

        #[test]
        fn case_outside_of_quotes_never_tells_two_tables_apart(schema in "[a-zA-Z_][a-zA-Z0-9_]{0,8}", name in "[a-zA-Z_][a-zA-Z0-9_]{0,8}") {
            let one: TableName = format!("{schema}.{name}").parse().expect("a name");
            let upper = format!("{schema}.{name}").to_uppercase();
            proptest::prop_assert_eq!(&one, &upper.parse().expect("a name"));
            let quoted = format!("\"{}\".\"{}\"", schema.to_lowercase(), name.to_lowercase());
            proptest::prop_assert_eq!(&one, &quoted.parse().expect("a name"));
        }
    }
}
