//! The XML of this process's own services, as JSON.

use serde_json::{Map, Value, json};

use crate::AwsError;

/// Elements that repeat without an element round them, or may be empty lists.
const LISTS: [&str; 6] = [
    "CommonPrefixes",
    "Contents",
    "Failed",
    "Subscriptions",
    "Successful",
    "Topics",
];
const NUMBERS: [&str; 3] = ["KeyCount", "MaxKeys", "Size"];

/// Reads the elements that an answer is made of.
///
/// # Errors
/// It is not what our own services write.
pub(super) fn read(text: &str) -> Result<Value, AwsError> {
    let mut reader = Reader { rest: text };
    let elements = reader.elements()?;
    Ok(shaped("", elements))
}

struct Reader<'a> {
    rest: &'a str,
}

/// A text, or elements.
enum Inside {
    Text(String),
    Elements(Vec<(String, Inside)>),
}

// === impl Reader ===

impl Reader<'_> {
    fn elements(&mut self) -> Result<Inside, AwsError> {
        let mut found = Vec::new();
        let mut text = String::new();
        while let Some(at) = self.rest.find('<') {
            let (before, tag) = self.rest.split_at(at);
            text.push_str(before);
            if tag.starts_with("</") {
                self.rest = tag;
                break;
            }
            let (tag, after) = tag[1..].split_once('>').ok_or_else(broken)?;
            self.rest = after;
            if tag.starts_with('?') {
                continue;
            }
            let name = tag.trim_end_matches('/').split_whitespace().next();
            let name = name.ok_or_else(broken)?.to_owned();
            let inside = if tag.ends_with('/') {
                Inside::Text(String::new())
            } else {
                let inside = self.elements()?;
                let end = format!("</{name}>");
                self.rest = self.rest.strip_prefix(end.as_str()).ok_or_else(broken)?;
                inside
            };
            found.push((name, inside));
        }
        if found.is_empty() {
            return Ok(Inside::Text(unescaped(&text)));
        }
        Ok(Inside::Elements(found))
    }
}

fn broken() -> AwsError {
    AwsError::internal("an answer is not the XML that it should be")
}

fn unescaped(text: &str) -> String {
    let names = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&#xD;", "\r"),
        ("&amp;", "&"),
    ];
    let replaced = |text: String, (name, char): (&str, &str)| text.replace(name, char);
    names.into_iter().fold(text.to_owned(), replaced)
}

fn shaped(name: &str, inside: Inside) -> Value {
    match inside {
        Inside::Text(text) if text.trim().is_empty() && LISTS.contains(&name) => json!([]),
        Inside::Text(text) if text.is_empty() && name.is_empty() => json!({}),
        Inside::Text(text) if NUMBERS.contains(&name) => {
            let number = text.parse::<u64>();
            number.map_or_else(|_| json!(text), |number| json!(number))
        }
        Inside::Text(text) if name == "IsTruncated" => json!(text == "true"),
        Inside::Text(text) => json!(text),
        Inside::Elements(all) if all.iter().all(|(name, _)| name == "member") => {
            let members = all.into_iter().map(|(name, inside)| shaped(&name, inside));
            Value::Array(members.collect())
        }
        Inside::Elements(all) if all.iter().all(|(name, _)| name == "entry") => {
            let entries = all.into_iter().map(|(name, inside)| {
                let entry = shaped(&name, inside);
                let key = entry["key"].as_str().unwrap_or_default().to_owned();
                (key, entry["value"].clone())
            });
            Value::Object(entries.collect())
        }
        Inside::Elements(all) => object(all),
    }
}

fn object(all: Vec<(String, Inside)>) -> Value {
    let mut fields = Map::new();
    for (name, inside) in all {
        let repeats = ["CommonPrefixes", "Contents"].contains(&name.as_str());
        let value = shaped(&name, inside);
        match fields.get_mut(&name).and_then(Value::as_array_mut) {
            Some(there) if repeats => there.push(value),
            _ if repeats => drop(fields.insert(name, json!([value]))),
            _ => drop(fields.insert(name, value)),
        }
    }
    Value::Object(fields)
}
