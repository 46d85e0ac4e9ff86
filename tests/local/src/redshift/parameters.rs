//! Named parameters: `:name` outside of literals, quoted names and comments.

use serde::Deserialize;

use crate::AwsError;

/// A bound parameter. The Data API knows texts only; the server casts them.
#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    name: String,
    value: String,
}

/// The statement with its parameters as literals, which PostgreSQL types by their place.
///
/// # Errors
/// If a parameter has no value, or a value no parameter, as AWS refuses it.
pub(super) fn bind(sql: &str, parameters: &[Parameter]) -> Result<String, AwsError> {
    if parameters.is_empty() {
        return Ok(sql.to_owned());
    }
    let mut used = vec![false; parameters.len()];
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '\'' | '"' => quoted(rest, character),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            ':' => name_after_colon(rest),
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        let Some(name) = token
            .strip_prefix(':')
            .filter(|name| !name.is_empty() && *name != ":")
        else {
            out.push_str(token);
            continue;
        };
        let at = parameters
            .iter()
            .position(|parameter| parameter.name == name);
        let at = at.ok_or_else(|| {
            AwsError::validation(format!("Parameters list has no value for :{name}"))
        })?;
        used[at] = true;
        out.push('\'');
        out.push_str(&parameters[at].value.replace('\'', "''"));
        out.push('\'');
    }
    match used.iter().position(|used| !used) {
        Some(at) => Err(AwsError::validation(format!(
            "Parameters list contains unused parameters: {}",
            parameters[at].name
        ))),
        None => Ok(out),
    }
}

/// The length of a quoted token; a doubled quote is two tokens, which comes to the same.
fn quoted(rest: &str, quote: char) -> usize {
    rest[1..].find(quote).map_or(rest.len(), |end| end + 2)
}

fn name_after_colon(rest: &str) -> usize {
    1 + rest[1..]
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(rest.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, value: &str) -> Parameter {
        Parameter {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn names_are_bound_outside_of_literals_only() {
        let parameters = [parameter("a", "it's"), parameter("ab", "2")];
        let bound = bind(
            "SELECT ':a', \":a\", x::int -- :a\n, :ab WHERE k = :a",
            &parameters,
        )
        .expect("bound");
        assert_eq!(
            bound,
            "SELECT ':a', \":a\", x::int -- :a\n, '2' WHERE k = 'it''s'"
        );
    }

    #[test]
    fn a_name_without_a_value_and_a_value_without_a_name_are_refused() {
        assert!(
            bind("SELECT :b", &[parameter("a", "1")])
                .expect_err("no value")
                .message
                .contains(":b")
        );
        assert!(
            bind("SELECT 1", &[parameter("a", "1")])
                .expect_err("unused")
                .message
                .contains("unused parameters: a")
        );
    }
}
