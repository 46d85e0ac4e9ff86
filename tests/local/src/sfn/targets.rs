//! What attempts are made on, and the events that tell of them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::history::Event;
use super::integration::Integration;

/// What an attempt is made on.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// By its ARN.
    Activity(Arc<str>),
    Service(Arc<Integration>),
}

/// What happens to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Scheduled,
    Started,
    /// The service has taken the request: only where more is waited for.
    Submitted,
    Succeeded,
    Failed,
    TimedOut,
}

// === impl Target ===

impl Target {
    /// The ARN of an activity: services have no queue and no metrics here.
    pub(super) fn activity(&self) -> Option<&Arc<str>> {
        match self {
            Self::Activity(arn) => Some(arn),
            Self::Service(_) => None,
        }
    }

    /// The event of a step, with the resource among its details where AWS has it there.
    pub(super) fn event(&self, at: Timestamp, (step, mut details): (Step, Value)) -> Event {
        match self {
            Self::Activity(arn) => {
                if step == Step::Scheduled {
                    details["resource"] = json!(&**arn);
                }
                let (kind, member) = step.of_activity();
                Event::new(at, kind).with(member, &details)
            }
            Self::Service(integration) => {
                details["resourceType"] = json!(integration.resource_type());
                details["resource"] = json!(integration.resource());
                let (kind, member) = step.of_task();
                Event::new(at, kind).with(member, &details)
            }
        }
    }
}

// === impl Step ===

impl Step {
    fn of_activity(self) -> (&'static str, &'static str) {
        match self {
            Self::Scheduled => ("ActivityScheduled", "activityScheduledEventDetails"),
            Self::Started | Self::Submitted => ("ActivityStarted", "activityStartedEventDetails"),
            Self::Succeeded => ("ActivitySucceeded", "activitySucceededEventDetails"),
            Self::Failed => ("ActivityFailed", "activityFailedEventDetails"),
            Self::TimedOut => ("ActivityTimedOut", "activityTimedOutEventDetails"),
        }
    }

    fn of_task(self) -> (&'static str, &'static str) {
        match self {
            Self::Scheduled => ("TaskScheduled", "taskScheduledEventDetails"),
            Self::Started => ("TaskStarted", "taskStartedEventDetails"),
            Self::Submitted => ("TaskSubmitted", "taskSubmittedEventDetails"),
            Self::Succeeded => ("TaskSucceeded", "taskSucceededEventDetails"),
            Self::Failed => ("TaskFailed", "taskFailedEventDetails"),
            Self::TimedOut => ("TaskTimedOut", "taskTimedOutEventDetails"),
        }
    }
}
