//! What pods run, at a place where whom they run as can read it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{LocalOptions, StartError};
use crate::cluster::{Access, PodUser};

/// What the catalogue's pods run, and as whom.
#[derive(Debug)]
pub(super) struct Workers {
    /// None where pods run as we do.
    pub(super) user: Option<PodUser>,
    /// None where the catalogue's Deployments run elsewhere.
    pub(super) program: Option<PathBuf>,
    pub(super) catalogues: Vec<PathBuf>,
    /// Has copies of what the user cannot read where it is; gone when dropped.
    shelf: Option<TempDir>,
}

// === impl Workers ===

impl Workers {
    /// Looks for everything before anything is started.
    pub(super) fn prepare(options: &LocalOptions) -> Result<Self, StartError> {
        let runs = !options.catalogues.is_empty() && options.deployments;
        let user = match PodUser::find(options.pod_user.as_deref()) {
            Ok(user) => user,
            // Who has no pods needs nobody that they run as.
            Err(_) if !runs && options.pod_user.is_none() => None,
            Err(why) => return Err(StartError::Usage(why)),
        };
        let mut workers = Self {
            user,
            program: None,
            catalogues: Vec::new(),
            shelf: None,
        };
        if !runs {
            return Ok(workers);
        }
        let program = program(options)?;
        workers.program = Some(workers.place(&program, Access::Run)?);
        for path in &options.catalogues {
            let path = workers.place(path, Access::Read)?;
            workers.catalogues.push(path);
        }
        Ok(workers)
    }

    /// A file as it is, or a copy of it that the user can read.
    fn place(&mut self, path: &Path, access: Access) -> Result<PathBuf, StartError> {
        let failed = |source| StartError::PodFile {
            path: path.to_owned(),
            source,
        };
        let path = std::path::absolute(path).map_err(failed)?;
        let Some(user) = self.user.clone() else {
            return Ok(path);
        };
        // What a link leads to: the folder that has the link may be closed.
        let path = path.canonicalize().map_err(failed)?;
        if user.may(&path, access).map_err(failed)? {
            return Ok(path);
        }
        let copy = self.copy(&path, (&user, access)).map_err(failed)?;
        tracing::info!(asked = %path.display(), used = %copy.display(), user = user.name,
            "pods cannot read it where it is: they have a copy, of now");
        Ok(copy)
    }

    fn copy(&mut self, path: &Path, (user, access): (&PodUser, Access)) -> io::Result<PathBuf> {
        if self.shelf.is_none() {
            let closed = Permissions::from_mode(0o750);
            let shelf = tempfile::Builder::new()
                .prefix("stepfleet-pods-")
                .permissions(closed)
                .tempdir()?;
            chown(shelf.path(), None, Some(user.group()))?;
            self.shelf = Some(shelf);
        }
        let folder = self.shelf.as_ref().map_or(Path::new("/"), TempDir::path);
        let number = fs::read_dir(folder)?.count();
        // Its name stays: a process is known by it.
        let folder = folder.join(number.to_string());
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        let copy = folder.join(path.file_name().unwrap_or(path.as_os_str()));
        // A program may be large; a link is none to another file system.
        let readable = user.may_itself(path, access)?;
        if readable && fs::hard_link(path, &copy).is_ok() {
            return Ok(copy);
        }
        fs::copy(path, &copy)?;
        let mode = match access {
            Access::Read => 0o640,
            Access::Run => 0o750,
        };
        fs::set_permissions(&copy, Permissions::from_mode(mode))?;
        chown(&copy, None, Some(user.group()))?;
        Ok(copy)
    }
}

/// The worker's binary.
fn program(options: &LocalOptions) -> Result<PathBuf, StartError> {
    let beside = || {
        let name = format!("etl-worker{}", std::env::consts::EXE_SUFFIX);
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name(name)
    };
    let path = options.worker.clone().unwrap_or_else(beside);
    if path.exists() {
        Ok(path)
    } else {
        Err(StartError::NoWorker(path))
    }
}
