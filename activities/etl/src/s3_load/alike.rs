//! Whether files have failed alike: pure. Where all do, it is not the files.

use std::collections::BTreeMap;

use crate::s3_load::failed::Report;

/// Marks of what is one file's own in a reason.
const NUMBER: char = '#';
const VALUE: char = '?';

/// What a file has failed with, without what is its own: two files that lack the
/// same column, or have one too many, have the same fault.
pub(crate) fn fault(report: &Report) -> String {
    let column = report.column.as_deref().unwrap_or_default();
    let code = report.code.as_deref().unwrap_or_default();
    format!("{column}/{code}/{}", bare(&report.reason, &report.file))
}

/// The fault that most of these share, and how many do, if two or more do.
pub(crate) fn shared<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Option<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for report in reports {
        *counts.entry(fault(report)).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.filter(|(_, count)| *count > 1)
}

/// A reason without the file's name, quoted values, numbers and ids.
fn bare(reason: &str, file: &str) -> String {
    let key = file
        .strip_prefix("s3://")
        .and_then(|url| url.split_once('/'));
    let mut text = reason.replace(file, "");
    if let Some((_, key)) = key.filter(|(_, key)| !key.is_empty()) {
        text = text.replace(key, "");
    }
    for quote in ['"', '\''] {
        text = unquoted(&text, quote);
    }
    numbers_out(&text)
}

/// From the first quote to the last: a value may have quotes itself.
fn unquoted(text: &str, quote: char) -> String {
    match (text.find(quote), text.rfind(quote)) {
        (Some(first), Some(last)) if first < last => {
            format!("{}{VALUE}{}", &text[..first], &text[last + 1..])
        }
        _ => text.to_owned(),
    }
}

/// Words with a digit are numbers, ids of requests, hashes.
fn numbers_out(text: &str) -> String {
    let of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '=' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| of_word(c) != of_word(first));
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        if of_word(first) && run.contains(|c: char| c.is_ascii_digit()) {
            out.push(NUMBER);
        } else {
            out.push_str(run);
        }
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(file: &str, column: &str, reason: &str) -> Report {
        let column = (!column.is_empty()).then(|| column.to_owned());
        Report {
            batch_id: "b".to_owned(),
            file: format!("s3://land/{file}"),
            table: "public.t".to_owned(),
            etag: "e".to_owned(),
            line: None,
            column,
            reason: reason.to_owned(),
            value: None,
            code: None,
            detail: None,
        }
    }

    #[test]
    fn what_is_a_files_own_tells_no_two_faults_apart() {
        let cases = [
            (
                ("a", r#"invalid input syntax for type integer: "bad""#),
                ("a", r#"invalid input syntax for type integer: "so "bad"""#),
                true,
            ),
            (
                ("a", r#"invalid input syntax for type integer: "bad""#),
                ("b", r#"invalid input syntax for type integer: "bad""#),
                false,
            ),
            (
                ("", r#"missing data for column "b""#),
                ("", "extra data after last expected column"),
                false,
            ),
            (
                ("a", "Invalid digit, Value 'b', Pos 0, Type: Integer"),
                ("a", "Invalid digit, Value 'xyz', Pos 12, Type: Integer"),
                true,
            ),
            (
                ("", "it has 3 records, and COPY took 2 rows"),
                ("", "it has 30 records, and COPY took 20 rows"),
                true,
            ),
            (
                (
                    "",
                    "load s3://land/p/one: Access Denied,Status 403,Rid 8C1F0A,ExtRid aZ3/b+=",
                ),
                (
                    "",
                    "load s3://land/p/two: Access Denied,Status 403,Rid 77DE10,ExtRid q9Kx/0==",
                ),
                true,
            ),
            (
                ("", "Delimiter not found"),
                ("", "Extra column(s) found"),
                false,
            ),
            (("", "it doesn't fit"), ("", "it doesn't fit"), true),
        ];
        for ((column, reason), (other_column, other), want) in cases {
            let two = [
                report("p/one", column, reason),
                report("p/two", other_column, other),
            ];
            assert_eq!(shared(&two).is_some(), want, "{reason} / {other}");
        }
        assert_eq!(shared(&[report("a", "", "x")]), None, "one alone");
    }

    proptest::proptest! {
        #[test]
        fn any_value_and_any_number_is_left_out(one in ".{0,20}", two in ".{0,20}", at in 0u32..1000, other in 0u32..1000) {
            let say = |value: &str, at: u32| report("k", "a", &format!("bad value \"{value}\" at {at}"));
            let alike = shared(&[say(&one, at), say(&two, other)]);
            proptest::prop_assert!(alike.is_some());
        }
    }
}
