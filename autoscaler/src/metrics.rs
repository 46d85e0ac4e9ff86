//! What the autoscaler counts. Labels come from the catalogue's names and from
//! enums, never from messages.

use prometheus::{Encoder, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// All metrics of the autoscaler.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) decisions: IntCounterVec,
    pub(crate) rejected: IntCounterVec,
    pub(crate) signals: IntCounterVec,
    pub(crate) believed: IntCounterVec,
    pub(crate) failures: IntCounterVec,
    pub(crate) replicas: IntGaugeVec,
    pub(crate) recommended: IntGaugeVec,
    pub(crate) breached: IntGaugeVec,
    pub(crate) at_max: IntGaugeVec,
    pub(crate) leader: IntGauge,
    pub(crate) config_faulty: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let name = format!("stepfleet_autoscaler_{name}");
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauges = |name: &str, help: &str| {
            let name = format!("stepfleet_autoscaler_{name}");
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["deployment"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("stepfleet_autoscaler_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            decisions: counter(
                "decisions_total",
                "Decisions by action and reason.",
                &["deployment", "action", "reason"],
            )?,
            rejected: counter(
                "signals_rejected_total",
                "Signals that were not ours, not signed, late, known or not confirmed, by reason.",
                &["reason"],
            )?,
            signals: counter(
                "signals_total",
                "Signals that CloudWatch confirmed, by Deployment.",
                &["deployment"],
            )?,
            believed: counter(
                "signals_believed_total",
                "Signals that counted by SNS's signature alone, since CloudWatch did not answer, by Deployment.",
                &["deployment"],
            )?,
            failures: counter(
                "failures_total",
                "Calls and cycles that failed, by what failed.",
                &["what"],
            )?,
            replicas: gauges("replicas", "The count that was observed, or set since.")?,
            recommended: gauges(
                "replicas_recommended",
                "The count that the alarms ask for, before damping.",
            )?,
            breached: gauges(
                "breach_open",
                "1 while an activity of the Deployment is in breach or starved.",
            )?,
            at_max: gauges(
                "at_max",
                "1 while more replicas are asked for than the upper bound allows.",
            )?,
            leader: gauge("leader", "1 while this autoscaler holds the Lease.")?,
            config_faulty: gauge(
                "catalogue_faulty",
                "1 while the catalogue on disk is faulty and the last good one is used.",
            )?,
            registry,
        })
    }

    /// Counts a call or a cycle that failed.
    pub(crate) fn failed(&self, what: &'static str) {
        self.failures.with_label_values(&[what]).inc();
    }

    /// A Deployment that left the catalogue has no count any more.
    pub(crate) fn forget(&self, deployment: &str) {
        for gauges in [
            &self.replicas,
            &self.recommended,
            &self.breached,
            &self.at_max,
        ] {
            // It fails only where there was none.
            let _ = gauges.remove_label_values(&[deployment]);
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory fails only for metrics without a sample.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use stepfleet_docs::{Table, check_table};

    use super::*;

    #[test]
    fn the_reference_has_every_metric() {
        let metrics = Metrics::new().expect("a registry");
        // What has labels is there once it was counted.
        let (one, three) = (&["x"], &["x", "y", "z"]);
        metrics.decisions.with_label_values(three).inc();
        for counter in [
            &metrics.rejected,
            &metrics.signals,
            &metrics.believed,
            &metrics.failures,
        ] {
            counter.with_label_values(one).inc();
        }
        for gauge in [
            &metrics.replicas,
            &metrics.recommended,
            &metrics.breached,
            &metrics.at_max,
        ] {
            gauge.with_label_values(one).set(1);
        }
        let families = metrics.registry.gather();
        let names = families.iter().map(|family| family.name());
        let table = Table {
            page: "docs/reference.md",
            name: "autoscaler-metrics",
        };
        check_table(table, names).expect("the table");
    }
}
