//! The states that can fail and be retried: Task, Parallel, Map.

use std::sync::Arc;

use serde_json::Value;

use super::fields::{Fields, LONGEST};
use super::states::{only, then};
use super::{Batcher, Definition, Kind, Map, Number, Resource, Task, What, Work, machine, rules};
use crate::sfn::LARGEST;
use crate::sfn::integration::{Integration, Pattern};
use crate::sfn::path::Path;
use crate::sfn::template::Template;

const COMMON: &[&str] = &[
    "Next",
    "End",
    "InputPath",
    "OutputPath",
    "Parameters",
    "ResultSelector",
    "ResultPath",
    "Retry",
    "Catch",
];

pub(super) fn task(fields: &Fields<'_>) -> Option<Kind> {
    let own = [
        "Resource",
        "TimeoutSeconds",
        "TimeoutSecondsPath",
        "HeartbeatSeconds",
        "HeartbeatSecondsPath",
    ];
    only(fields, "Task", &[COMMON, &own].concat());
    let timeout = fields.number("TimeoutSeconds", 1..=LONGEST);
    let heartbeat = fields.number("HeartbeatSeconds", 1..=LONGEST);
    if let (Some(Number::Literal(timeout)), Some(Number::Literal(heartbeat))) =
        (&timeout, &heartbeat)
        && heartbeat >= timeout
    {
        fields.fault("HeartbeatSeconds", "must be smaller than TimeoutSeconds");
    }
    let parameters = fields.template("Parameters");
    let resource = resource(fields);
    if let Some(Resource::Service(integration)) = &resource {
        check_integration(fields, integration, heartbeat.is_some());
    }
    let task = resource.map(|resource| {
        What::Task(Task {
            resource,
            timeout,
            heartbeat,
        })
    });
    work(fields, task, parameters)
}

fn resource(fields: &Fields<'_>) -> Option<Resource> {
    let resource = fields.required_text("Resource")?;
    let parts: Vec<&str> = resource.splitn(7, ':').collect();
    if matches!(parts.as_slice(), ["arn", _, "states", _, _, "activity", name] if !name.is_empty())
    {
        return Some(Resource::Activity(resource.into()));
    }
    let why = match resource.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "states", "", "", rest] => match Integration::parse(rest) {
            Ok(integration) => return Some(Resource::Service(Arc::new(integration))),
            Err(why) => why,
        },
        _ => "it is neither".to_owned(),
    };
    fields.fault(
        "Resource",
        format!(
            "the resource '{resource}' is not supported here, only activities \
             (arn:aws:states:REGION:ACCOUNT:activity:NAME) and integrations of the services \
             that are here (arn:aws:states:::...): {why}"
        ),
    );
    None
}

fn check_integration(fields: &Fields<'_>, integration: &Integration, heartbeat: bool) {
    if heartbeat && integration.pattern != Pattern::Token {
        fields.fault(
            "HeartbeatSeconds",
            "is for activities and .waitForTaskToken: nobody else sends heartbeats",
        );
    }
    let Some((known, required)) = integration.parameters() else {
        return;
    };
    let Some(Value::Object(given)) = fields.get("Parameters") else {
        return;
    };
    let bare = |key: &str| key.strip_suffix(".$").unwrap_or(key).to_owned();
    let given: Vec<String> = given.keys().map(|key| bare(key)).collect();
    let of = format!("{}:{}", integration.resource_type(), integration.resource());
    for key in given.iter().filter(|key| !known.contains(&key.as_str())) {
        let what = format!("the field '{key}' of {of} is not supported here");
        fields.fault(&format!("Parameters/{key}"), what);
    }
    for key in required {
        if !given.iter().any(|one| one == key) {
            let what = format!("the field '{key}' of {of} is missing");
            fields.fault(&format!("Parameters/{key}"), what);
        }
    }
}

/// The token is in the context of those states alone whose resource says so.
pub(super) fn check_token(fields: &Fields<'_>) {
    let resource = fields.get("Resource").and_then(Value::as_str);
    if resource.is_some_and(|resource| resource.ends_with(".waitForTaskToken")) {
        return;
    }
    let inner = ["Branches", "ItemProcessor", "Iterator"];
    let own = fields
        .iter()
        .filter(|(key, _)| !inner.contains(&key.as_str()));
    for place in own.filter_map(|(key, value)| token_at(value, key.clone())) {
        fields.fault(
            &place,
            "the path '$$.Task.Token' is for .waitForTaskToken: an activity gets its token from GetActivityTask",
        );
    }
}

/// Where a text names the token, if one does.
fn token_at(value: &Value, at: String) -> Option<String> {
    match value {
        Value::String(text) => {
            let named = text.contains("$$.Task") || text.contains("$$['Task'");
            named.then_some(at)
        }
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| token_at(item, format!("{at}[{index}]")))
        }
        Value::Object(fields) => {
            let mut fields = fields.iter();
            fields.find_map(|(key, value)| token_at(value, format!("{at}/{key}")))
        }
        _ => None,
    }
}

pub(super) fn parallel(fields: &Fields<'_>) -> Option<Kind> {
    only(fields, "Parallel", &[COMMON, &["Branches"]].concat());
    let branches = fields.objects("Branches");
    if branches.is_empty() {
        fields.fault("Branches", "must be a list with a branch in it");
    }
    let count = branches.len();
    let known = (&["Comment", "StartAt", "States"][..], "a branch");
    let read = branches.iter().filter_map(|one| machine(one, known));
    let read: Vec<Arc<Definition>> = read.map(Arc::new).collect();
    let read = (read.len() == count).then_some(What::Parallel(read));
    work(fields, read, fields.template("Parameters"))
}

pub(super) fn map(fields: &Fields<'_>) -> Option<Kind> {
    let own = [
        "ItemProcessor",
        "Iterator",
        "ItemsPath",
        "ItemSelector",
        "ItemBatcher",
        "MaxConcurrency",
        "MaxConcurrencyPath",
    ];
    only(fields, "Map", &[COMMON, &own].concat());
    let selector = one_name(fields, ["ItemSelector", "Parameters"]);
    let processor = processor(fields);
    let items = fields.path("ItemsPath").unwrap_or_else(Path::root);
    let (selector, batcher) = (fields.template(selector), batcher(fields));
    let concurrency = fields.number("MaxConcurrency", 0..=u64::from(u32::MAX));
    let map = processor.map(|processor| {
        Box::new(Map {
            processor: Arc::new(processor),
            items,
            selector,
            concurrency,
            batcher,
        })
    });
    // Parameters is the older name of ItemSelector.
    work(fields, map.map(What::Map), None)
}

/// The name in use of a field that has an older one.
fn one_name<'a>(fields: &Fields<'_>, [new, old]: [&'a str; 2]) -> &'a str {
    match (fields.get(new), fields.get(old)) {
        (Some(_), Some(_)) => fields.fault(old, format!("must not stand beside {new}")),
        (None, Some(_)) => return old,
        _ => {}
    }
    new
}

fn processor(fields: &Fields<'_>) -> Option<Definition> {
    let name = one_name(fields, ["ItemProcessor", "Iterator"]);
    let Some(value) = fields.get(name) else {
        fields.fault(name, format!("the field '{name}' is missing"));
        return None;
    };
    let inside = Fields::of(value, &format!("{}/{name}", fields.at()), fields.faults)?;
    if let Some(config) = inside.get("ProcessorConfig") {
        let at = format!("{}/ProcessorConfig", inside.at());
        let config = Fields::of(config, &at, fields.faults)?;
        config.only(&["Mode"], "a ProcessorConfig");
        config.one_of("Mode", &["INLINE"]);
    }
    let known = ["Comment", "StartAt", "States", "ProcessorConfig"];
    machine(&inside, (&known, "an ItemProcessor"))
}

fn batcher(fields: &Fields<'_>) -> Option<Batcher> {
    let value = fields.get("ItemBatcher")?;
    let inside = Fields::of(
        value,
        &format!("{}/ItemBatcher", fields.at()),
        fields.faults,
    )?;
    let known = [
        "MaxItemsPerBatch",
        "MaxItemsPerBatchPath",
        "MaxInputBytesPerBatch",
        "MaxInputBytesPerBatchPath",
        "BatchInput",
    ];
    inside.only(&known, "an ItemBatcher");
    let batcher = Batcher {
        most_items: inside.number("MaxItemsPerBatch", 1..=u64::from(u32::MAX)),
        most_bytes: inside.number("MaxInputBytesPerBatch", 1..=LARGEST as u64),
        input: inside.template("BatchInput"),
    };
    if batcher.most_items.is_none() && batcher.most_bytes.is_none() {
        inside.fault(
            "MaxItemsPerBatch",
            "an ItemBatcher has MaxItemsPerBatch or MaxInputBytesPerBatch",
        );
    }
    Some(batcher)
}

/// The fields of all three. `None` says that its fault has been told: the
/// others are read nevertheless, for theirs.
fn work(fields: &Fields<'_>, what: Option<What>, parameters: Option<Template>) -> Option<Kind> {
    let result_selector = fields.template("ResultSelector");
    let result_path = fields.result_path();
    let (retry, catch) = (rules::retry(fields), rules::catch(fields));
    let work = Work {
        then: then(fields)?,
        what: what?,
        parameters,
        result_selector,
        result_path,
        retry,
        catch,
    };
    Some(Kind::Work(Box::new(work)))
}
