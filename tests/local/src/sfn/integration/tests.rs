use super::*;

#[test]
fn resources_say_service_operation_and_what_is_waited_for() {
    let cases = [
        ("sns:publish", Service::Sns, "Publish", Pattern::Response),
        (
            "sns:publish.waitForTaskToken",
            Service::Sns,
            "Publish",
            Pattern::Token,
        ),
        (
            "sqs:sendMessage",
            Service::Sqs,
            "SendMessage",
            Pattern::Response,
        ),
        (
            "sqs:sendMessage.waitForTaskToken",
            Service::Sqs,
            "SendMessage",
            Pattern::Token,
        ),
        (
            "states:startExecution",
            Service::StepFunctions,
            "StartExecution",
            Pattern::Response,
        ),
        (
            "states:startExecution.sync",
            Service::StepFunctions,
            "StartExecution",
            Pattern::Sync,
        ),
        (
            "states:startExecution.sync:2",
            Service::StepFunctions,
            "StartExecution",
            Pattern::Sync2,
        ),
        (
            "states:startExecution.waitForTaskToken",
            Service::StepFunctions,
            "StartExecution",
            Pattern::Token,
        ),
        (
            "aws-sdk:s3:listObjectsV2",
            Service::S3,
            "ListObjectsV2",
            Pattern::Response,
        ),
        (
            "aws-sdk:redshiftdata:executeStatement.waitForTaskToken",
            Service::RedshiftData,
            "ExecuteStatement",
            Pattern::Token,
        ),
    ];
    for (text, service, operation, pattern) in cases {
        let read = Integration::parse(text).expect(text);
        assert_eq!((read.service, read.pattern), (service, pattern), "{text}");
        assert_eq!(read.operation(), operation, "{text}");
        let again = format!("{}:{}", read.resource_type(), read.resource());
        assert_eq!(again, text);
    }
}

#[test]
fn what_is_not_here_is_named() {
    let cases = [
        ("lambda:invoke", "'lambda:invoke' is not here"),
        ("sqs:deleteMessage", "'sqs:deleteMessage' is not here"),
        ("sns:publish.sync", "'sns:publish' has no .sync here"),
        ("aws-sdk:dynamodb:getItem", "'aws-sdk:dynamodb' is not here"),
        (
            "aws-sdk:sns:tagResources",
            "'tagResources' of aws-sdk:sns is not here",
        ),
        (
            "aws-sdk:sns:Publish",
            "'Publish' of aws-sdk:sns is not here",
        ),
        (
            "aws-sdk:sfn:startExecution.sync:2",
            "'sfn:startExecution' has no .sync here",
        ),
        ("aws-sdk:sns", "'' of aws-sdk:sns is not here"),
    ];
    for (text, want) in cases {
        let why = Integration::parse(text).expect_err(text);
        assert!(why.contains(want), "{text}: {why}");
    }
}
