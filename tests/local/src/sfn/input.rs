//! What the operations' inputs share: names, sizes and pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::LARGEST;
use crate::AwsError;

/// A page's place in its list.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    pub(crate) max_results: usize,
    pub(crate) next_token: Option<String>,
}

/// The page of a list that begins after `offset` items.
///
/// # Errors
/// If the token is not one of ours, or too much is asked for.
pub(crate) fn paged<T>(
    member: &str,
    items: impl Iterator<Item = T>,
    (max_results, next_token): (usize, Option<&str>),
    show: impl Fn(T) -> Value,
) -> Result<Value, AwsError> {
    if max_results > 1000 {
        return Err(AwsError::validation("maxResults must be at most 1000"));
    }
    let size = if max_results == 0 { 100 } else { max_results };
    let offset = next_token.map_or(Ok(0), offset)?;
    let mut items = items.skip(offset).peekable();
    let shown: Vec<Value> = items.by_ref().take(size).map(show).collect();
    let mut page = Map::new();
    if items.peek().is_some() {
        let token = URL_SAFE_NO_PAD.encode((offset + shown.len()).to_string());
        page.insert("nextToken".to_owned(), json!(token));
    }
    page.insert(member.to_owned(), Value::Array(shown));
    Ok(Value::Object(page))
}

fn offset(token: &str) -> Result<usize, AwsError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        AwsError::new(
            "InvalidToken",
            "the nextToken is not one that this list gave out",
        )
    })
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
    serde_json::from_str(text)
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
