//! Lets files arrive, starts executions, says how it stands, and counts in the end.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Options;
use super::arrivals::{Arrivals, File};
use super::show::{Line, Step, Summary, TableCheck};
use super::world::{BUCKET, World, prefix, table_name};

/// How long after the last arrival everything must be loaded.
const DRAIN: Duration = Duration::from_secs(60);
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
    };
    tokio::select! {
        result = replay.until_over() => result?,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C")?,
    }
    replay.count().await
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
}

impl Replay<'_> {
    async fn until_over(&mut self) -> anyhow::Result<()> {
        let mut ticks = interval(self.options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seconds = interval(Duration::from_secs(1));
        let mut calm_since = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick().await?,
                _ = seconds.tick() => {
                    self.say();
                    if self.is_over(&mut calm_since) {
                        return Ok(());
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
                let key = format!("{}incoming/{}", prefix(file.table), file.name);
                self.world
                    .local()
                    .s3
                    .put(BUCKET, &key, file.body.as_bytes())
                    .await?;
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
        self.world
            .local()
            .s3
            .list(BUCKET, &format!("{}incoming/", prefix(table)))
            .len()
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

    /// Over once everything is loaded and the fleet has shrunk, or the time for it is up.
    fn is_over(&self, calm_since: &mut Option<Instant>) -> bool {
        if self.next < self.arrivals.ticks.len() {
            return false;
        }
        let status = self.world.local().board.read();
        let calm = status.files.incoming == 0 && status.executions.running == 0;
        if !calm {
            let arrived =
                self.options.every * u32::try_from(self.arrivals.ticks.len()).unwrap_or(u32::MAX);
            return self.begin.elapsed() > arrived + DRAIN;
        }
        let since = *calm_since.get_or_insert_with(Instant::now);
        let shrunk = self.steps.iter().any(|step| step.to < step.from);
        shrunk || since.elapsed() > CALM
    }

    /// Asks the warehouse what it holds.
    async fn count(&self) -> anyhow::Result<Summary> {
        let counts = (0..self.options.tables as usize).map(|table| self.check(table));
        let tables = futures::future::try_join_all(counts).await?;
        let files = self.world.local().board.read().files;
        Ok(Summary {
            files_arrived: self.landed.len(),
            files_loaded: files.processed,
            files_failed: files.failed,
            files_left: files.incoming,
            tables,
            steps: self.steps.clone(),
            took: self.begin.elapsed(),
        })
    }

    async fn check(&self, table: usize) -> anyhow::Result<TableCheck> {
        let name = table_name(table);
        let sql = format!("SELECT count(*), count(DISTINCT row_id) FROM {name}");
        let counts = self.world.numbers(sql).await?;
        let sent = self.landed.iter().filter(|file| file.table == table);
        Ok(TableCheck {
            table: name,
            expected: sent.map(|file| file.rows).sum(),
            rows: counts[0],
            distinct: counts[1],
        })
    }
}
