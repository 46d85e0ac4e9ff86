//! What only a binary can check: its handlers and their configs.

use super::check::Sink;
use super::fault::{Fault, Faults, nearest};
use super::tree::{Node, join};
use super::types::{Activity, Catalogue};
use crate::handler::{ConfigFault, HandlerSpec};

/// The file that a catalogue was read from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) root: Node,
}

impl Source {
    /// A fault at a path, or where the nearest part of it is written.
    fn fault(&self, path: &str, message: String) -> Fault {
        let (node, _) = self.root.locate(path);
        Sink::new(&self.file, &self.text).fault(node.at, path.to_owned(), message)
    }
}

impl Catalogue {
    /// Checks that each activity's handler is one of these, and that the handler
    /// takes its `config`.
    ///
    /// # Errors
    /// With every fault.
    pub fn check_handlers(&self, handlers: &[HandlerSpec]) -> Result<(), Faults> {
        let activities = self.activities.values();
        let faults = activities.flat_map(|activity| self.check_handler(activity, handlers));
        Faults::of(faults.collect()).map_or(Ok(()), Err)
    }

    fn check_handler(&self, activity: &Activity, handlers: &[HandlerSpec]) -> Vec<Fault> {
        let path = format!("activities.{}", activity.name);
        let known = handlers.iter().map(|handler| handler.name);
        let Some(handler) = handlers
            .iter()
            .find(|handler| handler.name == activity.handler)
        else {
            let listed: Vec<&str> = known.collect();
            let message = format!(
                "found `{}`, a handler that this binary does not have; it has: {}",
                activity.handler,
                listed.join(", ")
            );
            let suggestion = nearest(&activity.handler, listed);
            let fault = self.source.fault(&join(&path, "handler"), message);
            return vec![Fault {
                suggestion,
                ..fault
            }];
        };
        let Err(faults) = (handler.check_config)(&activity.config) else {
            return Vec::new();
        };
        let at = |fault: ConfigFault| {
            let path = join(&join(&path, "config"), &fault.path);
            self.source.fault(&path, fault.message)
        };
        faults.into_iter().map(at).collect()
    }
}
