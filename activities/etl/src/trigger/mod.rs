//! Woken by S3's events instead of a clock: an event only says that it is worth
//! looking. What is loaded is what the loader lists then.

mod aws;
mod event;
#[cfg(test)]
mod tests;
mod wake;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::catalogue::Activity;
use stepfleet_activity::{Catalogue, Clock, SystemClock};
use tokio::time::{Instant, sleep_until};

use crate::outside::Answer;
use crate::s3_load::config::{LoadConfig, SetUpError};
use crate::s3_load::input::LoadInput;
pub use aws::TriggerClients;
use aws::{Sqs, StateMachine};
use event::Said;
use wake::Wake;

/// A message that is ours for a while.
#[derive(Debug, Clone)]
pub(crate) struct Message {
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

/// How long a message is ours beyond the time that it waits here.
const SPARE: Duration = Duration::from_secs(60);
/// The longest poll that SQS has, and the shortest that is one.
const LONGEST: Duration = Duration::from_secs(20);
const SHORTEST: Duration = Duration::from_secs(1);
/// After a call that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// `etl-worker trigger`: starts executions for the files that S3 announces.
#[derive(Debug)]
pub struct Trigger {
    inner: Inner<Sqs, StateMachine>,
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
            inner: Inner {
                queue: Sqs::new(clients.sqs, trigger.queue),
                starter: StateMachine::new(clients.sfn, machine),
                loads: config.loads,
                settle: config.settle,
                window: trigger.debounce,
                clock: Arc::new(SystemClock),
            },
        }))
    }

    /// Receives and starts until the future is dropped: what it has not deleted
    /// by then comes again.
    pub async fn run(&self) {
        self.inner.run().await;
    }
}

#[derive(Debug)]
pub(crate) struct Inner<Q, S> {
    pub(crate) queue: Q,
    pub(crate) starter: S,
    pub(crate) loads: Vec<LoadInput>,
    pub(crate) settle: Duration,
    pub(crate) window: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Messages whose executions are not all started yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    messages: Vec<(String, BTreeSet<Wake>)>,
    started: BTreeSet<Wake>,
}

impl<Q: Queue, S: Starter> Inner<Q, S> {
    async fn run(&self) {
        let mut pending = Pending::default();
        loop {
            if let Err(error) = self.round(&mut pending).await {
                tracing::warn!(%error, "the trigger goes on after a pause");
                sleep_until(Instant::now() + PAUSE).await;
            }
        }
    }

    /// Receives once, and starts what is due.
    pub(crate) async fn round(&self, pending: &mut Pending) -> Answer<()> {
        let ours = self.settle + self.window + SPARE;
        let now = self.clock.now();
        let next = pending.next();
        let wait = next.map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        let wait = wait.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        for message in self.queue.receive(wait, ours).await? {
            self.take(message, pending);
        }
        self.start_due(pending).await
    }

    fn take(&self, message: Message, pending: &mut Pending) {
        let arrivals = match event::read(&message.body) {
            Said::Arrivals(arrivals) => arrivals,
            Said::Nonsense(reason) => {
                // Its body may be anybody's data.
                tracing::warn!(
                    reason,
                    "a message is no event of S3; the dead-letter queue gets it"
                );
                return;
            }
        };
        let terms = (self.settle, self.window);
        let wakes = wake::latest(arrivals).into_iter();
        let wakes = wakes.filter_map(|arrival| wake::wake(&arrival, &self.loads, terms));
        pending.messages.push((message.receipt, wakes.collect()));
    }

    /// A message is deleted once all that it asks for has been started.
    pub(crate) async fn start_due(&self, pending: &mut Pending) -> Answer<()> {
        let now = self.clock.now();
        let wakes = pending.messages.iter().flat_map(|(_, wakes)| wakes);
        let due: BTreeSet<Wake> = wakes.filter(|wake| wake.due <= now).cloned().collect();
        for wake in due.difference(&pending.started.clone()) {
            let load = &self.loads[wake.load];
            let input = serde_json::json!(load).to_string();
            self.starter.start(&wake.name(load), &input).await?;
            pending.started.insert(wake.clone());
        }
        let started = &pending.started;
        let done = |wakes: &BTreeSet<Wake>| wakes.is_subset(started);
        let receipts: Vec<String> = pending
            .messages
            .iter()
            .filter(|(_, wakes)| done(wakes))
            .map(|(receipt, _)| receipt.clone())
            .collect();
        if !receipts.is_empty() {
            self.queue.delete(&receipts).await?;
        }
        pending
            .messages
            .retain(|(receipt, _)| !receipts.contains(receipt));
        pending.forget(now);
        Ok(())
    }
}

impl Pending {
    /// When something is to be started next.
    fn next(&self) -> Option<Timestamp> {
        let wakes = self.messages.iter().flat_map(|(_, wakes)| wakes);
        wakes.map(|wake| wake.due).min()
    }

    /// What was started long ago is asked for again by repeated messages only,
    /// and starting it again is harmless.
    fn forget(&mut self, now: Timestamp) {
        self.started
            .retain(|wake| now.duration_since(wake.due).as_secs() < 3_600);
    }
}
