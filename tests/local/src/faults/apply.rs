//! The layer in front of every protocol: what goes wrong, goes wrong here.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http::{Request, Response};
use nix::unistd::Pid;

use super::answer;
use super::call::{Call, identify};
use super::caller;
use super::names::service;
use super::plan::Plan;
use super::raw::Moment;
use super::rule::{Act, Rule};
use crate::AwsError;
use crate::server::{Protocol, Services, Wire, dispatch, refusal, whole};

/// What happens to a call once it has had its effect.
#[derive(Default)]
struct After {
    twice: bool,
    hang_up: bool,
    kill: Option<Pid>,
}

/// What happens to a call before it has its effect.
enum Before {
    /// It has it.
    Goes(After),
    /// It does not.
    Refused(AwsError),
    /// It does not, and nobody hears of it.
    Gone,
}

/// Answers a request, or does not.
pub(crate) async fn answer(
    services: &Services,
    (spoken, id): (&Protocol, &str),
    request: Request<Body>,
) -> Response<Body> {
    let plan = services.faults.plan();
    if plan.rules.is_empty() {
        return dispatch(services, (spoken, id), request).await;
    }
    let wire = request.extensions().get::<ConnectInfo<Wire>>();
    let wire = wire.map(|ConnectInfo(wire)| wire.clone());
    match identify(services, spoken, request).await {
        Ok((request, None)) => dispatch(services, (spoken, id), request).await,
        Ok((request, Some(call))) => {
            let place = Place {
                services,
                plan,
                wire,
                call,
            };
            place.answer((spoken, id), request).await
        }
        Err(error) => refusal(spoken, id, error),
    }
}

/// A call, and what may go wrong with it.
struct Place<'a> {
    services: &'a Services,
    plan: Arc<Plan>,
    wire: Option<Wire>,
    call: Call,
}

// === impl Place ===

impl Place<'_> {
    async fn answer(&self, how: (&Protocol, &str), request: Request<Body>) -> Response<Body> {
        let after = match self.before().await {
            Before::Goes(after) => after,
            Before::Refused(error) => return refusal(how.0, how.1, error),
            Before::Gone => return self.hang_up(),
        };
        let response = match self.effect(how, request, after.twice).await {
            Ok(response) => response,
            Err(error) => return refusal(how.0, how.1, error),
        };
        let response = answer::strike(self.services, (&self.plan, &self.call), response).await;
        if let Some(pid) = after.kill {
            if let Err(why) = caller::end(pid) {
                tracing::warn!(%pid, why, "a caller that was to be killed was not");
            }
            return self.hang_up();
        }
        if after.hang_up {
            return self.hang_up();
        }
        response
    }

    /// Strikes in the order of the plan, up to what ends the call.
    async fn before(&self) -> Before {
        let mut after = After::default();
        let rules = self.plan.rules.iter();
        let rules =
            rules.filter(|rule| rule.matches(&self.call) && !rule.takes_answers(&self.call));
        for rule in rules {
            match self.counted(rule) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => return Before::Refused(error),
            }
            match self.strike(rule, &mut after).await {
                Ok(end) => {
                    rule.struck();
                    if let Some(end) = end {
                        return end;
                    }
                }
                Err(why) => return Before::Refused(not_done(rule, &why)),
            }
        }
        Before::Goes(after)
    }

    /// Does what a fault says now, or notes it for after the effect; gives the
    /// call's end if it has come, or why it cannot be done.
    async fn strike(&self, rule: &Rule, after: &mut After) -> Result<Option<Before>, String> {
        let end = match &rule.act {
            Act::Latency(span) => {
                self.services.context.timers.sleep(*span).await;
                None
            }
            Act::Error {
                code,
                status,
                message,
            } => Some(Before::Refused(AwsError {
                status: *status,
                ..AwsError::new(code, message)
            })),
            Act::Throttle => Some(Before::Refused(throttled(self.call.service))),
            Act::Duplicate => {
                after.twice = true;
                None
            }
            Act::Reorder => {
                self.reorder();
                None
            }
            Act::HangUp(_) if self.wire.is_none() => {
                return Err("this connection cannot be closed from here".to_owned());
            }
            Act::HangUp(Moment::Before) => Some(Before::Gone),
            Act::HangUp(Moment::After) => {
                after.hang_up = true;
                None
            }
            Act::Kill(Moment::Before) => {
                caller::end(self.caller()?)?;
                Some(Before::Gone)
            }
            Act::Kill(Moment::After) => {
                after.kill = Some(self.caller()?);
                None
            }
            // What comes with an answer is looked at there.
            Act::Lose => None,
        };
        Ok(end)
    }

    /// Whether this call is one that a fault strikes.
    fn counted(&self, rule: &Rule) -> Result<bool, AwsError> {
        if !rule.per_caller {
            return Ok(rule.counts(None));
        }
        match self.caller() {
            Ok(pid) => Ok(rule.counts(Some(pid.as_raw()))),
            Err(why) => Err(not_done(rule, &why)),
        }
    }

    fn caller(&self) -> Result<Pid, String> {
        let wire = self.wire.as_ref();
        wire.map_or_else(
            || Err("this connection does not say who is at its other end".to_owned()),
            caller::of,
        )
    }

    fn reorder(&self) {
        // A receive names its queue and nothing else by a text with slashes.
        let mut named = self.call.resources.iter();
        if let Some(queue) = named.find(|name| name.contains('/')) {
            self.services.sqs.reorder(queue);
        }
    }

    async fn effect(
        &self,
        how: (&Protocol, &str),
        request: Request<Body>,
        twice: bool,
    ) -> Result<Response<Body>, AwsError> {
        if !twice {
            return Ok(dispatch(self.services, how, request).await);
        }
        let (request, bytes) = whole(request).await?;
        let again = copy(&request, &bytes);
        let response = dispatch(self.services, how, request).await;
        // Whoever asked hears the first answer; the second effect is there.
        drop(dispatch(self.services, how, again).await);
        Ok(response)
    }

    fn hang_up(&self) -> Response<Body> {
        if let Some(wire) = &self.wire {
            wire.cut();
        }
        // Nobody reads it: the connection is cut before it is written.
        Response::new(Body::empty())
    }
}

fn copy(request: &Request<Body>, bytes: &Bytes) -> Request<Body> {
    let mut copy = Request::new(Body::from(bytes.clone()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn throttled(name: &str) -> AwsError {
    let (code, status) = service(name).map_or(("Throttling", 400), |service| service.throttle);
    AwsError {
        status,
        ..AwsError::new(code, "Rate exceeded: a fault that was asked for")
    }
}

/// A fault that cannot be done is not left out in silence: the call fails by
/// this name.
const REFUSED: &str = "FaultRefused";

fn not_done(rule: &Rule, why: &str) -> AwsError {
    rule.refused(why);
    AwsError::new(
        REFUSED,
        format!("the fault `{}` cannot be done: {why}", rule.name),
    )
}
