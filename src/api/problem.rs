//! Why a call was not carried out, in the terms of RFC 9457. Over HTTP it is `application/problem+json`.

use std::time::Duration;

use tokio::task::JoinError;

use super::item_error::{actors_error_code, actors_error_message};
use crate::access::{AuthError, KeyError};
use crate::domain::{EventId, Generation, escape_controls};
use crate::journal::LostPosition;
use crate::limits::FIELD_PATH_BYTES;
use crate::webhooks::ManagementError;
use crate::{actors, audit, vault};

/// Why a call was not carried out.
#[derive(Debug)]
pub struct Problem {
    /// The HTTP status, as in RFC 9457.
    pub status: u16,
    /// What is wrong, and what to do.
    pub detail: String,
    /// The invalid parameter.
    pub parameter: Option<String>,
    /// The methods that the path supports, if the request used another method.
    pub allow: Option<&'static str>,
    /// The id of the event after which a reader whose position was lost continues.
    pub continue_after: Option<String>,
    /// Seconds until a retry makes sense.
    pub retry_after: Option<u64>,
    /// Whether the journal failed an integrity check.
    pub is_integrity_fault: bool,
}

/// The detail of an internal error. Only the log has its cause.
const INTERNAL_ERROR_DETAIL: &str =
    "the service failed; the operator finds the cause in the log under this response's x-request-id";

impl Problem {
    /// A problem with this HTTP status.
    pub fn new(status: u16, detail: impl Into<String>) -> Problem {
        // The detail may repeat the caller's input, which may contain control characters.
        let detail = escape_controls(&detail.into());
        Problem {
            status,
            detail,
            parameter: None,
            allow: None,
            continue_after: None,
            retry_after: None,
            is_integrity_fault: false,
        }
    }

    /// The request is invalid.
    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(400, detail)
    }

    /// An invalid parameter. `words` continue the sentence after its name.
    pub fn invalid_parameter(name: &str, words: impl std::fmt::Display) -> Problem {
        let name = printable_path(name);
        let detail = format!("{name} {words}");
        Problem { parameter: Some(name), ..Problem::malformed(detail) }
    }

    /// The request names something that does not exist.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(404, detail)
    }

    fn gone(detail: String, continue_after: EventId) -> Problem {
        Problem { continue_after: Some(continue_after.to_string()), ..Problem::new(410, detail) }
    }

    /// The current state does not allow the request.
    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(409, detail)
    }

    /// The service failed. The cause is in the log.
    pub fn internal() -> Problem {
        Problem::new(500, INTERNAL_ERROR_DETAIL)
    }

    /// The service cannot carry out the request now.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem { retry_after: Some(1), ..Problem::new(503, detail) }
    }

    /// There was no response within the time limit.
    pub fn timed_out(limit: Duration) -> Problem {
        Problem::unavailable(format!(
            "no response within {limit:?}; the request may still complete: check before you retry, or raise \
             http.request_timeout"
        ))
    }

    /// The task of the request panicked or was cancelled.
    pub fn task_failed(error: &JoinError) -> Problem {
        tracing::error!(%error, "the request's task failed");
        Problem::internal()
    }
}

impl From<actors::Error> for Problem {
    fn from(error: actors::Error) -> Problem {
        let detail = actors_error_message(&error).map_or_else(|| error.to_string(), str::to_owned);
        match actors_error_code(&error) {
            503 => Problem::unavailable(detail),
            code => Problem::new(code, detail),
        }
    }
}

/// Escapes and shortens a field path, so that it is safe to print: a caller's field name may be any text of any length.
pub fn printable_path(path: &str) -> String {
    let path = escape_controls(path);
    match path.floor_char_boundary(FIELD_PATH_BYTES) {
        end if end == path.len() => path,
        end => format!("{}…", &path[..end]),
    }
}

/// A requester that is not authenticated, or lacks the permission.
impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Problem {
        Problem { retry_after: error.retry_after(), ..Problem::new(error.status(), error.to_string()) }
    }
}

/// The request names a position that this log does not have: it was lost by a restore, or is beyond the end.
impl From<LostPosition> for Problem {
    fn from(lost: LostPosition) -> Problem {
        let continue_after = match lost {
            LostPosition::Forked { fork, .. } => fork,
            LostPosition::BeyondHead { start, .. } => start,
            LostPosition::OtherHistory { .. } => EventId { generation: Generation::FIRST, position: 0 },
        };
        Problem::gone(lost.to_string(), continue_after)
    }
}

impl From<audit::Error> for Problem {
    fn from(error: audit::Error) -> Problem {
        let detail = error.to_string();
        match &error {
            audit::Error::UnknownAccount { .. }
            | audit::Error::NoSuchVersion { .. }
            | audit::Error::BeforeFirstEvent { .. }
            | audit::Error::NotInLog { .. } => Problem::not_found(detail),
            audit::Error::NotACheckpoint => Problem::malformed(detail),
            audit::Error::Lost(lost) => Problem::from(*lost),
            audit::Error::LostVersion { continue_after, .. } => Problem::gone(detail, *continue_after),
            audit::Error::LogKeyMissing => Problem::unavailable(detail),
            audit::Error::Vault(vault::Error::RotationUnderWay) => Problem::conflict(detail),
            audit::Error::LogKeyMismatch
            | audit::Error::InvalidCheckpoint { .. }
            | audit::Error::JournalTruncated { .. }
            | audit::Error::RootMismatch { .. }
            | audit::Error::Integrity(_)
            | audit::Error::Journal(_)
            | audit::Error::Store(_)
            | audit::Error::Vault(_)
            | audit::Error::InvalidGeneration { .. }
            | audit::Error::PublicKeyRequired
            | audit::Error::CheckpointUndecided { .. }
            | audit::Error::Io { .. } => {
                // Damage of the journal is reported in full. The details of other internal errors stay in the log.
                if error.is_integrity_fault() {
                    return Problem { is_integrity_fault: true, ..Problem::new(500, detail) };
                }
                tracing::error!(%error, "a request about the journal failed");
                Problem::internal()
            }
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Problem {
        match error {
            KeyError::InvalidField { field, words } => Problem::invalid_parameter(field, words),
            KeyError::NoSuchKey(_) => Problem::not_found(error.to_string()),
            KeyError::Denied(error) => error.into(),
            KeyError::Conflict(words) => Problem::conflict(words),
            KeyError::Vault(_) | KeyError::Journal(_) => {
                tracing::error!(%error, "a request about API keys failed");
                Problem::internal()
            }
        }
    }
}

impl From<ManagementError> for Problem {
    fn from(error: ManagementError) -> Problem {
        match error {
            ManagementError::InvalidField { field, words } => Problem::invalid_parameter(field, words),
            ManagementError::NotFound(words) => Problem::not_found(words),
            ManagementError::Conflict(words) => Problem::conflict(words),
            ManagementError::Failed(error) => {
                tracing::error!(%error, "a request about webhooks failed");
                Problem::internal()
            }
        }
    }
}

impl From<actors::ErasureError> for Problem {
    fn from(error: actors::ErasureError) -> Problem {
        if let actors::ErasureError::Accounts(busy @ (actors::Error::Overloaded { .. } | actors::Error::Stopping)) =
            &error
        {
            return Problem::unavailable(busy.to_string());
        }
        tracing::error!(%error, "secrets were not erased");
        Problem::internal()
    }
}

impl From<vault::Error> for Problem {
    fn from(error: vault::Error) -> Problem {
        use vault::Error;
        let detail = error.to_string();
        match error {
            Error::InvalidNewKey { .. }
            | Error::NewKeyFileRequired { .. }
            | Error::InvalidOldKeyFile { .. }
            | Error::OldKeyIsInFile { .. }
            | Error::OldKeyIsElsewhere { .. } => Problem::malformed(detail),
            Error::RotationUnderWay
            | Error::RotationAwaitsSetting { .. }
            | Error::NoRotationToUndo
            | Error::RotationTooLateToUndo { .. }
            | Error::RotationStopped
            | Error::ReadableByOthers { .. }
            | Error::MasterKeyFile { .. } => Problem::conflict(detail),
            Error::MalformedMasterKey { .. }
            | Error::MasterKeyMissing { .. }
            | Error::NamedMasterKeyMissing { .. }
            | Error::NeededKeyUnavailable { .. }
            | Error::WrongMasterKey { .. }
            | Error::KeyDoesNotOpenBackup { .. }
            | Error::MasterKeyCommand { .. }
            | Error::NoKeyInEnvironment(_)
            | Error::AccountSecretDoesNotOpen { .. }
            | Error::ReceiverSettingsDoNotOpen(_)
            | Error::TenantSecretDoesNotOpen { .. }
            | Error::LogKeyDoesNotOpen
            | Error::RequestKeyDoesNotOpen
            | Error::NoRandomness(_)
            | Error::RotationInterrupted(_)
            | Error::Journal(_)
            | Error::Store(_) => {
                tracing::error!(%error, "rotating the master key failed");
                Problem::internal()
            }
        }
    }
}
