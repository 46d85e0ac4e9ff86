//! What is wrong with a catalogue: where, what was found, what is allowed.

use std::fmt;

/// One fault of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The file, as it was named by the caller.
    pub file: String,
    /// The line, from 1; 0 if no line is to blame.
    pub line: u32,
    /// The column in characters, from 1; 0 if no line is to blame.
    pub column: u32,
    /// Where in the catalogue, like `activities.s3-load.worker.slots`; empty for the whole.
    pub path: String,
    /// What was found and what is allowed.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// The line itself; kept out where it may hold a secret.
    pub source: Option<String>,
}

impl Fault {
    /// A fault of a whole file.
    pub(crate) fn of_file(file: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message,
            suggestion: None,
            source: None,
        }
    }
}

/// A file of a catalogue: the name that faults call it by, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file)?;
        if self.line > 0 {
            write!(formatter, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(formatter, ": {}", self.path)?;
        }
        write!(formatter, ": {}", self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(formatter, "; did you mean `{suggestion}`?")?;
        }
        if let Some(source) = &self.source {
            let margin = self.line.to_string();
            let blank = " ".repeat(margin.len());
            let indent = " ".repeat(self.column.saturating_sub(1) as usize);
            write!(formatter, "\n {margin} | {source}\n {blank} | {indent}^")?;
        }
        Ok(())
    }
}

/// Every fault of a catalogue, in the order of its files. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Sorts the faults and drops repeats; nothing if there are none.
    pub(crate) fn of(mut faults: Vec<Fault>, files: &[File]) -> Option<Self> {
        let rank = |fault: &Fault| files.iter().position(|file| file.name == fault.file);
        faults.sort_by_cached_key(|fault| {
            (rank(fault), fault.line, fault.column, fault.path.clone())
        });
        faults.dedup();
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// One fault of a whole file.
    pub(crate) fn single(file: &str, message: String) -> Self {
        Self(vec![Fault::of_file(file, message)])
    }

    /// The faults, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The candidate that `found` is most like, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    found: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(found, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned())
}
