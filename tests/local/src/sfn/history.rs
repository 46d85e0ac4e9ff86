//! What happened in an execution, as AWS tells it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The most events that an execution may have.
pub(crate) const MOST: usize = 25_000;

/// One event. There are many of them: the details are kept as their text.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    at: Timestamp,
    kind: &'static str,
    /// The number of the event that it follows from; 0 for none.
    previous: usize,
    details: Option<(&'static str, Box<str>)>,
}

// === impl Event ===

impl Event {
    /// An event without details.
    pub(crate) fn new(at: Timestamp, kind: &'static str) -> Self {
        Self {
            at,
            kind,
            previous: 0,
            details: None,
        }
    }

    /// When it happened.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// With the number of the event that it follows from.
    pub(crate) fn after(self, previous: usize) -> Self {
        Self { previous, ..self }
    }

    /// With the member that holds its details.
    pub(crate) fn with(self, member: &'static str, details: &Value) -> Self {
        Self {
            details: Some((member, details.to_string().into())),
            ..self
        }
    }

    /// A field of its details; that of a state holds the data as JSON text.
    pub(crate) fn text(&self, field: &str) -> Option<String> {
        let (_, details) = self.details.as_ref()?;
        let details: Value = serde_json::from_str(details).ok()?;
        Some(details[field].as_str()?.to_owned())
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

fn shown(details: &str, with_data: bool) -> Value {
    let mut fields: Map<String, Value> = serde_json::from_str(details).unwrap_or_default();
    for (data, about) in [("input", "inputDetails"), ("output", "outputDetails")] {
        if !with_data {
            fields.remove(data);
        } else if fields.contains_key(data) {
            fields.insert(about.to_owned(), json!({"truncated": false}));
        }
    }
    Value::Object(fields)
}

/// `error` and `cause`, each only where it is known.
pub(crate) fn failed(error: Option<&str>, cause: Option<&str>) -> Value {
    let mut details = Map::new();
    put(&mut details, "error", error);
    put(&mut details, "cause", cause);
    Value::Object(details)
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

/// As the context object and the integrations have times: UTC, to the millisecond.
pub(crate) fn iso(at: Timestamp) -> String {
    format!("{at:.3}")
}
