//! The query protocol, which older clients speak: forms become the input of
//! an operation, and its output becomes XML.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::CloudWatch;
use super::requests::time;
use crate::AwsError;
use crate::server::query::{Form, element};

const FLOATS: [&str; 7] = [
    "Counts",
    "Maximum",
    "Minimum",
    "SampleCount",
    "Sum",
    "Threshold",
    "Values",
];
const WHOLE: [&str; 6] = [
    "DatapointsToAlarm",
    "EvaluationPeriods",
    "MaxDatapoints",
    "MaxRecords",
    "Period",
    "StorageResolution",
];
const TRUTHS: [&str; 2] = ["ActionsEnabled", "ReturnData"];
const TIMES: [&str; 5] = ["EndDate", "EndTime", "StartDate", "StartTime", "Timestamp"];

impl CloudWatch {
    /// Answers an operation's form with the inside of its result, as XML.
    ///
    /// # Errors
    /// As [`CloudWatch::call`], by the names that this protocol has.
    pub(crate) fn call_form(&self, action: &str, form: &Form) -> Result<String, AwsError> {
        let output = input(form).and_then(|input| self.call(action, input));
        let output = output.map_err(|error| match error.code {
            "ValidationException" => AwsError {
                code: "ValidationError",
                ..error
            },
            _ => error,
        })?;
        let mut xml = String::new();
        members(&mut xml, &output);
        Ok(xml)
    }
}

/// A member of a form: its text, or the members below it.
#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    below: BTreeMap<String, Node>,
}

fn input(form: &Form) -> Result<Value, AwsError> {
    let mut root = Node::default();
    for (path, text) in form {
        if path == "Action" || path == "Version" {
            continue;
        }
        let mut node = &mut root;
        for part in path.split('.') {
            node = node.below.entry(part.to_owned()).or_default();
        }
        node.text = Some(text.clone());
    }
    root.value(("", ""))
}

impl Node {
    /// By the name that it has, and that of the list which it is in.
    fn value(self, (list, name): (&str, &str)) -> Result<Value, AwsError> {
        if let Some(text) = self.text {
            return leaf((list, name), text);
        }
        let mut below = self.below;
        if let Some(members) = below.remove("member") {
            let mut all = BTreeMap::new();
            for (number, node) in members.below {
                let number: u32 = number
                    .parse()
                    .map_err(|_| AwsError::validation(format!("{name}.member.{number}")))?;
                all.insert(number, node.value((name, name))?);
            }
            return Ok(Value::Array(all.into_values().collect()));
        }
        let mut members = Map::new();
        for (key, node) in below {
            let value = node.value((list, &key))?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

fn leaf((list, name): (&str, &str), text: String) -> Result<Value, AwsError> {
    let wrong = || AwsError::new("MalformedInput", format!("{name} is not {text:?}"));
    // The values of dimensions and tags are texts.
    let is_float = FLOATS.contains(&name) || (name == "Value" && list == "MetricData");
    if is_float {
        let number = text.parse().ok().and_then(Number::from_f64);
        return number.map(Value::Number).ok_or_else(wrong);
    }
    if WHOLE.contains(&name) {
        return text.parse::<i64>().map(Value::from).map_err(|_| wrong());
    }
    if TRUTHS.contains(&name) {
        return text.parse::<bool>().map(Value::from).map_err(|_| wrong());
    }
    if TIMES.contains(&name) {
        let at: Timestamp = text.parse().map_err(|_| wrong())?;
        return Ok(super::alarm::seconds(at).into());
    }
    Ok(text.into())
}

fn members(xml: &mut String, value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        write(xml, name, (name, value));
    }
}

/// An element, by the name of the member that it is or is in.
fn write(xml: &mut String, tag: &str, (name, value): (&str, &Value)) {
    let is_time = name.ends_with("Timestamp") || name == "Timestamps";
    match value {
        Value::Null => {}
        Value::Number(number) if is_time => {
            let at = number.as_f64().and_then(|seconds| time(seconds).ok());
            element(xml, tag, &at.unwrap_or_default().to_string());
        }
        Value::String(text) => element(xml, tag, text),
        Value::Bool(_) | Value::Number(_) => element(xml, tag, &value.to_string()),
        Value::Array(all) => {
            let mut inner = String::new();
            all.iter()
                .for_each(|one| write(&mut inner, "member", (name, one)));
            xml.push_str(&format!("<{tag}>{inner}</{tag}>"));
        }
        Value::Object(entries) if name == "ExtendedStatistics" => {
            let mut inner = String::new();
            for (key, value) in entries {
                let mut entry = String::new();
                element(&mut entry, "key", key);
                element(&mut entry, "value", &value.to_string());
                inner.push_str(&format!("<entry>{entry}</entry>"));
            }
            xml.push_str(&format!("<{tag}>{inner}</{tag}>"));
        }
        Value::Object(_) => {
            let mut inner = String::new();
            members(&mut inner, value);
            xml.push_str(&format!("<{tag}>{inner}</{tag}>"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(members: &[(&str, &str)]) -> Form {
        let members = members.iter();
        members
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_form_becomes_typed_input() {
        let form = form(&[
            ("Action", "PutMetricData"),
            ("Namespace", "n"),
            ("MetricData.member.1.MetricName", "m"),
            ("MetricData.member.1.Value", "1.5"),
            ("MetricData.member.1.Timestamp", "1970-01-01T00:01:00.5Z"),
            ("MetricData.member.1.Dimensions.member.1.Name", "d"),
            ("MetricData.member.1.Dimensions.member.1.Value", "7"),
            ("MetricData.member.2.Values.member.10", "10"),
            ("MetricData.member.2.Values.member.9", "9"),
            ("ActionsEnabled", "false"),
            ("Period", "60"),
        ]);
        let wanted = json!({
            "Namespace": "n", "ActionsEnabled": false, "Period": 60,
            "MetricData": [
                {
                    "MetricName": "m", "Value": 1.5, "Timestamp": 60.5,
                    "Dimensions": [{"Name": "d", "Value": "7"}],
                },
                {"Values": [9.0, 10.0]},
            ],
        });
        assert_eq!(input(&form).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        for (name, text) in [("Period", "x"), ("Threshold", "NaN"), ("StartTime", "now")] {
            let error = input(&form(&[(name, text)])).unwrap_err();
            assert!(error.message.contains(name), "{error}");
        }
    }

    #[test]
    fn output_becomes_xml() {
        let mut xml = String::new();
        let output = json!({
            "Datapoints": [{
                "Timestamp": 60.5, "Sum": 1.5, "Unit": "None",
                "ExtendedStatistics": {"p90": 2.0},
            }],
            "Results": [{"Timestamps": [60], "Values": [1.0]}],
            "NextToken": null, "Text": "<",
        });
        members(&mut xml, &output);
        for part in [
            "<Datapoints><member>",
            "<Timestamp>1970-01-01T00:01:00.5Z</Timestamp>",
            "<ExtendedStatistics><entry><key>p90</key><value>2.0</value></entry></ExtendedStatistics>",
            "<Timestamps><member>1970-01-01T00:01:00Z</member></Timestamps>",
            "<Values><member>1.0</member></Values>",
            "<Text>&lt;</Text>",
        ] {
            assert!(xml.contains(part), "{part} in {xml}");
        }
        assert!(!xml.contains("NextToken"));
    }
}
