//! Redshift's reserved words, which are names only in double quotes.
//!
//! PostgreSQL reserves fewer (`tag`, `open` and `raw` are columns there), so that a
//! statement could work here and fail in Redshift. Looked at are the places where a
//! statement names what it makes or fills: tables, and the columns of CREATE TABLE,
//! ALTER TABLE, INSERT and COPY.

use super::copy::token::{Kind, Token, tokens};

/// As AWS lists them.
const WORDS: &str = "AES128 AES256 ALL ALLOWOVERWRITE ANALYSE ANALYZE AND ANY ARRAY AS ASC \
    AUTHORIZATION AZ64 BACKUP BETWEEN BINARY BLANKSASNULL BOTH BYTEDICT BZIP2 CASE CAST CHECK \
    COLLATE COLUMN CONSTRAINT CREATE CREDENTIALS CROSS CURRENT_DATE CURRENT_TIME \
    CURRENT_TIMESTAMP CURRENT_USER CURRENT_USER_ID DEFAULT DEFERRABLE DEFLATE DEFRAG DELTA \
    DELTA32K DESC DISABLE DISTINCT DO ELSE EMPTYASNULL ENABLE ENCODE ENCRYPT ENCRYPTION END \
    EXCEPT EXPLICIT FALSE FOR FOREIGN FREEZE FROM FULL GLOBALDICT256 GLOBALDICT64K GRANT GROUP \
    GZIP HAVING IDENTITY IGNORE ILIKE IN INITIALLY INNER INTERSECT INTERVAL INTO IS ISNULL JOIN \
    LEADING LEFT LIKE LIMIT LOCALTIME LOCALTIMESTAMP LUN LUNS LZO LZOP MINUS MOSTLY16 MOSTLY32 \
    MOSTLY8 NATURAL NEW NOT NOTNULL NULL NULLS OFF OFFLINE OFFSET OID OLD ON ONLY OPEN OR ORDER \
    OUTER OVERLAPS PARALLEL PARTITION PERCENT PERMISSIONS PIVOT PLACING PRIMARY RAW READRATIO \
    RECOVER REFERENCES REJECTLOG RESORT RESPECT RESTORE RIGHT SELECT SESSION_USER SIMILAR \
    SNAPSHOT SOME SYSDATE SYSTEM TABLE TAG TDES TEXT255 TEXT32K THEN TIMESTAMP TO TOP TRAILING \
    TRUE TRUNCATECOLUMNS UNION UNIQUE UNNEST UNPIVOT USER USING VERBOSE WALLET WHEN WHERE WITH \
    WITHOUT";

/// Words that begin what is no column in the parentheses of CREATE TABLE, or after
/// ADD in ALTER TABLE.
const CONSTRAINTS: [&str; 6] = [
    "constraint",
    "primary",
    "unique",
    "foreign",
    "like",
    "check",
];

/// Whether a word is a name only in quotes.
pub(super) fn is_reserved(token: &Token<'_>) -> bool {
    token.kind == Kind::Word && WORDS.split_whitespace().any(|word| token.is(word))
}

/// What Redshift says where such a word stands for a name.
pub(super) fn refusal(word: &str) -> String {
    format!("syntax error at or near \"{word}\"")
}

/// Refuses a statement that makes or fills what it names by such a word.
///
/// # Errors
/// With Redshift's text.
pub(super) fn refuse(sql: &str) -> Result<(), String> {
    let tokens = tokens(sql);
    let words: Vec<Token<'_>> = tokens
        .into_iter()
        .filter(|token| token.kind != Kind::Space)
        .collect();
    let names = named(&words);
    match names.iter().find(|name| is_reserved(name)) {
        Some(name) => Err(refusal(name.text)),
        None => Ok(()),
    }
}

/// The tokens that stand for names.
fn named<'a>(words: &[Token<'a>]) -> Vec<Token<'a>> {
    let is = |at: usize, word: &str| words.get(at).is_some_and(|token| token.is(word));
    if is(0, "insert") && is(1, "into") {
        let (mut names, next) = table(words, 2);
        names.extend(first_of_each(words, next, &["select", "with", "values"]));
        return names;
    }
    if is(0, "alter") && is(1, "table") {
        let (mut names, next) = table(words, 2);
        if is(next, "add") {
            let at = next + 1 + usize::from(is(next + 1, "column"));
            let column = words.get(at).filter(|token| !is_constraint(token));
            names.extend(column);
        }
        return names;
    }
    if !is(0, "create") {
        return Vec::new();
    }
    let Some(at) = (1..words.len().min(5)).find(|at| is(*at, "table")) else {
        return Vec::new();
    };
    let mut at = at + 1;
    if is(at, "if") {
        at += 3;
    }
    let (mut names, next) = table(words, at);
    names.extend(
        first_of_each(words, next, &[])
            .into_iter()
            .filter(|token| !is_constraint(token)),
    );
    names
}

fn is_constraint(token: &Token<'_>) -> bool {
    CONSTRAINTS.iter().any(|word| token.is(word))
}

/// The parts of a table's name, and what follows it.
fn table<'a>(words: &[Token<'a>], from: usize) -> (Vec<Token<'a>>, usize) {
    let mut names: Vec<Token<'a>> = words.get(from).copied().into_iter().collect();
    let mut at = from + 1;
    while words.get(at).is_some_and(|token| token.is_symbol(".")) {
        names.extend(words.get(at + 1));
        at += 2;
    }
    (names, at)
}

/// The first token of each entry in the parentheses that follow, unless they begin
/// with one of `others`.
fn first_of_each<'a>(words: &[Token<'a>], from: usize, others: &[&str]) -> Vec<Token<'a>> {
    let mut firsts = Vec::new();
    if !words.get(from).is_some_and(|token| token.is_symbol("(")) {
        return firsts;
    }
    let (mut depth, mut begins) = (0_i32, false);
    for token in &words[from..] {
        match token.text {
            "(" => {
                depth += 1;
                begins |= depth == 1;
                continue;
            }
            ")" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            "," if depth == 1 => {
                begins = true;
                continue;
            }
            _ => {}
        }
        if std::mem::take(&mut begins) {
            if firsts.is_empty() && others.iter().any(|word| token.is(word)) {
                return firsts;
            }
            firsts.push(*token);
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_word_is_a_name_only_in_quotes() {
        for (sql, word) in [
            ("CREATE TABLE t (id int, tag text)", "tag"),
            ("CREATE TEMP TABLE IF NOT EXISTS s.open (id int)", "open"),
            ("CREATE TABLE t (desc text, id int)", "desc"),
            ("ALTER TABLE t ADD COLUMN raw int", "raw"),
            ("ALTER TABLE t ADD Snapshot int", "Snapshot"),
            ("INSERT INTO t (id, tag) VALUES (1, 'a')", "tag"),
            ("INSERT INTO s.user (id) VALUES (1)", "user"),
        ] {
            let refused = refuse(sql).expect_err(sql);
            assert_eq!(
                refused,
                format!("syntax error at or near \"{word}\""),
                "{sql}"
            );
        }
        for sql in [
            "CREATE TABLE \"user\" (\"tag\" text, \"desc\" int)",
            "CREATE TABLE t (id int DEFAULT 1 NOT NULL, a numeric(3, 2), PRIMARY KEY (id), UNIQUE (a), CONSTRAINT c CHECK (id > 0))",
            "CREATE TABLE t (LIKE u)",
            "CREATE TABLE t AS SELECT 1 AS a",
            "CREATE TABLE t DISTSTYLE ALL AS (SELECT 1)",
            "ALTER TABLE t ADD PRIMARY KEY (id)",
            "ALTER TABLE t ADD CONSTRAINT c UNIQUE (id)",
            "INSERT INTO t SELECT tag FROM u",
            "INSERT INTO t (SELECT open FROM u)",
            "INSERT INTO t (id) SELECT 1",
            "SELECT id FROM t ORDER BY id DESC",
            "CREATE SCHEMA s",
            "",
        ] {
            assert_eq!(refuse(sql), Ok(()), "{sql}");
        }
    }
}
