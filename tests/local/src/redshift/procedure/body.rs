//! The text of CREATE PROCEDURE as PostgreSQL runs it.

use super::super::copy::token::{Kind, Token, tokens};
use super::super::translate::translate;

/// Words that begin a statement when they stand before it.
const OPENERS: [&str; 4] = ["begin", "then", "else", "loop"];

/// Statements of a body that mean something else in Redshift than in PostgreSQL.
const REFUSED: [(&str, &str); 4] = [
    (
        "commit",
        "a procedure here runs in the transaction of its CALL",
    ),
    (
        "rollback",
        "a procedure here runs in the transaction of its CALL",
    ),
    (
        "truncate",
        "it commits in Redshift and does not in PostgreSQL: use DELETE",
    ),
    (
        "exception",
        "Redshift raises the error again after the handler, PostgreSQL does not",
    ),
];

/// Rewrites CREATE PROCEDURE: `None` where the statement is something else.
///
/// # Errors
/// What would mean something else in PostgreSQL is refused by name.
pub(crate) fn procedure(sql: &str) -> Option<Result<String, String>> {
    let tokens = tokens(sql);
    let mut words = tokens.iter().filter(|token| token.kind != Kind::Space);
    let created = words.next()?.is("create");
    let mut second = words.next()?;
    if second.is("or") && words.next()?.is("replace") {
        second = words.next()?;
    }
    (created && second.is("procedure")).then(|| rewrite(&tokens))
}

fn rewrite(tokens: &[Token<'_>]) -> Result<String, String> {
    if tokens.iter().any(|token| token.is("nonatomic")) {
        return Err("CREATE PROCEDURE NONATOMIC is not here".to_owned());
    }
    let literal = (1..tokens.len())
        .find(|at| {
            tokens[*at].kind == Kind::Literal
                && before(tokens, *at).is_some_and(|token| token.is("as"))
        })
        .ok_or("CREATE PROCEDURE has no body after AS")?;
    let text = |part: &[Token<'_>]| part.iter().map(|token| token.text).collect::<String>();
    let head = translate(&text(&tokens[..literal]));
    let tail = text(&tokens[literal + 1..]);
    let body = tokens[literal];
    let inner = rewrite_body(&body.unquoted())?;
    let tag = free_tag(&inner);
    Ok(format!("{head}{tag}{inner}{tag}{tail}"))
}

/// A dollar quote that the text does not have.
fn free_tag(text: &str) -> String {
    let mut tag = "$stepfleet$".to_owned();
    while text.contains(&tag) {
        tag.insert(tag.len() - 1, '_');
    }
    tag
}

fn before<'a>(tokens: &'a [Token<'a>], at: usize) -> Option<&'a Token<'a>> {
    let mut earlier = tokens[..at].iter().rev();
    earlier.find(|token| token.kind != Kind::Space)
}

fn opens(tokens: &[Token<'_>], at: usize) -> bool {
    before(tokens, at)
        .is_none_or(|token| token.is_symbol(";") || OPENERS.iter().any(|word| token.is(word)))
}

/// Statement by statement: what PostgreSQL has no COPY for goes through
/// `stepfleet_execute`, the rest is translated as any statement.
fn rewrite_body(body: &str) -> Result<String, String> {
    let tokens = tokens(body);
    let mut out = String::with_capacity(body.len() + 64);
    let (mut at, mut from) = (0, 0);
    while at < tokens.len() {
        let token = tokens[at];
        let begins = token.kind != Kind::Space && opens(&tokens, at);
        if begins {
            out.push_str(&plain(&tokens[from..at]));
            from = at;
            refuse(&token)?;
        }
        if begins && token.is("copy") {
            let end = end(&tokens, at, |_| false);
            let copy: String = tokens[at..end].iter().map(|token| token.text).collect();
            let tag = free_tag(&copy);
            out.push_str(&format!(
                "EXECUTE public.stepfleet_execute({tag}{copy}{tag})"
            ));
            (at, from) = (end, end);
        } else if token.is("execute") && !after(&tokens, at + 1).is_some_and(|next| next.is("on")) {
            let end = end(&tokens, at + 1, |token| {
                ["into", "using", "loop"].iter().any(|word| token.is(word))
            });
            out.push_str(&plain(&tokens[from..at]));
            let command = plain(&tokens[at + 1..end]);
            out.push_str(&format!(
                "{} public.stepfleet_execute(({}\n)) ",
                token.text,
                command.trim()
            ));
            (at, from) = (end, end);
        } else {
            at += 1;
        }
    }
    out.push_str(&plain(&tokens[from..]));
    Ok(out)
}

fn after<'a>(tokens: &'a [Token<'a>], at: usize) -> Option<&'a Token<'a>> {
    let mut later = tokens.get(at..)?.iter();
    later.find(|token| token.kind != Kind::Space)
}

fn refuse(token: &Token<'_>) -> Result<(), String> {
    match REFUSED.iter().find(|(word, _)| token.is(word)) {
        Some((word, why)) => Err(format!(
            "{} in a procedure is not here: {why}",
            word.to_uppercase()
        )),
        None => Ok(()),
    }
}

/// The end of what begins at `from`: a semicolon, or what `ends` it, outside of parentheses.
fn end(tokens: &[Token<'_>], from: usize, ends: impl Fn(&Token<'_>) -> bool) -> usize {
    let mut depth = 0_i32;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ if depth > 0 => {}
            ";" => return at,
            _ if ends(token) => return at,
            _ => {}
        }
    }
    tokens.len()
}

fn plain(tokens: &[Token<'_>]) -> String {
    let text: String = tokens.iter().map(|token| token.text).collect();
    translate(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<String, String> {
        rewrite_body(text)
    }

    #[test]
    fn only_procedures_are_rewritten() {
        for sql in [
            "SELECT 'CREATE PROCEDURE'",
            "CREATE TABLE procedure (a int)",
            "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$SELECT 1$$ LANGUAGE sql",
            "CALL p()",
            "",
        ] {
            assert_eq!(procedure(sql), None, "{sql}");
        }
    }

    #[test]
    fn the_body_is_found_in_any_quotes() {
        for (sql, wanted) in [
            (
                "CREATE OR REPLACE PROCEDURE p(a varchar(max)) AS $b$BEGIN x := $$'$$; END$b$ LANGUAGE plpgsql SECURITY DEFINER",
                "CREATE OR REPLACE PROCEDURE p(a text) AS $stepfleet$BEGIN x := $$'$$; END$stepfleet$ LANGUAGE plpgsql SECURITY DEFINER",
            ),
            (
                "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN x := ''$stepfleet$''; END'",
                "CREATE PROCEDURE p() LANGUAGE plpgsql AS $stepfleet_$BEGIN x := '$stepfleet$'; END$stepfleet_$",
            ),
        ] {
            let found = procedure(sql).expect("a procedure");
            assert_eq!(found.as_deref(), Ok(wanted));
        }
    }

    #[test]
    fn what_runs_a_text_asks_what_it_has_to_run() {
        for (text, wanted) in [
            (
                "BEGIN EXECUTE 'COPY t FROM ' || quote_literal(x) || ' INTO'; END",
                "BEGIN EXECUTE public.stepfleet_execute(('COPY t FROM ' || quote_literal(x) || ' INTO'\n)) ; END",
            ),
            (
                "BEGIN EXECUTE (SELECT a INTO b) INTO x; END",
                "BEGIN EXECUTE public.stepfleet_execute(((SELECT a INTO b)\n)) INTO x; END",
            ),
            (
                "BEGIN FOR r IN EXECUTE sql -- what\n LOOP END LOOP; END",
                "BEGIN FOR r IN EXECUTE public.stepfleet_execute((sql -- what\n)) LOOP END LOOP; END",
            ),
            (
                "BEGIN GRANT EXECUTE ON PROCEDURE p() TO u; END",
                "BEGIN GRANT EXECUTE ON PROCEDURE p() TO u; END",
            ),
            (
                "BEGIN IF a THEN COPY t FROM 's3://b/k' CSV; END IF; END",
                "BEGIN IF a THEN EXECUTE public.stepfleet_execute($stepfleet$COPY t FROM 's3://b/k' CSV$stepfleet$); END IF; END",
            ),
            (
                "BEGIN CREATE TEMP TABLE s (a super) DISTSTYLE ALL; x := nvl(a, sysdate); END",
                "BEGIN CREATE TEMP TABLE s (a jsonb) ; x := coalesce(a, getdate()); END",
            ),
        ] {
            assert_eq!(body(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused_by_name() {
        for (text, named) in [
            ("BEGIN INSERT INTO t VALUES (1); COMMIT; END", "COMMIT"),
            ("BEGIN ROLLBACK; END", "ROLLBACK"),
            ("BEGIN TRUNCATE t; END", "TRUNCATE"),
            (
                "BEGIN x := 1; EXCEPTION WHEN OTHERS THEN NULL; END",
                "EXCEPTION",
            ),
        ] {
            let refused = body(text).expect_err(text);
            assert!(refused.starts_with(named), "{refused}");
        }
        assert!(body("BEGIN RAISE EXCEPTION 'x'; END").is_ok());
        let refused = procedure("CREATE PROCEDURE p() NONATOMIC AS $$BEGIN END$$ LANGUAGE plpgsql");
        assert!(refused.is_some_and(|text| text.is_err()));
    }
}
