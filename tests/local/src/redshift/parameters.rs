//! Named parameters: `:name` outside of literals, quoted names and comments.

use serde::{Deserialize, Serialize};

use super::copy::token::{Kind, tokens};
use crate::AwsError;

/// A bound parameter. The Data API knows texts only; the server casts them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parameter {
    name: String,
    value: String,
}

/// The statements with the parameters as literals, which PostgreSQL types by their place.
///
/// # Errors
/// If a name has no value, or a value is named by no statement, as AWS refuses it.
pub(super) fn bind(sqls: &[String], parameters: &[Parameter]) -> Result<Vec<String>, AwsError> {
    if parameters.is_empty() {
        return Ok(sqls.to_vec());
    }
    let mut used = vec![false; parameters.len()];
    let bound = sqls
        .iter()
        .map(|sql| bind_one(sql, parameters, &mut used))
        .collect::<Result<_, _>>()?;
    match used.iter().position(|used| !used) {
        Some(at) => Err(AwsError::validation(format!(
            "Parameters list contains unused parameters: {}",
            parameters[at].name
        ))),
        None => Ok(bound),
    }
}

fn bind_one(sql: &str, parameters: &[Parameter], used: &mut [bool]) -> Result<String, AwsError> {
    let tokens = tokens(sql);
    let mut out = String::with_capacity(sql.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1);
        at += 1;
        if !token.is_symbol(":") {
            out.push_str(token.text);
            continue;
        }
        if next.is_some_and(|next| next.is_symbol(":")) {
            out.push_str("::");
            at += 1;
            continue;
        }
        let Some(name) = next.filter(|next| matches!(next.kind, Kind::Word | Kind::Number)) else {
            out.push(':');
            continue;
        };
        at += 1;
        let found = parameters
            .iter()
            .position(|parameter| parameter.name == name.text);
        let found = found.ok_or_else(|| {
            AwsError::validation(format!("Parameters list has no value for :{}", name.text))
        })?;
        used[found] = true;
        out.push('\'');
        out.push_str(&parameters[found].value.replace('\'', "''"));
        out.push('\'');
    }
    Ok(out)
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

    fn bound(sqls: &[&str], parameters: &[Parameter]) -> Result<Vec<String>, AwsError> {
        let sqls: Vec<String> = sqls.iter().map(|sql| (*sql).to_owned()).collect();
        bind(&sqls, parameters)
    }

    #[test]
    fn names_are_bound_outside_of_literals_only() {
        let parameters = [parameter("a", "it's"), parameter("ab", "2")];
        let sql = "SELECT ':a', \":a\", x::int /* :b */ -- :a\n, :ab, $$:b$$ WHERE k=:a";
        let wanted = "SELECT ':a', \":a\", x::int /* :b */ -- :a\n, '2', $$:b$$ WHERE k='it''s'";
        assert_eq!(bound(&[sql], &parameters).expect("bound"), [wanted]);
    }

    #[test]
    fn every_statement_may_use_some_of_the_values() {
        let parameters = [parameter("a", "1"), parameter("2", "b")];
        let bound = bound(&["SELECT :a", "SELECT 1", "SELECT :2, :a"], &parameters);
        let wanted = ["SELECT '1'", "SELECT 1", "SELECT 'b', '1'"];
        assert_eq!(bound.expect("bound"), wanted);
    }

    #[test]
    fn a_name_without_a_value_and_a_value_without_a_name_are_refused() {
        for (sql, named) in [
            ("SELECT :b", "no value for :b"),
            ("SELECT 1", "unused parameters: a"),
        ] {
            let refused = bound(&[sql], &[parameter("a", "1")]).expect_err(sql);
            assert!(refused.message.contains(named), "{}", refused.message);
        }
    }
}
