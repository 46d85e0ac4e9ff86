//! The rules. Each takes what was written and gives what is meant, or says every fault.

mod activity;
mod alarms;
mod deployment;
mod fleet;
mod postgres;
mod values;
mod worker;

pub(crate) use activity::{Surroundings, activity, open_polls};
pub(crate) use deployment::deployment;
pub(crate) use fleet::{aws, fleet, signals, version, warehouse};

use std::fmt;

use super::fault::{Fault, File, nearest};
use super::from_tree::TypeFault;
use super::tree::{Entry, Mark, Node, join};

/// The longest line that is shown beside a fault.
const LONGEST_LINE: usize = 500;

/// Takes the faults of the files.
pub(crate) struct Sink<'a> {
    files: &'a [File],
    faults: Vec<Fault>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(files: &'a [File]) -> Self {
        Self {
            files,
            faults: Vec::new(),
        }
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Adds a fault at a place.
    pub(crate) fn say(&mut self, mark: Mark, path: String, message: String) -> &mut Fault {
        self.faults.push(self.fault(mark, path, message));
        let last = self.faults.len() - 1;
        &mut self.faults[last]
    }

    /// A fault at a place, with the line that stands there.
    pub(crate) fn fault(&self, mark: Mark, path: String, message: String) -> Fault {
        let file = self.files.get(mark.file);
        let line = mark.line.checked_sub(1).map(|line| line as usize);
        let source = file.zip(line);
        let source = source.and_then(|(file, line)| file.text.lines().nth(line));
        // One that nobody reads is not said again with each of its faults.
        let source = source.filter(|line| line.len() <= LONGEST_LINE);
        Fault {
            line: mark.line,
            column: mark.column,
            path,
            source: source.map(str::to_owned),
            ..Fault::of_file(file.map_or("", |file| &file.name), message)
        }
    }

    /// A fault of type, at the place that it knows or at the node that was read.
    pub(crate) fn mistyped(&mut self, fault: TypeFault, node: &Node) {
        let (path, mark) = fault.place.unwrap_or_else(|| (node.path.clone(), node.at));
        self.say(mark, path, fault.message).suggestion = fault.suggestion;
    }

    /// A key that its map does not have.
    pub(crate) fn unknown_key(&mut self, entry: &Entry, allowed: &[&str]) {
        let message = format!(
            "`{}` is no key here; allowed are: {}",
            entry.key,
            allowed.join(", ")
        );
        let suggestion = nearest(&entry.key, allowed.iter().copied());
        self.say(entry.key_at, entry.value.path.clone(), message)
            .suggestion = suggestion;
    }
}

/// Checks one node and what is below it.
pub(crate) struct Checker<'a, 'b> {
    pub(crate) node: &'a Node,
    pub(crate) sink: &'a mut Sink<'b>,
}

impl Checker<'_, '_> {
    /// A fault at a relative path like `worker.slots`; where it is not written,
    /// at the nearest node above.
    pub(crate) fn fault(&mut self, at: &str, message: impl fmt::Display) -> &mut Fault {
        let (node, rest) = self.node.locate(at);
        self.sink
            .say(node.at, join(&node.path, rest), message.to_string())
    }

    /// Whether the file says this value, be it here or in `defaults`.
    pub(crate) fn is_said(&self, at: &str) -> bool {
        self.node.locate(at).1.is_empty()
    }

    /// Whether it is said here and not in `defaults`.
    pub(crate) fn is_said_here(&self, at: &str) -> bool {
        let (node, rest) = self.node.locate(at);
        rest.is_empty() && node.path.starts_with(&self.node.path)
    }
}
