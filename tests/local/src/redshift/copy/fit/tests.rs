use super::*;

fn column(sql_type: &str) -> Column {
    Column {
        name: "c".to_owned(),
        sql_type: sql_type.to_owned(),
        character: sql_type.starts_with("character") || sql_type == "text",
        ..Column::default()
    }
}

/// The value, or the fault's number and text.
fn fitting(bytes: &[u8], rules: &Rules, sql_type: &str) -> Result<Option<String>, (i32, String)> {
    let field = Field {
        value: bytes.to_vec(),
        raw: bytes.to_vec(),
    };
    value(Some(field), rules, &column(sql_type)).map_err(|fault| (fault.code, fault.message))
}

#[test]
fn values_are_what_the_options_make_of_them() {
    let plain = Rules::default();
    let with = |change: fn(&mut Rules)| {
        let mut rules = Rules::default();
        change(&mut rules);
        rules
    };
    let varchar = "character varying(5)";
    let time = "timestamp without time zone";
    let cases: [(&str, &Rules, &str, Option<&str>); 25] = [
        ("", &plain, varchar, Some("")),
        ("", &plain, "integer", None),
        ("  ", &plain, varchar, Some("  ")),
        ("  ", &plain, "integer", None),
        ("\\N", &plain, varchar, None),
        (
            "null",
            &with(|rules| rules.null_as = "null".to_owned()),
            varchar,
            None,
        ),
        (
            "\\N",
            &with(|rules| rules.null_as = "null".to_owned()),
            varchar,
            Some("\\N"),
        ),
        ("", &with(|rules| rules.empty_as_null = true), varchar, None),
        (
            " ",
            &with(|rules| rules.empty_as_null = true),
            varchar,
            Some(" "),
        ),
        (
            " ",
            &with(|rules| rules.blanks_as_null = true),
            varchar,
            None,
        ),
        (
            "",
            &with(|rules| rules.blanks_as_null = true),
            varchar,
            Some(""),
        ),
        (
            "a  ",
            &with(|rules| rules.trim_blanks = true),
            varchar,
            Some("a"),
        ),
        (
            "a  ",
            &with(|rules| rules.trim_blanks = true),
            "character(5)",
            Some("a  "),
        ),
        (
            "ééé",
            &with(|rules| rules.truncate_columns = true),
            varchar,
            Some("éé"),
        ),
        ("éé", &plain, varchar, Some("éé")),
        ("2026-11-21", &plain, "date", Some("2026-11-21")),
        (
            "21 Nov 2026",
            &with(|rules| rules.any_date = true),
            "date",
            Some("21 Nov 2026"),
        ),
        ("2026-11-21", &plain, time, Some("2026-11-21")),
        ("2026-11-21 20:00", &plain, time, Some("2026-11-21 20:00")),
        (
            "2026-11-21 20:00:00.5+01:00",
            &plain,
            time,
            Some("2026-11-21 20:00:00.5+01:00"),
        ),
        (
            "2026-11-21T20:00:00Z",
            &with(|rules| rules.times = Times::Auto),
            time,
            Some("2026-11-21T20:00:00Z"),
        ),
        (
            "1",
            &with(|rules| rules.times = Times::Seconds),
            time,
            Some("1970-01-01 00:00:01+00"),
        ),
        (
            "-1.5",
            &with(|rules| rules.times = Times::Seconds),
            time,
            Some("1969-12-31 23:59:58.5+00"),
        ),
        (
            "1500",
            &with(|rules| rules.times = Times::Milliseconds),
            time,
            Some("1970-01-01 00:00:01.5+00"),
        ),
        (
            "",
            &with(|rules| rules.times = Times::Milliseconds),
            time,
            None,
        ),
    ];
    for (text, rules, sql_type, wanted) in cases {
        let found = fitting(text.as_bytes(), rules, sql_type);
        assert_eq!(
            found,
            Ok(wanted.map(str::to_owned)),
            "{text:?} {rules:?} {sql_type}"
        );
    }
}

#[test]
fn what_does_not_fit_has_redshifts_number_and_text() {
    let plain = Rules::default();
    let seconds = Rules {
        times: Times::Seconds,
        ..Rules::default()
    };
    let time = "timestamp with time zone";
    let cases: [(&[u8], &Rules, &str, i32, &str); 12] = [
        (
            "ééé".as_bytes(),
            &plain,
            "character varying(5)",
            1204,
            "String length exceeds DDL length",
        ),
        (
            "é".as_bytes(),
            &plain,
            "character(5)",
            1220,
            "Try using VARCHAR). Invalid char: c3 a9",
        ),
        (
            b"a\xa4",
            &plain,
            "text",
            1220,
            "Bad UTF-8 hex sequence: a4 (error 3)",
        ),
        (
            b"a\xc3",
            &plain,
            "text",
            1220,
            "Bad UTF-8 hex sequence: c3 (error 2)",
        ),
        (
            b"\xe0\xa1\xc7",
            &plain,
            "text",
            1220,
            "Bad UTF-8 hex sequence: e0a1 (error 4)",
        ),
        (b"a\0", &plain, "text", 1220, "Bad UTF-8 hex sequence: 00"),
        (
            b"1/2/2026",
            &plain,
            "date",
            1205,
            "length must be 10 or more",
        ),
        (b"21 Nov 2026", &plain, "date", 1205, "[YYYY-MM-DD]"),
        (
            b"2026-11-21T20:00:00",
            &plain,
            time,
            1206,
            "[YYYY-MM-DD HH24:MI:SS]",
        ),
        (
            b"2026-11-21 20:00:00Z",
            &plain,
            time,
            1206,
            "[YYYY-MM-DD HH24:MI:SS]",
        ),
        (b"x", &seconds, time, 1206, "epochsecs"),
        (b"99999999999999999999", &seconds, time, 1206, "epochsecs"),
    ];
    for (bytes, rules, sql_type, code, part) in cases {
        let (found, message) = fitting(bytes, rules, sql_type).expect_err(part);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(part), "{message}");
    }
    let accepting = Rules {
        accept_invalid: Some('?'),
        ..Rules::default()
    };
    let found = fitting(b"a\xe0\xa1b\xff", &accepting, "text");
    assert_eq!(found, Ok(Some("a??b?".to_owned())));
}

#[test]
fn a_record_has_as_many_fields_as_there_are_columns() {
    let columns = [column("integer"), column("text")];
    let line = |values: &[&str]| Line {
        number: 7,
        fields: values
            .iter()
            .map(|value| {
                let value = value.as_bytes().to_vec();
                Some(Field {
                    raw: value.clone(),
                    value,
                })
            })
            .collect(),
    };
    let plain = Rules::default();
    let few = fit(line(&["1"]), &plain, &columns).expect_err("too few");
    assert_eq!((few.line, few.column, few.code), (7, Some(1), 1214));
    let many = fit(line(&["1", "a", "b"]), &plain, &columns).expect_err("too many");
    assert_eq!((many.line, many.code), (7, 1202));
    let filling = Rules {
        fill_record: true,
        ..Rules::default()
    };
    let filled = fit(line(&["1"]), &filling, &columns).expect("filled");
    assert_eq!(filled.values, [Some("1".to_owned()), Some(String::new())]);
    let mut required = columns;
    required[0].required = true;
    let empty = fit(line(&["", "a"]), &plain, &required).expect_err("not null");
    assert_eq!((empty.column, empty.code), (Some(0), 1213));
}
