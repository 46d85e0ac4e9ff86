//! What is counted: the registry behind `/metrics`, and one activity's meters,
//! which `/load` reads too.

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

/// How an attempt ended for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The output was accepted.
    Succeeded,
    /// The failure was accepted.
    Failed,
    /// The attempt was closed before a report was accepted.
    Closed,
}

impl Ended {
    pub(crate) const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Closed];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

const SECONDS: &[f64] = &[
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0,
];

/// Every series of the worker.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) registry: Registry,
    polls: IntCounterVec,
    polls_open: IntGaugeVec,
    pollers: IntGaugeVec,
    slots: IntGaugeVec,
    busy: IntGaugeVec,
    started: IntCounterVec,
    duration: HistogramVec,
    wait: HistogramVec,
    late: IntCounterVec,
    wait_unknown: IntCounterVec,
    heartbeats: IntCounterVec,
    reports: IntCounterVec,
    reports_retried: IntCounterVec,
    run_seconds: CounterVec,
    pub(crate) draining: IntGauge,
}

impl Meters {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Maker(&registry);
        let by_activity = &["activity"];
        let by_outcome = &["activity", "outcome"];
        let draining = IntGauge::new(
            "stepfleet_worker_draining",
            "1 once the worker takes no new task",
        )?;
        registry.register(Box::new(draining.clone()))?;
        Ok(Self {
            polls: make.counter("polls_total", "Polls that ended, by outcome", by_outcome)?,
            polls_open: make.gauge("polls_open", "Polls open now")?,
            pollers: make.gauge("pollers_target", "Polls to keep open, between the bounds")?,
            slots: make.gauge("slots", "Tasks that may run at once")?,
            busy: make.gauge("slots_busy", "Slots whose task is not reported yet")?,
            started: make.counter("tasks_started_total", "Tasks received", by_activity)?,
            duration: make.histogram(
                "task_duration_seconds",
                "From the receipt to the accepted report",
                by_outcome,
            )?,
            wait: make.histogram(
                "task_wait_seconds",
                "From the entry of the state to the receipt, for first attempts",
                by_activity,
            )?,
            late: make.counter(
                "tasks_late_total",
                "Tasks that waited longer than the objective",
                by_activity,
            )?,
            wait_unknown: make.counter(
                "tasks_wait_unknown_total",
                "Tasks whose wait is not known: retries, and raw input",
                by_activity,
            )?,
            heartbeats: make.counter("heartbeats_total", "Heartbeats, by outcome", by_outcome)?,
            reports: make.counter("reports_total", "Calls that report, by outcome", by_outcome)?,
            reports_retried: make.counter(
                "reports_retried_total",
                "Calls that report again after a failed one",
                by_activity,
            )?,
            run_seconds: make.seconds("task_run_seconds_total", "Time spent on ended tasks")?,
            draining,
            registry,
        })
    }

    /// The meters of one activity, all of them at zero from the start.
    pub(crate) fn activity(&self, name: &str, slots: u32) -> ActivityMeters {
        let label = &[name];
        self.slots.with_label_values(label).set(slots.into());
        ActivityMeters {
            polls_open: self.polls_open.with_label_values(label),
            pollers: self.pollers.with_label_values(label),
            slots: self.slots.with_label_values(label),
            busy: self.busy.with_label_values(label),
            started: self.started.with_label_values(label),
            ended: Ended::ALL.map(|ended| self.duration.with_label_values(&[name, ended.as_str()])),
            wait: self.wait.with_label_values(label),
            late: self.late.with_label_values(label),
            wait_unknown: self.wait_unknown.with_label_values(label),
            reports_retried: self.reports_retried.with_label_values(label),
            run_seconds: self.run_seconds.with_label_values(label),
            name: name.to_owned(),
            all: self.clone(),
        }
    }
}

/// Makes and registers series, all under one prefix.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        let made = IntCounterVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn seconds(&self, name: &str, help: &str) -> Result<CounterVec, prometheus::Error> {
        let made = CounterVec::new(opts(name, help), &["activity"])?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
        let made = IntGaugeVec::new(opts(name, help), &["activity"])?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec());
        let made = HistogramVec::new(opts, labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("stepfleet_worker_{name}"), help)
}

/// One activity's meters.
#[derive(Debug)]
pub(crate) struct ActivityMeters {
    pub(crate) polls_open: IntGauge,
    pub(crate) pollers: IntGauge,
    pub(crate) slots: IntGauge,
    pub(crate) busy: IntGauge,
    pub(crate) started: IntCounter,
    ended: [Histogram; 3],
    pub(crate) wait: Histogram,
    pub(crate) late: IntCounter,
    pub(crate) wait_unknown: IntCounter,
    pub(crate) reports_retried: IntCounter,
    pub(crate) run_seconds: Counter,
    name: String,
    all: Meters,
}

impl ActivityMeters {
    pub(crate) fn poll(&self, outcome: &'static str) {
        let labels = &[self.name.as_str(), outcome];
        self.all.polls.with_label_values(labels).inc();
    }

    pub(crate) fn heartbeat(&self, outcome: &'static str) {
        let labels = &[self.name.as_str(), outcome];
        self.all.heartbeats.with_label_values(labels).inc();
    }

    pub(crate) fn report(&self, outcome: &'static str) {
        let labels = &[self.name.as_str(), outcome];
        self.all.reports.with_label_values(labels).inc();
    }

    pub(crate) fn ended(&self, ended: Ended, seconds: f64) {
        self.ended[ended as usize].observe(seconds);
        self.run_seconds.inc_by(seconds);
    }

    pub(crate) fn ended_count(&self, ended: Ended) -> u64 {
        self.ended[ended as usize].get_sample_count()
    }
}

#[cfg(test)]
mod tests {
    use stepfleet_docs::{Table, check_table};

    use super::*;

    #[test]
    fn the_reference_has_every_metric() {
        let meters = Meters::new().expect("a registry");
        let activity = meters.activity("load", 1);
        // What has labels of its own is there once it was counted.
        activity.poll("empty");
        activity.heartbeat("accepted");
        activity.report("accepted");
        let families = meters.registry.gather();
        let names = families.iter().map(|family| family.name());
        let table = Table {
            page: "docs/reference.md",
            name: "worker-metrics",
        };
        check_table(table, names).expect("the table");
    }
}
