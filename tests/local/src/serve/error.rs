//! Why nothing started, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::AwsError;
use crate::redshift::WarehouseError;

/// Why nothing started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// A port cannot be had.
    #[error(
        "{flag} {address}: cannot listen there: {source}; end what uses the port, or give another"
    )]
    Listen {
        /// The flag that says it.
        flag: &'static str,
        /// What it says.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("--dir {}: cannot be written to: {source}; give a folder of yours", path.display())]
    Dir {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run has the folder.
    #[error("--dir {}: another stepfleet-local runs in it; end it, or give another folder", .0.display())]
    InUse(PathBuf),
    /// The certificate that signs SNS's envelopes cannot be made.
    #[error("cannot make a certificate to sign with: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A binary that pods run is not there.
    #[error(
        "{} is not there, and the pods of the catalogue run it; build it: \
         cargo build --release -p stepfleet-etl-worker", .0.display()
    )]
    NoWorker(PathBuf),
    /// What pods run cannot be read by whom they run as.
    #[error(
        "{}: pods, which run as another user, cannot have it: {source}; give --pod-user NAME of \
         who can read it", path.display()
    )]
    PodFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something of the catalogue cannot be made.
    #[error("cannot make {what}: {message}")]
    Setup {
        /// What.
        what: String,
        /// Why not.
        message: String,
    },
    /// No warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
}

// === impl StartError ===

impl StartError {
    pub(super) fn dir(path: &Path, source: io::Error) -> Self {
        Self::Dir {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn setup(what: impl Into<String>) -> impl FnOnce(AwsError) -> Self {
        let what = what.into();
        move |error| Self::Setup {
            what,
            message: error.to_string(),
        }
    }

    /// Whether what was asked for is wrong, and not what was found.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Warehouse(WarehouseError::Url { .. }) => true,
            Self::Listen { .. }
            | Self::Dir { .. }
            | Self::InUse(_)
            | Self::Certificate(_)
            | Self::NoWorker(_)
            | Self::PodFile { .. }
            | Self::Setup { .. }
            | Self::Warehouse(_) => false,
        }
    }
}
