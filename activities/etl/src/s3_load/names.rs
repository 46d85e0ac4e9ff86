//! Names of failures that are the loader's own, beside those of its area and the
//! classes. They are public API: state machines match them.

/// Two files or more have failed alike, none was loaded, and nothing was moved:
/// the table is of another shape than the files.
pub(crate) const SHAPE: &str = "Load.Shape";
/// Files were set aside, and all others loaded.
pub(crate) const FAILED: &str = "Load.Failed";

#[cfg(test)]
mod tests {
    use stepfleet_docs::{Table, check_table};

    use super::*;

    #[test]
    fn the_reference_has_every_error_and_every_metric() {
        let page = "docs/reference.md";
        let errors = Table {
            page,
            name: "load-errors",
        };
        check_table(errors, [SHAPE, FAILED]).expect("the table");
        let metrics = Table {
            page,
            name: "load-metrics",
        };
        check_table(metrics, crate::s3_load::metrics::ALL).expect("the table");
    }
}
