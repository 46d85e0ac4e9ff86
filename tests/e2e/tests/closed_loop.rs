//! The whole loop with the real binaries: files land, waits breach, the fleet
//! grows step by step until OK, everything is loaded exactly once, and it shrinks.

use std::process::{Command, Stdio};

/// A number behind a word in the summary's line.
fn number(summary: &str, line: &str, word: &str) -> u64 {
    let line = summary
        .lines()
        .find(|text| text.trim_start().starts_with(line))
        .unwrap_or_else(|| panic!("no line `{line}` in:\n{summary}"));
    let mut words = line
        .split_whitespace()
        .skip_while(|text| *text != word)
        .skip(1);
    words
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no number behind `{word}` in: {line}"))
}

#[test]
fn the_fleet_grows_until_ok_loads_exactly_once_and_shrinks() {
    let _alone = crate::MACHINE.blocking_write();
    let binaries = stepfleet_e2e::binaries().expect("the binaries");
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(binaries.join("stepfleet-local"))
        .args([
            "demo",
            "--tables",
            "8",
            "--every",
            "4s",
            "--arrivals",
            "48s",
            "--statement-latency",
            "700ms",
            "--seed",
            "7",
            "--dir",
        ])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("the demo starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let logs = || std::fs::read_to_string(folder.path().join("autoscaler.log")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{said}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        logs()
    );

    let summary = &said[said.find("Summary after").expect("a summary")..];
    let rows = number(summary, "rows", "arrived");
    assert!(rows > 1_000, "{summary}");
    assert_eq!(number(summary, "rows", "loaded"), rows, "{summary}");
    assert_eq!(
        (
            number(summary, "rows", "lost"),
            number(summary, "rows", "doubled")
        ),
        (0, 0),
        "{summary}"
    );
    assert_eq!(
        (
            number(summary, "files", "failed"),
            number(summary, "files", "left")
        ),
        (0, 0),
        "{summary}"
    );
    assert!(
        number(summary, "scale-out", "scale-out") >= 2,
        "out on ALARM, and again until OK:\n{said}\n{}",
        logs()
    );
    assert!(
        number(summary, "scale-in", "scale-in") >= 1,
        "in after cooldown:\n{said}\n{}",
        logs()
    );
}
