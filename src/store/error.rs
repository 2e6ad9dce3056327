//! Why the store rejects an operation or cannot serve.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the store rejects an operation or cannot serve. [`Error::is_failure`] says which errors are final.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("the store in {path} failed: {what}; check the disk, then start again")]
    Engine {
        /// The data directory.
        path: PathBuf,
        /// What went wrong.
        what: String,
    },
    /// Stored bytes differ from what was written.
    #[error("the store in {path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The data directory, or a directory in it.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file of the data directory cannot be read or written.
    #[error("cannot {what} {path}: {source}; check the path and the disk, then start again")]
    Io {
        /// The verb that failed, for example "create".
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What went wrong.
        source: Arc<io::Error>,
    },
    /// Another process holds the directory.
    #[error(
        "the data directory {path} is in use by another muster process; stop that one, or choose another with --data-dir"
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory has content, but no marker.
    #[error(
        "the directory {path} is not empty and is not a muster data directory (it has no file MUSTER); choose another \
         with --data-dir"
    )]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The target directory of a copy is not empty.
    #[error("the directory {path} is not empty; choose one that is empty or does not exist")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory has a format that this program does not know.
    #[error(
        "the data directory {path} has format {found:?}, but this program reads formats 1 to 3; use the program that wrote it"
    )]
    UnknownFormat {
        /// The data directory.
        path: PathBuf,
        /// The first line of its marker.
        found: String,
    },
    /// A value is too large for the store.
    #[error("a value of {bytes} bytes is larger than the store's limit of {limit}")]
    TooLarge {
        /// Size of the value in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Error {
    /// Whether this machine's store has failed. A failure is final and ends the service, because unacknowledged
    /// writes may be lost. Acknowledged writes are safe. Other errors leave the store unchanged.
    pub fn is_failure(&self) -> bool {
        match self {
            Error::Engine { .. } | Error::Damaged { .. } => true,
            // Too many open files do not mean a faulty disk.
            Error::Io { source, .. } => !source.raw_os_error().is_some_and(|code| TOO_MANY_OPEN_FILES.contains(&code)),
            Error::InUse { .. }
            | Error::ForeignDirectory { .. }
            | Error::NotEmpty { .. }
            | Error::UnknownFormat { .. }
            | Error::TooLarge { .. } => false,
        }
    }
}

/// ENFILE and EMFILE.
const TOO_MANY_OPEN_FILES: [i32; 2] = [23, 24];
