//! Woken by S3's events instead of a clock: an event only says that it is worth
//! looking. What is loaded is what the loader lists then.

mod aws;
mod event;
mod pending;
mod reader;
#[cfg(test)]
mod tests;
mod wake;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stepfleet_activity::catalogue::Activity;
use stepfleet_activity::{Catalogue, Clock, SystemClock};
use tokio::time::{Instant, sleep_until};

use crate::outside::Answer;
use crate::s3_load::config::{LoadConfig, SetUpError};
pub use aws::TriggerClients;
use aws::{CloudWatch, Sqs, StateMachine};
use pending::Pending;
pub use reader::EventReader;
use wake::Wake;

/// A message that is ours for a while.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The same however often it comes.
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) receipt: String,
}

/// The queue that S3 writes to.
pub(crate) trait Queue: Send + Sync {
    /// Waits for messages, up to `wait`; they stay ours for that long.
    fn receive(
        &self,
        wait: Duration,
        ours: Duration,
    ) -> impl Future<Output = Answer<Vec<Message>>> + Send;
    /// Deletes messages; one that stays comes again, and changes nothing then.
    fn delete(&self, receipts: &[String]) -> impl Future<Output = Answer<()>> + Send;
}

/// Who starts executions.
pub(crate) trait Starter: Send + Sync {
    /// Starts an execution; one of that name that was started before is as good.
    fn start(&self, name: &str, input: &str) -> impl Future<Output = Answer<()>> + Send;
}

/// Who is told of what could not be worked on.
pub(crate) trait Counts: Send + Sync {
    /// Publishes that so many messages were left to the dead-letter queue.
    fn rejected(&self, count: u64) -> impl Future<Output = Answer<()>> + Send;
}

/// How long a message is ours beyond the time that it waits here.
const SPARE: Duration = Duration::from_secs(60);
/// The longest poll that SQS has, and the shortest that is one.
const LONGEST: Duration = Duration::from_secs(20);
const SHORTEST: Duration = Duration::from_secs(1);
/// After a call that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two publications of what was rejected.
const PUBLISHED: SignedDuration = SignedDuration::from_mins(1);
/// `etl-worker trigger`: starts executions for the files that S3 announces.
#[derive(Debug)]
pub struct Trigger {
    activity: String,
    queue: String,
    inner: Inner<Sqs, StateMachine, CloudWatch>,
}

impl Trigger {
    /// The trigger of an activity, or `None` if its config has none.
    ///
    /// # Errors
    /// If the config is not the loader's.
    pub fn new(
        clients: TriggerClients,
        catalogue: &Catalogue,
        activity: &Activity,
    ) -> Result<Option<Self>, SetUpError> {
        let config = LoadConfig::of(catalogue, activity)?;
        let Some(trigger) = config.trigger else {
            return Ok(None);
        };
        let machine = crate::setup::drain_machine(catalogue, activity);
        Ok(Some(Self {
            activity: activity.name.clone(),
            queue: trigger.queue.clone(),
            inner: Inner {
                queue: Sqs::new(clients.sqs, trigger.queue),
                starter: StateMachine::new(clients.sfn, machine),
                counts: CloudWatch::new(clients.cloudwatch, activity.name.clone()),
                reader: EventReader::new(config.loads, config.settle, trigger.debounce),
                clock: Arc::new(SystemClock),
            },
        }))
    }

    /// Receives and starts until the future is dropped: what it has not deleted
    /// by then comes again.
    pub async fn run(&self) {
        let _stopped = Stopped(&self.activity);
        tracing::info!(
            activity = self.activity,
            queue = self.queue,
            loads = self.inner.reader.loads().len(),
            "the trigger runs"
        );
        self.inner.run().await;
    }
}

/// Says the last word, however it ends.
struct Stopped<'a>(&'a str);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        tracing::info!(
            activity = self.0,
            "the trigger has stopped; what is not deleted comes again"
        );
    }
}

#[derive(Debug)]
pub(crate) struct Inner<Q, S, C> {
    pub(crate) queue: Q,
    pub(crate) starter: S,
    pub(crate) counts: C,
    pub(crate) reader: EventReader,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Messages that could not be worked on and are not published yet.
#[derive(Debug, Default)]
pub(crate) struct Rejected {
    count: u64,
    published: Option<Timestamp>,
}

/// What a trigger remembers from round to round; all of it may be lost.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) pending: Pending,
    pub(crate) rejected: Rejected,
}

// === impl Inner ===

impl<Q: Queue, S: Starter, C: Counts> Inner<Q, S, C> {
    async fn run(&self) {
        let mut memory = Memory::default();
        loop {
            if let Err(error) = self.round(&mut memory).await {
                tracing::warn!(%error, "the trigger goes on after a pause");
                sleep_until(Instant::now() + PAUSE).await;
            }
        }
    }

    /// Receives once, and starts what is due.
    pub(crate) async fn round(&self, memory: &mut Memory) -> Answer<()> {
        let now = self.clock.now();
        memory.pending.lapse(now);
        let next = memory.pending.next();
        let wait = next.map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        let wait = wait.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        if memory.pending.is_full() {
            sleep_until(Instant::now() + wait).await;
        } else {
            let (ours, until) = self.ours();
            for message in self.queue.receive(wait, ours).await? {
                self.take(message, memory, until);
            }
        }
        self.publish(&mut memory.rejected).await;
        self.start_due(&mut memory.pending).await
    }

    /// For how long a message is ours, and until when at least.
    fn ours(&self) -> (Duration, Timestamp) {
        let ours = self.reader.patience().saturating_add(SPARE);
        let span = SignedDuration::try_from(ours).unwrap_or(SignedDuration::MAX);
        let until = self.clock.now().saturating_add(span);
        (ours, until.unwrap_or(Timestamp::MAX))
    }

    /// Holds a message for what it asks for. One that cannot be worked on is
    /// counted, named and left to the dead-letter queue; the others go on.
    fn take(&self, message: Message, memory: &mut Memory, until: Timestamp) {
        let now = self.clock.now();
        match caught(|| self.reader.wakes(&message.body, now)) {
            Ok(wakes) => memory.pending.hold(message, wakes, until),
            Err(reason) => {
                memory.rejected.count += 1;
                // Its body may be anybody's data.
                tracing::warn!(
                    message = shown(&message.id),
                    reason,
                    "a message cannot be worked on; the dead-letter queue gets it"
                );
            }
        }
    }

    /// A message is deleted once all that it asks for has been started. What
    /// cannot be started keeps nothing else from it.
    pub(crate) async fn start_due(&self, pending: &mut Pending) -> Answer<()> {
        let mut failed = Ok(());
        for wake in pending.due(self.clock.now()) {
            match self.start(&wake).await {
                Ok(()) => pending.started(wake),
                Err(error) => failed = Err(error),
            }
        }
        let receipts = pending.done();
        if !receipts.is_empty() {
            self.queue.delete(&receipts).await?;
            pending.forget_done();
        }
        failed
    }

    async fn start(&self, wake: &Wake) -> Answer<()> {
        let load = &self.reader.loads()[wake.load];
        let (name, input) = (wake.name(load), serde_json::json!(load).to_string());
        self.starter.start(&name, &input).await?;
        tracing::info!(execution = name, table = load.table.id(), "started");
        Ok(())
    }

    /// Publishes what was rejected, once a minute at most.
    async fn publish(&self, rejected: &mut Rejected) {
        let now = self.clock.now();
        let fresh = |at: Timestamp| now.duration_since(at) < PUBLISHED;
        if rejected.count == 0 || rejected.published.is_some_and(fresh) {
            return;
        }
        rejected.published = Some(now);
        match self.counts.rejected(rejected.count).await {
            Ok(()) => rejected.count = 0,
            Err(error) => tracing::warn!(%error, "it is not counted on CloudWatch yet"),
        }
    }
}

/// A fault of ours costs the message that it strikes, and not the process.
fn caught<T>(read: impl FnOnce() -> Result<T, &'static str>) -> Result<T, &'static str> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err("reading it panicked"))
}

/// What a log shows of a message's name.
fn shown(id: &str) -> String {
    id.chars().take(100).collect()
}
