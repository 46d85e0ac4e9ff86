//! Holds the pages against the code: tables name exactly what there is, links lead
//! somewhere, and commands are those of the binaries. Who adds a metric, a reason or
//! an error without a line about it fails a test of their own crate.

mod commands;
mod links;
mod tables;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

pub use commands::{CommandLine, commands};
pub use links::dead_links;
pub use tables::{Table, check_table};

/// A page as it is in the repository.
#[derive(Debug, Clone)]
pub struct Page {
    /// From the repository's root, like `docs/worker.md`.
    pub path: PathBuf,
    /// Its Markdown.
    pub text: String,
}

impl Page {
    /// One page by its path from the repository's root.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> anyhow::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let text = std::fs::read_to_string(root().join(&path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, text })
    }

    /// Its lines outside of fenced blocks, with their numbers.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_fenced = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_fenced ^= is_fence;
            !is_fenced && !is_fence
        })
    }
}

/// The repository's root: above the package whose test runs now. Where this crate was
/// built may be another checkout, whose target folder is shared.
pub fn root() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built, PathBuf::from);
    let mut folders = package.ancestors();
    let root = folders.find(|folder| folder.join("docs/SUMMARY.md").is_file());
    root.unwrap_or(&package).to_path_buf()
}

/// All pages that people read: of the root, of `docs/`, and of the chart.
///
/// # Errors
/// If a folder or a page cannot be read, or there are none.
pub fn pages() -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "charts", "charts/stepfleet"] {
        let path = root().join(folder);
        let entries =
            std::fs::read_dir(&path).with_context(|| format!("cannot list {folder:?}"))?;
        for entry in entries {
            let name = entry?.file_name();
            if Path::new(&name).extension().is_some_and(|end| end == "md") {
                pages.push(Page::read(Path::new(folder).join(name))?);
            }
        }
    }
    ensure!(!pages.is_empty(), "there are no pages");
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(pages)
}
