//! What keeps a worker from its work and a person must mend: said once a
//! minute, and shown in `/readyz`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::options::ActivityOptions;
use crate::sfn::{CallError, Recovery};

/// How often the same trouble is said.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The trouble of one activity, if it has any.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    now: Option<String>,
    said: Option<Instant>,
}

impl Trouble {
    /// What is wrong now.
    pub(crate) fn get(&self) -> Option<String> {
        self.state().now.clone()
    }

    /// A call went through.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        if state.now.take().is_some() {
            state.said = None;
            tracing::info!("Step Functions answers again");
        }
    }

    /// A call failed in a way that a person may have to mend.
    pub(crate) fn note(&self, options: &ActivityOptions, error: &CallError) {
        let Some(remedy) = remedy(options, error) else {
            return;
        };
        let text = format!("{}: {}; {remedy}", options.name, error.chain());
        let mut state = self.state();
        let now = Instant::now();
        if state.said.is_none_or(|said| now - said >= SAID_EVERY) {
            state.said = Some(now);
            match error.recovery() {
                Recovery::RetrySlowly => tracing::error!("{text}"),
                _ => tracing::warn!("{text}"),
            }
        }
        state.now = Some(text);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a person can do; nothing for what passes by itself.
fn remedy(options: &ActivityOptions, error: &CallError) -> Option<String> {
    let arn = &options.arn;
    match error {
        CallError::Denied(_) => Some(format!(
            "give this worker credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, or a role for the pod) that allow \
             states:GetActivityTask on {arn} and states:SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat"
        )),
        CallError::NoSuchActivity(_) => Some(format!(
            "create {arn} (`etl-worker setup` does), or correct fleet, account and region in the catalogue"
        )),
        CallError::Unavailable(_) | CallError::TimedOut => {
            Some("check the network and AWS_ENDPOINT_URL; the worker goes on trying".to_owned())
        }
        CallError::Closed
        | CallError::WorkerLimit
        | CallError::Throttled
        | CallError::Refused(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_shown_until_a_call_goes_through_and_names_the_remedy() {
        let trouble = Trouble::default();
        let options = ActivityOptions::new("arn:aws:states:eu-west-1:123456789012:activity:x");
        trouble.note(&options, &CallError::Throttled);
        assert_eq!(trouble.get(), None, "passes by itself");
        trouble.note(&options, &CallError::Denied("AccessDenied: no".into()));
        let text = trouble.get().expect("trouble");
        assert!(
            text.contains("states:GetActivityTask") && text.contains("AccessDenied: no"),
            "{text}"
        );
        trouble.clear();
        assert_eq!(trouble.get(), None);
    }
}
