//! The catalogue, read anew every tick; the last good one is kept.

use std::path::PathBuf;

use stepfleet_activity::Catalogue;
use stepfleet_activity::catalogue::{Faults, ReadOptions, read};

use crate::signal::Trust;

/// The last good catalogue and what follows from it.
pub(crate) struct Config {
    path: PathBuf,
    options: ReadOptions,
    pub(crate) catalogue: Catalogue,
    pub(crate) trust: Trust,
    /// What was last said of a faulty file: said once.
    said: Option<String>,
}

impl Config {
    pub(crate) fn load(path: PathBuf, options: ReadOptions) -> Result<Self, Faults> {
        let catalogue = read(&path, &options)?;
        let trust = Trust::of(&catalogue);
        Ok(Self {
            path,
            options,
            catalogue,
            trust,
            said: None,
        })
    }

    /// Reads the file again. Whether it is good; a faulty one changes nothing.
    pub(crate) fn reload(&mut self) -> bool {
        match read(&self.path, &self.options) {
            Ok(catalogue)
                if catalogue.fleet != self.catalogue.fleet
                    || catalogue.aws != self.catalogue.aws =>
            {
                self.say(
                    "the fleet's name, account or region changed: restart the autoscaler for that"
                        .to_owned(),
                )
            }
            Ok(catalogue) => {
                self.trust = Trust::of(&catalogue);
                self.catalogue = catalogue;
                if self.said.take().is_some() {
                    tracing::info!("the catalogue is good again");
                }
                true
            }
            Err(faults) => self.say(faults.to_string()),
        }
    }

    fn say(&mut self, faults: String) -> bool {
        if self.said.as_ref() != Some(&faults) {
            tracing::error!(%faults, "the catalogue is faulty: the last good one is used until it is mended");
            self.said = Some(faults);
        }
        false
    }
}
