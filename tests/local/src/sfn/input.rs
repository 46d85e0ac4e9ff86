//! What the operations' inputs share: names, sizes and pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{LARGEST, digits};
use crate::AwsError;

/// A page's place in its list.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    pub(crate) max_results: usize,
    pub(crate) next_token: Option<String>,
}

/// How long a page's token can be used.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Which list it is, and when it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a> {
    /// The member of the answer that holds it.
    pub(crate) member: &'static str,
    /// What else a page has to have in common with the one before.
    pub(crate) scope: &'a str,
    pub(crate) now: Timestamp,
}

/// The page of a list that follows on a place in it. The items come in the
/// order of their keys, so that what comes or goes between two pages moves nothing.
///
/// # Errors
/// If the token is not one that this list gave out within 24 hours, or too much
/// is asked for.
pub(crate) fn paged<T>(
    list: List<'_>,
    items: impl Iterator<Item = (String, T)>,
    (max_results, next_token): (usize, Option<&str>),
    show: impl Fn(T) -> Value,
) -> Result<Value, AwsError> {
    if max_results > 1000 {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{max_results}' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000"
        )));
    }
    let size = if max_results == 0 { 100 } else { max_results };
    let after = next_token.map(|token| list.place(token)).transpose()?;
    let passed = |(key, _): &(String, T)| after.as_ref().is_some_and(|after| key <= after);
    let mut items = items.skip_while(passed).peekable();
    let mut last = String::new();
    let shown: Vec<Value> = items
        .by_ref()
        .take(size)
        .map(|(key, item)| {
            last = key;
            show(item)
        })
        .collect();
    let mut page = Map::new();
    if items.peek().is_some() {
        page.insert("nextToken".to_owned(), json!(list.token(&last)));
    }
    page.insert(list.member.to_owned(), Value::Array(shown));
    Ok(Value::Object(page))
}

impl List<'_> {
    /// What its tokens begin with.
    fn name(&self) -> String {
        format!("{} {} ", self.member, self.scope)
    }

    /// Says that the next page begins behind a key, and since when it is said.
    fn token(&self, last: &str) -> String {
        let made = self.now.as_millisecond();
        URL_SAFE_NO_PAD.encode(format!("{}{made} {last}", self.name()))
    }

    /// The key of the last item of the page before.
    fn place(&self, token: &str) -> Result<String, AwsError> {
        check_size("nextToken", token.chars().count(), 3096)?;
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let read = text.as_deref().and_then(|text| {
            let (made, key) = text.strip_prefix(&self.name())?.split_once(' ')?;
            let made = Timestamp::from_millisecond(made.parse().ok()?).ok()?;
            Some((made, key))
        });
        let why = match read {
            Some((made, key)) if self.now.duration_since(made) < TOKEN_LIFE => {
                return Ok(key.to_owned());
            }
            Some(_) => "the nextToken is older than 24 hours: begin with the first page",
            None => "the nextToken is not one that this list gave out",
        };
        Err(AwsError::new(
            "InvalidToken",
            format!("Invalid Token: '{why}'"),
        ))
    }
}

/// The key of a number, in its order.
pub(crate) fn number_key(number: usize) -> String {
    format!("{number:020}")
}

/// Takes out what is accepted only where it asks for nothing.
///
/// # Errors
/// `ValidationException`, with the name of what is not here.
pub(crate) fn without_off(mut body: Value) -> Result<Value, AwsError> {
    let Some(fields) = body.as_object_mut() else {
        return Ok(body);
    };
    let off = [
        ("publish", json!(false)),
        ("versionDescription", Value::Null),
        ("loggingConfiguration", json!("OFF")),
        ("tracingConfiguration", json!(false)),
        ("encryptionConfiguration", json!("AWS_OWNED_KEY")),
    ];
    for (name, nothing) in off {
        let Some(value) = fields.remove(name) else {
            continue;
        };
        let inner = ["level", "enabled", "type"].iter();
        let said = inner.filter_map(|key| value.get(key)).next();
        if !value.is_null() && said.unwrap_or(&value) != &nothing {
            return Err(AwsError::validation(format!(
                "{name}: stepfleet-local has no versions, logs, traces or keys of Step Functions: leave it out"
            )));
        }
    }
    Ok(body)
}

/// # Errors
/// `InvalidName`, with what a name may hold.
pub(crate) fn check_name(name: &str) -> Result<(), AwsError> {
    const FORBIDDEN: &str = "<>{}[]?*\"#%\\^|~`$&,;:/";
    let count = name.chars().count();
    let bad = |c: char| c.is_whitespace() || c.is_control() || FORBIDDEN.contains(c);
    if (1..=80).contains(&count) && !name.chars().any(bad) {
        return Ok(());
    }
    Err(AwsError::new(
        "InvalidName",
        format!(
            "Invalid Name: '{name}': 1 to 80 characters, no white space, no control characters, none of {FORBIDDEN}"
        ),
    ))
}

/// # Errors
/// `InvalidArn`, unless it names something of this kind, like `activity`.
pub(crate) fn check_arn(arn: &str, kind: &str) -> Result<(), AwsError> {
    let parts: Vec<&str> = arn.split(':').collect();
    if let ["arn", partition, "states", region, account, found, name, ..] = parts.as_slice()
        && *found == kind
        && [partition, region, account, name]
            .iter()
            .all(|part| !part.is_empty())
    {
        return Ok(());
    }
    Err(AwsError::new(
        "InvalidArn",
        format!(
            "Invalid Arn: '{arn}': it must be like arn:aws:states:eu-west-1:123456789012:{kind}:name"
        ),
    ))
}

/// # Errors
/// `ValidationException` over the limit, `code` where it is not JSON.
pub(crate) fn check_json(member: &str, text: &str, code: &'static str) -> Result<Value, AwsError> {
    check_size(member, text.len(), LARGEST)?;
    digits::read(text)
        .map_err(|error| AwsError::new(code, format!("the {member} is not JSON: {error}")))
}

/// # Errors
/// `ValidationException` over the limit.
pub(crate) fn check_size(member: &str, size: usize, most: usize) -> Result<(), AwsError> {
    if size <= most {
        return Ok(());
    }
    Err(AwsError::validation(format!(
        "Value at '{member}' failed to satisfy constraint: Member must have length less than or equal to {most}, and has {size}"
    )))
}
