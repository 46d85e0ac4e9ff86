use serde_json::json;

use super::*;

fn evaluate(text: &str, data: &Value) -> Result<Value, String> {
    let context = json!({"Execution": {"Name": "one"}});
    let scope = Scope {
        data,
        context: &context,
    };
    let expression = Expression::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let gave = expression.evaluate(scope);
    gave.map_err(|failure| failure.error.unwrap_or_default())
}

#[test]
fn each_function_gives_what_aws_documents() {
    let data = json!({
        "name": "Arnav", "list": [1, 2, 3, 4, 5, 6, 7, 8, 9], "at": 5, "twice": [1, 2, 2, "a", 1],
        "json": "{\"number\": 20}", "object": {"a": 1, "b": {"c": 2}}, "other": {"a": 3, "d": 4},
        "text": "1,2,3,4,5", "odd": "This.is+a,test=string", "it's": "x", "template": "<{}>",
    });
    let cases = [
        (
            "States.Format('Hello, my name is {}.', $.name)",
            json!("Hello, my name is Arnav."),
        ),
        (
            "States.Format('{} {} {}', 1, true, null)",
            json!("1 true null"),
        ),
        (
            "States.Format('it\\'s \\{\\} \\\\ {}', $.name)",
            json!("it's {} \\ Arnav"),
        ),
        (
            "States.Format($.template, $$.Execution.Name)",
            json!("<one>"),
        ),
        ("States.StringToJson($.json)", json!({"number": 20})),
        (
            "States.JsonToString($.object)",
            json!("{\"a\":1,\"b\":{\"c\":2}}"),
        ),
        ("States.Array(1, 'a', $.at, null)", json!([1, "a", 5, null])),
        ("States.Array()", json!([])),
        (
            "States.ArrayPartition($.list,4)",
            json!([[1, 2, 3, 4], [5, 6, 7, 8], [9]]),
        ),
        ("States.ArrayContains($.list, $.at)", json!(true)),
        ("States.ArrayContains($.list, 'a')", json!(false)),
        ("States.ArrayRange(1, 9, 2)", json!([1, 3, 5, 7, 9])),
        ("States.ArrayRange(3, 1, -1)", json!([3, 2, 1])),
        ("States.ArrayRange(3, 1, 1)", json!([])),
        ("States.ArrayGetItem($.list, $.at)", json!(6)),
        ("States.ArrayLength($.list)", json!(9)),
        ("States.ArrayUnique($.twice)", json!([1, 2, "a"])),
        (
            "States.Base64Encode('Data to encode')",
            json!("RGF0YSB0byBlbmNvZGU="),
        ),
        (
            "States.Base64Decode('RGF0YSB0byBlbmNvZGU=')",
            json!("Data to encode"),
        ),
        (
            "States.Hash('abc', 'MD5')",
            json!("900150983cd24fb0d6963f7d28e17f72"),
        ),
        (
            "States.Hash('abc', 'SHA-1')",
            json!("a9993e364706816aba3e25717850c26c9cd0d89d"),
        ),
        (
            "States.Hash('abc', 'SHA-256')",
            json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
        (
            "States.JsonMerge($.object, $.other, false)",
            json!({"a": 3, "b": {"c": 2}, "d": 4}),
        ),
        ("States.MathAdd(111, -1)", json!(110)),
        ("States.MathAdd(1.5, 1.4)", json!(3)),
        (
            "States.StringSplit($.text, ',')",
            json!(["1", "2", "3", "4", "5"]),
        ),
        (
            "States.StringSplit($.odd, '.+,=')",
            json!(["This", "is", "a", "test", "string"]),
        ),
        ("States.StringSplit('a,,b', ',')", json!(["a", "b"])),
        ("States.MathRandom(7, 8)", json!(7)),
        ("States.Format('{}', $[\"it's\"])", json!("x")),
        (
            "States.ArrayGetItem(States.StringSplit(States.Format('{},b)', $.name), ','), 1)",
            json!("b)"),
        ),
    ];
    for (text, want) in cases {
        assert_eq!(evaluate(text, &data), Ok(want), "{text}");
    }
}

#[test]
fn what_is_random_stays_within_its_bounds() {
    let none = json!({});
    for _ in 0..200 {
        let number = evaluate("States.MathRandom(-3, 4)", &none).unwrap();
        assert!((-3..4).contains(&number.as_i64().unwrap()), "{number}");
    }
    let seeded = || evaluate("States.MathRandom(1, 1000000, 9)", &none).unwrap();
    assert_eq!(seeded(), seeded());
    let ids = [(); 2].map(|()| evaluate("States.UUID()", &none).unwrap());
    assert_ne!(ids[0], ids[1]);
    assert!(uuid::Uuid::parse_str(ids[0].as_str().unwrap()).is_ok());
}

#[test]
fn what_a_function_cannot_take_is_its_failure() {
    let data = json!({"list": [1], "object": {"a": 1}, "long": "x".repeat(10_001), "text": "a{"});
    for text in [
        "States.Format('{}')",
        "States.Format('', 1)",
        "States.Format('{', 1)",
        "States.Format('}')",
        "States.Format('{}', $.list)",
        "States.Format($.text)",
        "States.Format($.list)",
        "States.StringToJson('{')",
        "States.StringToJson($.list)",
        "States.ArrayPartition($.list, 0)",
        "States.ArrayPartition($.object, 1)",
        "States.ArrayContains('a', 1)",
        "States.ArrayRange(1, 2, 0)",
        "States.ArrayRange(1, 1001, 1)",
        "States.ArrayGetItem($.list, 1)",
        "States.ArrayGetItem($.list, -1)",
        "States.ArrayLength('a')",
        "States.ArrayUnique($.object)",
        "States.Base64Encode($.long)",
        "States.Base64Decode('?')",
        "States.Base64Decode('/w==')",
        "States.Hash('a', 'SHA-3')",
        "States.Hash($.long, 'MD5')",
        "States.JsonMerge($.object, $.list, false)",
        "States.JsonMerge($.object, $.object, true)",
        "States.MathAdd(2147483647, 1)",
        "States.MathAdd('1', 1)",
        "States.MathRandom(2, 2)",
        "States.StringSplit($.list, ',')",
    ] {
        let gave = evaluate(text, &data);
        assert_eq!(gave, Err("States.IntrinsicFailure".to_owned()), "{text}");
    }
    let lost = evaluate("States.Array($.none)", &data);
    assert_eq!(lost, Err("States.Runtime".to_owned()));
    assert_eq!(evaluate("$.none", &data), Err("States.Runtime".to_owned()));
}

#[test]
fn what_is_no_call_is_refused_when_it_is_read() {
    let deep = format!("{}1{}", "States.Array(".repeat(11), ")".repeat(11));
    for (text, want) in [
        (
            "States.Nonsense()",
            "there is no intrinsic function 'States.Nonsense'",
        ),
        ("States.UUID", "has no '('"),
        ("States.UUID(1)", "does not take 1 arguments"),
        ("States.Hash('a')", "does not take 1 arguments"),
        ("States.UUID() x", "goes wrong at 'x'"),
        ("States.Array(1 2)", "'1 2' is no argument"),
        ("States.Array('a' 2)", "goes wrong at"),
        ("States.Array(1,)", "'' is no argument"),
        ("States.Array(1", "goes wrong at ''"),
        ("States.Array('a)", "has no end"),
        ("States.Array([1])", "'[1]' is no argument"),
        ("States.Array(\"a\")", "'\"a\"' is no argument"),
        ("States.Array($..a)", "not a reference path"),
        (deep.as_str(), "nested deeper than 10"),
        ("a", "must start with $"),
    ] {
        let why = Expression::parse(text).expect_err(text);
        assert!(why.contains(want), "{text}: {why}");
    }
    let deep = format!("{}1{}", "States.Array(".repeat(10), ")".repeat(10));
    assert!(Expression::parse(&deep).is_ok());
}
