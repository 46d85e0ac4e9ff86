//! How data goes through a state: paths, templates, choices.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::LARGEST;
use super::choice;
use super::definition::{Fail, Number, Pass, Rule, Text, Until};
use super::digits;
use super::execution::Run;
use super::failure::Failure;
use super::path::{Path, Scope};
use super::retry::name;
use super::template::Template;

// === impl Run ===

impl Run {
    pub(super) fn scope<'a>(&'a self, data: &'a Value) -> Scope<'a> {
        Scope {
            data,
            context: &self.context,
        }
    }

    /// InputPath and OutputPath.
    pub(super) fn select(&self, path: Option<&Path>, data: &Value) -> Result<Value, Failure> {
        let Some(path) = path else {
            return Ok(json!({}));
        };
        self.find(path, data).cloned()
    }

    pub(super) fn find<'a>(&'a self, path: &Path, data: &'a Value) -> Result<&'a Value, Failure> {
        path.find(self.scope(data)).ok_or_else(|| {
            Failure::runtime(format!(
                "Invalid path '{path}': it leads to nothing in the input"
            ))
        })
    }

    pub(super) fn fill(&self, template: Option<&Template>, data: Value) -> Result<Value, Failure> {
        match template {
            Some(template) => template.fill(self.scope(&data)),
            None => Ok(data),
        }
    }

    pub(super) fn pass(&self, pass: &Pass, input: Value, raw: Value) -> Result<Value, Failure> {
        let result = match &pass.result {
            Some(result) => result.clone(),
            None => self.fill(pass.parameters.as_ref(), input)?,
        };
        merge(pass.result_path.as_ref(), raw, result)
    }

    pub(super) fn until(&self, until: &Until, input: &Value) -> Result<Instant, Failure> {
        let time = match until {
            Until::Seconds(span) => return Ok(self.service.instant() + self.seconds(span, input)?),
            Until::Time(time) => *time,
            Until::TimePath(path) => {
                choice::timestamp(self.find(path, input)?).ok_or_else(|| {
                    Failure::runtime(format!("The path '{path}' does not lead to a timestamp"))
                })?
            }
        };
        let left = time
            .duration_since(self.service.now())
            .max(SignedDuration::ZERO);
        Ok(self.service.instant() + left.unsigned_abs())
    }

    pub(super) fn seconds(&self, span: &Number, input: &Value) -> Result<Duration, Failure> {
        self.number(span, input).map(Duration::from_secs)
    }

    pub(super) fn number(&self, number: &Number, input: &Value) -> Result<u64, Failure> {
        match number {
            Number::Literal(number) => Ok(*number),
            Number::Path(path, within) => {
                let found = self.find(path, input)?.as_u64();
                found.filter(|number| within.contains(number)).ok_or_else(|| {
                    let (least, most) = (within.start(), within.end());
                    Failure::runtime(format!(
                        "The path '{path}' does not lead to a whole number from {least} to {most}"
                    ))
                })
            }
        }
    }

    pub(super) fn choose(
        &self,
        rules: &[Rule],
        default: Option<&Arc<str>>,
        input: &Value,
    ) -> Result<Arc<str>, Failure> {
        for rule in rules {
            if rule
                .condition
                .holds(self.scope(input))
                .map_err(Failure::runtime)?
            {
                return Ok(Arc::clone(&rule.next));
            }
        }
        default.cloned().ok_or_else(|| {
            Failure::new(
                name::NO_CHOICE,
                "No rule of the Choice state matched, and it has no Default",
            )
        })
    }

    pub(super) fn fail(&self, fail: &Fail, input: &Value) -> Failure {
        let text = |text: &Option<Text>| match text {
            None => Ok(None),
            Some(Text::Literal(text)) => Ok(Some(text.clone())),
            Some(Text::Expression(expression)) => match expression.evaluate(self.scope(input))? {
                Value::String(text) => Ok(Some(text)),
                other => Err(Failure::runtime(format!(
                    "{} is no string",
                    digits::write(&other)
                ))),
            },
        };
        match (text(&fail.error), text(&fail.cause)) {
            (Ok(error), Ok(cause)) => Failure { error, cause },
            (Err(failure), _) | (_, Err(failure)) => failure,
        }
    }
}

/// ResultPath: `None` drops the result.
pub(super) fn merge(path: Option<&Path>, mut raw: Value, result: Value) -> Result<Value, Failure> {
    if let Some(path) = path {
        path.put(&mut raw, result)
            .map_err(|why| Failure::new(name::RESULT_PATH, why))?;
    }
    Ok(raw)
}

/// The text of what a state takes or gives, if it is not too long.
pub(super) fn sized(value: &Value, state: &str) -> Result<String, Failure> {
    let text = digits::write(value);
    if text.len() <= LARGEST {
        return Ok(text);
    }
    let why = format!(
        "The state/task '{state}' returned a result with a size exceeding the maximum number of bytes service limit ({} over {LARGEST}).",
        text.len()
    );
    Err(Failure::new(name::DATA_LIMIT, why))
}
