//! The commands of the pages are those of the binaries.

use std::collections::BTreeMap;
use std::process::Command;

use stepfleet_docs::{CommandLine, commands, pages};

/// What a program says of itself, or of one of its subcommands.
fn help(program: &str, subcommand: Option<&str>) -> Result<String, String> {
    let binary = stepfleet_e2e::binaries()
        .expect("the binaries")
        .join(program);
    let mut command = Command::new(binary);
    let output = command.args(subcommand).arg("--help").output();
    let output = output.expect("a program that starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn every_command_of_the_pages_is_one_of_the_programs() {
    let pages = pages().expect("the pages");
    let lines: Vec<CommandLine> = pages.iter().flat_map(commands).collect();
    assert!(lines.len() > 10, "{lines:?}");
    let mut helps = BTreeMap::new();
    let mut faults = Vec::new();
    for line in &lines {
        let key = (line.program, line.subcommand.as_deref());
        let said = helps.entry(key).or_insert_with(|| help(key.0, key.1));
        match said {
            Err(error) => faults.push(format!("{}: {key:?}: {error}", line.place)),
            Ok(said) => {
                let known: Vec<&str> = said
                    .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'))
                    .collect();
                let unknown = line
                    .flags
                    .iter()
                    .filter(|flag| !known.contains(&flag.as_str()));
                faults.extend(unknown.map(|flag| format!("{}: {key:?} has no {flag}", line.place)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
