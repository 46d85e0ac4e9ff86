//! What happened in an execution, as AWS tells it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The most events that an execution may have.
pub(crate) const MOST: usize = 25_000;

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    at: Timestamp,
    kind: String,
    /// The number of the event that it follows from; 0 for none.
    previous: usize,
    details: Option<(&'static str, Value)>,
}

// === impl Event ===

impl Event {
    /// An event without details.
    pub(crate) fn new(at: Timestamp, kind: impl Into<String>) -> Self {
        Self {
            at,
            kind: kind.into(),
            previous: 0,
            details: None,
        }
    }

    /// With the number of the event that it follows from.
    pub(crate) fn after(self, previous: usize) -> Self {
        Self { previous, ..self }
    }

    /// With the member that holds its details.
    pub(crate) fn with(self, member: &'static str, details: Value) -> Self {
        Self {
            details: Some((member, details)),
            ..self
        }
    }

    /// With `error` and `cause`, each only where it is known.
    pub(crate) fn failed(
        self,
        member: &'static str,
        error: Option<&str>,
        cause: Option<&str>,
    ) -> Self {
        let mut details = Map::new();
        put(&mut details, "error", error);
        put(&mut details, "cause", cause);
        self.with(member, Value::Object(details))
    }

    /// As GetExecutionHistory shows it.
    pub(crate) fn show(&self, id: usize, with_data: bool) -> Value {
        let mut event = Map::new();
        event.insert("timestamp".to_owned(), json!(epoch(self.at)));
        event.insert("type".to_owned(), json!(self.kind));
        event.insert("id".to_owned(), json!(id));
        event.insert("previousEventId".to_owned(), json!(self.previous));
        if let Some((member, details)) = &self.details {
            event.insert((*member).to_owned(), shown(details, with_data));
        }
        Value::Object(event)
    }
}

fn shown(details: &Value, with_data: bool) -> Value {
    let mut details = details.clone();
    let Some(fields) = details.as_object_mut() else {
        return details;
    };
    for (data, about) in [("input", "inputDetails"), ("output", "outputDetails")] {
        if !with_data {
            fields.remove(data);
        } else if fields.contains_key(data) {
            fields.insert(about.to_owned(), json!({"truncated": false}));
        }
    }
    details
}

/// Puts a text where it is known.
pub(crate) fn put(into: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        into.insert(key.to_owned(), json!(text));
    }
}

/// Seconds since the epoch, to the millisecond, as JSON 1.0 has them.
pub(crate) fn epoch(at: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of our age fit")]
    let millis = at.as_millisecond() as f64;
    millis / 1000.0
}
