//! The name of a column: folded as the warehouse folds it, and quoted wherever it
//! is sent, so that a reserved word, a hyphen and a capital are names like others.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::s3_load::table::Dialect;

/// The longest name that Redshift keeps whole, in bytes.
const LONGEST: usize = 127;
/// The longest that PostgreSQL keeps whole; it cuts a longer one in silence, and
/// two of them may be one column.
const LONGEST_IN_POSTGRES: usize = 63;

const ALLOWED: &str = "a name of up to 127 bytes without double quotes, backslashes and control characters; one that has capitals beside blanks, hyphens or the like stands in double quotes, which keep its capitals, like \"\\\"Unit Price\\\"\"";
const ALLOWED_IN_POSTGRES: &str =
    "a name of up to 63 bytes: PostgreSQL cuts longer ones, and two of them may be one column";

/// A column's name as the warehouse has it. Without quotes it is folded to lower
/// case, as every warehouse does; in double quotes it is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColumnName(String);

/// What is no column's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; allowed is {allowed}")]
pub struct ColumnNameError {
    found: String,
    allowed: &'static str,
}

impl ColumnNameError {
    fn new(found: &str, allowed: &'static str) -> Self {
        Self {
            found: found.chars().take(2 * LONGEST).collect(),
            allowed,
        }
    }
}

// === impl ColumnName ===

impl ColumnName {
    /// Of a name as it is in the warehouse, or in a file's first line: nothing of
    /// it is folded.
    pub(crate) fn exactly(text: &str) -> Result<Self, ColumnNameError> {
        if is_quotable(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ColumnNameError::new(text, ALLOWED))
        }
    }

    /// As the warehouse has it.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// As it stands in SQL: nothing of it leaves its quotes.
    pub(crate) fn sql(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// Whether a warehouse keeps it whole.
    pub(crate) fn fits(&self, dialect: Dialect) -> Result<(), ColumnNameError> {
        if dialect == Dialect::Postgres && self.0.len() > LONGEST_IN_POSTGRES {
            return Err(ColumnNameError::new(&self.0, ALLOWED_IN_POSTGRES));
        }
        Ok(())
    }
}

/// With quotes only where they say something.
impl fmt::Display for ColumnName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().any(|byte| byte.is_ascii_uppercase()) {
            formatter.write_str(&self.sql())
        } else {
            formatter.write_str(&self.0)
        }
    }
}

impl FromStr for ColumnName {
    type Err = ColumnNameError;

    fn from_str(text: &str) -> Result<Self, ColumnNameError> {
        let refused = || ColumnNameError::new(text, ALLOWED);
        if let Some(rest) = text.strip_prefix('"') {
            let inner = rest.strip_suffix('"').ok_or_else(refused)?;
            return Self::exactly(inner).map_err(|_| refused());
        }
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        // Whether the capitals of `Unit Price` are meant, nobody can tell.
        if !text.chars().all(plain) && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(refused());
        }
        Self::exactly(&text.to_ascii_lowercase()).map_err(|_| refused())
    }
}

impl TryFrom<String> for ColumnName {
    type Error = ColumnNameError;

    fn try_from(text: String) -> Result<Self, ColumnNameError> {
        text.parse()
    }
}

impl From<ColumnName> for String {
    fn from(column: ColumnName) -> Self {
        column.to_string()
    }
}

/// The names as a column list of SQL, or nothing.
pub(crate) fn list(columns: &[ColumnName]) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let columns: Vec<String> = columns.iter().map(ColumnName::sql).collect();
    format!(" ({})", columns.join(", "))
}

/// A backslash means something in the literals of Redshift, where the list goes to
/// a procedure as one.
fn is_quotable(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    !text.is_empty() && text.len() <= LONGEST && text.trim() == text && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_folded_unless_it_is_in_quotes() {
        for (text, sql, shown) in [
            ("id", r#""id""#, "id"),
            ("ID", r#""id""#, "id"),
            ("Desc", r#""desc""#, "desc"),
            (r#""user""#, r#""user""#, "user"),
            (r#""Id""#, r#""Id""#, r#""Id""#),
            ("order-id", r#""order-id""#, "order-id"),
            ("unit price", r#""unit price""#, "unit price"),
            (r#""Unit Price""#, r#""Unit Price""#, r#""Unit Price""#),
            ("größe", r#""größe""#, "größe"),
            ("it's $1", r#""it's $1""#, "it's $1"),
        ] {
            let name: ColumnName = text.parse().expect(text);
            assert_eq!(name.sql(), sql, "{text}");
            assert_eq!(name.to_string(), shown, "{text}");
            // What goes to a state machine and comes back is the same column.
            assert_eq!(shown.parse::<ColumnName>().expect(shown), name, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_is() {
        let long = "a".repeat(128);
        for text in [
            "",
            " ",
            "a ",
            "\"",
            "\"\"",
            "\"a",
            "a\"",
            "a\"b",
            "\"a\"\"b\"",
            "a\0b",
            "a\nb",
            "a\\b",
            "Unit Price",
            &long,
        ] {
            let error = text.parse::<ColumnName>().expect_err(text).to_string();
            assert!(error.contains("allowed is a name"), "{error}");
        }
        let cut: ColumnName = "é".repeat(32).parse().expect("Redshift has it");
        cut.fits(Dialect::Redshift).expect("127 bytes");
        let error = cut.fits(Dialect::Postgres).expect_err("64 bytes");
        assert!(error.to_string().contains("63"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn nothing_leaves_its_quotes(text in "[a-zA-Z\"'. ;$é\\\\\0)-]{0,24}") {
            if let Ok(name) = text.parse::<ColumnName>() {
                proptest::prop_assert_eq!(name.sql().matches('"').count(), 2);
                proptest::prop_assert!(!name.sql().contains(['\\', '\0']));
            }
        }
    }
}
