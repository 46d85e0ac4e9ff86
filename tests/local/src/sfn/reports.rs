//! What workers report: success, failure, heartbeats; and the tokens they name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::input::{check_json, check_size};
use super::tasks::Attempt;
use super::{State, StepFunctions};
use crate::AwsError;
use crate::context::read;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Success {
    task_token: String,
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Failed {
    task_token: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Heartbeat {
    task_token: String,
}

// === impl StepFunctions ===

impl StepFunctions {
    /// The token of an attempt.
    pub(super) fn token_of(&self, id: u64) -> String {
        token(&self.instance, id)
    }

    pub(super) fn send_task_success(&self, body: Value) -> Result<Value, AwsError> {
        let Success { task_token, output } = read(body)?;
        let value = check_json("output", &output, "InvalidOutput")?;
        let mut state = self.lock();
        let attempt = self.close_token(&mut state, &task_token)?;
        self.report(&mut state, attempt, Ok((value, output)));
        Ok(json!({}))
    }

    pub(super) fn send_task_failure(&self, body: Value) -> Result<Value, AwsError> {
        let Failed {
            task_token,
            error,
            cause,
        } = read(body)?;
        for (member, text, most) in [("error", &error, 256), ("cause", &cause, 32_768)] {
            check_size(
                member,
                text.iter().map(|text| text.chars().count()).sum(),
                most,
            )?;
        }
        let mut state = self.lock();
        let attempt = self.close_token(&mut state, &task_token)?;
        self.report(&mut state, attempt, Err(Failure { error, cause }));
        Ok(json!({}))
    }

    pub(super) fn send_task_heartbeat(&self, body: Value) -> Result<Value, AwsError> {
        let Heartbeat { task_token } = read(body)?;
        let mut state = self.lock();
        let id = self.live(&mut state, &task_token)?;
        if let Some(attempt) = state.attempts.get_mut(&id) {
            attempt.lapses = attempt.order.heartbeat.map(|span| self.instant() + span);
        }
        Ok(json!({}))
    }

    fn close_token(&self, state: &mut State, text: &str) -> Result<Attempt, AwsError> {
        let id = self.live(state, text)?;
        state.close(id).ok_or_else(closed)
    }

    /// The attempt of a token, if it is open. What is due is closed, whether or
    /// not the timer has come to it.
    fn live(&self, state: &mut State, text: &str) -> Result<u64, AwsError> {
        let invalid = || AwsError::new("InvalidToken", "Invalid Token: 'Invalid token'");
        check_size("taskToken", text.len(), 2048)?;
        let (instance, id) = read_token(text).ok_or_else(invalid)?;
        if instance != self.instance {
            return Err(AwsError::new(
                "TaskDoesNotExist",
                "Task does not exist: the token is of another service",
            ));
        }
        let now = self.instant();
        match state.attempts.get(&id) {
            None => Err(closed()),
            Some(attempt) if attempt.due().is_some_and(|due| due <= now) => {
                self.time_out(state, id, now);
                Err(closed())
            }
            Some(_) => Ok(id),
        }
    }
}

fn closed() -> AwsError {
    AwsError::new(
        "TaskTimedOut",
        "Task Timed Out: 'Provided task does not exist anymore'",
    )
}

/// A token says which service made it and which attempt it is for, and can be
/// told from any other text: nothing needs to be kept of closed attempts.
pub(super) fn token(instance: &[u8; 16], id: u64) -> String {
    let mut bytes = [instance.as_slice(), &id.to_be_bytes()].concat();
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest[..8]);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn read_token(text: &str) -> Option<([u8; 16], u64)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let instance: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
    let id = u64::from_be_bytes(bytes.get(16..24)?.try_into().ok()?);
    (token(&instance, id) == text).then_some((instance, id))
}
