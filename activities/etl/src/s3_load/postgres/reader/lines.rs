//! Which line of the file a line is that was sent.

/// So many changes are kept; a line behind them is the last one's, roughly.
const KEPT: usize = 100_000;

/// A PostgreSQL counts the lines that it is sent. What is skipped, and records that
/// become shorter or longer, make these others than the file's.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where the difference changes: from which sent line on, which line of the file.
    changes: Vec<(u64, u64)>,
    /// Lines sent so far.
    sent: u64,
}

impl Lines {
    /// The next record, and where it is in the file.
    pub(super) fn begin(&mut self, line: u64) {
        let at = self.sent + 1;
        if self.of(at) != line && self.changes.len() < KEPT {
            self.changes.push((at, line));
        }
    }

    /// The record has become so many lines.
    pub(super) fn end(&mut self, lines: u64) {
        self.sent += lines;
    }

    pub(super) fn of(&self, sent: u64) -> u64 {
        let next = self.changes.partition_point(|(from, _)| *from <= sent);
        match next.checked_sub(1).and_then(|at| self.changes.get(at)) {
            Some((from, line)) => line + (sent - from),
            None => sent,
        }
    }
}
