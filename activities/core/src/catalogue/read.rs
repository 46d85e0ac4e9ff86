//! Reads a catalogue: the document as a tree, each section from its part of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::check::{self, Sink, Surroundings};
use super::fault::{Fault, Faults, File};
use super::from_tree::from_tree;
use super::handlers::Source;
use super::raw::{
    ACTIVITY_DEFAULTS, DEPLOYMENT_DEFAULTS, RawActivity, RawDefaults, RawDeployment, SECTIONS,
};
use super::tree::{Entry, Kind, Mark, Node};
use super::types::{Activity, Aws, Catalogue, Deployment, Signals, Warehouse};

/// A poll that is open at the start of a drain lasts this long at most.
const OPEN_POLL: Duration = Duration::from_secs(60);
/// What the last report may take.
const REPORT: Duration = Duration::from_secs(30);

/// What a reader may take that a checked catalogue on AWS may not have.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Takes alarm periods of 10 and 30 seconds, which `AWS/States` does not have.
    pub allow_short_periods: bool,
}

/// Reads and checks the catalogue in a file.
///
/// # Errors
/// If the file cannot be read, or with every fault of what it says.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Catalogue, Faults> {
    read_all(&[path.to_owned()], options)
}

/// Reads and checks a catalogue in several files: a base, and overlays in their
/// order. Maps are merged to any depth; scalars and lists are replaced.
///
/// # Errors
/// If a file cannot be read, or with every fault of what they say together; each
/// names the file that holds it.
pub fn read_all(paths: &[PathBuf], options: &ReadOptions) -> Result<Catalogue, Faults> {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => files.push(File { name, text }),
            Err(error) => {
                let message = format!("cannot read this file: {error}");
                faults.push(Fault::of_file(&name, message));
            }
        }
    }
    match Faults::of(faults, &[]) {
        None => merge(files, options),
        Some(faults) => Err(faults),
    }
}

/// Reads and checks a catalogue; `name` is what faults call the file.
///
/// # Errors
/// With every fault: one of type and all of meaning of each section, activity
/// and deployment.
pub fn parse(name: &str, text: &str, options: &ReadOptions) -> Result<Catalogue, Faults> {
    parse_all(&[(name, text)], options)
}

/// Like [`read_all`], for names and texts.
///
/// # Errors
/// With every fault; each names the file that holds it.
pub fn parse_all(files: &[(&str, &str)], options: &ReadOptions) -> Result<Catalogue, Faults> {
    let file = |(name, text): &(&str, &str)| File {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    merge(files.iter().map(file).collect(), options)
}

fn merge(files: Vec<File>, options: &ReadOptions) -> Result<Catalogue, Faults> {
    let mut sink = Sink::new(&files);
    let documents: Vec<Option<Node>> = (0..files.len())
        .map(|at| document(at, &files[at], &mut sink))
        .collect();
    let documents: Option<Vec<Node>> = documents.into_iter().collect();
    let root = documents.and_then(|all| all.into_iter().reduce(Node::overlaid));
    let read = root.and_then(|root| catalogue(&root, options, &mut sink).zip(Some(root)));
    match (Faults::of(sink.into_faults(), &files), read) {
        (None, Some((parts, root))) => Ok(parts.with(Source { files, root })),
        (Some(faults), _) => Err(faults),
        (None, None) => {
            let name = files.first().map_or("the catalogue", |file| &file.name);
            let message = "it could not be read, and no fault was named".to_owned();
            Err(Faults::single(name, message))
        }
    }
}

/// One file's document: a map. An overlay may be empty.
fn document(at: usize, file: &File, sink: &mut Sink<'_>) -> Option<Node> {
    let root = match Node::parse(&file.text, at) {
        Ok(root) => root,
        Err(error) => {
            let place = error.location();
            let mark = Mark {
                file: at,
                ..place.map_or_else(Mark::default, |place| Mark::new(at, place))
            };
            let message = error.without_snippet().to_string();
            let message = format!("this is not YAML that can be read: {message}");
            sink.say(mark, String::new(), message);
            return None;
        }
    };
    match root.kind {
        Kind::Map(_) => Some(root),
        Kind::Scalar(serde_json::Value::Null) if at > 0 => Some(root.only(&[])),
        Kind::Scalar(_) | Kind::List(_) => {
            let message = format!("found {}; allowed is a map of sections", root.found());
            sink.say(root.at, String::new(), message);
            None
        }
    }
}

/// All that a catalogue says.
struct Parts {
    fleet: String,
    aws: Aws,
    signals: Signals,
    warehouses: BTreeMap<String, Warehouse>,
    targets: Targets,
}

impl Parts {
    fn with(self, source: Source) -> Catalogue {
        Catalogue {
            fleet: self.fleet,
            aws: self.aws,
            signals: self.signals,
            warehouses: self.warehouses,
            deployments: self.targets.deployments,
            activities: self.targets.activities,
            source: Arc::new(source),
        }
    }
}

fn catalogue(root: &Node, options: &ReadOptions, sink: &mut Sink<'_>) -> Option<Parts> {
    for entry in root.entries() {
        if !SECTIONS.contains(&entry.key.as_str()) {
            sink.unknown_key(entry, SECTIONS);
        }
    }
    let version = required(root, "version", sink).and_then(|node| check::version(node, sink));
    let fleet = required(root, "fleet", sink).and_then(|node| check::fleet(node, sink));
    let aws = required(root, "aws", sink).and_then(|node| check::aws(node, sink));
    let signals = check::signals(root.get("signals"), options, sink);
    let warehouses = warehouses(root, sink);
    let targets = Targets::read(
        root,
        (fleet.as_deref(), aws.as_ref(), signals.as_ref()),
        sink,
    );
    version?;
    let targets = targets?;
    Some(Parts {
        fleet: fleet?,
        aws: aws?,
        signals: signals?,
        warehouses: warehouses?,
        targets,
    })
}

fn required<'a>(root: &'a Node, key: &str, sink: &mut Sink<'_>) -> Option<&'a Node> {
    let node = root.get(key);
    if node.is_none() {
        let message = format!("`{key}` is missing and has no default");
        sink.say(root.at, key.to_owned(), message);
    }
    node
}

/// The entries of a section that holds things by name.
fn named<'a>(node: &'a Node, sink: &mut Sink<'_>) -> Option<&'a [Entry]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Scalar(_) | Kind::List(_) => {
            let message = format!("found {}; allowed is a map of names", node.found());
            sink.say(node.at, node.path.clone(), message);
            None
        }
    }
}

fn warehouses(root: &Node, sink: &mut Sink<'_>) -> Option<BTreeMap<String, Warehouse>> {
    let Some(node) = root.get("warehouses") else {
        return Some(BTreeMap::new());
    };
    let entries = named(node, sink)?.iter();
    let all: Vec<_> = entries
        .map(|entry| Some((entry.key.clone(), check::warehouse(&entry.value, sink)?)))
        .collect();
    all.into_iter().collect()
}

/// Deployments and activities, which know each other.
struct Targets {
    deployments: BTreeMap<String, Deployment>,
    activities: BTreeMap<String, Activity>,
}

impl Targets {
    fn read(
        root: &Node,
        (fleet, aws, signals): (Option<&str>, Option<&Aws>, Option<&Signals>),
        sink: &mut Sink<'_>,
    ) -> Option<Self> {
        let deployments = required(root, "deployments", sink).and_then(|node| named(node, sink));
        let activities = required(root, "activities", sink).and_then(|node| named(node, sink));
        let Some(defaults) = defaults(root, sink) else {
            let none = root.only(&[]);
            let deployments = merged(deployments.unwrap_or_default(), &none);
            types_alone::<RawDeployment>(&deployments, sink);
            let activities = merged(activities.unwrap_or_default(), &none);
            types_alone::<RawActivity>(&activities, sink);
            return None;
        };
        let (deployments, activities) = (deployments?, activities?);
        let names: Vec<&str> = deployments.iter().map(|entry| entry.key.as_str()).collect();
        let around = Surroundings {
            fleet,
            aws,
            period: signals.map(|signals| signals.period),
            deployments: &names,
        };
        let activities = merged(activities, &defaults.only(ACTIVITY_DEFAULTS));
        let deployments = merged(deployments, &defaults.only(DEPLOYMENT_DEFAULTS));
        let read = read_activities(&activities, &around, sink);
        let complete = read.len() == activities.len();
        let targets = Self {
            deployments: read_deployments(&deployments, &activities, &read, sink),
            activities: read,
        };
        targets.check_polls(&activities, sink);
        (complete && targets.deployments.len() == deployments.len()).then_some(targets)
    }

    fn check_polls(&self, nodes: &[Entry], sink: &mut Sink<'_>) {
        for Entry { key, value, .. } in nodes {
            if let Some(activity) = self.activities.get(key)
                && let Some(deployment) = self.deployments.get(&activity.deployment)
            {
                check::open_polls(value, &activity.worker, deployment, sink);
            }
        }
    }
}

/// `defaults`, or an empty map; nothing if it is faulty.
fn defaults(root: &Node, sink: &mut Sink<'_>) -> Option<Node> {
    let empty = || root.only(&[]);
    let Some(node) = root.get("defaults") else {
        return Some(empty());
    };
    match from_tree::<Option<RawDefaults>>(node) {
        Ok(Some(_)) => Some(node.clone()),
        Ok(None) => Some(empty()),
        Err(fault) => {
            sink.mistyped(fault, node);
            None
        }
    }
}

/// Faults of type, where faulty defaults leave no meaning to check.
fn types_alone<'a, T: serde::Deserialize<'a>>(entries: &'a [Entry], sink: &mut Sink<'_>) {
    for entry in entries {
        if let Err(fault) = from_tree::<T>(&entry.value) {
            sink.mistyped(fault, &entry.value);
        }
    }
}

/// Each entry over the defaults. An empty one (`s3-load:`) is all defaults.
fn merged(entries: &[Entry], defaults: &Node) -> Vec<Entry> {
    let over = |entry: &Entry| {
        let value = match &entry.value.kind {
            Kind::Scalar(serde_json::Value::Null) => Node {
                kind: Kind::Map(Vec::new()),
                ..entry.value.clone()
            },
            _ => entry.value.clone(),
        };
        Entry {
            value: value.over(defaults),
            ..entry.clone()
        }
    };
    entries.iter().map(over).collect()
}

fn read_activities(
    entries: &[Entry],
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> BTreeMap<String, Activity> {
    let mut read: BTreeMap<String, Activity> = BTreeMap::new();
    for Entry { key, value, .. } in entries {
        let Some(activity) = check::activity(key, value, around, sink) else {
            continue;
        };
        if let Some(other) = read.values().find(|other| other.arn == activity.arn) {
            let message = format!(
                "found `{}`, which `activities.{}` has too; allowed is an ARN of its own",
                activity.arn, other.name
            );
            let (place, _) = value.locate("arn");
            sink.say(place.at, format!("{}.arn", value.path), message);
            continue;
        }
        read.insert(key.clone(), activity);
    }
    read
}

fn read_deployments(
    entries: &[Entry],
    activities: &[Entry],
    read: &BTreeMap<String, Activity>,
    sink: &mut Sink<'_>,
) -> BTreeMap<String, Deployment> {
    let mut deployments = BTreeMap::new();
    for Entry { key, value, .. } in entries {
        let mut users = activities
            .iter()
            .filter_map(|entry| entry.value.get("deployment"));
        if !users.any(|user| user.is_text(key)) {
            let message = format!(
                "found no activity that runs on `{key}`; allowed is a deployment that at least one names"
            );
            sink.say(value.at, value.path.clone(), message);
        }
        let served = read.values().filter(|activity| activity.deployment == *key);
        let longest = served.map(|activity| activity.worker.timeout).max();
        let drain = longest.unwrap_or_default() + OPEN_POLL + REPORT;
        if let Some(deployment) = check::deployment(key, value, drain, sink) {
            deployments.insert(key.clone(), deployment);
        }
    }
    deployments
}
