//! The form of an operation.

use std::collections::BTreeSet;

use super::invalid;
use crate::AwsError;
use crate::server::query::Form;

/// An operation's form.
pub(super) struct Parameters<'a> {
    action: &'a str,
    form: Form,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(action: &'a str, form: Form) -> Self {
        Self { action, form }
    }

    /// What need not be there.
    pub(super) fn maybe(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    /// The numbers of `<name>.<number>...`, in their order.
    pub(super) fn numbers(&self, name: &str) -> Vec<u32> {
        let number = |key: &String| {
            let rest = key.strip_prefix(name)?.strip_prefix('.')?;
            rest.split('.').next()?.parse().ok()
        };
        let numbers: BTreeSet<u32> = self.form.keys().filter_map(number).collect();
        numbers.into_iter().collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<&str, AwsError> {
        self.form
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| invalid(format!("{} needs {name}", self.action)))
    }

    /// Refuses what would otherwise be ignored. A name that ends with a dot
    /// stands for all below it.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), AwsError> {
        let is_known = |name: &str| {
            let mut names = ["Action", "Version"].iter().chain(known);
            names.any(|known| name == *known || (known.ends_with('.') && name.starts_with(known)))
        };
        match self.form.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(invalid(format!(
                "stepfleet-local has no {name} of {}",
                self.action
            ))),
        }
    }

    /// `Attributes.entry.<number>.key` and `.value`.
    pub(super) fn attributes(&self) -> Result<Vec<(&str, &str)>, AwsError> {
        let place = "Attributes.entry";
        let read = |number: u32| {
            let key = self.get(&format!("{place}.{number}.key"))?;
            Ok((key, self.get(&format!("{place}.{number}.value"))?))
        };
        self.numbers(place).into_iter().map(read).collect()
    }
}
