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
