//! What a task has of a state that is carried together: an execution's state has
//! 256 KiB at most, whatever the branches of a Map have to say.

use serde::Deserialize;

/// Bytes of causes in a state that holds them twice: as results, and as outcomes.
const TOGETHER: usize = 100_000;
/// What a result has beside its cause.
const BESIDE: usize = 150;
/// So much is said whatever there is beside it.
const LEAST: usize = 20;

/// The part of an input that says how many tasks share the state.
#[derive(Debug, Default, Deserialize)]
struct Input {
    #[serde(default)]
    stepfleet: Share,
}

#[derive(Debug, Default, Deserialize)]
struct Share {
    #[serde(default)]
    siblings: usize,
}

/// The bytes that a failure's cause may have; none where it is alone.
pub(super) fn of(input: &str) -> Option<usize> {
    // Who has not said it is alone; what is no envelope is said elsewhere.
    let input: Input = serde_json::from_str(input).unwrap_or_default();
    let siblings = input.stepfleet.siblings;
    (siblings > 1).then(|| (TOGETHER / siblings).saturating_sub(BESIDE).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_causes_fit_into_a_state_together() {
        for input in [
            "",
            "[]",
            "7",
            r#"{"stepfleet": 7}"#,
            r#"{"stepfleet": {"siblings": -1}}"#,
            r#"{"stepfleet": {"siblings": 1}}"#,
        ] {
            assert_eq!(of(input), None, "{input}");
        }
        for siblings in [2, 4, 10, 100, 300, 500] {
            let most = of(&format!(
                r#"{{"stepfleet": {{"siblings": {siblings}}}, "input": 1}}"#
            ));
            let most = most.expect("a share");
            // A load and twice its result, beside each other.
            let state = siblings * (120 + 2 * (most + BESIDE));
            assert!(most >= LEAST && state < 256 * 1024, "{siblings}: {state}");
        }
    }
}
