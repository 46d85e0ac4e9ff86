//! What two loads may not share: a table, a prefix, or a folder of one of them.
//! Each would take the other's files, or both would wait for each other.

use stepfleet_activity::catalogue::{Activity, WarehouseTarget};
use stepfleet_activity::{Catalogue, ConfigFault};

use super::LoadConfig;
use crate::s3_load::HANDLER;
use crate::s3_load::input::LoadInput;

/// The folders that a loader has below its prefix.
const FOLDERS: [&str; 5] = ["incoming", "processed", "failed", "manifests", "leases"];

/// What two loads share, if they share what only one may have.
fn shared(one: &LoadInput, other: &LoadInput) -> Option<String> {
    if one.bucket == other.bucket && one.prefix == other.prefix {
        return Some(format!("the prefix s3://{}/{}", one.bucket, one.prefix));
    }
    inside(one, other).or_else(|| inside(other, one))
}

/// Whether all that one load has lies in a folder of the other.
fn inside(inner: &LoadInput, outer: &LoadInput) -> Option<String> {
    let mut folders = FOLDERS.iter().map(|folder| outer.key(folder, ""));
    let folder = folders.find(|folder| inner.prefix.starts_with(folder))?;
    (inner.bucket == outer.bucket).then(|| format!("the folder s3://{}/{folder}", outer.bucket))
}

fn shared_table(one: &LoadInput, other: &LoadInput) -> Option<String> {
    (one.table.id() == other.table.id()).then(|| format!("the table {}", one.table.id()))
}

fn fault(path: String, what: &str, other: &str) -> ConfigFault {
    let message = format!(
        "found {what}, which {other} has too; allowed is a table and a prefix of its own for each load"
    );
    ConfigFault::new(path, message)
}

/// The loads of one list that cannot be beside each other, each with the first
/// that it meets.
pub(crate) fn among(loads: &[LoadInput]) -> Vec<ConfigFault> {
    let faults = loads.iter().enumerate().filter_map(|(at, load)| {
        let mut others = loads[..at].iter().enumerate();
        others.find_map(|(first, other)| {
            let what = shared_table(load, other).or_else(|| shared(load, other))?;
            Some(fault(
                format!("loads[{at}]"),
                &what,
                &format!("loads[{first}]"),
            ))
        })
    });
    faults.collect()
}

/// The loads of an activity that meet one of an activity before it.
pub(super) fn with_others(
    activity: &Activity,
    config: &LoadConfig,
    catalogue: &Catalogue,
) -> Vec<ConfigFault> {
    let before = catalogue.activities.values();
    let before = before.take_while(|other| other.name != activity.name);
    let before = before.filter(|other| other.handler == HANDLER);
    // One whose own config is wrong says so itself.
    let before = before.filter_map(|other| Some((other, LoadConfig::of(catalogue, other).ok()?)));
    let mut faults = Vec::new();
    for (other, others) in before {
        let one_database = is_one_database(catalogue, (&config.warehouse, &others.warehouse));
        for (at, load) in config.loads.iter().enumerate() {
            let meets = |(first, other_load): (usize, &LoadInput)| {
                let table = one_database.then(|| shared_table(load, other_load));
                let what = table.flatten().or_else(|| shared(load, other_load))?;
                let there = format!("activities.{}.config.loads[{first}]", other.name);
                Some(fault(format!("loads[{at}]"), &what, &there))
            };
            faults.extend(others.loads.iter().enumerate().find_map(meets));
        }
    }
    faults
}

/// Whether two names of warehouses are one database, whoever speaks to it.
fn is_one_database(catalogue: &Catalogue, (one, other): (&str, &str)) -> bool {
    let find = |name| catalogue.warehouses.get(name);
    let (Some(one), Some(other)) = (find(one), find(other)) else {
        return one == other;
    };
    let server = |target: &WarehouseTarget| match target {
        WarehouseTarget::Workgroup(name) => ("workgroup", name.clone(), 0),
        WarehouseTarget::Cluster { identifier, .. } => ("cluster", identifier.clone(), 0),
        WarehouseTarget::Postgres { host, port, .. } => {
            ("postgres", host.to_ascii_lowercase(), *port)
        }
    };
    server(&one.target) == server(&other.target) && one.database == other.database
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stepfleet_activity::catalogue::{ReadOptions, parse};

    /// The warehouse of an activity, and its loads.
    type Loader = (&'static str, Vec<Value>);

    fn load(prefix: &str, table: &str) -> Value {
        json!({"bucket": "land", "prefix": prefix, "table": table, "format": "csv"})
    }

    /// What `check` says of the activities with these warehouses and loads.
    fn said(activities: &[Loader]) -> Vec<String> {
        let mut text = "version: 1\nfleet: f\naws: {account: \"123456789012\", region: eu-west-1}\n\
             warehouses:\n  w: {workgroup: main, database: dev}\n  same: {workgroup: main, database: dev}\n\
             \x20 other: {workgroup: main, database: another}\n\
             \x20 pg: {postgres: \"localhost:5432\", user: u, database: dev}\n\
             deployments: {d: {replicas: {min: 1, max: 1}}}\nactivities:\n"
            .to_owned();
        for (at, (warehouse, loads)) in activities.iter().enumerate() {
            let config = json!({"warehouse": warehouse, "loads": loads});
            text +=
                &format!("  a{at}: {{handler: etl.s3-load, deployment: d, config: {config}}}\n");
        }
        let catalogue = parse("f", &text, &ReadOptions::default()).expect("a catalogue");
        match catalogue.check_handlers(&["etl"], &crate::handlers()) {
            Ok(()) => Vec::new(),
            Err(faults) => {
                let lines = faults.to_string();
                let lines = lines.lines().filter(|line| line.contains(": found "));
                lines.map(str::to_owned).collect()
            }
        }
    }

    #[test]
    fn what_only_one_load_may_have_is_refused_with_both_places() {
        let one = |prefix, table| ("w", vec![load(prefix, table)]);
        let two = |first: (&str, &str), second: (&str, &str)| {
            vec![("w", vec![load(first.0, first.1), load(second.0, second.1)])]
        };
        let table = "the table public.t";
        let cases: [(Vec<Loader>, &str, &str, &str); 12] = [
            (
                two(("a/", "public.t"), ("b/", "Public.\"T\"")),
                "a0.config.loads[1]",
                table,
                "loads[0] has",
            ),
            (
                two(("a/", "public.t"), ("a/", "public.u")),
                "a0.config.loads[1]",
                "the prefix s3://land/a/",
                "loads[0] has",
            ),
            (
                two(("", "public.t"), ("incoming/b/", "public.u")),
                "a0.config.loads[1]",
                "the folder s3://land/incoming/",
                "loads[0] has",
            ),
            (
                two(("a/failed/x/", "public.t"), ("a/", "public.u")),
                "a0.config.loads[1]",
                "the folder s3://land/a/failed/",
                "loads[0] has",
            ),
            (two(("a/", "public.t"), ("a/b/", "public.u")), "", "", ""),
            (
                two(("a/", "public.t"), ("a/incoming-b/", "public.u")),
                "",
                "",
                "",
            ),
            (
                vec![one("a/", "public.t"), one("b/", "PUBLIC.t")],
                "a1.config.loads[0]",
                table,
                "activities.a0.config.loads[0] has",
            ),
            (
                vec![one("a/", "public.t"), one("a/", "public.t")],
                "a1.config.loads[0]",
                table,
                "activities.a0.config.loads[0] has",
            ),
            (
                vec![
                    one("a/", "public.t"),
                    ("same", vec![load("b/", "public.t")]),
                ],
                "a1.config.loads[0]",
                table,
                "activities.a0",
            ),
            (
                vec![
                    one("a/", "public.t"),
                    ("other", vec![load("b/", "public.t")]),
                ],
                "",
                "",
                "",
            ),
            (
                vec![
                    one("a/", "public.t"),
                    ("other", vec![load("a/", "public.t")]),
                ],
                "a1.config.loads[0]",
                "the prefix s3://land/a/",
                "activities.a0",
            ),
            (
                vec![(
                    "pg",
                    vec![load("a/", "public.t"), load("b/", "public.\"T\"")],
                )],
                "",
                "",
                "",
            ),
        ];
        for (activities, path, what, other) in cases {
            let said = said(&activities);
            if path.is_empty() {
                assert_eq!(said, [""; 0], "{activities:?}");
                continue;
            }
            let [said] = said.as_slice() else {
                panic!("{activities:?}: {said:?}");
            };
            for part in [path, what, other] {
                assert!(said.contains(part), "{said} has no {part}");
            }
        }
    }

    #[test]
    fn a_name_that_postgres_would_cut_is_refused_there() {
        let long = format!("public.{}", "a".repeat(64));
        assert_eq!(said(&[("w", vec![load("a/", &long)])]), [""; 0]);
        let said = said(&[("pg", vec![load("a/", &long)])]);
        assert!(
            said[0].contains("loads[0].table") && said[0].contains("63"),
            "{said:?}"
        );
    }
}
