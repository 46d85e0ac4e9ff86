use http::Request;

use super::call::Call;
use super::plan::Plan;
use super::rule::Glob;
use super::*;

const EXAMPLE: &str = include_str!("../../faults.yaml");

fn call(service: &'static str, operation: &str, resource: &str) -> Call {
    Call {
        service,
        operation: operation.to_owned(),
        resources: vec![resource.to_owned()],
    }
}

/// A plan of one fault, which is said in one line.
fn one(line: &str) -> Plan {
    Plan::parse(&format!("seed: 7\nfaults:\n  - {{{line}}}\n")).unwrap()
}

#[test]
fn the_example_has_one_of_each() {
    let plan = Plan::parse(EXAMPLE).unwrap();
    let report = plan.report();
    assert_eq!(report["seed"], 42);
    let faults = report["faults"].as_array().unwrap();
    let kinds = [
        "latency",
        "error",
        "throttle",
        "hang_up",
        "duplicate",
        "reorder",
        "lose",
        "kill",
    ];
    let said: Vec<&str> = faults
        .iter()
        .map(|fault| fault["fault"].as_str().unwrap().split(' ').next().unwrap())
        .collect();
    assert_eq!(said, kinds);
    assert!(
        faults
            .iter()
            .all(|fault| fault["struck"] == 0 && fault["name"].is_string())
    );
}

#[test]
fn nothing_is_a_plan_of_nothing() {
    for text in ["", "# nothing\n", "{}", "faults: []"] {
        assert!(Plan::parse(text).unwrap().rules.is_empty(), "{text:?}");
    }
}

#[test]
fn what_is_not_allowed_is_said_with_its_place() {
    let table = [
        (
            "on: states:GetActivtyTask, lose: true",
            "faults[0].on: found `GetActivtyTask`",
        ),
        (
            "on: states:GetActivtyTask, lose: true",
            "did you mean `GetActivityTask`?",
        ),
        (
            "on: sfn:GetActivityTask, lose: true",
            "there are: states, sqs",
        ),
        (
            "on: GetActivityTask, lose: true",
            "like states:GetActivityTask",
        ),
        ("on: s3:PutObject", "one of latency, error, throttle"),
        (
            "on: s3:PutObject, throttle: true, lose: true",
            "lose: found beside `throttle`",
        ),
        (
            "on: s3:PutObject, throttle: false",
            "faults[0].throttle: found `false`",
        ),
        (
            "on: s3:PutObject, trottle: true",
            "did you mean `throttle`?",
        ),
        (
            "on: s3:PutObject, lose: true",
            "states:GetActivityTask and sqs:ReceiveMessage",
        ),
        (
            "on: sqs:*, reorder: true",
            "allowed is on sqs:ReceiveMessage",
        ),
        (
            "on: states:GetActivityTask, duplicate: true",
            "hands a task out once",
        ),
        ("on: s3:PutObject, kill: during", "faults[0].kill"),
        (
            "on: s3:PutObject, latency: soon",
            "found `soon`, allowed is a span",
        ),
        (
            "on: s3:PutObject, latency: 2h",
            "found 2h, allowed is up to 1h",
        ),
        (
            "on: s3:PutObject, error: {code: ''}",
            "error.code: found ``",
        ),
        (
            "on: s3:PutObject, error: {code: A, status: 200}",
            "found 200, allowed is 400 to 599",
        ),
        (
            "on: s3:PutObject, throttle: true, resource: ''",
            "resource: found an empty text",
        ),
        (
            "on: s3:PutObject, throttle: true, when: {}",
            "found 0 of nth, first",
        ),
        (
            "on: s3:PutObject, throttle: true, when: {nth: 1, every: 2}",
            "found 2 of nth",
        ),
        (
            "on: s3:PutObject, throttle: true, when: {every: 0}",
            "counted from one",
        ),
        (
            "on: s3:PutObject, throttle: true, when: {probability: 1.5}",
            "found 1.5, allowed is above 0",
        ),
        (
            "on: s3:PutObject, throttle: true, per: pod",
            "faults[0].per",
        ),
    ];
    for (line, said) in table {
        let text = format!("faults:\n  - {{{line}}}\n");
        let faults = Faults::default();
        let wrong = faults.replace("plan.yaml", &text).unwrap_err().to_string();
        assert!(
            wrong.starts_with("plan.yaml: ") && wrong.contains(said),
            "{line}: {wrong}"
        );
    }
    let both = "faults: [{on: a}, {on: '*', throttle: true}, {on: s3:Put, throttle: true}]";
    let wrong = Plan::parse(both).unwrap_err();
    assert_eq!(wrong.0.len(), 2, "{wrong:?}");
    assert!(Plan::parse("faults: [").unwrap_err().0[0].contains("not YAML"));
}

#[test]
fn a_pattern_matches_the_whole_or_the_last_part() {
    let table = [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "abde", false),
        ("ab*b", "ab", false),
    ];
    for (pattern, text, expected) in table {
        assert_eq!(
            Glob(pattern.to_owned()).matches(text),
            expected,
            "{pattern} {text}"
        );
    }
    let arn = "arn:aws:states:eu-west-1:123456789012:activity:prod-s3-load";
    let rule = "on: states:GetActivityTask, throttle: true, resource:";
    for (pattern, expected) in [
        ("prod-s3-load", true),
        ("prod-*", true),
        (arn, true),
        ("'arn:*:prod-s3-load'", true),
        ("s3-load", false),
        ("activity", false),
    ] {
        let plan = one(&format!("{rule} {pattern}"));
        let polls = call("states", "GetActivityTask", arn);
        assert_eq!(plan.rules[0].matches(&polls), expected, "{pattern}");
    }
}

#[test]
fn the_calls_to_strike_are_counted_from_one() {
    let struck = |when: &str| -> Vec<u64> {
        let plan = one(&format!("on: s3:PutObject, throttle: true{when}"));
        (1..=9).filter(|_| plan.rules[0].counts(None)).collect()
    };
    assert_eq!(struck("").len(), 9);
    assert_eq!(struck(", when: {nth: 3}"), [3]);
    assert_eq!(struck(", when: {first: 2}"), [1, 2]);
    assert_eq!(struck(", when: {every: 4}"), [4, 8]);
    let by_caller = one("on: s3:PutObject, kill: before, when: {nth: 2}, per: caller");
    let struck = [1, 2, 1, 3, 2].map(|pid| by_caller.rules[0].counts(Some(pid)));
    assert_eq!(struck, [false, false, true, false, true]);
}

#[test]
fn the_same_seed_strikes_the_same_calls() {
    let line = "{on: '*', throttle: true, when: {probability: 0.3}}";
    let draws = |seed: u64| -> Vec<Vec<bool>> {
        let text = format!("seed: {seed}\nfaults: [{line}, {line}]\n");
        let plan = Plan::parse(&text).unwrap();
        let rules = plan.rules.iter();
        rules
            .map(|rule| (0..1000).map(|_| rule.counts(None)).collect())
            .collect()
    };
    let drawn = draws(1);
    assert_eq!(drawn, draws(1));
    assert_ne!(drawn, draws(2));
    assert_ne!(drawn[0], drawn[1], "each fault has dice of its own");
    let struck = drawn[0].iter().filter(|struck| **struck).count();
    assert!((250..350).contains(&struck), "{struck} of 1000");
}

#[test]
fn a_request_of_s3_is_known_by_its_path_method_and_parameters() {
    let table = [
        ("GET", "/", "", "ListBuckets", ""),
        ("GET", "/b", "", "ListObjects", "b"),
        ("GET", "/b/?list-type=2&prefix=a/", "", "ListObjectsV2", "b"),
        ("HEAD", "/b", "", "HeadBucket", "b"),
        ("PUT", "/b", "", "CreateBucket", "b"),
        ("POST", "/b?delete", "", "DeleteObjects", "b"),
        ("GET", "/b/a%20b/c+d", "", "GetObject", "b/a b/c+d"),
        ("HEAD", "/b/k", "", "HeadObject", "b/k"),
        ("PUT", "/b/k?x-id=PutObject", "", "PutObject", "b/k"),
        ("PUT", "/b/k", "/b/other", "CopyObject", "b/k"),
        (
            "PUT",
            "/b/k?partNumber=1&uploadId=u",
            "",
            "UploadPart",
            "b/k",
        ),
        (
            "PUT",
            "/b/k?partNumber=1&uploadId=u",
            "/b/other",
            "UploadPartCopy",
            "b/k",
        ),
        ("POST", "/b/k?uploads", "", "CreateMultipartUpload", "b/k"),
        (
            "POST",
            "/b/k?uploadId=u",
            "",
            "CompleteMultipartUpload",
            "b/k",
        ),
        (
            "DELETE",
            "/b/k?uploadId=u",
            "",
            "AbortMultipartUpload",
            "b/k",
        ),
        ("DELETE", "/b/k", "", "DeleteObject", "b/k"),
    ];
    let known = names::service("s3").unwrap();
    for (method, uri, copied, operation, place) in table {
        let mut request = Request::builder().method(method).uri(uri);
        if !copied.is_empty() {
            request = request.header("x-amz-copy-source", copied);
        }
        let request = request.body(()).unwrap();
        assert_eq!(s3::operation(&request), operation, "{method} {uri}");
        assert!(known.operations().any(|known| known == operation));
        let (bucket, key) = s3::place(&request);
        let both = format!("{bucket}/{key}");
        assert_eq!(both.trim_end_matches('/'), place, "{method} {uri}");
    }
    let hosted = Request::builder()
        .uri("/k")
        .header("host", "b.localhost:4566");
    let hosted = hosted.body(()).unwrap();
    assert_eq!(s3::place(&hosted), ("b".to_owned(), "k".to_owned()));
}
