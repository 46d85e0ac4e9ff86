use serde_json::json;

use super::*;

fn attributes() -> Attributes {
    let attributes = json!({
        "store": {"DataType": "String", "StringValue": "example_corp"},
        "price": {"DataType": "Number", "StringValue": "210.75"},
        "interests": {
            "DataType": "String.Array",
            "StringValue": "[\"soccer\", \"rugby\", 5, true, null]",
        },
        "raw": {"DataType": "Binary", "BinaryValue": "AAE="},
    });
    serde_json::from_value(attributes).unwrap()
}

const BODY: &str = r#"{"store": "example_corp", "price": 210.75, "note": null, "open": true,
    "interests": ["soccer", "rugby"],
    "order": {"lines": [{"sku": "a-1", "count": 2}, {"sku": "b-2", "count": 7}], "paid": false}}"#;

fn wants(policy: &Value, scope: Scope) -> bool {
    let filter = Filter::parse(&policy.to_string(), scope).unwrap();
    filter.is_none_or(|filter| filter.wants(BODY, &attributes()))
}

/// The examples of the developer guide, and their edges.
#[test]
fn attributes_are_matched() {
    let table = [
        (json!({}), true),
        (json!({"store": ["example_corp"]}), true),
        (json!({"store": ["Example_corp"]}), false),
        (json!({"store": ["other", "example_corp"]}), true),
        (json!({"store": ["example_corp"], "price": [1]}), false),
        (json!({"none": ["x"]}), false),
        (json!({"store": [{"prefix": "exam"}]}), true),
        (json!({"store": [{"prefix": "corp"}]}), false),
        (json!({"store": [{"suffix": "corp"}]}), true),
        (
            json!({"store": [{"equals-ignore-case": "EXAMPLE_corp"}]}),
            true,
        ),
        (json!({"store": [{"anything-but": "x"}]}), true),
        (
            json!({"store": [{"anything-but": ["x", "example_corp"]}]}),
            false,
        ),
        (
            json!({"store": [{"anything-but": {"prefix": "exam"}}]}),
            false,
        ),
        (
            json!({"store": [{"anything-but": {"suffix": ["x", "y"]}}]}),
            true,
        ),
        (json!({"none": [{"anything-but": "x"}]}), false),
        (json!({"store": [{"exists": true}]}), true),
        (json!({"store": [{"exists": false}]}), false),
        (json!({"none": [{"exists": false}]}), true),
        (json!({"none": ["x", {"exists": false}]}), true),
        (json!({"price": [210.75]}), true),
        (json!({"price": [210.7500001]}), true),
        (json!({"price": ["210.75"]}), false),
        (json!({"price": [{"numeric": ["=", 210.75]}]}), true),
        (json!({"price": [{"numeric": [">", 210.75]}]}), false),
        (
            json!({"price": [{"numeric": [">=", 210.75, "<", 300]}]}),
            true,
        ),
        (
            json!({"price": [{"numeric": [">", 0, "<=", 210.74]}]}),
            false,
        ),
        (json!({"price": [{"anything-but": [210.75, 1]}]}), false),
        (json!({"store": [{"numeric": [">", 0]}]}), false),
        (json!({"interests": ["rugby", "chess"]}), true),
        (json!({"interests": [5]}), true),
        (json!({"interests": [true]}), true),
        (json!({"interests": [null]}), true),
        (json!({"interests": [6]}), false),
        (
            json!({"interests": [{"anything-but": ["soccer", "rugby"]}]}),
            true,
        ),
        // Bytes are there for nobody.
        (json!({"raw": [{"exists": true}]}), false),
        (
            json!({"$or": [{"store": ["x"]}, {"price": [210.75]}]}),
            true,
        ),
        (json!({"$or": [{"store": ["x"]}, {"price": [1]}]}), false),
        (
            json!({"$or": [{"store": ["x"]}, {"price": [210.75]}], "interests": ["chess"]}),
            false,
        ),
        // Not several sets of keys: a key like another.
        (json!({"$or": ["x"]}), false),
    ];
    for (policy, wanted) in table {
        assert_eq!(wants(&policy, Scope::MessageAttributes), wanted, "{policy}");
    }
}

#[test]
fn bodies_are_matched_to_any_depth() {
    let table = [
        (json!({"store": ["example_corp"]}), true),
        (json!({"note": [null]}), true),
        (json!({"open": [true]}), true),
        (json!({"open": ["true"]}), false),
        (json!({"interests": ["rugby"]}), true),
        (json!({"order": {"paid": [false]}}), true),
        (json!({"order": {"paid": [true]}}), false),
        (
            json!({"order": {"lines": {"sku": [{"prefix": "b-"}]}}}),
            true,
        ),
        (
            json!({"order": {"lines": {"count": [{"numeric": [">", 7]}]}}}),
            false,
        ),
        (
            json!({"order": {"lines": {"colour": [{"exists": false}]}}}),
            true,
        ),
        (json!({"order": {"none": ["x"]}}), false),
        (
            json!({"$or": [{"order": {"paid": [true]}}, {"open": [true]}]}),
            true,
        ),
    ];
    for (policy, wanted) in table {
        assert_eq!(wants(&policy, Scope::MessageBody), wanted, "{policy}");
    }
    let policy = json!({"a": [{"exists": false}]}).to_string();
    let filter = Filter::parse(&policy, Scope::MessageBody).unwrap().unwrap();
    for (body, wanted) in [("{}", true), ("text", false), ("[]", false), ("", false)] {
        assert_eq!(filter.wants(body, &Attributes::default()), wanted, "{body}");
    }
}

#[test]
fn a_policy_that_is_wrong_is_refused_by_name() {
    let many: Vec<usize> = (0..151).collect();
    let table = [
        ("[]".to_owned(), "object"),
        ("{".to_owned(), "JSON"),
        (json!({"a": "x"}).to_string(), "\"a\" must be"),
        (json!({"a": []}).to_string(), "Empty"),
        (json!({"a": {"b": ["x"]}}).to_string(), "nested"),
        (json!({"a": [["x"]]}).to_string(), "a value is"),
        (json!({"a": [{"wildcard": "x*"}]}).to_string(), "wildcard"),
        (json!({"a": [{"cidr": "10.0.0.0/8"}]}).to_string(), "cidr"),
        (json!({"a": [{"prefix": 1}]}).to_string(), "prefix"),
        (
            json!({"a": [{"prefix": "x", "suffix": "y"}]}).to_string(),
            "one operator",
        ),
        (json!({"a": [{"exists": "true"}]}).to_string(), "exists"),
        (json!({"a": [{"numeric": []}]}).to_string(), "numeric"),
        (json!({"a": [{"numeric": ["~", 1]}]}).to_string(), "~"),
        (
            json!({"a": [{"numeric": ["<", 1, ">", 0]}]}).to_string(),
            "lower",
        ),
        (
            json!({"a": [{"numeric": [">", 1, "<", 1]}]}).to_string(),
            "above",
        ),
        (
            json!({"a": [{"numeric": ["=", "1"]}]}).to_string(),
            "number",
        ),
        (
            json!({"a": [{"numeric": ["=", 1e10]}]}).to_string(),
            "billion",
        ),
        (
            json!({"a": [{"anything-but": [true]}]}).to_string(),
            "anything but",
        ),
        (
            json!({"a": [{"anything-but": {"numeric": 1}}]}).to_string(),
            "numeric",
        ),
        (json!({"a": many}).to_string(), "complex"),
        (
            json!({"a": many[..13], "b": many[..12]}).to_string(),
            "complex",
        ),
        (
            json!({"a": [1], "b": [1], "c": [1], "d": [1], "e": [1], "f": [1]}).to_string(),
            "5 keys",
        ),
    ];
    for (policy, named) in table {
        let error = Filter::parse(&policy, Scope::MessageAttributes).unwrap_err();
        assert_eq!(error.code, "InvalidParameter");
        assert!(error.message.contains(named), "{policy}: {error}");
    }
    // Three levels down a value counts threefold.
    let deep = |count: usize| json!({"a": {"b": {"c": many[..count]}}}).to_string();
    assert!(Filter::parse(&deep(50), Scope::MessageBody).is_ok());
    assert!(Filter::parse(&deep(51), Scope::MessageBody).is_err());
}
