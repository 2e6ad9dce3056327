//! The exit codes, and which error ends in which.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::filter::ParseError;

use crate::{audit, config, conformance, demo, receiver, service, traces};

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
    /// SIGINT ended it before it was done.
    Interrupted = 130,
    /// SIGTERM ended it before it was done.
    Terminated = 143,
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
    /// Spans cannot be exported.
    #[error(transparent)]
    Traces(#[from] traces::Error),
    /// The demonstration did not come to its end.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// A secret that webhooks are to be checked with is none.
    #[error(transparent)]
    Secret(#[from] receiver::ReceiverSecretError),
    /// What was looked into is not whole, or cannot be read.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The service answered, but not with what was asked for.
    #[error("{detail}")]
    ErrorResponse {
        /// The HTTP status.
        status: u16,
        /// Why.
        detail: String,
        /// Whether it said that the journal is not whole.
        is_fault: bool,
    },
    /// The service cannot be asked.
    #[error("cannot ask the service at {server}: {why}; {mend}")]
    Unreachable {
        /// Where it should be.
        server: String,
        /// What went wrong.
        why: String,
        /// What may help.
        mend: &'static str,
    },
    /// What is served is not what the events say.
    #[error("what is served is not what the events say; POST /api/v1/projections/roster/rebuild makes it anew")]
    ProjectionDiffers,
    /// A receiver was tried, and did not take what was sent.
    #[error("the receiver did not take it")]
    TestNotAccepted,
    /// A question was not answered with yes.
    #[error("{waiting}, and nothing was dropped; answer yes, or say --yes")]
    NotConfirmed {
        /// What would have been dropped.
        waiting: String,
    },
    /// A gateway cannot be tried.
    #[error(transparent)]
    Conformance(#[from] conformance::Error),
    /// A gateway does not speak the protocol.
    #[error("the gateway failed {failed} of {all} checks")]
    NotConformant {
        /// How many it failed.
        failed: usize,
        /// How many there were.
        all: usize,
    },
    /// The command line asks for what does not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    FileAccess {
        /// What was tried.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The process cannot be kept out of core files.
    #[error("cannot forbid core files, which would have secrets in clear: {0}")]
    CoreFiles(io::Error),
    /// The log cannot be written.
    #[error("cannot start the thread that writes the log: {0}")]
    LogThread(io::Error),
    /// The log's filter is none.
    #[error("log.filter is not a filter: {0}; write it as in muster=debug,warn")]
    LogFilter(#[from] ParseError),
    /// Signals cannot be handled.
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    /// A signal asked for the end.
    #[error("ended by {name} before it was done; nothing of it is left")]
    Interrupted {
        /// Its name.
        name: &'static str,
        /// As what that ends the process.
        exit: Exit,
    },
    /// Nobody reads standard output any more.
    #[error("nobody reads the output")]
    OutputClosed,
    /// The service ended what was to go on.
    #[error("the service ended the live tail; it stops, or the connection broke")]
    LiveTailEnded,
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl Error {
    /// The exit code that it ends in.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Conformance(conformance::Error::Secret(_)) => Exit::Usage,
            Error::NotConformant { .. } => Exit::NotVerified,
            Error::Settings(_)
            | Error::LogFilter(_)
            | Error::Secret(_)
            | Error::Usage(_)
            | Error::ErrorResponse { status: 400, .. } => Exit::Usage,
            Error::ErrorResponse { status: 404, .. }
            | Error::Audit(
                audit::Error::UnknownAccount { .. }
                | audit::Error::NoSuchVersion { .. }
                | audit::Error::BeforeFirstEvent { .. },
            ) => Exit::NotFound,
            Error::Audit(error) if error.is_integrity_fault() => Exit::NotVerified,
            Error::ProjectionDiffers | Error::ErrorResponse { is_fault: true, .. } => Exit::NotVerified,
            Error::Service(error) if error.is_integrity_fault() => Exit::NotVerified,
            Error::OutputClosed => Exit::Done,
            Error::Interrupted { exit, .. } => *exit,
            Error::Service(_)
            | Error::Traces(_)
            | Error::LiveTailEnded
            | Error::TestNotAccepted
            | Error::NotConfirmed { .. }
            | Error::Demo(_)
            | Error::Conformance(_)
            | Error::Audit(_)
            | Error::ErrorResponse { .. }
            | Error::Unreachable { .. }
            | Error::FileAccess { .. }
            | Error::CoreFiles(_)
            | Error::LogThread(_)
            | Error::Signals(_)
            | Error::Output(_) => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
