//! Runs what a Parallel or a Map state holds, in threads of the execution.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, try_join_all};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::LARGEST;
use super::definition::{Batcher, Definition, Map, Number, State};
use super::digits;
use super::execution::Run;
use super::failure::Failure;
use super::progress::{Place, Progress};
use super::retry::name;
use super::template::Template;

/// How many iterations an inline Map has at most at a time, on AWS.
const MOST_AT_ONCE: usize = 40;

const PARALLEL_SUCCEEDED: &str = "ParallelStateSucceeded";
const PARALLEL_FAILED: &str = "ParallelStateFailed";
const MAP_SUCCEEDED: &str = "MapStateSucceeded";
const MAP_FAILED: &str = "MapStateFailed";

/// A thread on its way: what it gave, and its last event.
type Thread<T> = BoxFuture<'static, Result<(T, usize), Failure>>;

/// What the iterations of one Map share.
struct Iterations {
    run: Run,
    progress: Vec<Arc<Progress>>,
    state: Arc<str>,
    /// With the input of the state; without one, an item is the input.
    selector: Option<(Template, Value)>,
    running: Mutex<BTreeSet<usize>>,
}

/// What happens to an iteration.
#[derive(Debug, Clone, Copy)]
enum Iteration {
    Started,
    Succeeded,
    Failed,
    Aborted,
}

// === impl Run ===

impl Run {
    /// All branches at a time. The first that fails ends the others.
    pub(super) async fn parallel(
        &mut self,
        branches: &[Arc<Definition>],
        input: Value,
    ) -> Result<Value, Failure> {
        let (progress, resume) = self.threads(branches.len());
        if !resume {
            self.log(self.event("ParallelStateStarted"));
        }
        let threads = branches
            .iter()
            .zip(progress)
            .map(|(branch, progress)| self.fork(branch, (progress, resume)).thread(input.clone()));
        let threads: Vec<Thread<Value>> = threads.collect();
        let ended = try_join_all(threads).await;
        self.join((PARALLEL_SUCCEEDED, PARALLEL_FAILED), ended)
    }

    /// As many threads, and whether they go on from an earlier run.
    fn threads(&mut self, count: usize) -> (Vec<Arc<Progress>>, bool) {
        let resume = std::mem::take(&mut self.resume);
        self.progress.threads(count, resume)
    }

    fn fork(
        &self,
        definition: &Arc<Definition>,
        (progress, resume): (Arc<Progress>, bool),
    ) -> Self {
        Self {
            definition: Arc::clone(definition),
            progress,
            resume,
            ..self.clone()
        }
    }

    /// In a box: what runs inside may be made of threads too.
    fn thread(mut self, input: Value) -> Thread<Value> {
        Box::pin(async move {
            if let Some(done) = self.done() {
                return Ok(done);
            }
            let output = self.drive(input).await?;
            Ok((output, self.last))
        })
    }

    /// What an earlier run has done already.
    fn done(&self) -> Option<(Value, usize)> {
        let Place::Done(event) = self.progress.place() else {
            return None;
        };
        Some((self.service.left_with(&self.arn, event)?, event))
    }

    /// The outputs of all threads, in their order.
    fn join(
        &mut self,
        (succeeded, failed): (&'static str, &'static str),
        ended: Result<Vec<(Value, usize)>, Failure>,
    ) -> Result<Value, Failure> {
        let how = if ended.is_ok() { succeeded } else { failed };
        let lasts = ended.iter().flatten().map(|(_, last)| *last);
        self.last = lasts.max().unwrap_or(self.last);
        self.log(self.event(how));
        let outputs = ended?.into_iter().map(|(output, _)| output);
        Ok(outputs.collect())
    }

    /// A thread for each item, so many at a time.
    pub(super) async fn map(
        &mut self,
        state: &State,
        map: &Map,
        input: Value,
    ) -> Result<Value, Failure> {
        let at_once = self.limit(map.concurrency.as_ref(), &input)?;
        let at_once = at_once.map_or(MOST_AT_ONCE, |limit| limit.min(MOST_AT_ONCE));
        let items = self.items(map, &input)?;
        let (progress, resume) = self.threads(items.len());
        if !resume {
            let details = json!({"length": items.len()});
            let started = self.event("MapStateStarted");
            self.log(started.with("mapStateStartedEventDetails", &details));
        }
        // Those in batches are selected already.
        let selector = map.selector.clone().filter(|_| map.batcher.is_none());
        let iterations = Arc::new(Iterations {
            run: self.fork(&map.processor, (Arc::default(), resume)),
            progress,
            state: Arc::clone(&state.name),
            selector: selector.map(|selector| (selector, input)),
            running: Mutex::default(),
        });
        let all = Arc::clone(&iterations);
        let threads = items.into_iter().enumerate();
        let threads = threads.map(move |item| Arc::clone(&all).thread(item));
        let ended = stream::iter(threads).buffer_unordered(at_once);
        let ended: Result<Vec<_>, _> = ended.try_collect().await;
        iterations.abort();
        let ended = ended.map(|mut outputs| {
            outputs.sort_unstable_by_key(|((index, _), _)| *index);
            let outputs = outputs.into_iter();
            outputs.map(|((_, output), last)| (output, last)).collect()
        });
        self.join((MAP_SUCCEEDED, MAP_FAILED), ended)
    }

    /// `None` and 0 are no limit.
    fn limit(&self, number: Option<&Number>, input: &Value) -> Result<Option<usize>, Failure> {
        let number = number
            .map(|number| self.number(number, input))
            .transpose()?;
        let number = number.filter(|number| *number > 0);
        Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    fn items(&self, map: &Map, input: &Value) -> Result<Vec<Value>, Failure> {
        let found = self.find(&map.items, input)?.as_array().cloned();
        let items = found.ok_or_else(|| {
            Failure::runtime(format!(
                "Reference path '{}' must point to array.",
                map.items
            ))
        })?;
        let Some(batcher) = &map.batcher else {
            return Ok(items);
        };
        let Some(selector) = &map.selector else {
            return self.batches(batcher, items, input);
        };
        let mut run = self.clone();
        let select = |(index, item)| {
            run.context["Map"] = item_context(index, &item);
            selector.fill(run.scope(input))
        };
        let selected = items.into_iter().enumerate().map(select);
        let selected: Vec<Value> = selected.collect::<Result<_, _>>()?;
        self.batches(batcher, selected, input)
    }

    fn batches(
        &self,
        batcher: &Batcher,
        items: Vec<Value>,
        input: &Value,
    ) -> Result<Vec<Value>, Failure> {
        let most_items = self.limit(batcher.most_items.as_ref(), input)?;
        let most_bytes = self.limit(batcher.most_bytes.as_ref(), input)?;
        let (most_items, most_bytes) = (
            most_items.unwrap_or(usize::MAX),
            most_bytes.unwrap_or(LARGEST),
        );
        let common = batcher.input.as_ref();
        let common = common.map(|one| one.fill(self.scope(input))).transpose()?;
        let batch = |items: Vec<Value>| match &common {
            Some(common) => json!({"BatchInput": common, "Items": items}),
            None => json!({"Items": items}),
        };
        let empty = digits::write(&batch(Vec::new())).len();
        let (mut batches, mut open, mut size) = (Vec::new(), Vec::new(), empty);
        for item in items {
            let bytes = digits::write(&item).len();
            // A comma stands before all but the first.
            if !open.is_empty() && (open.len() == most_items || size + bytes + 1 > most_bytes) {
                batches.push(batch(std::mem::take(&mut open)));
                size = empty;
            }
            size += bytes + usize::from(!open.is_empty());
            if size > most_bytes {
                let why = format!("A batch of one item has {size} bytes, over {most_bytes}");
                return Err(Failure::new(name::DATA_LIMIT, why));
            }
            open.push(item);
        }
        if !open.is_empty() {
            batches.push(batch(open));
        }
        Ok(batches)
    }
}

fn item_context(index: usize, item: &Value) -> Value {
    json!({"Item": {"Index": index, "Value": item}})
}

// === impl Iterations ===

impl Iterations {
    fn thread(self: Arc<Self>, (index, item): (usize, Value)) -> Thread<(usize, Value)> {
        Box::pin(async move {
            let mut run = self.run.clone();
            run.progress = Arc::clone(&self.progress[index]);
            if let Some((output, last)) = run.done() {
                return Ok(((index, output), last));
            }
            run.context["Map"] = item_context(index, &item);
            if run.progress.place() == Place::Fresh {
                self.note(&mut run, (Iteration::Started, index));
            }
            self.lock().insert(index);
            let input = match &self.selector {
                Some((selector, input)) => selector.fill(run.scope(input)),
                None => Ok(item),
            };
            let ended = match input {
                Ok(input) => run.drive(input).await,
                Err(failure) => Err(failure),
            };
            self.lock().remove(&index);
            let how = match ended {
                Ok(_) => Iteration::Succeeded,
                Err(_) => Iteration::Failed,
            };
            self.note(&mut run, (how, index));
            Ok(((index, ended?), run.last))
        })
    }

    /// What was given up, because another failed.
    fn abort(&self) {
        let running = std::mem::take(&mut *self.lock());
        for index in running {
            self.note(&mut self.run.clone(), (Iteration::Aborted, index));
        }
    }

    fn note(&self, run: &mut Run, (how, index): (Iteration, usize)) {
        let (kind, member) = how.names();
        let details = json!({"name": &*self.state, "index": index});
        run.log(run.event(kind).with(member, &details));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Iteration ===

impl Iteration {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Started => ("MapIterationStarted", "mapIterationStartedEventDetails"),
            Self::Succeeded => ("MapIterationSucceeded", "mapIterationSucceededEventDetails"),
            Self::Failed => ("MapIterationFailed", "mapIterationFailedEventDetails"),
            Self::Aborted => ("MapIterationAborted", "mapIterationAbortedEventDetails"),
        }
    }
}
