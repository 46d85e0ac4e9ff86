//! The catalogue, read anew every tick; the last good one is kept.

use std::path::PathBuf;

use stepfleet_activity::Catalogue;
use stepfleet_activity::catalogue::{Faults, ReadOptions, read_all};

use crate::signal::Trust;

/// The last good catalogue and what follows from it.
pub(crate) struct Config {
    paths: Vec<PathBuf>,
    options: ReadOptions,
    pub(crate) catalogue: Catalogue,
    pub(crate) trust: Trust,
    /// What was last said of a faulty file: said once.
    said: Option<String>,
}

impl Config {
    pub(crate) fn load(paths: Vec<PathBuf>, options: ReadOptions) -> Result<Self, Faults> {
        let catalogue = read_all(&paths, &options)?;
        let trust = Trust::of(&catalogue);
        Ok(Self {
            paths,
            options,
            catalogue,
            trust,
            said: None,
        })
    }

    /// Reads the files again. Whether it is good; a faulty one changes nothing.
    pub(crate) fn reload(&mut self) -> bool {
        match read_all(&self.paths, &self.options) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured::Log;

    const GOOD: &str = "version: 1\nfleet: demo\naws: {account: \"123456789012\", region: eu-west-1}\n\
        deployments:\n  d: {replicas: {min: 1, max: 5}}\nactivities:\n  a: {handler: x, deployment: d}\n";

    #[test]
    fn a_faulty_file_keeps_the_last_good_one_and_is_said_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let write = |text: &str| std::fs::write(file.path(), text).expect("written");
        write(GOOD);
        let options = ReadOptions::default();
        let mut config = Config::load(vec![file.path().to_owned()], options).expect("good");
        let log = Log::default();
        // what is written, whether it is good, the bounds then, what was said so far
        let steps = [
            (GOOD.replace("max: 5", "max: 7"), true, 7, 0, 0),
            (GOOD.replace("max: 5", "max: 0"), false, 7, 1, 0),
            (GOOD.replace("max: 5", "max: 0"), false, 7, 1, 0),
            (String::new(), false, 7, 2, 0),
            (GOOD.replace("fleet: demo", "fleet: other"), false, 7, 3, 0),
            (GOOD.replace("eu-west-1", "eu-west-2"), false, 7, 3, 0),
            (GOOD.to_owned(), true, 5, 3, 1),
            (GOOD.to_owned(), true, 5, 3, 1),
            (GOOD.replace("max: 5", "max: 0"), false, 5, 4, 1),
        ];
        log.during(|| {
            for (index, (text, good, max, faulty, mended)) in steps.into_iter().enumerate() {
                write(&text);
                assert_eq!(config.reload(), good, "step {index}");
                let deployment = &config.catalogue.deployments["d"];
                assert_eq!(deployment.replicas.max, max, "step {index}");
                let said = (
                    log.count("the catalogue is faulty"),
                    log.count("is good again"),
                );
                assert_eq!(said, (faulty, mended), "step {index}");
            }
        });
        assert_eq!(config.catalogue.fleet, "demo");
        file.close().expect("removed");
        assert!(!config.reload(), "a file that is gone is a faulty one");
    }

    #[test]
    fn the_alarms_that_are_trusted_follow_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), GOOD).expect("written");
        let options = ReadOptions::default();
        let mut config = Config::load(vec![file.path().to_owned()], options).expect("good");
        assert_eq!(config.trust.alarms().count(), 3);
        let two = format!("{GOOD}  b: {{handler: other, deployment: d}}\n");
        std::fs::write(file.path(), two).expect("written");
        assert!(config.reload());
        let names: Vec<&str> = config.trust.alarms().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 6);
        assert!(names.contains(&"demo-b-starved"), "{names:?}");
    }
}
