//! What pods may run: what was allowed from inside, never what a request brings along.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The one image there is: a process of this machine.
pub(super) const IMAGE: &str = "process";

/// What pods may run.
#[derive(Debug, Default)]
pub(crate) struct Programs(Mutex<Vec<Program>>);

/// A program with all of its arguments, and the environment that it may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    words: Vec<String>,
    env: BTreeMap<String, String>,
}

// === impl Programs ===

impl Programs {
    /// Lets pods run this.
    pub(crate) fn allow(&self, program: Program) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&program) {
            known.push(program);
        }
    }

    /// Whether a pod of this `spec` may run.
    ///
    /// # Errors
    /// What it asks for, and what is allowed.
    pub(crate) fn check(&self, spec: &Value) -> Result<(), String> {
        let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
        let ([container], true) = (containers, is_empty(&spec["initContainers"])) else {
            return Err("found more than one container; a pod here is one process".to_owned());
        };
        let image = container["image"].as_str().unwrap_or(IMAGE);
        if image != IMAGE {
            return Err(format!(
                "image: found {image:?}; there are no images here, allowed is {IMAGE:?} or none"
            ));
        }
        if !container["workingDir"].is_null() {
            return Err("workingDir: found one, allowed is none".to_owned());
        }
        self.check_words(container)
    }

    fn check_words(&self, container: &Value) -> Result<(), String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = [words(container, "command")?, words(container, "args")?].concat();
        let variables = container["env"].as_array().map_or(&[][..], Vec::as_slice);
        let mut foreign = None;
        for program in known.iter().filter(|program| program.words == words) {
            foreign = program.foreign(variables);
            if foreign.is_none() {
                return Ok(());
            }
        }
        if let Some(name) = foreign {
            return Err(format!(
                "env {name}: found one that the catalogue's Deployment does not have; \
                 allowed is what that has"
            ));
        }
        let allowed: Vec<String> = known
            .iter()
            .map(|program| format!("{:?}", program.words))
            .collect();
        let allowed = if allowed.is_empty() {
            "none (there is no catalogue, or its Deployments run elsewhere)".to_owned()
        } else {
            allowed.join(" or ")
        };
        Err(format!(
            "command and args: found {words:?}; allowed are the programs of the catalogue's \
             Deployments and nothing else: {allowed}"
        ))
    }
}

// === impl Program ===

impl Program {
    pub(crate) fn new(words: Vec<String>, env: BTreeMap<String, String>) -> Self {
        Self { words, env }
    }

    /// The first of a container's variables that this does not have: a loader's
    /// variable, say, would make any program another one.
    fn foreign(&self, variables: &[Value]) -> Option<String> {
        let own = |variable: &&Value| {
            let name = variable["name"].as_str()?;
            let value = variable["value"].as_str()?;
            (variable["valueFrom"].is_null() && self.env.get(name)? == value).then_some(())
        };
        let foreign = variables.iter().find(|variable| own(variable).is_none())?;
        Some(foreign["name"].to_string())
    }
}

fn is_empty(list: &Value) -> bool {
    list.is_null() || list.as_array().is_some_and(Vec::is_empty)
}

fn words(container: &Value, field: &str) -> Result<Vec<String>, String> {
    if is_empty(&container[field]) {
        return Ok(Vec::new());
    }
    let words = container[field].as_array().map(|list| {
        let words = list.iter().map(|word| word.as_str().map(str::to_owned));
        words.collect::<Option<Vec<_>>>()
    });
    words
        .flatten()
        .ok_or_else(|| format!("{field}: allowed is a list of texts"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_runs_what_was_allowed_word_for_word_and_nothing_else() {
        let programs = Programs::default();
        let words = ["worker", "--listen", "127.0.0.1:$(STEPFLEET_PORT)"];
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        programs.allow(Program::new(words.map(Into::into).into(), env));
        let good = json!({
            "name": "any", "image": "process", "command": ["worker"], "args": &words[1..],
            "env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "1"}},
        });
        let changes = [
            (json!({}), None),
            (json!({"env": null, "image": null, "name": "other"}), None),
            (json!({"env": []}), None),
            (json!({"command": words, "args": []}), None),
            (json!({"command": ["/bin/sh", "-c", "id"]}), Some("worker")),
            (
                json!({"args": ["--catalogue", "mine"]}),
                Some("nothing else"),
            ),
            (json!({"args": null}), Some("nothing else")),
            (json!({"command": null, "args": null}), Some("found []")),
            (json!({"command": "worker"}), Some("a list of texts")),
            (json!({"command": ["worker", 1]}), Some("a list of texts")),
            (json!({"image": "evil:1"}), Some("no images")),
            (json!({"workingDir": "/tmp"}), Some("workingDir")),
            (
                json!({"env": [{"name": "A", "value": "2"}]}),
                Some("env \"A\""),
            ),
            (
                json!({"env": [{"name": "LD_PRELOAD", "value": "/tmp/x.so"}]}),
                Some("env \"LD_PRELOAD\""),
            ),
            (
                json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]}),
                Some("env \"A\""),
            ),
        ];
        for (change, want) in changes {
            let mut container = good.clone();
            for (name, value) in change.as_object().unwrap() {
                container[name] = value.clone();
            }
            let checked = programs.check(&json!({"containers": [container]}));
            match want {
                None => assert_eq!(checked, Ok(()), "{change}"),
                Some(want) => {
                    let said = checked.unwrap_err();
                    assert!(said.contains(want), "{change}: {said}");
                }
            }
        }
        for spec in [
            json!({"containers": [good, good]}),
            json!({"containers": [good], "initContainers": [good]}),
            json!({"containers": {}}),
        ] {
            let said = programs.check(&spec).unwrap_err();
            assert!(said.contains("one process"), "{said}");
        }
        let said = Programs::default()
            .check(&json!({"containers": [good]}))
            .unwrap_err();
        assert!(said.contains("none"), "{said}");
    }
}
