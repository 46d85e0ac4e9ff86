//! What the operations take, list and refuse.

use super::*;

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages() {
    let bench = Bench::new(json!({}), json!({})).await;
    for i in 0..5 {
        let start = json!({"stateMachineArn": MACHINE, "name": format!("r{i}")});
        bench.ok("StartExecution", start).await;
    }
    let stop = format!("{}r2", RUN.strip_suffix("one").expect("a name"));
    bench
        .ok("StopExecution", json!({"executionArn": stop}))
        .await;
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let list = json!({"stateMachineArn": MACHINE, "statusFilter": "RUNNING", "maxResults": 3, "nextToken": token});
        let page = bench.ok("ListExecutions", list).await;
        for one in page["executions"].as_array().expect("executions") {
            names.push(one["name"].as_str().expect("a name").to_owned());
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, ["r4", "r3", "r1", "r0"]);
    let bad = json!({"nextToken": "?"});
    assert_eq!(bench.refused("ListActivities", bad).await, "InvalidToken");
}

#[tokio::test(start_paused = true)]
async fn a_page_can_be_asked_for_within_a_day() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench.ok("CreateActivity", json!({"name": "demo-b"})).await;
    let definition = r#"{"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}"#;
    let machine = json!({"name": "demo-b", "roleArn": "arn:r", "definition": definition});
    bench.ok("CreateStateMachine", machine).await;
    for name in ["one", "two"] {
        let start = json!({"stateMachineArn": MACHINE, "name": name});
        bench.ok("StartExecution", start).await;
    }
    let lists = [
        ("ListActivities", json!({})),
        ("ListStateMachines", json!({})),
        ("ListExecutions", json!({"stateMachineArn": MACHINE})),
        ("GetExecutionHistory", json!({"executionArn": RUN})),
    ];
    let day = Duration::from_secs(24 * 60 * 60);
    for (operation, ask) in lists {
        let with = |key: &str, value: &Value| {
            let mut ask = ask.clone();
            ask[key] = value.clone();
            ask
        };
        let first = bench.ok(operation, with("maxResults", &json!(1))).await;
        let next = with("nextToken", &first["nextToken"]);
        tokio::time::advance(day - Duration::from_millis(1)).await;
        bench.ok(operation, next.clone()).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(
            bench.refused(operation, next).await,
            "InvalidToken",
            "{operation}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_made_twice_or_wrong_is_refused() {
    let bench = Bench::new(json!({}), json!({})).await;
    let create = |name: &str, definition: &str| json!({"name": name, "roleArn": "arn:r", "definition": definition});
    let good = r#"{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}"#;
    let cases = [
        (
            "CreateStateMachine",
            create("demo-a", good),
            "StateMachineAlreadyExists",
        ),
        ("CreateStateMachine", create("b", "{}"), "InvalidDefinition"),
        ("CreateStateMachine", create("b c", good), "InvalidName"),
        ("CreateActivity", json!({"name": ""}), "InvalidName"),
        (
            "CreateActivity",
            json!({"nome": "a"}),
            "ValidationException",
        ),
        (
            "StartExecution",
            json!({"stateMachineArn": format!("{MACHINE}x")}),
            "StateMachineDoesNotExist",
        ),
        (
            "StartExecution",
            json!({"stateMachineArn": ACTIVITY}),
            "InvalidArn",
        ),
        (
            "DescribeExecution",
            json!({"executionArn": RUN}),
            "ExecutionDoesNotExist",
        ),
        (
            "DescribeExecution",
            json!({"executionArn": "arn:x"}),
            "InvalidArn",
        ),
        (
            "PublishStateMachineVersion",
            json!({}),
            "UnknownOperationException",
        ),
        ("DescribeMapRun", json!({}), "UnknownOperationException"),
        (
            "StartSyncExecution",
            json!({"stateMachineArn": MACHINE}),
            "StateMachineTypeNotSupported",
        ),
        (
            "ListTagsForResource",
            json!({"resourceArn": format!("{MACHINE}x")}),
            "ResourceNotFound",
        ),
        (
            "DescribeStateMachineForExecution",
            json!({"executionArn": RUN}),
            "ExecutionDoesNotExist",
        ),
    ];
    for (operation, body, want) in cases {
        assert_eq!(
            bench.refused(operation, body.clone()).await,
            want,
            "{operation} {body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_follows_on_the_last_whatever_came_or_went() {
    let bench = Bench::new(json!({}), json!({})).await;
    let start = async |name: &str| {
        let start = json!({"stateMachineArn": MACHINE, "name": name});
        bench.ok("StartExecution", start).await;
    };
    let list =
        |token: &Value| json!({"stateMachineArn": MACHINE, "maxResults": 2, "nextToken": token});
    let names = |page: &Value, member: &str| -> Vec<String> {
        let items = page[member].as_array().expect(member).iter();
        items
            .map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    for name in ["a", "b", "c"] {
        start(name).await;
    }
    let first = bench.ok("ListExecutions", list(&Value::Null)).await;
    assert_eq!(names(&first, "executions"), ["c", "b"]);
    start("d").await;
    let second = bench.ok("ListExecutions", list(&first["nextToken"])).await;
    assert_eq!(names(&second, "executions"), ["a"]);
    assert!(second.get("nextToken").is_none(), "{second}");

    for name in ["demo-b", "demo-c"] {
        bench.ok("CreateActivity", json!({"name": name})).await;
    }
    let first = bench.ok("ListActivities", json!({"maxResults": 2})).await;
    assert_eq!(names(&first, "activities"), ["demo-a", "demo-b"]);
    let gone = json!({"activityArn": ACTIVITY});
    bench.ok("DeleteActivity", gone).await;
    let next = json!({"maxResults": 2, "nextToken": first["nextToken"]});
    let second = bench.ok("ListActivities", next.clone()).await;
    assert_eq!(names(&second, "activities"), ["demo-c"]);
    let elsewhere = json!({"nextToken": next["nextToken"]});
    assert_eq!(
        bench.refused("ListStateMachines", elsewhere).await,
        "InvalidToken"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_here_is_refused_by_its_name() {
    let bench = Bench::new(json!({}), json!({})).await;
    let good = r#"{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}"#;
    let create = |key: &str, value: Value| json!({"name": "b", "roleArn": "arn:r", "definition": good, key: value});
    let list = |key: &str, value: Value| json!({"stateMachineArn": MACHINE, key: value});
    let version = json!({"stateMachineArn": format!("{MACHINE}:1")});
    let cases = [
        (
            "CreateStateMachine",
            create("publish", json!(true)),
            "publish",
        ),
        (
            "CreateStateMachine",
            create("versionDescription", json!("one")),
            "versionDescription",
        ),
        (
            "CreateStateMachine",
            create("type", json!("EXPRESS")),
            "type",
        ),
        (
            "CreateStateMachine",
            create("loggingConfiguration", json!({"level": "ALL"})),
            "loggingConfiguration",
        ),
        (
            "CreateStateMachine",
            create("tracingConfiguration", json!({"enabled": true})),
            "tracingConfiguration",
        ),
        ("ListExecutions", json!({"mapRunArn": "arn:m"}), "mapRunArn"),
        (
            "ListExecutions",
            list("redriveFilter", json!("REDRIVEN")),
            "redriveFilter",
        ),
        (
            "ListExecutions",
            list("statusFilter", json!("succeeded")),
            "statusFilter",
        ),
        (
            "ListExecutions",
            list("maxResults", json!(1001)),
            "maxResults",
        ),
        (
            "StartExecution",
            version.clone(),
            "no versions and no aliases",
        ),
        (
            "DescribeStateMachine",
            version,
            "no versions and no aliases",
        ),
        (
            "CreateStateMachineAlias",
            json!({}),
            "operation CreateStateMachineAlias",
        ),
        ("ListMapRuns", json!({}), "operation ListMapRuns"),
    ];
    for (operation, body, want) in cases {
        let error = bench.sfn.call(operation, body.clone()).await;
        let message = error.expect_err(operation).message;
        assert!(message.contains(want), "{operation} {body}: {message}");
    }
    let off = json!({"name": "b", "roleArn": "arn:r", "definition": good, "publish": false, "type": "STANDARD",
        "loggingConfiguration": {"level": "OFF"}, "tracingConfiguration": {"enabled": false},
        "encryptionConfiguration": {"type": "AWS_OWNED_KEY"}});
    bench.ok("CreateStateMachine", off).await;
}

#[tokio::test(start_paused = true)]
async fn tags_are_kept_with_what_they_are_on() {
    let bench = Bench::new(json!({}), json!({})).await;
    let on = |more: Value| {
        let mut body = json!({"resourceArn": ACTIVITY});
        body.as_object_mut()
            .expect("a body")
            .extend(more.as_object().expect("more").clone());
        body
    };
    let tags = |count: usize| {
        let tags = (0..count).map(|n| json!({"key": format!("k{n:02}"), "value": "v"}));
        on(json!({"tags": tags.collect::<Vec<_>>()}))
    };
    bench.ok("TagResource", tags(50)).await;
    bench
        .ok(
            "TagResource",
            on(json!({"tags": [{"key": "k00", "value": "w"}]})),
        )
        .await;
    let one_more = on(json!({"tags": [{"key": "x"}]}));
    assert_eq!(bench.refused("TagResource", one_more).await, "TooManyTags");
    let keys: Vec<String> = (1..50).map(|n| format!("k{n:02}")).collect();
    bench
        .ok("UntagResource", on(json!({"tagKeys": keys})))
        .await;
    let left = bench.ok("ListTagsForResource", on(json!({}))).await;
    assert_eq!(left, json!({"tags": [{"key": "k00", "value": "w"}]}));
    bench
        .ok("DeleteActivity", json!({"activityArn": ACTIVITY}))
        .await;
    bench
        .ok(
            "CreateActivity",
            json!({"name": "demo-a", "tags": [{"key": "new", "value": ""}]}),
        )
        .await;
    let anew = bench.ok("ListTagsForResource", on(json!({}))).await;
    assert_eq!(anew, json!({"tags": [{"key": "new", "value": ""}]}));
}

#[tokio::test(start_paused = true)]
async fn an_execution_keeps_the_revision_that_it_was_started_with() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench.start(json!({})).await;
    let before = bench
        .ok("DescribeStateMachine", json!({"stateMachineArn": MACHINE}))
        .await;
    assert!(before.get("revisionId").is_none(), "{before}");
    pass(5).await;
    let update = json!({"stateMachineArn": MACHINE, "roleArn": "arn:other",
        "definition": r#"{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}"#});
    let updated = bench.ok("UpdateStateMachine", update).await;
    let after = bench
        .ok("DescribeStateMachine", json!({"stateMachineArn": MACHINE}))
        .await;
    assert_eq!(after["revisionId"], updated["revisionId"]);
    assert_eq!(
        (&after["roleArn"], &updated["updateDate"]),
        (&json!("arn:other"), &json!(5.0))
    );
    let of = json!({"executionArn": RUN});
    let started = bench.ok("DescribeStateMachineForExecution", of).await;
    assert_eq!(started["definition"], before["definition"]);
    assert_eq!(
        (&started["roleArn"], &started["updateDate"]),
        (&json!("arn:r"), &json!(0.0))
    );
    let token = bench.token().await;
    bench.succeed(&token, json!(1)).await;
    assert_eq!(bench.ended().await, succeeded(json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_validated_without_being_kept() {
    let bench = Bench::new(json!({}), json!({})).await;
    let validate = async |definition: &str| {
        let body = json!({"definition": definition, "type": "STANDARD"});
        bench.ok("ValidateStateMachineDefinition", body).await
    };
    let good = validate(r#"{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}"#).await;
    assert_eq!(
        good,
        json!({"result": "OK", "diagnostics": [], "truncated": false})
    );
    let bad = validate(r#"{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"}}}"#).await;
    assert_eq!(bad["result"], "FAIL");
    let told = &bad["diagnostics"][0];
    assert_eq!(
        (&told["severity"], &told["code"], &told["location"]),
        (
            &json!("ERROR"),
            &json!("SCHEMA_VALIDATION_FAILED"),
            &json!("/States/A")
        )
    );
    let broken = validate("{").await;
    assert_eq!(broken["diagnostics"][0]["code"], "INVALID_JSON_DESCRIPTION");
}

#[tokio::test(start_paused = true)]
async fn histories_come_in_both_orders_and_without_data() {
    let bench = Bench::new(json!({}), json!({})).await;
    let pass = json!({"S": {"Type": "Pass", "End": true}});
    bench.run(pass, json!({"secret": 1})).await;
    let mut ids = Vec::new();
    let mut token = Value::Null;
    loop {
        let ask = json!({"executionArn": RUN, "reverseOrder": true, "maxResults": 3,
            "includeExecutionData": false, "nextToken": token});
        let page = bench.ok("GetExecutionHistory", ask).await;
        assert!(!page.to_string().contains("secret"), "{page}");
        for event in page["events"].as_array().expect("events") {
            ids.push((event["id"].as_u64(), event["previousEventId"].as_u64()));
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    // The first state follows from nothing, as at AWS.
    let want = [(4, 3), (3, 2), (2, 0), (1, 0)].map(|(id, before)| (Some(id), Some(before)));
    assert_eq!(ids, want);
    let all = bench.events().await;
    assert_eq!(
        all[1]["stateEnteredEventDetails"]["input"],
        text(json!({"secret": 1}))
    );
    assert_eq!(
        all[1]["stateEnteredEventDetails"]["inputDetails"],
        json!({"truncated": false})
    );
}
