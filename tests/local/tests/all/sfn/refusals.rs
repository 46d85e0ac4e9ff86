//! What is refused, by the names of the model.

use serde_json::{Value, json};

use super::{Bench, PREFIX};
use crate::aws::refused;

#[tokio::test]
async fn what_is_not_there_or_no_arn_has_its_name() {
    let bench = Bench::new().await;
    let sfn = &bench.sfn;
    let machine = bench.machine("there", &json!({})).await;
    let (activity, execution) = (
        format!("{PREFIX}:activity:none"),
        format!("{PREFIX}:execution:there:none"),
    );
    let none = format!("{PREFIX}:stateMachine:none");
    let poll = |arn: &str| sfn.get_activity_task().activity_arn(arn).send();
    let start = |arn: &str| sfn.start_execution().state_machine_arn(arn);
    let describe = |arn: &str| sfn.describe_execution().execution_arn(arn).send();
    let long = "n".repeat(81);
    let cases = [
        ("InvalidArn", refused(poll("nonsense").await)),
        ("InvalidArn", refused(poll(&machine).await)),
        ("ActivityDoesNotExist", refused(poll(&activity).await)),
        (
            "ActivityDoesNotExist",
            refused(sfn.describe_activity().activity_arn(&activity).send().await),
        ),
        (
            "ValidationException",
            refused(
                sfn.get_activity_task()
                    .activity_arn(&bench.activity)
                    .worker_name(&long)
                    .send()
                    .await,
            ),
        ),
        (
            "InvalidName",
            refused(sfn.create_activity().name(&long).send().await),
        ),
        (
            "InvalidName",
            refused(sfn.create_activity().name("a b").send().await),
        ),
        ("InvalidArn", refused(start(&bench.activity).send().await)),
        (
            "StateMachineDoesNotExist",
            refused(start(&none).send().await),
        ),
        (
            "InvalidName",
            refused(start(&machine).name("a/b").send().await),
        ),
        (
            "InvalidExecutionInput",
            refused(start(&machine).input("{").send().await),
        ),
        ("InvalidArn", refused(describe(&machine).await)),
        ("ExecutionDoesNotExist", refused(describe(&execution).await)),
        (
            "ExecutionDoesNotExist",
            refused(sfn.stop_execution().execution_arn(&execution).send().await),
        ),
        (
            "ExecutionDoesNotExist",
            refused(
                sfn.get_execution_history()
                    .execution_arn(&execution)
                    .send()
                    .await,
            ),
        ),
        (
            "StateMachineDoesNotExist",
            refused(sfn.list_executions().state_machine_arn(&none).send().await),
        ),
        (
            "StateMachineDoesNotExist",
            refused(
                sfn.describe_state_machine()
                    .state_machine_arn(&none)
                    .send()
                    .await,
            ),
        ),
        (
            "MissingRequiredParameter",
            refused(
                sfn.update_state_machine()
                    .state_machine_arn(&machine)
                    .send()
                    .await,
            ),
        ),
        (
            "InvalidToken",
            refused(
                sfn.send_task_heartbeat()
                    .task_token("nonsense")
                    .send()
                    .await,
            ),
        ),
        (
            "InvalidToken",
            refused(sfn.list_activities().next_token("nonsense").send().await),
        ),
        (
            "ValidationException",
            refused(sfn.list_activities().max_results(1_001).send().await),
        ),
    ];
    for (at, (wanted, (code, message))) in cases.into_iter().enumerate() {
        assert_eq!(code, wanted, "case {at}: {message}");
        assert!(!message.is_empty(), "case {at}");
    }
    // What is gone already is deleted without a word.
    sfn.delete_activity()
        .activity_arn(&activity)
        .send()
        .await
        .unwrap();
    sfn.delete_state_machine()
        .state_machine_arn(&none)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_machine_with_what_is_absent_is_refused_by_state_and_field() {
    let bench = Bench::new().await;
    let state = |state: Value| {
        let states = json!({"Load": state, "Done": {"Type": "Succeed"}});
        json!({"StartAt": "Load", "States": states}).to_string()
    };
    let task = |field: &str, value: Value| {
        let mut task = json!({"Type": "Task", "Resource": bench.activity, "Next": "Done"});
        task[field] = value;
        state(task)
    };
    let cases = [
        (task("Credentials", json!({})), "/States/Load/Credentials"),
        (task("Assign", json!({})), "/States/Load/Assign"),
        (
            task("QueryLanguage", json!("JSONata")),
            "/States/Load/QueryLanguage",
        ),
        (
            task("Resource", json!("arn:aws:states:::lambda:invoke")),
            "/States/Load/Resource",
        ),
        (
            task("Parameters", json!({"t.$": "$$.Task.Token"})),
            "/States/Load/Parameters/t.$",
        ),
        (
            task("Retry", json!([{"ErrorEquals": ["A"], "Until": 1}])),
            "/States/Load/Retry[0]/Until",
        ),
        (state(json!({"Type": "Loop"})), "/States/Load/Type"),
        (
            state(json!({"Type": "Pass", "Next": "Nowhere"})),
            "'Nowhere'",
        ),
        ("{".to_owned(), "INVALID_JSON"),
    ];
    for (definition, place) in cases {
        let create = bench.sfn.create_state_machine().name("refused");
        let create = create
            .definition(&definition)
            .role_arn("arn:aws:iam::1:role/r");
        let error = create.send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_definition(), "{definition}: {error:?}");
        let said = error.to_string() + error.meta().message().unwrap_or_default();
        assert!(said.contains(place), "{definition}: {said}");
    }
    let create = bench.sfn.create_state_machine().name("refused");
    let create = create.definition(state(json!({"Type": "Pass", "Next": "Done"})));
    let express = create
        .role_arn("arn:aws:iam::1:role/r")
        .r#type("EXPRESS".into());
    let (code, message) = refused(express.send().await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("STANDARD"), "{message}");
}
