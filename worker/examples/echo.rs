//! Returns its input as it was written, byte for byte. `echo ARN SLOTS`; endpoint, region and credentials come
//! from the ordinary AWS variables (`AWS_ENDPOINT_URL`, ...).

use std::process::ExitCode;

use stepfleet_worker::{ActivityError, ActivityOptions, RawValue, TaskContext, Worker, handler_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(arn), Some(Ok(slots))) = (
        arguments.next(),
        arguments.next().map(|slots| slots.parse::<u32>()),
    ) else {
        eprintln!("usage: echo ARN SLOTS");
        return ExitCode::from(64);
    };
    tracing_subscriber::fmt().init();
    let echo = handler_fn(|input: Box<RawValue>, _context: TaskContext| async {
        Ok::<_, ActivityError>(input)
    });
    let options = ActivityOptions::new(arn).slots(slots).pollers(1, slots);
    match Worker::builder().activity(options, echo).run().await {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}
