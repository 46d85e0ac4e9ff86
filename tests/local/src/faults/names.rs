//! The services and their operations, as AWS names them.
//!
//! All of AWS's, whether or not they are here: a name that AWS has is no slip
//! of the pen.

/// A service: its name in policies, and its operations.
pub(super) struct Service {
    pub(super) name: &'static str,
    /// What it answers when it is asked too much, and the status of it.
    pub(super) throttle: (&'static str, u16),
    /// Separated by white space.
    operations: &'static str,
}

impl Service {
    pub(super) fn operations(&self) -> impl Iterator<Item = &'static str> {
        self.operations.split_whitespace()
    }
}

/// The service of this name.
pub(super) fn service(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// Every service that faults know.
pub(super) const SERVICES: [Service; 8] = [
    Service {
        name: "states",
        throttle: ("ThrottlingException", 400),
        operations: "CreateActivity CreateStateMachine CreateStateMachineAlias DeleteActivity
            DeleteStateMachine DeleteStateMachineAlias DeleteStateMachineVersion
            DescribeActivity DescribeExecution DescribeMapRun DescribeStateMachine
            DescribeStateMachineAlias DescribeStateMachineForExecution GetActivityTask
            GetExecutionHistory ListActivities ListExecutions ListMapRuns
            ListStateMachineAliases ListStateMachineVersions ListStateMachines
            ListTagsForResource PublishStateMachineVersion RedriveExecution SendTaskFailure
            SendTaskHeartbeat SendTaskSuccess StartExecution StartSyncExecution StopExecution
            TagResource TestState UntagResource UpdateMapRun UpdateStateMachine
            UpdateStateMachineAlias ValidateStateMachineDefinition",
    },
    Service {
        name: "sqs",
        throttle: ("RequestThrottled", 400),
        operations: "AddPermission CancelMessageMoveTask ChangeMessageVisibility
            ChangeMessageVisibilityBatch CreateQueue DeleteMessage DeleteMessageBatch
            DeleteQueue GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues
            ListMessageMoveTasks ListQueueTags ListQueues PurgeQueue ReceiveMessage
            RemovePermission SendMessage SendMessageBatch SetQueueAttributes
            StartMessageMoveTask TagQueue UntagQueue",
    },
    Service {
        name: "sns",
        throttle: ("Throttling", 400),
        operations: "AddPermission CheckIfPhoneNumberIsOptedOut ConfirmSubscription
            CreatePlatformApplication CreatePlatformEndpoint CreateSMSSandboxPhoneNumber
            CreateTopic DeleteEndpoint DeletePlatformApplication DeleteSMSSandboxPhoneNumber
            DeleteTopic GetDataProtectionPolicy GetEndpointAttributes
            GetPlatformApplicationAttributes GetSMSAttributes GetSMSSandboxAccountStatus
            GetSubscriptionAttributes GetTopicAttributes ListEndpointsByPlatformApplication
            ListOriginationNumbers ListPhoneNumbersOptedOut ListPlatformApplications
            ListSMSSandboxPhoneNumbers ListSubscriptions ListSubscriptionsByTopic
            ListTagsForResource ListTopics OptInPhoneNumber Publish PublishBatch
            PutDataProtectionPolicy RemovePermission SetEndpointAttributes
            SetPlatformApplicationAttributes SetSMSAttributes SetSubscriptionAttributes
            SetTopicAttributes Subscribe TagResource Unsubscribe UntagResource
            VerifySMSSandboxPhoneNumber",
    },
    Service {
        name: "cloudwatch",
        throttle: ("Throttling", 400),
        operations: "DeleteAlarmMuteRule DeleteAlarms DeleteAnomalyDetector DeleteDashboards
            DeleteInsightRules DeleteMetricStream DescribeAlarmContributors DescribeAlarmHistory
            DescribeAlarms DescribeAlarmsForMetric DescribeAnomalyDetectors DescribeInsightRules
            DisableAlarmActions DisableInsightRules EnableAlarmActions EnableInsightRules
            GetAlarmMuteRule GetDashboard GetInsightRuleReport GetMetricData GetMetricStatistics
            GetMetricStream GetMetricWidgetImage GetOTelEnrichment ListAlarmMuteRules
            ListDashboards ListManagedInsightRules ListMetricStreams ListMetrics
            ListTagsForResource PutAlarmMuteRule PutAnomalyDetector PutCompositeAlarm
            PutDashboard PutInsightRule PutManagedInsightRules PutMetricAlarm PutMetricData
            PutMetricStream SetAlarmState StartMetricStreams StartOTelEnrichment
            StopMetricStreams StopOTelEnrichment TagResource UntagResource",
    },
    Service {
        name: "s3",
        throttle: ("SlowDown", 503),
        operations: "AbortMultipartUpload CompleteMultipartUpload CopyObject CreateBucket
            CreateMultipartUpload DeleteBucket DeleteObject DeleteObjects GetBucketLocation
            GetBucketNotificationConfiguration GetObject GetObjectAttributes GetObjectTagging
            HeadBucket HeadObject ListBuckets ListMultipartUploads ListObjects ListObjectsV2
            ListParts PutBucketNotificationConfiguration PutObject PutObjectTagging UploadPart
            UploadPartCopy",
    },
    Service {
        name: "redshift-data",
        throttle: ("ThrottlingException", 400),
        operations: "BatchExecuteStatement CancelStatement DescribeStatement DescribeTable
            ExecuteStatement GetStatementResult GetStatementResultV2 ListDatabases ListSchemas
            ListStatements ListTables",
    },
    Service {
        name: "secretsmanager",
        throttle: ("ThrottlingException", 400),
        operations: "BatchGetSecretValue CancelRotateSecret CreateSecret DeleteResourcePolicy
            DeleteSecret DescribeSecret GetRandomPassword GetResourcePolicy GetSecretValue
            ListSecretVersionIds ListSecrets PutResourcePolicy PutSecretValue
            RemoveRegionsFromReplication ReplicateSecretToRegions RestoreSecret RotateSecret
            StopReplicationToReplica TagResource UntagResource UpdateSecret
            UpdateSecretVersionStage ValidateResourcePolicy",
    },
    Service {
        name: "sts",
        throttle: ("Throttling", 400),
        operations: "AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot
            DecodeAuthorizationMessage GetAccessKeyInfo GetCallerIdentity
            GetDelegatedAccessToken GetFederationToken GetSessionToken GetWebIdentityToken",
    },
];
