//! What only a binary can check: its handlers and their configs.

use super::check::Sink;
use super::fault::{Fault, Faults, File, nearest};
use super::tree::{Node, join};
use super::types::{Activity, Catalogue};
use crate::handler::{ConfigFault, HandlerSpec};

/// The files that a catalogue was read from, and what they say together.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) files: Vec<File>,
    pub(crate) root: Node,
}

impl Source {
    /// A fault at a path, or where the nearest part of it is written.
    fn fault(&self, path: &str, message: String) -> Fault {
        let (node, _) = self.root.locate(path);
        Sink::new(&self.files).fault(node.at, path.to_owned(), message)
    }
}

/// The handlers that a binary has, and the areas of names that are its own.
#[derive(Clone, Copy)]
struct Known<'a> {
    areas: &'a [&'a str],
    handlers: &'a [HandlerSpec],
}

impl Known<'_> {
    /// Whether nobody else could have a handler of this name.
    fn owns(self, handler: &str) -> bool {
        let area = handler.split_once('.').map(|(area, _)| area);
        area.is_some_and(|area| self.areas.contains(&area))
    }

    fn get(self, handler: &str) -> Option<HandlerSpec> {
        self.handlers
            .iter()
            .find(|spec| spec.name == handler)
            .copied()
    }
}

impl Catalogue {
    /// Checks the activities that a binary serves: that their handlers take
    /// their `config`. A name in one of its areas (`etl` for `etl.s3-load`) that
    /// is none of its handlers is a fault; other names are other binaries'.
    ///
    /// # Errors
    /// With every fault.
    pub fn check_handlers(&self, areas: &[&str], handlers: &[HandlerSpec]) -> Result<(), Faults> {
        let known = Known { areas, handlers };
        let activities = self.activities.values();
        let faults = activities.flat_map(|activity| self.check_handler(activity, known));
        Faults::of(faults.collect(), &self.source.files).map_or(Ok(()), Err)
    }

    fn check_handler(&self, activity: &Activity, known: Known<'_>) -> Vec<Fault> {
        let path = format!("activities.{}", activity.name);
        match known.get(&activity.handler) {
            Some(spec) => self.check_config(activity, spec, &path),
            None if known.owns(&activity.handler) => {
                vec![self.unknown_handler(&activity.handler, known, &path)]
            }
            None => Vec::new(),
        }
    }

    fn unknown_handler(&self, found: &str, known: Known<'_>, path: &str) -> Fault {
        let listed: Vec<&str> = known.handlers.iter().map(|spec| spec.name).collect();
        let has = if listed.is_empty() {
            "it has none yet".to_owned()
        } else {
            format!("allowed are: {}", listed.join(", "))
        };
        let message = format!("found `{found}`, a handler that this binary does not have; {has}");
        Fault {
            suggestion: nearest(found, listed),
            ..self.source.fault(&join(path, "handler"), message)
        }
    }

    fn check_config(&self, activity: &Activity, spec: HandlerSpec, path: &str) -> Vec<Fault> {
        let Err(faults) = (spec.check_config)(activity, self) else {
            return Vec::new();
        };
        let at = |fault: ConfigFault| {
            let path = join(&join(path, "config"), &fault.path);
            Fault {
                suggestion: fault.suggestion,
                ..self.source.fault(&path, fault.message)
            }
        };
        faults.into_iter().map(at).collect()
    }
}
