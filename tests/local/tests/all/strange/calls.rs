//! Good requests of each operation, and what is put into their places.

use serde_json::{Value, json};

pub(super) const SFN: &str = "AWSStepFunctions";
pub(super) const SQS: &str = "AmazonSQS";
pub(super) const CLOUDWATCH: &str = "GraniteServiceVersion20100801";
pub(super) const SECRETS: &str = "secretsmanager";
pub(super) const DATA: &str = "RedshiftData";
pub(super) const NAME: &str = "arn:aws:states:eu-west-1:123456789012";

/// What stands where something else is expected.
pub(super) fn strange() -> Vec<Value> {
    let deep = |open: &str, close: &str, times: usize| open.repeat(times) + &close.repeat(times);
    let mut values = vec![
        Value::Null,
        json!(true),
        json!(""),
        json!(-1),
        json!(0),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!([]),
        json!({}),
        json!([[[[[[[[1]]]]]]]]),
        json!({"a": {"b": {"c": [null]}}}),
        json!("\u{0}\u{feff}\u{202e}é\u{10ffff}"),
        json!("9999-99-99T99:99:99Z"),
        json!("-9999999999999999999"),
        json!("${jndi:x}%s%n../../etc/passwd"),
        json!("n".repeat(70_000)),
        json!("1".repeat(70_000)),
    ];
    // Whatever reads this by calling itself.
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{\"a\":", "}"),
        ("States.Array(", ")"),
        ("$[?(", ")]"),
        ("-", ""),
        ("/*", "*/"),
        ("IF(1,", ",2)"),
    ] {
        values.push(json!(deep(open, close, 20_000)));
    }
    values.push(json!(format!("$.{}", "a.".repeat(30_000))));
    values
}

/// A machine that uses what numbers it may, and ends.
pub(super) fn definition() -> Value {
    let retry = json!([{
        "ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1,
        "BackoffRate": 2.0, "MaxDelaySeconds": 9,
    }]);
    json!({
        "StartAt": "Fill",
        "TimeoutSeconds": 60,
        "States": {
            "Fill": {
                "Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)", "of.$": "$.n"},
                "ResultPath": "$.r", "InputPath": "$", "OutputPath": "$", "Next": "Which",
            },
            "Which": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericGreaterThan": 7, "Next": "End"}],
                "Default": "Wait",
            },
            "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Work"},
            "Work": {
                "Type": "Task", "Resource": format!("{NAME}:activity:work"),
                "TimeoutSeconds": 2, "HeartbeatSeconds": 1, "Retry": retry, "Next": "Each",
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Each"}],
            },
            "Each": {
                "Type": "Map", "ItemsPath": "$.list", "MaxConcurrency": 2,
                "ItemProcessor": {
                    "StartAt": "One", "States": {"One": {"Type": "Pass", "End": true}},
                },
                "Next": "End",
            },
            "End": {"Type": "Succeed"},
        },
    })
}

/// A good request of each operation that reads more than a name.
pub(super) fn calls() -> Vec<(&'static str, &'static str, Value)> {
    let queue = "http://127.0.0.1/123456789012/q";
    let machine = format!("{NAME}:stateMachine:m");
    let role = "arn:aws:iam::123456789012:role/r";
    let metric = json!({
        "MetricName": "M", "Dimensions": [{"Name": "D", "Value": "d"}], "Timestamp": 1.0e9,
        "Value": 1, "Unit": "None", "StatisticValues": null, "Values": [1], "Counts": [1],
        "StorageResolution": 60,
    });
    let span = json!({
        "Namespace": "N", "MetricName": "M", "StartTime": 1.0e9, "EndTime": 1.1e9, "Period": 60,
        "Statistics": ["Sum"], "Dimensions": [{"Name": "D", "Value": "d"}],
    });
    let query = json!({
        "Id": "a", "ReturnData": true, "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "Sum",
        },
    });
    let alarm = json!({
        "AlarmName": "a", "Namespace": "N", "MetricName": "M", "Period": 60,
        "EvaluationPeriods": 1, "DatapointsToAlarm": 1, "Threshold": 1, "Statistic": "Sum",
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "breaching",
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:t"],
    });
    let sum = json!({
        "AlarmName": "b", "EvaluationPeriods": 1, "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Metrics": [query, {"Id": "e", "Expression": "IF(a > 1, a, -a) / 2", "ReturnData": false}],
    });
    vec![
        (
            SFN,
            "CreateActivity",
            json!({"name": "a", "tags": [{"key": "k", "value": "v"}]}),
        ),
        (
            SFN,
            "ListActivities",
            json!({"maxResults": 1, "nextToken": "x"}),
        ),
        (
            SFN,
            "SendTaskSuccess",
            json!({"taskToken": "t", "output": "{}"}),
        ),
        (
            SFN,
            "SendTaskFailure",
            json!({"taskToken": "t", "error": "e", "cause": "c"}),
        ),
        (SFN, "SendTaskHeartbeat", json!({"taskToken": "t"})),
        (
            SFN,
            "GetActivityTask",
            json!({"activityArn": format!("{NAME}:activity:none"), "workerName": "w"}),
        ),
        (
            SFN,
            "CreateStateMachine",
            json!({
                "name": "m", "roleArn": role, "definition": definition().to_string(), "type": "STANDARD",
            }),
        ),
        (
            SFN,
            "ValidateStateMachineDefinition",
            json!({"definition": definition().to_string()}),
        ),
        (
            SFN,
            "StartExecution",
            json!({
                "stateMachineArn": machine, "name": "e", "input": r#"{"n": 1, "list": [1, 2]}"#,
            }),
        ),
        (
            SFN,
            "ListExecutions",
            json!({"stateMachineArn": machine, "maxResults": 1, "statusFilter": "RUNNING"}),
        ),
        (
            SFN,
            "GetExecutionHistory",
            json!({"executionArn": format!("{NAME}:execution:m:e"), "maxResults": 1, "reverseOrder": true}),
        ),
        (
            SFN,
            "StopExecution",
            json!({"executionArn": format!("{NAME}:execution:m:none"), "error": "e", "cause": "c"}),
        ),
        (
            SQS,
            "CreateQueue",
            json!({"QueueName": "q", "Attributes": {
                "VisibilityTimeout": "1", "DelaySeconds": "0", "MessageRetentionPeriod": "60",
                "Policy": "{}", "RedrivePolicy": "{}",
            }}),
        ),
        (
            SQS,
            "SetQueueAttributes",
            json!({"QueueUrl": queue, "Attributes": {"DelaySeconds": "0"}}),
        ),
        (
            SQS,
            "SendMessage",
            json!({
                "QueueUrl": queue, "MessageBody": "b", "DelaySeconds": 0,
                "MessageAttributes": {"a": {"DataType": "Number", "StringValue": "1"}},
            }),
        ),
        (
            SQS,
            "SendMessageBatch",
            json!({"QueueUrl": queue, "Entries": [{"Id": "1", "MessageBody": "b", "DelaySeconds": 0}]}),
        ),
        (
            SQS,
            "ReceiveMessage",
            json!({"QueueUrl": queue, "MaxNumberOfMessages": 1, "VisibilityTimeout": 0, "WaitTimeSeconds": 0}),
        ),
        (
            SQS,
            "ChangeMessageVisibility",
            json!({"QueueUrl": queue, "ReceiptHandle": "h", "VisibilityTimeout": 1}),
        ),
        (
            SQS,
            "DeleteMessageBatch",
            json!({"QueueUrl": queue, "Entries": [{"Id": "1", "ReceiptHandle": "h"}]}),
        ),
        (
            SQS,
            "StartMessageMoveTask",
            json!({"SourceArn": "arn:aws:sqs:eu-west-1:123456789012:q", "MaxNumberOfMessagesPerSecond": 1}),
        ),
        (
            CLOUDWATCH,
            "PutMetricData",
            json!({"Namespace": "N", "MetricData": [metric]}),
        ),
        (CLOUDWATCH, "GetMetricStatistics", span),
        (
            CLOUDWATCH,
            "GetMetricData",
            json!({"MetricDataQueries": [query], "StartTime": 1.0e9, "EndTime": 1.1e9, "MaxDatapoints": 1}),
        ),
        (CLOUDWATCH, "PutMetricAlarm", alarm),
        (CLOUDWATCH, "PutMetricAlarm", sum),
        (
            CLOUDWATCH,
            "DescribeAlarms",
            json!({"AlarmNames": ["a"], "MaxRecords": 1, "StateValue": "OK"}),
        ),
        (
            CLOUDWATCH,
            "SetAlarmState",
            json!({"AlarmName": "a", "StateValue": "OK", "StateReason": "r", "StateReasonData": "{}"}),
        ),
        (
            CLOUDWATCH,
            "DescribeAlarmHistory",
            json!({"AlarmName": "a", "StartDate": 1.0e9, "EndDate": 1.1e9, "MaxRecords": 1}),
        ),
        (
            CLOUDWATCH,
            "ListMetrics",
            json!({"Namespace": "N", "Dimensions": [{"Name": "D", "Value": "d"}]}),
        ),
        (
            SECRETS,
            "CreateSecret",
            json!({"Name": "s", "SecretString": "x", "ClientRequestToken": "0123456789012345678901234567890123"}),
        ),
        (
            SECRETS,
            "DeleteSecret",
            json!({"SecretId": "s", "RecoveryWindowInDays": 7}),
        ),
        (SECRETS, "ListSecrets", json!({"MaxResults": 1})),
        (
            DATA,
            "ExecuteStatement",
            json!({
                "Sql": "SELECT :a", "Database": "dev", "WorkgroupName": "w", "StatementName": "s",
                "Parameters": [{"name": "a", "value": "1"}],
            }),
        ),
        (
            DATA,
            "ExecuteStatement",
            json!({
                "Sql": "COPY t FROM 's3://b/k' IAM_ROLE default CSV MAXERROR 1", "Database": "dev", "WorkgroupName": "w",
            }),
        ),
        (
            DATA,
            "BatchExecuteStatement",
            json!({"Sqls": ["SELECT 1"], "Database": "dev", "WorkgroupName": "w"}),
        ),
        (
            DATA,
            "GetStatementResult",
            json!({"Id": "x", "NextToken": "1"}),
        ),
        (
            DATA,
            "ListStatements",
            json!({"MaxResults": 1, "Status": "ALL", "NextToken": "x"}),
        ),
    ]
}
