//! SQL cut into tokens; put together again they are the text.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Blanks and comments.
    Space,
    /// A keyword or an identifier without quotes.
    Word,
    /// An identifier in double quotes.
    Quoted,
    /// A string literal.
    Literal,
    /// Digits.
    Number,
    /// Any other single character.
    Symbol,
}

/// A token as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
}

impl Token<'_> {
    /// Whether it is this keyword, in any case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    /// What is between the dollar quotes of a literal that has them.
    pub(crate) fn dollars(&self) -> Option<&str> {
        let tag = dollar_tag(self.text).filter(|_| self.kind == Kind::Literal)?;
        let inner = &self.text[tag..];
        // What is never closed reaches to the end.
        Some(inner.strip_suffix(&self.text[..tag]).unwrap_or(inner))
    }

    /// The value of a literal or the name of a quoted identifier.
    pub(crate) fn unquoted(&self) -> String {
        if let Some(inner) = self.dollars() {
            return inner.to_owned();
        }
        let (quote, twice) = match self.kind {
            Kind::Quoted => ("\"", "\"\""),
            _ => ("'", "''"),
        };
        let inner = self.text.strip_prefix(quote).unwrap_or(self.text);
        let inner = inner.strip_suffix(quote).unwrap_or(inner);
        inner.replace(twice, quote)
    }
}

/// Cuts a text. What is opened and never closed reaches to its end.
pub(crate) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut rest = sql;
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (kind, length) = next(rest, first);
        let (text, after) = rest.split_at(length);
        found.push(Token { kind, text });
        rest = after;
    }
    found
}

fn next(rest: &str, first: char) -> (Kind, usize) {
    let run = |holds: fn(char) -> bool| rest.find(|c| !holds(c)).unwrap_or(rest.len());
    match first {
        c if c.is_whitespace() => (Kind::Space, run(char::is_whitespace)),
        '-' if rest.starts_with("--") => (Kind::Space, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Kind::Space, comment(rest)),
        '\'' => (Kind::Literal, quoted(rest, b'\'')),
        '"' => (Kind::Quoted, quoted(rest, b'"')),
        '$' if dollar_tag(rest).is_some() => {
            let tag = dollar_tag(rest).unwrap_or_default();
            let end = rest[tag..].find(&rest[..tag]);
            (Kind::Literal, end.map_or(rest.len(), |at| at + 2 * tag))
        }
        c if c.is_ascii_digit() => (Kind::Number, run(|c| c.is_ascii_digit())),
        c if c.is_alphabetic() || c == '_' => (
            Kind::Word,
            run(|c| c.is_alphanumeric() || c == '_' || c == '$'),
        ),
        c => (Kind::Symbol, c.len_utf8()),
    }
}

/// Length of `$$` or `$tag$`; `$1` is a parameter.
fn dollar_tag(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('$')?;
    let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let named = !inner.starts_with(|c: char| c.is_ascii_digit());
    (named && inner[end..].starts_with('$')).then_some(end + 2)
}

/// Length of what is in quotes; a quote written twice is part of it.
fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

/// Length of a comment; comments nest.
fn comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_and_comments_are_one_token() {
        let cases = [
            ("'a''b' x", Kind::Literal, "'a''b'"),
            ("\"a\"\"b\".c", Kind::Quoted, "\"a\"\"b\""),
            ("-- it's\nx", Kind::Space, "-- it's"),
            ("/* a /* b */ ' */x", Kind::Space, "/* a /* b */ ' */"),
            ("$$it's$$ x", Kind::Literal, "$$it's$$"),
            ("$a$it's $$ $b$$a$ x", Kind::Literal, "$a$it's $$ $b$$a$"),
            ("$1$ x", Kind::Symbol, "$"),
            ("'open", Kind::Literal, "'open"),
        ];
        for (sql, kind, text) in cases {
            assert_eq!(tokens(sql)[0], Token { kind, text }, "{sql}");
        }
    }

    #[test]
    fn a_literal_has_a_value() {
        for (sql, value) in [
            ("'a''b'", "a'b"),
            ("$$a''b$$", "a''b"),
            ("$x$a$$b$x$", "a$$b"),
        ] {
            assert_eq!(tokens(sql)[0].unquoted(), value, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(sql in "[-a1'\"/*$ ;é\n]{0,40}") {
            let again: String = tokens(&sql).iter().map(|token| token.text).collect();
            prop_assert_eq!(again, sql);
        }
    }
}
