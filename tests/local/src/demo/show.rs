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
    /// Rows of files that are still to be loaded, or to be moved away.
    pub(super) waiting: u64,
    /// Rows of files that are through.
    pub(super) through: u64,
    /// Rows that are there.
    pub(super) rows: u64,
    /// How many of them differ.
    pub(super) distinct: u64,
    /// How many of the rows of files that are through are there.
    pub(super) held: u64,
}

/// The end of the demo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) files_arrived: usize,
    pub(super) files_loaded: usize,
    pub(super) files_failed: usize,
    pub(super) files_left: usize,
    pub(super) tables: Vec<TableCheck>,
    /// Files are left and none was loaded any more.
    pub(super) stuck: bool,
    pub(super) steps: Vec<Step>,
    pub(super) took: Duration,
}

impl TableCheck {
    fn lost(&self) -> u64 {
        self.through.saturating_sub(self.held)
    }

    fn doubled(&self) -> u64 {
        self.rows - self.distinct
    }
}

impl Summary {
    /// Rows that the warehouse holds more than once.
    pub(super) fn doubled(&self) -> u64 {
        self.tables.iter().map(TableCheck::doubled).sum()
    }

    /// Rows of files that are through and that are not in the warehouse.
    pub(super) fn lost(&self) -> u64 {
        self.tables.iter().map(TableCheck::lost).sum()
    }

    /// Whether nothing was lost, nothing doubled, and loading did not stop.
    pub(super) fn is_clean(&self) -> bool {
        self.doubled() == 0 && self.lost() == 0 && !self.stuck
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |rows: fn(&TableCheck) -> u64| -> u64 { self.tables.iter().map(rows).sum() };
        let waiting = sum(|table| table.waiting);
        let arrived = waiting + sum(|table| table.through);
        let loaded = sum(|table| table.rows);
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
            "  rows   arrived {arrived}  loaded {loaded}  doubled {}  lost {}  left {waiting}",
            self.doubled(),
            self.lost()
        )?;
        for table in self
            .tables
            .iter()
            .filter(|table| table.lost() > 0 || table.doubled() > 0)
        {
            let (through, held) = (table.through, table.held);
            writeln!(
                out,
                "         {}: of {through} rows of files that are through {held} are there; {} rows are there more than once",
                table.table,
                table.doubled()
            )?;
        }
        if self.stuck {
            writeln!(
                out,
                "  stuck: files are left and none was loaded for a minute; the worker's logs say why"
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
            waiting: 5,
            through: 10,
            rows: 10,
            distinct: 9,
            held: 9,
        };
        let summary = Summary {
            tables: vec![table],
            ..Summary::default()
        };
        assert_eq!(
            (summary.doubled(), summary.lost(), summary.is_clean()),
            (1, 1, false)
        );
        let text = summary.to_string();
        let row = "public.t0: of 10 rows of files that are through 9 are there; 1 rows are there more than once";
        assert!(
            text.contains(row) && text.contains("arrived 15"),
            "{summary}"
        );
    }

    #[test]
    fn rows_that_wait_are_neither_lost_nor_a_fault() {
        // Stopped early: one file is through, one is loaded and not yet moved, one waits.
        let table = TableCheck {
            table: "public.t0".to_owned(),
            waiting: 20,
            through: 10,
            rows: 20,
            distinct: 20,
            held: 10,
        };
        let mut summary = Summary {
            tables: vec![table],
            ..Summary::default()
        };
        assert_eq!((summary.lost(), summary.is_clean()), (0, true));
        assert!(summary.to_string().contains("lost 0  left 20"), "{summary}");
        summary.stuck = true;
        assert!(!summary.is_clean());
        assert!(summary.to_string().contains("stuck: "), "{summary}");
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
