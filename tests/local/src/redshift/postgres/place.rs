//! Where the server's files are and whose they are.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use tempfile::TempDir;

use super::{WarehouseError, leftover};
use crate::accounts::Account;

/// The start of the name of a folder below the system's temporary one.
const ELSEWHERE: &str = "stepfleet-postgres-";

/// The folder of one server and the user it runs as.
#[derive(Debug)]
pub(super) struct Place {
    /// The parent of the data folder and the password.
    pub(super) base: PathBuf,
    /// Whom to become: PostgreSQL refuses to run as root.
    pub(super) owner: Option<(u32, u32)>,
    /// Holds `base` when it is not the folder asked for; gone when dropped.
    _elsewhere: Option<TempDir>,
}

impl Place {
    /// Prepares `dir`, or a fresh folder if the server's user cannot reach it.
    /// Ends the server an earlier run may have left behind in either.
    pub(super) async fn prepare(dir: &Path) -> Result<Self, WarehouseError> {
        let at = |source| WarehouseError::Folder {
            path: dir.to_owned(),
            source,
        };
        fs::create_dir_all(dir).map_err(at)?;
        let dir = dir.canonicalize().map_err(at)?;
        leftover::end(&dir.join("postgres")).await?;
        let pointer = dir.join("postgres-elsewhere");
        forget_elsewhere(&pointer).await?;

        let owner = owner()?;
        let reachable = match owner {
            Some((uid, _)) => reachable(&dir, uid).map_err(at)?,
            None => true,
        };
        if reachable {
            return Ok(Self {
                base: dir,
                owner,
                _elsewhere: None,
            });
        }
        let fresh = tempfile::Builder::new()
            .prefix(ELSEWHERE)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(at)?;
        let base = fresh.path().canonicalize().map_err(at)?;
        fs::write(&pointer, base.as_os_str().as_encoded_bytes()).map_err(at)?;
        let place = Self {
            base,
            owner,
            _elsewhere: Some(fresh),
        };
        place.give(&place.base).map_err(at)?;
        tracing::info!(
            asked = %dir.display(),
            used = %place.base.display(),
            "PostgreSQL's user cannot reach the folder: its data lives elsewhere, for this run only"
        );
        Ok(place)
    }

    /// The data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.base.join("postgres")
    }

    /// The file with the password.
    pub(super) fn password_file(&self) -> PathBuf {
        self.base.join("postgres-password")
    }

    /// Makes `path` the server's user's.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        match self.owner {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// An empty folder only the server's user may enter.
    pub(super) fn private_folder(&self, path: &Path) -> io::Result<()> {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        self.give(path)
    }

    /// Writes a new password.
    pub(super) fn new_password(&self) -> io::Result<()> {
        let path = self.password_file();
        if path.exists() {
            fs::remove_file(&path)?;
        }
        // `create_new`: never through a link somebody else put there.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&path)?;
        file.write_all(hex::encode(rand::random::<[u8; 16]>()).as_bytes())?;
        self.give(&path)
    }
}

/// Writes down where the role of statements logs in, for `psql` and the like.
pub(super) fn write_url(dir: &Path, url: &str) -> Result<(), WarehouseError> {
    let path = dir.join("postgres.url");
    let write = || {
        // As a new file, which nobody else may read: it has the password.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        writeln!(file, "{url}")?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|source| WarehouseError::Folder {
        path: path.clone(),
        source,
    })
}

/// Ends the server and removes the folder an earlier run used instead of its own.
async fn forget_elsewhere(pointer: &Path) -> Result<(), WarehouseError> {
    let Ok(text) = fs::read_to_string(pointer) else {
        return Ok(());
    };
    let folder = PathBuf::from(text);
    let named = folder.file_name().and_then(|name| name.to_str());
    // Only what `prepare` made: the pointer is a file anyone with the folder can edit.
    if named.is_some_and(|name| name.starts_with(ELSEWHERE)) && folder.is_dir() {
        leftover::end(&folder.join("postgres")).await?;
        fs::remove_dir_all(&folder).map_err(|source| WarehouseError::Folder {
            path: folder,
            source,
        })?;
    }
    fs::remove_file(pointer).map_err(|source| WarehouseError::Folder {
        path: pointer.to_owned(),
        source,
    })
}

/// Whom the server runs as when this process is root's.
fn owner() -> Result<Option<(u32, u32)>, WarehouseError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| Account::named(name))
        .map(|user| Some((user.uid, user.gid)))
        .ok_or(WarehouseError::NoUser)
}

/// Whether `uid` may enter `dir` and each folder above it.
fn reachable(dir: &Path, uid: u32) -> io::Result<bool> {
    for folder in dir.ancestors() {
        let meta = fs::metadata(folder)?;
        let bit = if meta.uid() == uid { 0o100 } else { 0o001 };
        if meta.mode() & bit == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_is_reachable_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().canonicalize().unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        let mine = Uid::effective().as_raw();
        assert!(reachable(&dir, mine).unwrap());
        assert!(!reachable(&dir, mine + 4711).unwrap());
    }
}
