//! Task states that call other services, as their resource says.

mod conduct;
mod failure;
mod operations;
mod shape;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

pub use self::operations::Service;
use crate::AwsError;

/// How the other services are reached from a Task state.
#[async_trait]
pub trait Integrations: Send + Sync + Debug {
    /// Calls an operation by its name in the model of the service, with its
    /// input as that model has it.
    async fn call(
        &self,
        service: Service,
        operation: &str,
        input: Value,
    ) -> Result<Value, AwsError>;
}

/// A resource that is a service's operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Integration {
    pub(crate) service: Service,
    /// As the resource has it, like `sendMessage`.
    pub(crate) action: String,
    /// It is `aws-sdk:...`: names, errors and times are those of the SDK.
    pub(crate) sdk: bool,
    pub(crate) pattern: Pattern,
}

/// What a Task state waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The answer.
    Response,
    /// The end of the execution that was started; its output stays a text.
    Sync,
    /// The same, with its output read as JSON.
    Sync2,
    /// Somebody who reports with the token.
    Token,
}

const PATTERNS: [(&str, Pattern); 3] = [
    (".waitForTaskToken", Pattern::Token),
    (".sync:2", Pattern::Sync2),
    (".sync", Pattern::Sync),
];

/// What the integrations without `aws-sdk` do.
const OPTIMIZED: [(&str, &str, Service); 3] = [
    ("sns", "publish", Service::Sns),
    ("sqs", "sendMessage", Service::Sqs),
    ("states", "startExecution", Service::StepFunctions),
];

// === impl Integration ===

impl Integration {
    /// Reads what follows `arn:aws:states:::`.
    ///
    /// # Errors
    /// What of it is not here, by name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (sdk, rest) = match text.strip_prefix("aws-sdk:") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (bare, pattern) = PATTERNS
            .iter()
            .find_map(|(suffix, pattern)| Some((rest.strip_suffix(suffix)?, *pattern)))
            .unwrap_or((rest, Pattern::Response));
        let (name, action) = bare.split_once(':').unwrap_or((bare, ""));
        let service = if sdk {
            sdk_service(name, action)?
        } else {
            optimized(name, action)?
        };
        let syncs = matches!(pattern, Pattern::Sync | Pattern::Sync2);
        if syncs && (sdk || service != Service::StepFunctions) {
            return Err(format!(
                "'{bare}' has no .sync here, only states:startExecution has"
            ));
        }
        Ok(Self {
            service,
            action: action.to_owned(),
            sdk,
            pattern,
        })
    }

    /// The `resourceType` of its events.
    pub(crate) fn resource_type(&self) -> String {
        if self.sdk {
            return format!("aws-sdk:{}", self.service.sdk_name());
        }
        let named = OPTIMIZED.iter().find(|(.., one)| *one == self.service);
        named.map_or("", |(name, ..)| name).to_owned()
    }

    /// The `resource` of its events.
    pub(crate) fn resource(&self) -> String {
        let named = PATTERNS.iter().find(|(_, one)| *one == self.pattern);
        let suffix = named.map_or("", |(suffix, _)| suffix);
        format!("{}{suffix}", self.action)
    }

    /// The operation's name in the model: `SendMessage`.
    pub(crate) fn operation(&self) -> String {
        shape::upper_first(&self.action)
    }

    /// The parameters that there are, for those without `aws-sdk`; what is
    /// missing among `required` is a fault.
    pub(crate) fn parameters(&self) -> Option<(&'static [&'static str], &'static [&'static str])> {
        if self.sdk {
            return None;
        }
        Some(match self.service {
            Service::Sns => (
                &[
                    "TopicArn",
                    "Message",
                    "Subject",
                    "MessageAttributes",
                    "MessageStructure",
                    "MessageGroupId",
                    "MessageDeduplicationId",
                ],
                &["TopicArn", "Message"],
            ),
            Service::Sqs => (
                &[
                    "QueueUrl",
                    "MessageBody",
                    "DelaySeconds",
                    "MessageAttributes",
                    "MessageDeduplicationId",
                    "MessageGroupId",
                ],
                &["QueueUrl", "MessageBody"],
            ),
            _ => (
                &["StateMachineArn", "Input", "Name", "TraceHeader"],
                &["StateMachineArn"],
            ),
        })
    }
}

fn optimized(name: &str, action: &str) -> Result<Service, String> {
    let found = OPTIMIZED
        .iter()
        .find(|(service, operation, _)| (*service, *operation) == (name, action));
    found.map(|(.., service)| *service).ok_or_else(|| {
        format!(
            "'{name}:{action}' is not here: of the integrations there are only sns:publish, \
             sqs:sendMessage, states:startExecution and aws-sdk:{{{}}}",
            Service::names().join(",")
        )
    })
}

fn sdk_service(name: &str, action: &str) -> Result<Service, String> {
    let service = Service::parse(name).ok_or_else(|| {
        format!(
            "the service 'aws-sdk:{name}' is not here, only {}",
            Service::names().join(", ")
        )
    })?;
    let operation = shape::upper_first(action);
    let camel = action.starts_with(|first: char| first.is_ascii_lowercase());
    if !camel || !service.operations().contains(&operation.as_str()) {
        return Err(format!(
            "the operation '{action}' of aws-sdk:{name} is not here (names are in camelCase)"
        ));
    }
    Ok(service)
}
