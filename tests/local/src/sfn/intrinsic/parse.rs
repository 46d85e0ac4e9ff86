//! Reading a call, with calls in it.

use serde_json::Value;

use super::Expression;
use super::functions::Function;
use crate::sfn::digits;
use crate::sfn::path::Path;

/// How deep calls may be nested.
const DEEPEST: usize = 10;

/// Reads a whole text as one call.
pub(super) fn call(text: &str) -> Result<Expression, String> {
    let mut reader = Reader { rest: text };
    let expression = reader.expression(0)?;
    match reader.rest.trim_start() {
        "" => Ok(expression),
        rest => Err(format!("the call '{text}' goes wrong at '{rest}'")),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn expression(&mut self, depth: usize) -> Result<Expression, String> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next() {
            Some('S') => self.call(depth),
            Some('\'') => self.text(),
            Some('$') => Path::parse(self.bare(true)).map(Expression::Path),
            _ => self.literal(),
        }
    }

    fn call(&mut self, depth: usize) -> Result<Expression, String> {
        if depth >= DEEPEST {
            return Err(format!("calls are nested deeper than {DEEPEST}"));
        }
        let Some((name, rest)) = self.rest.split_once('(') else {
            return Err(format!("'{}' is no call: it has no '('", self.rest));
        };
        let name = name.trim_end();
        let known = name.strip_prefix("States.").and_then(Function::named);
        let function = known.ok_or_else(|| format!("there is no intrinsic function '{name}'"))?;
        self.rest = rest.trim_start();
        let mut arguments = Vec::new();
        while !self.takes(')') {
            if !arguments.is_empty() && !self.takes(',') {
                return Err(format!("the call of {name} goes wrong at '{}'", self.rest));
            }
            arguments.push(self.expression(depth + 1)?);
        }
        let (least, most) = function.arity();
        if !(least..=most).contains(&arguments.len()) {
            let count = arguments.len();
            return Err(format!("{name} does not take {count} arguments"));
        }
        Ok(Expression::Call(function, arguments))
    }

    fn takes(&mut self, c: char) -> bool {
        let rest = self.rest.trim_start();
        let Some(rest) = rest.strip_prefix(c) else {
            return false;
        };
        self.rest = rest;
        true
    }

    /// Up to the quote that no backslash stands before.
    fn text(&mut self) -> Result<Expression, String> {
        let inside = &self.rest[1..];
        let mut escaped = false;
        for (at, c) in inside.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\'' => {
                    self.rest = &inside[at + 1..];
                    return Ok(Expression::Text(inside[..at].to_owned()));
                }
                _ => {}
            }
        }
        Err(format!("the text {} has no end", self.rest))
    }

    fn literal(&mut self) -> Result<Expression, String> {
        let text = self.bare(false);
        let value: Option<Value> = digits::read(text).ok();
        let plain = |value: &Value| {
            digits::is_numeric(value)
                || !(value.is_string() || value.is_array() || value.is_object())
        };
        value.filter(plain).map(Expression::Literal).ok_or_else(|| {
            format!("'{text}' is no argument: it must be a path, a call, a number, true, false, null or a text in '...'")
        })
    }

    /// What stands up to the next comma or closing parenthesis; in a path, not
    /// those between brackets.
    fn bare(&mut self, is_path: bool) -> &'a str {
        let (mut quote, mut bracketed) = (None, false);
        let end = self.rest.find(|c: char| {
            match c {
                _ if quote == Some(c) => quote = None,
                _ if quote.is_some() => {}
                '[' if is_path => bracketed = true,
                ']' => bracketed = false,
                '\'' | '"' if bracketed => quote = Some(c),
                ',' | ')' => return !bracketed,
                _ => {}
            }
            false
        });
        let (bare, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        bare.trim_end()
    }
}
