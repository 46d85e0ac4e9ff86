//! Where an installed PostgreSQL's programs are.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use super::WarehouseError;

/// The folder of `initdb` and `postgres`: the first of `folders` with both.
pub(super) fn programs(folders: &[PathBuf]) -> Result<PathBuf, WarehouseError> {
    folders
        .iter()
        .find(|folder| {
            ["initdb", "postgres"]
                .iter()
                .all(|p| folder.join(p).is_file())
        })
        .cloned()
        .ok_or(WarehouseError::NotFound)
}

/// `PATH`, then where packages put PostgreSQL without adding it to `PATH`.
pub(super) fn search_list() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect();
    folders.extend(versions("/usr/lib/postgresql", ""));
    folders.extend(versions("/usr", "pgsql-"));
    folders.push("/usr/local/bin".into());
    folders.extend(versions("/opt/homebrew/opt", "postgresql@"));
    folders.extend(versions("/usr/local/opt", "postgresql@"));
    folders
}

/// `<parent>/<prefix><version>/bin` for each version there, the newest first.
fn versions(parent: impl AsRef<Path>, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            let parts: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
            Some((parts.ok()?, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| Reverse(version.clone()));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_to_install_what_is_missing() {
        let text = programs(&[]).unwrap_err().to_string();
        for command in [
            "sudo apt-get install postgresql",
            "sudo dnf install postgresql-server",
            "brew install postgresql@17",
        ] {
            assert!(text.contains(command), "{text}");
        }
    }

    #[test]
    fn newest_version_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["v9.6", "v10", "v17", "v17-old", "other"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = versions(parent.path(), "v");
        let expected = ["v17", "v10", "v9.6"].map(|v| parent.path().join(v).join("bin"));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_with_half_the_programs_is_passed_over() {
        let parent = tempfile::tempdir().unwrap();
        let (half, whole) = (parent.path().join("half"), parent.path().join("whole"));
        for (folder, program) in [(&half, "initdb"), (&whole, "initdb"), (&whole, "postgres")] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join(program), "").unwrap();
        }
        assert_eq!(programs(&[half, whole.clone()]).unwrap(), whole);
    }
}
