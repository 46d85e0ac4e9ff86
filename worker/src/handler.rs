//! An activity from an async function over typed input and output.

use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;
use stepfleet_activity::{ActivityError, ActivityTask, Area, Class, Output, TaskContext, names};
use tower_service::Service;

/// Makes an activity of an async function.
///
/// The input is read by its type; what does not fit fails the task with
/// `Worker.BadInput` and the path of the fault. The function's future is dropped
/// when the attempt is closed.
///
/// An input or a field that is only passed on is best a `Box<RawValue>`: it comes
/// out byte for byte, with digits that no number of Rust holds.
///
/// ```
/// use stepfleet_worker::{ActivityError, TaskContext, handler_fn};
///
/// #[derive(serde::Deserialize)]
/// struct Input { names: Vec<String> }
///
/// let activity = handler_fn(|input: Input, _context: TaskContext| async move {
///     Ok::<_, ActivityError>(input.names.join(", "))
/// });
/// # let _ = activity;
/// ```
pub fn handler_fn<F, I, O, Fut>(function: F) -> HandlerFn<F, I>
where
    F: Fn(I, TaskContext) -> Fut,
    Fut: Future<Output = Result<O, ActivityError>>,
{
    HandlerFn {
        function,
        input: PhantomData,
    }
}

/// What [`handler_fn`] makes: a [`Service`] of tasks.
pub struct HandlerFn<F, I> {
    function: F,
    input: PhantomData<fn(I)>,
}

impl<F: Clone, I> Clone for HandlerFn<F, I> {
    fn clone(&self) -> Self {
        Self {
            function: self.function.clone(),
            input: PhantomData,
        }
    }
}

impl<F, I> fmt::Debug for HandlerFn<F, I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HandlerFn").finish_non_exhaustive()
    }
}

impl<F, I, O, Fut> Service<ActivityTask> for HandlerFn<F, I>
where
    F: Fn(I, TaskContext) -> Fut,
    Fut: Future<Output = Result<O, ActivityError>> + Send + 'static,
    I: DeserializeOwned,
    O: Serialize + 'static,
{
    type Response = Output;
    type Error = ActivityError;
    type Future = BoxFuture<'static, Result<Output, ActivityError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ActivityError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: ActivityTask) -> Self::Future {
        let mut text = serde_json::Deserializer::from_str(task.input.get());
        let input = match serde_path_to_error::deserialize(&mut text) {
            Ok(input) => input,
            Err(error) => return futures::future::err(bad_input(&error)).boxed(),
        };
        let running = (self.function)(input, task.context);
        async move {
            to_raw_value(&running.await?).map_err(|error| {
                ActivityError::permanent(Area::ACTIVITY, format!("the output is not JSON: {error}"))
            })
        }
        .boxed()
    }
}

fn bad_input(error: &serde_path_to_error::Error<serde_json::Error>) -> ActivityError {
    let path = match error.path().to_string() {
        path if path == "." => "input".to_owned(),
        path => format!("input.{path}"),
    };
    let fault = without_values(&error.inner().to_string());
    ActivityError::named(
        names::BAD_INPUT,
        Class::Permanent,
        format!("{path}: {fault}"),
    )
}

/// What serde says of what holds no value: names of our own fields, and JSON
/// that is right and has no place in a type.
const TOLD: [&str; 6] = [
    "missing field",
    "unknown field",
    "duplicate field",
    "number out of range",
    "recursion limit exceeded",
    "lone leading surrogate",
];

/// What serde says without what it found: inputs may hold secrets.
fn without_values(fault: &str) -> String {
    // Where in the text says less than the path.
    let fault = fault
        .rsplit_once(" at line ")
        .map_or(fault, |(fault, _)| fault);
    if TOLD.iter().any(|start| fault.starts_with(start)) {
        return fault.to_owned();
    }
    let kind = fault.split(':').next().unwrap_or_default();
    let expected = fault
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    match (kind, expected) {
        ("invalid type" | "invalid value" | "invalid length", Some(expected)) => {
            format!("{kind}, expected {expected}")
        }
        (_, Some(expected)) if fault.starts_with("unknown variant") => {
            format!("unknown variant, expected {expected}")
        }
        _ => "not a value that the handler takes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_expected_is_said_and_what_was_found_is_not() {
        let cases = [
            (
                r#"invalid type: string "s3cret", expected u32"#,
                "invalid type, expected u32",
            ),
            ("missing field `bucket`", "missing field `bucket`"),
            (
                "unknown variant `s3cret`, expected `a` or `b`",
                "unknown variant, expected `a` or `b`",
            ),
            (
                r#"invalid type: string "s3cret at line 7 column 7", expected u32 at line 1 column 9"#,
                "invalid type, expected u32",
            ),
            (
                "number out of range at line 1 column 9",
                "number out of range",
            ),
            (
                r#"cannot parse "s3cret" as a time"#,
                "not a value that the handler takes",
            ),
        ];
        for (said, want) in cases {
            assert_eq!(without_values(said), want);
        }
    }
}
