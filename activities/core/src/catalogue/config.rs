//! How a handler reads its `config`: by its own type, with faults as the
//! catalogue's own sections have them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::nearest;
use super::from_tree::from_tree;
use super::tree::Node;
use crate::handler::ConfigFault;

const TOO_LARGE: &str =
    "found more than 20000 values, or some nested deeper than 64; allowed are fewer";

/// Reads `config` as a handler's own type.
///
/// # Errors
/// With the first thing that keeps it from being one: where, what was found,
/// what is allowed, and what was probably meant.
pub fn read_config<T: DeserializeOwned>(config: &Value) -> Result<T, ConfigFault> {
    let Some(tree) = Node::of_value(config) else {
        return Err(ConfigFault::new("", TOO_LARGE));
    };
    from_tree(&tree).map_err(|fault| ConfigFault {
        path: fault.place.map(|(path, _)| path).unwrap_or_default(),
        message: fault.message,
        suggestion: fault.suggestion,
    })
}

/// The fault of naming something that is not there, like a warehouse.
pub fn not_one_of<'a>(
    path: &str,
    (what, found): (&str, &str),
    known: impl IntoIterator<Item = &'a str>,
) -> ConfigFault {
    let known: Vec<&str> = known.into_iter().collect();
    let there = if known.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are: {}", known.join(", "))
    };
    ConfigFault {
        suggestion: nearest(found, known),
        ..ConfigFault::new(
            path,
            format!("found `{found}`; there is no such {what}, {there}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::super::tree::Kind;
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[expect(dead_code, reason = "read for its type")]
        name: String,
        #[expect(dead_code, reason = "read for its type")]
        limits: Option<Vec<u32>>,
    }

    #[test]
    fn a_fault_has_its_path_and_a_suggestion() {
        let table = [
            (
                json!({"nam": "x"}),
                "nam",
                "`nam` is no key here; allowed are: name, limits",
                Some("name"),
            ),
            (
                json!({"name": 5}),
                "name",
                "found the number 5, allowed is a text (put a number in quotes)",
                None,
            ),
            (
                json!({"name": "x", "limits": [1, -2]}),
                "limits[1]",
                "found the number -2, allowed is a whole number, not negative",
                None,
            ),
            (json!({}), "", "`name` is missing and has no default", None),
        ];
        for (config, path, message, suggestion) in table {
            let fault = read_config::<Config>(&config).expect_err("a fault");
            let found = (fault.path.as_str(), fault.message.as_str());
            assert_eq!(found, (path, message), "{config}");
            assert_eq!(fault.suggestion.as_deref(), suggestion, "{config}");
        }
        read_config::<Config>(&json!({"name": "x", "limits": null})).expect("fine");
    }

    /// A path for each value, with a long key in each of them, would take a thousand
    /// times what the input has.
    #[test]
    fn values_without_end_are_refused_and_paths_are_cut() {
        let many = json!({"limits": vec![0; 20_001]});
        let deep = (0..65).fold(json!(0), |inside, _| json!([inside]));
        for config in [many, deep] {
            let fault = read_config::<Config>(&config).expect_err("too much");
            assert!(fault.message.contains("20000"), "{fault:?}");
        }
        let key = "é".repeat(1_000);
        let fault = read_config::<Value>(&json!({key.clone(): {key: [1]}}));
        fault.expect("anything");
        let long = Node::of_value(&json!({"é".repeat(62): {"é".repeat(62): {"a": [[1]]}}}));
        let mut node = &long.expect("small");
        let mut longest = 0;
        while let Some(below) = below(node) {
            longest = longest.max(below.path.len());
            node = below;
        }
        assert!((200..=260).contains(&longest), "{longest}");
        assert!(node.path.ends_with('…'), "{}", node.path);
    }

    fn below(node: &Node) -> Option<&Node> {
        match &node.kind {
            Kind::Map(entries) => entries.first().map(|entry| &entry.value),
            Kind::List(items) => items.first(),
            Kind::Scalar(_) => None,
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let fault = not_one_of("warehouse", ("warehouse", "mian"), ["main", "spare"]);
        assert_eq!(
            fault.message,
            "found `mian`; there is no such warehouse, there are: main, spare"
        );
        assert_eq!(fault.suggestion.as_deref(), Some("main"));
        let fault = not_one_of("warehouse", ("warehouse", "main"), []);
        assert!(fault.message.ends_with("there is none"), "{fault:?}");
    }
}
