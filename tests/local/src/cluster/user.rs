//! Whom pods run as, where that is somebody else than we are.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::accounts::Account;

/// Whom pods run as where we are root, unless somebody is named.
const NOBODY: &str = "nobody";

/// Whom pods run as, where that is somebody else than we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodUser {
    /// For messages.
    pub name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: PathBuf,
}

/// What a file has to let its reader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read it and run it.
    Run,
}

// === impl PodUser ===

impl PodUser {
    /// The user that is named; else, where we are root, nobody in particular. None
    /// where pods run as we do.
    ///
    /// # Errors
    /// If there is no such user, or we cannot become it.
    pub fn find(told: Option<&str>) -> Result<Option<Self>, String> {
        let own = Uid::effective();
        if told.is_none() && !own.is_root() {
            return Ok(None);
        }
        let name = told.unwrap_or(NOBODY);
        let user = Self::named(name).ok_or_else(|| match told {
            Some(_) => format!(
                "--pod-user {name}: there is no such user; allowed are names and numbers of users"
            ),
            None => format!(
                "started as root, pods run as the user {NOBODY}, which is not there: give \
                 --pod-user NAME, or --pod-user root if what pods run may have this machine"
            ),
        })?;
        if user.uid == own.as_raw() {
            return Ok(None);
        }
        if !own.is_root() {
            return Err(format!(
                "--pod-user {name}: only root can run pods as somebody else; leave it out, or \
                 start this as {name}"
            ));
        }
        Ok(Some(user))
    }

    fn named(name: &str) -> Option<Self> {
        let number = name.parse::<u32>().ok();
        let known = match number {
            Some(uid) => Account::numbered(uid),
            None => Account::named(name),
        };
        let known = known.map(|user| Self {
            name: user.name,
            uid: user.uid,
            gid: user.gid,
            home: user.home,
        });
        // A container's users have numbers and often no names.
        known.or_else(|| {
            number.map(|uid| Self {
                name: uid.to_string(),
                uid,
                gid: uid,
                home: "/".into(),
            })
        })
    }

    /// The group that its files are of.
    pub fn group(&self) -> u32 {
        self.gid
    }

    /// Whether the user may do that with a file, and get to it by this path
    /// without links.
    ///
    /// # Errors
    /// If the file or a folder above it cannot be looked at.
    pub fn may(&self, path: &Path, access: Access) -> io::Result<bool> {
        for folder in path.ancestors().skip(1) {
            if !self.has(folder, 1)? {
                return Ok(false);
            }
        }
        self.may_itself(path, access)
    }

    /// The same of the file alone, wherever it is.
    ///
    /// # Errors
    /// If the file cannot be looked at.
    pub fn may_itself(&self, path: &Path, access: Access) -> io::Result<bool> {
        let bits = match access {
            Access::Read => 4,
            Access::Run => 5,
        };
        self.has(path, bits)
    }

    /// Whether all of these permissions (4, 2 and 1) are the user's.
    fn has(&self, path: &Path, bits: u32) -> io::Result<bool> {
        let meta = std::fs::metadata(path)?;
        let shift = if meta.uid() == self.uid {
            6
        } else if meta.gid() == self.gid {
            3
        } else {
            0
        };
        Ok((meta.mode() >> shift) & bits == bits)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_read_by_whom_its_folders_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let meta = fs::metadata(&file).unwrap();
        let user = |uid, gid| PodUser {
            name: "u".to_owned(),
            uid,
            gid,
            home: "/".into(),
        };
        let owner = user(meta.uid(), meta.gid());
        let other = user(meta.uid() + 4711, meta.gid() + 4711);
        let member = user(meta.uid() + 4711, meta.gid());
        let table = [
            (0o700, 0o644, &owner, Access::Read, true),
            (0o700, 0o644, &owner, Access::Run, false),
            (0o700, 0o755, &other, Access::Read, false),
            (0o711, 0o644, &other, Access::Read, true),
            (0o711, 0o644, &other, Access::Run, false),
            (0o711, 0o755, &other, Access::Run, true),
            (0o711, 0o640, &other, Access::Read, false),
            (0o710, 0o640, &member, Access::Read, true),
            (0o710, 0o604, &member, Access::Read, false),
        ];
        for (above, itself, who, access, may) in table {
            for (path, mode) in [(folder.path(), above), (&file, itself)] {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
            let found = who.may(&file.canonicalize().unwrap(), access).unwrap();
            assert_eq!(found, may, "{above:o} {itself:o} {who:?} {access:?}");
        }
    }

    #[test]
    fn root_names_whom_pods_run_as_and_others_cannot() {
        let own = Uid::effective();
        assert_eq!(PodUser::find(Some(&own.to_string())), Ok(None));
        let said = PodUser::find(Some("no-such-user")).unwrap_err();
        assert!(said.contains("--pod-user no-such-user"), "{said}");
        let unsaid = PodUser::find(None);
        let other = PodUser::find(Some("4711"));
        if own.is_root() {
            assert!(unsaid.unwrap().is_some_and(|user| user.uid != 0));
            assert_eq!(other.unwrap().map(|user| user.uid), Some(4711));
        } else {
            assert_eq!(unsaid, Ok(None));
            assert!(other.unwrap_err().contains("only root"));
        }
    }
}
