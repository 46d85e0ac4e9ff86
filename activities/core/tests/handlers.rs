//! What a binary checks of a catalogue that it shares with others.
#![allow(clippy::unwrap_used)]

use serde::Deserialize;
use serde_json::Value;
use stepfleet_activity::catalogue::{
    Activity, Catalogue, ReadOptions, not_one_of, parse, read_config,
};
use stepfleet_activity::{CancelSafety, ConfigFault, HandlerSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    warehouse: String,
    #[expect(dead_code, reason = "read for its type")]
    max_files: Option<u32>,
}

fn check(activity: &Activity, catalogue: &Catalogue) -> Result<(), Vec<ConfigFault>> {
    let config: Config = read_config(&activity.config).map_err(|fault| vec![fault])?;
    let known = catalogue.warehouses.keys().map(String::as_str);
    if catalogue.warehouses.contains_key(&config.warehouse) {
        return Ok(());
    }
    let named = ("warehouse", config.warehouse.as_str());
    Err(vec![not_one_of("warehouse", named, known)])
}

fn spec(name: &'static str) -> HandlerSpec {
    HandlerSpec {
        name,
        summary: "",
        cancel: CancelSafety::CancelSafe,
        config_schema: || Value::Null,
        input_schema: || Value::Null,
        check_config: check,
    }
}

/// Line 10 is the handler, line 12 the config.
fn catalogue(handler: &str, config: &str) -> Catalogue {
    let text = format!(
        r#"version: 1
fleet: demo
aws: {{account: "123456789012", region: eu-west-1}}
warehouses:
  main: {{workgroup: analytics, database: dev}}
deployments:
  pods:
activities:
  load:
    handler: {handler}
    deployment: pods
    config: {config}
"#
    );
    parse("fleet.yaml", &text, &ReadOptions::default()).unwrap()
}

const GOOD: &str = "{warehouse: main}";

/// The handler, its config, the beginning and the end of the fault's first line.
type Case = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
);

const TABLE: &[Case] = &[
    ("etl.s3-load", GOOD, None),
    ("etl.sql", "{warehouse: main, max_files: 3}", None),
    // Others' areas, and names without an area, are others' business.
    ("resize.plan", "{anything: goes}", None),
    ("acme.notify", "{}", None),
    ("elt.s3-load", "{}", None),
    ("etl", "{}", None),
    ("etlx.s3-load", "{}", None),
    (
        "etl.s3-laod",
        GOOD,
        Some((
            "fleet.yaml:10:14: activities.load.handler: found `etl.s3-laod`, a handler that this binary does not have; allowed are: etl.s3-load, etl.sql",
            "did you mean `etl.s3-load`?",
        )),
    ),
    (
        "etl.compress-everything",
        GOOD,
        Some((
            "fleet.yaml:10:14: activities.load.handler: found `etl.compress-everything`",
            "allowed are: etl.s3-load, etl.sql",
        )),
    ),
    (
        "etl.",
        GOOD,
        Some((
            "fleet.yaml:10:14: activities.load.handler: found `etl.`",
            "",
        )),
    ),
    (
        "etl.s3-load",
        "{warehouse: main, max_flies: 3}",
        Some((
            "fleet.yaml:12:42: activities.load.config.max_flies: `max_flies` is no key here; allowed are: warehouse, max_files",
            "did you mean `max_files`?",
        )),
    ),
    (
        "etl.s3-load",
        "{warehouse: main, max_files: many}",
        Some((
            "fleet.yaml:12:42: activities.load.config.max_files: found the text `many`",
            "allowed is a whole number, not negative",
        )),
    ),
    (
        "etl.s3-load",
        "{warehouse: mian}",
        Some((
            "fleet.yaml:12:25: activities.load.config.warehouse: found `mian`; there is no such warehouse, there are: main",
            "did you mean `main`?",
        )),
    ),
    (
        "etl.s3-load",
        "{}",
        Some((
            "fleet.yaml:12:5: activities.load.config: `warehouse` is missing",
            "has no default",
        )),
    ),
];

#[test]
fn a_binary_checks_its_own_activities_and_its_own_areas() {
    let handlers = [spec("etl.s3-load"), spec("etl.sql")];
    for (handler, config, fault) in TABLE {
        let what = format!("{handler} with {config}");
        let checked = catalogue(handler, config).check_handlers(&["etl"], &handlers);
        let Some((begins, ends)) = fault else {
            checked.unwrap_or_else(|faults| panic!("{what}: {faults}"));
            continue;
        };
        let faults = checked.expect_err(&what);
        assert_eq!(faults.iter().count(), 1, "{what}: {faults}");
        let text = faults.to_string();
        let line = text.lines().next().unwrap_or_default();
        assert!(line.starts_with(begins) && line.ends_with(ends), "{text}");
    }
}

#[test]
fn a_binary_without_handlers_refuses_names_of_its_area_only() {
    let checked = catalogue("etl.s3-load", GOOD).check_handlers(&["resize"], &[]);
    checked.expect("another binary's");
    let faults = catalogue("resize.plan", GOOD).check_handlers(&["resize"], &[]);
    let text = faults.expect_err("its own").to_string();
    assert!(text.contains("does not have; it has none yet"), "{text}");
}

#[test]
fn a_handler_outside_of_the_areas_is_checked_where_it_is_had() {
    let foreign = catalogue("acme.notify", "{}");
    let faults = foreign.check_handlers(&["etl"], &[spec("acme.notify")]);
    let text = faults.expect_err("no warehouse").to_string();
    assert!(text.contains("`warehouse` is missing"), "{text}");
}
