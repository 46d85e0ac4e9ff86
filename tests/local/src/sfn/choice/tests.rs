use serde_json::json;

use super::*;

fn test(operator: &str, operand: Value, variable: &str, data: &Value) -> Result<bool, String> {
    let check = Check::parse(operator, &operand).expect(operator);
    let variable = Path::parse(variable).expect(variable);
    let context = json!({});
    let scope = Scope {
        data,
        context: &context,
    };
    Condition::Test(Test { variable, check }).holds(scope)
}

#[test]
fn each_comparator_compares_its_own_type() {
    let data =
        json!({"s": "b", "n": 2, "t": "2026-01-01T00:00:00Z", "b": true, "z": null, "m": 2.0});
    let cases = [
        ("StringEquals", json!("b"), "$.s", true),
        ("StringEquals", json!("c"), "$.s", false),
        ("StringEquals", json!("2"), "$.n", false),
        ("StringLessThan", json!("c"), "$.s", true),
        ("StringLessThan", json!("b"), "$.s", false),
        ("StringLessThanEquals", json!("b"), "$.s", true),
        ("StringGreaterThan", json!("a"), "$.s", true),
        ("StringGreaterThanEquals", json!("c"), "$.s", false),
        ("StringEqualsPath", json!("$.s"), "$.s", true),
        ("NumericEquals", json!(2), "$.m", true),
        ("NumericEqualsPath", json!("$.m"), "$.n", true),
        ("NumericLessThan", json!(2), "$.n", false),
        ("NumericLessThan", json!(3), "$.s", false),
        ("NumericGreaterThanEquals", json!(1.5), "$.n", true),
        ("BooleanEquals", json!(true), "$.b", true),
        ("BooleanEquals", json!(false), "$.b", false),
        ("BooleanEqualsPath", json!("$.b"), "$.s", false),
        (
            "TimestampEquals",
            json!("2026-01-01T01:00:00+01:00"),
            "$.t",
            true,
        ),
        (
            "TimestampLessThan",
            json!("2026-01-02T00:00:00Z"),
            "$.t",
            true,
        ),
        ("TimestampGreaterThanPath", json!("$.t"), "$.t", false),
        (
            "TimestampLessThan",
            json!("2026-01-02T00:00:00Z"),
            "$.s",
            false,
        ),
        ("IsPresent", json!(true), "$.s", true),
        ("IsPresent", json!(true), "$.none", false),
        ("IsPresent", json!(false), "$.none", true),
        ("IsNull", json!(true), "$.z", true),
        ("IsNull", json!(true), "$.s", false),
        ("IsString", json!(true), "$.s", true),
        ("IsNumeric", json!(false), "$.s", true),
        ("IsBoolean", json!(true), "$.b", true),
        ("IsTimestamp", json!(true), "$.t", true),
        ("IsTimestamp", json!(true), "$.s", false),
        ("StringMatches", json!("b*"), "$.s", true),
    ];
    for (operator, operand, variable, want) in cases {
        let got = test(operator, operand.clone(), variable, &data);
        assert_eq!(got, Ok(want), "{operator} {operand} {variable}");
    }
}

#[test]
fn a_variable_that_is_missing_is_an_error() {
    let data = json!({"a": 1});
    assert!(test("NumericEquals", json!(1), "$.b", &data).is_err());
    assert!(test("NumericEqualsPath", json!("$.b"), "$.a", &data).is_err());
    assert!(test("IsNull", json!(true), "$.b", &data).is_err());
}

#[test]
fn operators_and_operands_are_checked() {
    for operator in [
        "StringLike",
        "BooleanLessThan",
        "IsArray",
        "Equals",
        "StringMatchesPath",
    ] {
        assert_eq!(
            Check::parse(operator, &json!(true)),
            Err(None),
            "{operator}"
        );
    }
    for (operator, operand) in [
        ("StringEquals", json!(1)),
        ("NumericEquals", json!("1")),
        ("NumericEqualsPath", json!("a")),
        ("TimestampEquals", json!("2026-01-01t00:00:00z")),
        ("IsNull", json!("true")),
    ] {
        assert!(
            matches!(Check::parse(operator, &operand), Err(Some(_))),
            "{operator}"
        );
    }
}

#[test]
fn wildcards_match_any_text() {
    let cases = [
        ("log-*.txt", "log-1.txt", true),
        ("log-*.txt", "log-.txt", true),
        ("log-*.txt", "log.txt", false),
        ("*a*b*", "xaybz", true),
        ("*a*b*", "xbya", false),
        ("a\\*", "a*", true),
        ("a\\*", "ab", false),
        ("ab*ba", "aba", false),
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
    ];
    for (pattern, text, want) in cases {
        assert_eq!(matches(pattern, text), want, "{pattern} {text}");
    }
}

/// What is less than the operand, equal to it and greater; then what is of other types.
type Values = (&'static str, [Value; 3], Vec<Value>);

fn values() -> [Values; 3] {
    let others = |own: Value| {
        let all = [
            json!("x"),
            json!("2"),
            json!(2),
            json!(true),
            json!(null),
            json!([]),
            json!({}),
        ];
        let kind = std::mem::discriminant(&own);
        let other = |value: &Value| std::mem::discriminant(value) != kind;
        all.into_iter().filter(other).collect::<Vec<_>>()
    };
    [
        (
            "String",
            [json!("Ab"), json!("a"), json!("a ")],
            others(json!("")),
        ),
        (
            "Numeric",
            [json!(-1.5), json!(2), json!(2.0001)],
            others(json!(0)),
        ),
        (
            "Timestamp",
            [
                json!("2026-01-01T00:00:00Z"),
                json!("2026-01-01T12:00:00+02:00"),
                json!("2026-01-01T10:00:00.001Z"),
            ],
            [others(json!("")), vec![json!("x"), json!("2026-01-01")]].concat(),
        ),
    ]
}

/// All there are, each by a literal and by a path where it has one.
#[test]
fn every_comparator_keeps_to_its_relation_and_type() {
    let relations = [
        ("Equals", [false, true, false]),
        ("LessThan", [true, false, false]),
        ("LessThanEquals", [true, true, false]),
        ("GreaterThan", [false, false, true]),
        ("GreaterThanEquals", [false, true, true]),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (kind, ordered, others) in values() {
        for (relation, wants) in relations {
            let operand = &ordered[1];
            let others = others.iter().map(|value| (value, false));
            for (value, want) in ordered.iter().zip(wants).chain(others) {
                let data = json!({"v": value, "o": operand});
                let plain = format!("{kind}{relation}");
                let by_path = format!("{plain}Path");
                let what = format!("{plain} {value} {operand}");
                assert_eq!(
                    test(&plain, operand.clone(), "$.v", &data),
                    Ok(want),
                    "{what}"
                );
                assert_eq!(
                    test(&by_path, json!("$.o"), "$.v", &data),
                    Ok(want),
                    "{what}"
                );
                seen.extend([plain, by_path]);
            }
        }
    }
    for (value, operand, want) in [
        (json!(true), true, true),
        (json!(true), false, false),
        (json!(false), false, true),
        (json!("true"), true, false),
        (json!(1), true, false),
        (json!(null), false, false),
    ] {
        let data = json!({"v": value, "o": operand});
        assert_eq!(
            test("BooleanEquals", json!(operand), "$.v", &data),
            Ok(want)
        );
        assert_eq!(
            test("BooleanEqualsPath", json!("$.o"), "$.v", &data),
            Ok(want)
        );
        seen.extend(["BooleanEquals".to_owned(), "BooleanEqualsPath".to_owned()]);
    }
    // With StringMatches and the six that ask what a value is: 39 in the language.
    assert_eq!(seen.len() + 1 + 6, 39);
}

#[test]
fn what_a_value_is_can_be_asked_of_each() {
    let data = json!({"null": null, "text": "x", "number": 0, "bool": false, "list": [], "object": {},
        "time": "2016-08-18T17:33:00Z", "millis": "2016-08-18T17:33:00.123+05:30",
        "lower": "2016-08-18t17:33:00z", "day": "2016-08-18", "zoneless": "2016-08-18T17:33:00"});
    let strings = ["text", "time", "millis", "lower", "day", "zoneless"];
    let cases: [(&str, &[&str]); 5] = [
        ("IsNull", &["null"]),
        ("IsString", &strings),
        ("IsNumeric", &["number"]),
        ("IsBoolean", &["bool"]),
        ("IsTimestamp", &["time", "millis"]),
    ];
    for (operator, those) in cases {
        for name in data.as_object().expect("fields").keys() {
            let is = those.contains(&name.as_str());
            for want in [true, false] {
                let got = test(operator, json!(want), &format!("$.{name}"), &data);
                assert_eq!(got, Ok(is == want), "{operator} {want} {name}");
            }
            let there = test("IsPresent", json!(true), &format!("$.{name}"), &data);
            assert_eq!(there, Ok(true), "{name}");
        }
        // Only IsPresent may be asked of what is not there.
        assert!(test(operator, json!(true), "$.none", &data).is_err());
    }
}

#[test]
fn a_backslash_takes_the_meaning_from_a_star() {
    let cases = [
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("a\\\\*b", "a\\xb", true),
        ("a\\\\*b", "a*b", false),
        ("a\\\\\\*b", "a\\*b", true),
        ("\\**\\*", "*x*", true),
        ("\\**\\*", "*x", false),
        ("**", "x", true),
        ("*.*.*", "a.b", false),
        ("*.*.*", "a.b.c", true),
        ("*b", "ab\n", false),
        ("a*a", "a", false),
        ("\u{e4}*", "\u{e4}x", true),
    ];
    for (pattern, text, want) in cases {
        assert_eq!(matches(pattern, text), want, "{pattern} {text}");
    }
}
