//! The states that can fail and be retried: Task, Parallel, Map.

use std::sync::Arc;

use super::fields::{Fields, LONGEST};
use super::states::{only, then};
use super::{Activity, Batcher, Definition, Kind, Map, Number, What, Work, machine, rules};
use crate::sfn::LARGEST;
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
    let activity = Activity {
        arn: Arc::from(activity(fields).unwrap_or_default()),
        timeout,
        heartbeat,
    };
    let parameters = fields.template("Parameters");
    work(fields, Some(What::Activity(activity)), parameters)
}

fn activity<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    let resource = fields.required_text("Resource")?;
    let parts: Vec<&str> = resource.splitn(7, ':').collect();
    if !matches!(parts.as_slice(), ["arn", _, "states", _, _, "activity", name] if !name.is_empty())
    {
        fields.fault(
            "Resource",
            format!("the resource '{resource}' is not supported here, only activities (arn:aws:states:REGION:ACCOUNT:activity:NAME)"),
        );
    }
    Some(resource)
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
