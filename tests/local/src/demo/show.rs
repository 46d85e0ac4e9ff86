//! What the demo says in the terminal: readable without colours and when piped.

use std::fmt;
use std::time::Duration;

/// One live line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Line {
    pub(super) elapsed: Duration,
    pub(super) rows: u64,
    pub(super) files: usize,
    pub(super) loaded: usize,
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) replicas: usize,
    pub(super) ready: usize,
    pub(super) decision: Option<String>,
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}  arrived {:>5} files {:>7} rows | loaded {:>5} | waiting {:>3} running {:>3} | replicas {} ({} ready) | {}",
            minutes(self.elapsed),
            self.files,
            self.rows,
            self.loaded,
            self.waiting,
            self.running,
            self.replicas,
            self.ready,
            self.decision.as_deref().unwrap_or("no decision yet")
        )
    }
}

/// A change of the replica count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// What a table holds, by a query, against what was sent to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TableCheck {
    pub(super) table: String,
    pub(super) expected: u64,
    pub(super) rows: u64,
    pub(super) distinct: u64,
}

/// The end of the demo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) files_arrived: usize,
    pub(super) files_loaded: usize,
    pub(super) files_failed: usize,
    pub(super) files_left: usize,
    pub(super) tables: Vec<TableCheck>,
    pub(super) steps: Vec<Step>,
    pub(super) took: Duration,
}

impl Summary {
    /// Rows that the warehouse holds more than once.
    pub(super) fn doubled(&self) -> u64 {
        self.tables
            .iter()
            .map(|table| table.rows - table.distinct)
            .sum()
    }

    /// Rows that arrived and are not in the warehouse.
    pub(super) fn lost(&self) -> u64 {
        self.tables
            .iter()
            .map(|table| table.expected.saturating_sub(table.distinct))
            .sum()
    }

    /// Whether nothing was lost and nothing doubled.
    pub(super) fn is_clean(&self) -> bool {
        self.doubled() == 0 && self.lost() == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived: u64 = self.tables.iter().map(|table| table.expected).sum();
        let loaded: u64 = self.tables.iter().map(|table| table.rows).sum();
        writeln!(
            out,
            "Summary after {} (rows counted by queries against the warehouse)",
            minutes(self.took)
        )?;
        writeln!(
            out,
            "  files  arrived {}  loaded {}  failed {}  left {}",
            self.files_arrived, self.files_loaded, self.files_failed, self.files_left
        )?;
        writeln!(
            out,
            "  rows   arrived {arrived}  loaded {loaded}  doubled {}  lost {}",
            self.doubled(),
            self.lost()
        )?;
        for table in self
            .tables
            .iter()
            .filter(|table| table.rows != table.distinct || table.expected != table.distinct)
        {
            writeln!(
                out,
                "         {}: {} sent, {} held, {} of them distinct",
                table.table, table.expected, table.rows, table.distinct
            )?;
        }
        for (name, steps) in [
            (
                "out",
                self.steps
                    .iter()
                    .filter(|step| step.to > step.from)
                    .collect::<Vec<_>>(),
            ),
            (
                "in",
                self.steps
                    .iter()
                    .filter(|step| step.to < step.from)
                    .collect(),
            ),
        ] {
            let list: Vec<String> = steps
                .iter()
                .map(|step| format!("{} {} to {}", minutes(step.at), step.from, step.to))
                .collect();
            writeln!(
                out,
                "  scale-{name:<3} {}  {}",
                steps.len(),
                list.join(", ")
            )?;
        }
        Ok(())
    }
}

fn minutes(span: Duration) -> String {
    format!("{:02}:{:02}", span.as_secs() / 60, span.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_and_a_doubled_row_do_not_cancel_each_other() {
        let table = TableCheck {
            table: "public.t0".to_owned(),
            expected: 10,
            rows: 10,
            distinct: 9,
        };
        let summary = Summary {
            tables: vec![table],
            ..Summary::default()
        };
        assert_eq!(
            (summary.doubled(), summary.lost(), summary.is_clean()),
            (1, 1, false)
        );
        assert!(
            summary
                .to_string()
                .contains("public.t0: 10 sent, 10 held, 9 of them distinct"),
            "{summary}"
        );
    }

    #[test]
    fn steps_are_listed_by_direction_with_their_times() {
        let step = |at, from, to| Step {
            at: Duration::from_secs(at),
            from,
            to,
        };
        let text = Summary {
            steps: vec![step(61, 1, 2), step(130, 2, 1)],
            ..Summary::default()
        }
        .to_string();
        assert!(
            text.contains("scale-out 1  01:01 1 to 2")
                && text.contains("scale-in  1  02:10 2 to 1"),
            "{text}"
        );
    }
}
