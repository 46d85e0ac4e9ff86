//! Lets files arrive, starts executions, says how it stands, and counts in the end.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Options;
use super::arrivals::{Arrivals, File};
use super::show::{Line, Step, Summary, TableCheck};
use super::world::{BUCKET, World, prefix, table_name};

/// After the last arrival, how long nothing may be loaded before it is given up.
const STUCK: Duration = Duration::from_secs(60);
/// How long a scale-in is waited for after everything is loaded.
const CALM: Duration = Duration::from_secs(90);

/// Runs to the end, or to Ctrl-C, and counts.
pub(super) async fn run(
    world: &World,
    options: &Options,
    arrivals: &Arrivals,
) -> anyhow::Result<Summary> {
    let mut replay = Replay {
        world,
        options,
        arrivals,
        begin: Instant::now(),
        next: 0,
        landed: Vec::new(),
        steps: Vec::new(),
        replicas: None,
        progress: (0, Instant::now()),
    };
    let over = tokio::select! {
        over = replay.until_over() => over?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("cannot listen for Ctrl-C")?;
            Over::Done
        }
    };
    replay.count(over).await
}

/// Why the replay is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Everything is loaded and it is calm, or the user has seen enough.
    Done,
    /// Files are left and none is loaded any more.
    Stuck,
}

struct Replay<'a> {
    world: &'a World,
    options: &'a Options,
    arrivals: &'a Arrivals,
    begin: Instant,
    /// The next tick.
    next: usize,
    /// Files that have landed.
    landed: Vec<&'a File>,
    steps: Vec<Step>,
    replicas: Option<usize>,
    /// How many files were loaded when that last changed, and when it did.
    progress: (usize, Instant),
}

impl Replay<'_> {
    async fn until_over(&mut self) -> anyhow::Result<Over> {
        let mut ticks = interval(self.options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seconds = interval(Duration::from_secs(1));
        let mut calm_since = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick().await?,
                _ = seconds.tick() => {
                    self.say();
                    if let Some(over) = self.is_over(&mut calm_since) {
                        return Ok(over);
                    }
                }
            }
        }
    }

    /// Lands the files of a tick, and starts an execution for each table.
    async fn tick(&mut self) -> anyhow::Result<()> {
        let arrivals = self.arrivals;
        if let Some(files) = arrivals.ticks.get(self.next) {
            for file in files {
                let s3 = &self.world.local().s3;
                s3.put(BUCKET, &key(file), file.body.as_bytes()).await?;
                self.landed.push(file);
            }
        }
        for table in 0..self.options.tables as usize {
            // Afterwards only what is left is loaded, so that calm can come.
            if self.next < arrivals.ticks.len() || self.left(table) > 0 {
                self.world.load(table, self.next).await?;
            }
        }
        self.next += 1;
        Ok(())
    }

    fn left(&self, table: usize) -> usize {
        self.incoming(table).len()
    }

    /// The keys of the files that have not been moved away yet.
    fn incoming(&self, table: usize) -> HashSet<String> {
        let at = format!("{}incoming/", prefix(table));
        let listed = self.world.local().s3.list(BUCKET, &at);
        listed.into_iter().map(|object| object.key).collect()
    }

    fn say(&mut self) {
        let local = self.world.local();
        let status = local.board.read();
        let now = status.samples.back().cloned().unwrap_or_default();
        let elapsed = self.begin.elapsed();
        if let Some(from) = self
            .replicas
            .replace(now.replicas)
            .filter(|from| *from != now.replicas)
        {
            self.steps.push(Step {
                at: elapsed,
                from,
                to: now.replicas,
            });
        }
        let decision = status.decisions.first().map(|last| {
            format!(
                "{} {} to {}: {}",
                last.action, last.from, last.to, last.text
            )
        });
        let rows = self.landed.iter().map(|file| file.rows).sum();
        let line = Line {
            elapsed,
            rows,
            files: self.landed.len(),
            loaded: status.files.processed,
            waiting: now.waiting,
            running: now.running,
            replicas: now.replicas,
            ready: now.ready,
            decision,
        };
        println!("{line}");
    }

    /// Over once everything is loaded and the fleet has shrunk, or the time for that is up.
    fn is_over(&mut self, calm_since: &mut Option<Instant>) -> Option<Over> {
        let status = self.world.local().board.read();
        let loaded = status.files.processed;
        let arriving = self.next < self.arrivals.ticks.len();
        if arriving || loaded != self.progress.0 {
            self.progress = (loaded, Instant::now());
        }
        if arriving {
            return None;
        }
        let calm = status.files.incoming == 0 && status.executions.running == 0;
        if !calm {
            return (self.progress.1.elapsed() > STUCK).then_some(Over::Stuck);
        }
        let since = *calm_since.get_or_insert_with(Instant::now);
        let shrunk = self.steps.iter().any(|step| step.to < step.from);
        (shrunk || since.elapsed() > CALM).then_some(Over::Done)
    }

    /// Asks the warehouse what it holds.
    async fn count(&self, over: Over) -> anyhow::Result<Summary> {
        let counts = (0..self.options.tables as usize).map(|table| self.check(table));
        let tables = futures::future::try_join_all(counts).await?;
        let files = self.world.local().board.read().files;
        Ok(Summary {
            files_arrived: self.landed.len(),
            files_loaded: files.processed,
            files_failed: files.failed,
            files_left: files.incoming,
            tables,
            stuck: over == Over::Stuck,
            steps: self.steps.clone(),
            took: self.begin.elapsed(),
        })
    }

    /// What a table holds, against the files that are through: one that is still in
    /// `incoming/` is waiting, whether its rows are there already or not. It is
    /// listed first, so that a file that is loaded meanwhile is not missed.
    async fn check(&self, table: usize) -> anyhow::Result<TableCheck> {
        let incoming = self.incoming(table);
        let sent = self.landed.iter().filter(|file| file.table == table);
        let (waiting, through): (Vec<&File>, Vec<&File>) =
            sent.partition(|file| incoming.contains(&key(file)));
        let name = table_name(table);
        let waits: String = waiting
            .iter()
            .map(|file| {
                let end = file.first + file.rows;
                format!(" AND NOT (row_id >= {} AND row_id < {end})", file.first)
            })
            .collect();
        let sql = format!(
            "SELECT count(*), count(DISTINCT row_id), \
             count(DISTINCT CASE WHEN true{waits} THEN row_id END) FROM {name}"
        );
        let counts = self.world.numbers(sql).await?;
        let rows = |files: &[&File]| files.iter().map(|file| file.rows).sum();
        Ok(TableCheck {
            table: name,
            waiting: rows(&waiting),
            through: rows(&through),
            rows: counts[0],
            distinct: counts[1],
            held: counts[2],
        })
    }
}

fn key(file: &File) -> String {
    format!("{}incoming/{}", prefix(file.table), file.name)
}
