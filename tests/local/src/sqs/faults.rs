//! What a standard queue may do, on request: order lost, a message twice.

use rand::seq::SliceRandom as _;

use super::queue::Message;
use super::{Sqs, name_of, with};

// === impl Sqs ===

impl Sqs {
    /// Puts the messages of a queue into another order.
    pub(crate) fn reorder(&self, url: &str) {
        // A queue that is not there is refused by what follows.
        let _ = with(&mut self.lock(), name_of(url), |queue| {
            let messages = queue.messages.make_contiguous();
            match messages {
                // Another order than this one, whatever the dice say.
                [_, _] => messages.reverse(),
                messages => messages.shuffle(&mut rand::rng()),
            }
        });
    }

    /// Delivers messages that were received once more, as if the queue had not
    /// heard of it: deleting the one does not delete the other.
    pub(crate) fn deliver_again(&self, url: &str, ids: &[&str]) {
        let now = self.context.timers.now();
        let _ = with(&mut self.lock(), name_of(url), |queue| {
            let received = queue.messages.iter();
            let received = received.filter(|message| ids.contains(&message.id.as_str()));
            let again: Vec<Message> = received
                .map(|message| Message {
                    visible: now,
                    receipt: None,
                    ..message.clone()
                })
                .collect();
            queue.messages.extend(again);
        });
        self.changed.notify_waiters();
    }
}
