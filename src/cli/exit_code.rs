//! The exit codes, and the code of each error.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::filter::ParseError;

use crate::api::Problem;
use crate::{audit, config, conformance, demo, receiver, service, traces};

// Frozen: the numbers. Scripts and service managers decide by them.
/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The verb succeeded.
    Done = 0,
    /// The verb failed.
    Failed = 1,
    /// The usage is wrong, or the settings are invalid.
    Usage = 2,
    /// The requested item does not exist.
    NotFound = 3,
    /// Verification found damage, or a gateway does not conform.
    NotVerified = 4,
    /// SIGINT ended the process before it was done.
    Interrupted = 130,
    /// SIGTERM ended the process before it was done.
    Terminated = 143,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are invalid.
    #[error(transparent)]
    Settings(#[from] config::Error),
    /// The service cannot run, or failed.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// Spans cannot be exported.
    #[error(transparent)]
    Traces(#[from] traces::Error),
    /// The demonstration did not finish.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// A secret for verifying webhooks is invalid.
    #[error(transparent)]
    Secret(#[from] receiver::ReceiverSecretError),
    /// The audited data is damaged, cannot be read, or does not contain the requested item.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The service responded with an error.
    #[error("{detail}")]
    ErrorResponse {
        /// The HTTP status.
        status: u16,
        /// The sentence that says what is wrong.
        detail: String,
        /// Whether the service reported a damaged journal.
        is_fault: bool,
    },
    /// The service cannot be reached.
    #[error("cannot reach the service at {server}: {why}; {advice}")]
    Unreachable {
        /// The service's URL.
        server: String,
        /// What went wrong.
        why: String,
        /// What may help.
        advice: &'static str,
    },
    /// The served projection differs from the projection that the events lead to.
    #[error("the served state differs from the events; POST /api/v1/projections/roster/rebuild rebuilds it")]
    ProjectionDiffers,
    /// The log has not grown from a kept checkpoint: the verdict.
    #[error("{0}")]
    CheckpointDiffers(String),
    /// The receiver did not accept the test delivery.
    #[error("the receiver did not accept the test webhook")]
    TestNotAccepted,
    /// The user did not confirm.
    #[error("{waiting}, and nothing was dropped; answer yes, or use --yes")]
    NotConfirmed {
        /// What would have been dropped.
        waiting: String,
    },
    /// The user did not say what becomes of the old master key.
    #[error(
        "{affected}say what becomes of that key: keep it in a new file with --keep-old-key PATH, or give it up with \
         --discard-old-key; if it comes from a command or the environment, keep it yourself and confirm with \
         --old-key-is-kept"
    )]
    OldKeyUndecided {
        /// The backups that need the old key, in lines.
        affected: String,
    },
    /// The checks of a gateway cannot run.
    #[error(transparent)]
    Conformance(#[from] conformance::Error),
    /// A gateway does not conform to the protocol.
    #[error("the gateway failed {failed} of {all} checks")]
    NotConformant {
        /// How many checks failed.
        failed: usize,
        /// How many checks there were.
        all: usize,
    },
    /// An argument is invalid, or arguments contradict each other.
    #[error("{0}")]
    Usage(&'static str),
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    FileAccess {
        /// The attempted operation.
        what: &'static str,
        /// The file's path.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Core dumps cannot be prevented.
    #[error("cannot prevent core files, which would have secrets in clear text: {0}")]
    CoreFiles(io::Error),
    /// The log thread cannot be started.
    #[error("cannot start the log thread: {0}")]
    LogThread(io::Error),
    /// The log filter is invalid.
    #[error("log.filter is not a valid filter: {0}; write it like muster=debug,warn")]
    LogFilter(#[from] ParseError),
    /// Signals cannot be handled.
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    /// A signal asked the process to end.
    #[error("stopped by {name}; the incomplete result was removed")]
    Interrupted {
        /// The signal's name.
        name: &'static str,
        /// The exit code for this signal.
        exit: Exit,
    },
    /// The reader of standard output has closed it.
    #[error("the reader of the output has closed it")]
    OutputClosed,
    /// The service ended the live tail.
    #[error("the service ended the live tail: it stops, or the connection failed")]
    LiveTailEnded,
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        let Problem { status, detail, is_integrity_fault, .. } = problem;
        Error::ErrorResponse { status, detail, is_fault: is_integrity_fault }
    }
}

impl Error {
    /// The exit code of this error.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Conformance(conformance::Error::Secret(_)) => Exit::Usage,
            Error::NotConformant { .. } => Exit::NotVerified,
            Error::Settings(_)
            | Error::LogFilter(_)
            | Error::Secret(_)
            | Error::Usage(_)
            | Error::OldKeyUndecided { .. }
            | Error::ErrorResponse { status: 400, .. } => Exit::Usage,
            Error::ErrorResponse { status: 404 | 410, .. }
            | Error::Audit(
                audit::Error::UnknownAccount { .. }
                | audit::Error::NoSuchVersion { .. }
                | audit::Error::LostVersion { .. }
                | audit::Error::Lost(_)
                | audit::Error::BeforeFirstEvent { .. },
            ) => Exit::NotFound,
            Error::Audit(audit::Error::PublicKeyRequired) => Exit::Usage,
            Error::Audit(error) if error.is_integrity_fault() => Exit::NotVerified,
            Error::ProjectionDiffers | Error::CheckpointDiffers(_) | Error::ErrorResponse { is_fault: true, .. } => {
                Exit::NotVerified
            }
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
