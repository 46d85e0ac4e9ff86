//! Commands of our own programs in the pages' shell blocks.

use crate::Page;

/// Our programs, and the packages that `cargo run -p` names for them.
const PROGRAMS: [(&str, &str); 4] = [
    ("etl-worker", "stepfleet-etl-worker"),
    ("resize-worker", "stepfleet-resize-worker"),
    ("autoscaler", "stepfleet-autoscaler"),
    ("stepfleet-local", "stepfleet-local"),
];

/// One command of one of our programs, as a page has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Where, like `docs/worker.md:4`.
    pub place: String,
    /// The program's name.
    pub program: &'static str,
    /// The first word after it that is no flag and no flag's value.
    pub subcommand: Option<String>,
    /// Its flags, without values.
    pub flags: Vec<String>,
}

/// Every command of our programs in the page's blocks of shell.
pub fn commands(page: &Page) -> Vec<CommandLine> {
    let mut commands = Vec::new();
    let mut is_shell = false;
    let mut begun: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(page.text.lines()) {
        let line = line.trim();
        if line.starts_with("```") {
            is_shell = !is_shell && (line == "```sh" || line == "```bash");
            continue;
        }
        if !is_shell {
            continue;
        }
        let (number, mut whole) = begun.take().unwrap_or((number, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => {
                whole.push_str(part);
                begun = Some((number, whole));
            }
            None => {
                whole.push_str(line);
                let place = format!("{}:{number}", page.path.display());
                commands.extend(read(&place, &whole));
            }
        }
    }
    commands
}

fn read(place: &str, line: &str) -> Option<CommandLine> {
    let line = line.split(" # ").next().unwrap_or(line);
    let words: Vec<&str> = line.split_whitespace().collect();
    let (program, rest) = program(&words)?;
    let flags = rest.iter().filter(|word| word.starts_with("--"));
    let flags = flags.map(|word| word.split('=').next().unwrap_or(word).to_owned());
    let first = rest.first().filter(|word| !word.starts_with('-'));
    Some(CommandLine {
        place: place.to_owned(),
        program,
        subcommand: first.map(|word| (*word).to_owned()),
        flags: flags.collect(),
    })
}

/// The program that a line runs, by its name or by cargo, and its arguments.
fn program<'a>(words: &'a [&'a str]) -> Option<(&'static str, &'a [&'a str])> {
    // `VARIABLE=value program ...`, `sudo program ...`
    let start = words.iter().position(|word| {
        !(word.contains('=') || matches!(*word, "sudo" | "exec" | "nohup" | "env" | "-E"))
    })?;
    let words = words.get(start..)?;
    if let ["cargo", "run", ..] = words {
        let dashes = words.iter().position(|word| *word == "--")?;
        let (before, after) = words.split_at(dashes);
        if before.contains(&"--example") {
            return None;
        }
        let package = before.iter().skip_while(|word| **word != "-p").nth(1)?;
        let found = PROGRAMS.iter().find(|(_, name)| name == package)?;
        return Some((found.0, &after[1..]));
    }
    let name = words.first()?.rsplit('/').next()?;
    let found = PROGRAMS.iter().find(|(program, _)| *program == name)?;
    Some((found.0, &words[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_with_their_flags() {
        let text = "```sh\nA=1 etl-worker check --catalogue f.yaml --print  # --no\n\
            cargo run --release -p stepfleet-local -- serve --listen \"$host:1\" \\\n  --no-deployments\n\
            curl --data x\n```\n```json\netl-worker --never\n```\n```sh\nautoscaler --catalogue=x\n```\n";
        let page = Page {
            path: "x.md".into(),
            text: text.to_owned(),
        };
        let found = commands(&page);
        let said: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.place.as_str(),
                    one.program,
                    one.subcommand.as_deref(),
                    one.flags.join(" "),
                )
            })
            .collect();
        let check = "--catalogue --print".to_owned();
        let serve = "--listen --no-deployments".to_owned();
        assert_eq!(
            said,
            [
                ("x.md:2", "etl-worker", Some("check"), check),
                ("x.md:3", "stepfleet-local", Some("serve"), serve),
                ("x.md:11", "autoscaler", None, "--catalogue".to_owned()),
            ]
        );
    }
}
