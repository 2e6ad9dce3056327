//! The exit codes, and which error ends in which.

use std::io;
use std::process::ExitCode;

use crate::{config, demo, service};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked is done.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// It was not understood: wrong usage, or faulty settings.
    Usage = 2,
    /// What was asked for is not there.
    NotFound = 3,
    /// What was verified is not whole.
    NotVerified = 4,
}

/// Why a verb was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are faulty.
    #[error(transparent)]
    Settings(#[from] config::Error),
    /// The service does not run, or failed.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The demonstration did not come to its end.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// Signals cannot be handled.
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl Error {
    /// The exit code that it ends in.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Settings(_) => Exit::Usage,
            Error::Service(_) | Error::Demo(_) | Error::Signals(_) | Error::Output(_) => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
