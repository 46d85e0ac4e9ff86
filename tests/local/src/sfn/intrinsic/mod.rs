//! Intrinsic functions: `States.Format('{}', $.a)` and its like.

mod arrays;
mod functions;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::functions::Function;
use super::failure::Failure;
use super::path::{Path, Scope};

/// What a field whose name ends in `.$` holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Path(Path),
    /// A number, a boolean or null.
    Literal(Value),
    /// A text between quotes, with its escapes: `States.Format` tells `{}` from `\{\}`.
    Text(String),
    Call(Function, Vec<Expression>),
}

// === impl Expression ===

impl Expression {
    /// Reads a path or a call.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("States.") {
            return parse::call(text);
        }
        Path::parse(text).map(Self::Path)
    }

    /// What it gives.
    ///
    /// # Errors
    /// `States.Runtime` where a path leads nowhere, `States.IntrinsicFailure`
    /// where a function cannot take what it is given.
    pub(crate) fn evaluate(&self, scope: Scope<'_>) -> Result<Value, Failure> {
        match self {
            Self::Path(path) => path.find(scope).cloned().ok_or_else(|| {
                let why = format!("The JSONPath '{path}' could not be found in the input");
                Failure::runtime(why)
            }),
            Self::Literal(value) => Ok(value.clone()),
            Self::Text(raw) => Ok(functions::unescaped(raw).into()),
            Self::Call(function, arguments) => {
                let raw = match (function, arguments.first()) {
                    // As it was written: the function itself reads the escapes.
                    (Function::Format, Some(Self::Text(raw))) => Some(Value::from(raw.as_str())),
                    _ => None,
                };
                let rest = arguments.iter().skip(usize::from(raw.is_some()));
                let rest = rest.map(|one| one.evaluate(scope));
                let all: Vec<Value> = raw
                    .map(Ok)
                    .into_iter()
                    .chain(rest)
                    .collect::<Result<_, _>>()?;
                function.call(&all).map_err(|why| {
                    let why = format!("The function States.{}: {why}", function.name());
                    Failure::new(super::retry::name::INTRINSIC, why)
                })
            }
        }
    }
}
