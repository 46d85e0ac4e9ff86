//! The services that a Task state may call, and their operations.

/// A service that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Step Functions itself.
    StepFunctions,
    /// CloudWatch.
    CloudWatch,
    /// SNS.
    Sns,
    /// SQS.
    Sqs,
    /// S3: objects.
    S3,
    /// The Redshift Data API.
    RedshiftData,
}

// === impl Service ===

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::StepFunctions,
        Self::CloudWatch,
        Self::Sns,
        Self::Sqs,
        Self::S3,
        Self::RedshiftData,
    ];

    /// As it is named after `aws-sdk:`.
    pub fn sdk_name(self) -> &'static str {
        match self {
            Self::StepFunctions => "sfn",
            Self::CloudWatch => "cloudwatch",
            Self::Sns => "sns",
            Self::Sqs => "sqs",
            Self::S3 => "s3",
            Self::RedshiftData => "redshiftdata",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|service| service.sdk_name() == name)
    }

    pub(super) fn names() -> [&'static str; 6] {
        Self::ALL.map(Self::sdk_name)
    }

    /// What may be called, by the names of the model.
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            Self::StepFunctions => STEP_FUNCTIONS,
            Self::CloudWatch => CLOUDWATCH,
            Self::Sns => SNS,
            Self::Sqs => SQS,
            Self::S3 => S3,
            Self::RedshiftData => REDSHIFT_DATA,
        }
    }
}

const STEP_FUNCTIONS: &[&str] = &[
    "CreateActivity",
    "CreateStateMachine",
    "DeleteActivity",
    "DeleteStateMachine",
    "DescribeActivity",
    "DescribeExecution",
    "DescribeStateMachine",
    "DescribeStateMachineForExecution",
    "GetActivityTask",
    "GetExecutionHistory",
    "ListActivities",
    "ListExecutions",
    "ListStateMachines",
    "ListTagsForResource",
    "RedriveExecution",
    "SendTaskFailure",
    "SendTaskHeartbeat",
    "SendTaskSuccess",
    "StartExecution",
    "StopExecution",
    "TagResource",
    "UntagResource",
    "UpdateStateMachine",
    "ValidateStateMachineDefinition",
];

const CLOUDWATCH: &[&str] = &[
    "DeleteAlarms",
    "DescribeAlarmHistory",
    "DescribeAlarms",
    "DescribeAlarmsForMetric",
    "DisableAlarmActions",
    "EnableAlarmActions",
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
    "ListTagsForResource",
    "PutMetricAlarm",
    "PutMetricData",
    "SetAlarmState",
    "TagResource",
    "UntagResource",
];

const SNS: &[&str] = &[
    "CreateTopic",
    "DeleteTopic",
    "GetSubscriptionAttributes",
    "GetTopicAttributes",
    "ListSubscriptions",
    "ListSubscriptionsByTopic",
    "ListTopics",
    "Publish",
    "PublishBatch",
    "SetSubscriptionAttributes",
    "SetTopicAttributes",
    "Subscribe",
    "Unsubscribe",
];

const SQS: &[&str] = &[
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

const S3: &[&str] = &[
    "DeleteObject",
    "GetObject",
    "HeadObject",
    "ListObjectsV2",
    "PutObject",
];

const REDSHIFT_DATA: &[&str] = &[
    "BatchExecuteStatement",
    "CancelStatement",
    "DescribeStatement",
    "ExecuteStatement",
    "GetStatementResult",
    "ListStatements",
];
