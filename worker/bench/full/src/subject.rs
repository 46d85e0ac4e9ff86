//! Our worker, as the benchmark starts it: the whole stack round a handler that returns its input.

use clap::Args;
use stepfleet_worker::{ActivityError, ActivityOptions, RawValue, TaskContext, Worker, handler_fn};

/// The same as the plain loop takes. The number of tasks is the measuring side's business.
#[derive(Args)]
pub(crate) struct Arguments {
    arn: String,
    slots: u32,
    _tasks: u64,
}

/// Runs until it is killed.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let echo = handler_fn(|input: Box<RawValue>, _context: TaskContext| async {
        Ok::<_, ActivityError>(input)
    });
    let slots = arguments.slots;
    let options = ActivityOptions::new(arguments.arn.clone())
        .slots(slots)
        .pollers(slots, slots);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Worker::builder().activity(options, echo).run())?;
    Ok(())
}
