//! Errors of the contract's endpoints, with the code and message that the caller gets.

use std::borrow::Cow;
use std::time::Duration;

use tokio::task::JoinError;

use super::validation_error::ValidationError;
use crate::access::AuthError;
use crate::api::{INTERNAL_ERROR_MESSAGE, ItemError, actors_error_code, actors_error_message, rejection_code};
use crate::domain::{AccountNumber, CommandRejection};
use crate::limits::BODY_TIMEOUT;
use crate::{actors, idempotency, vault};

/// Why a request was not executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No endpoint has this path.
    #[error("no such path; the API is under /group-dispatch-api")]
    NoSuchPath,
    /// The endpoint does not take this method.
    #[error("this endpoint does not support this method; use {allow}")]
    MethodNotAllowed {
        /// The methods that it takes, as the `Allow` header lists them.
        allow: &'static str,
    },
    /// The body is larger than allowed.
    #[error("the body has more than {limit} bytes; send fewer accounts in one request")]
    TooLarge {
        /// The maximum, in bytes.
        limit: usize,
    },
    /// The body is not plain JSON in UTF-8.
    #[error("the body must be uncompressed JSON in UTF-8; send Content-Type: application/json")]
    UnsupportedMediaType,
    /// Too many large bodies are being read.
    #[error("the service is reading too many large requests; retry shortly, or send fewer accounts in one request")]
    MemoryBudgetExceeded,
    /// The body did not arrive in time.
    #[error("the body did not arrive within {} s; send it without pauses", BODY_TIMEOUT.as_secs())]
    SlowBody,
    /// The connection broke before the body was complete.
    #[error("the body ended early; send as many bytes as Content-Length announces")]
    IncompleteBody,
    /// The body or the query is malformed.
    #[error(transparent)]
    Malformed(#[from] ValidationError),
    /// The rules reject the command for the request's only account.
    #[error("{account} {rejection}")]
    Rejected {
        /// The account.
        account: AccountNumber,
        /// The reason.
        rejection: CommandRejection,
    },
    /// The caller is not authenticated, or lacks the permission.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The service is starting or stopping.
    #[error("the service is starting or stopping; retry shortly")]
    NotReady,
    /// The deadline passed before the response was ready.
    #[error(
        "no response within {limit:?}; the request may still complete, in full or in part: check queryWhatsAppStatus \
         before you retry"
    )]
    Timeout {
        /// The deadline.
        limit: Duration,
    },
    /// The commands failed.
    #[error(transparent)]
    Accounts(#[from] actors::Error),
    /// Secrets could not be sealed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The `Idempotency-Key` cannot be used.
    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
    /// The task of the request panicked.
    #[error("the request's task failed: {0}")]
    TaskFailed(#[from] JoinError),
}

/// Why a request's commands were rejected as a whole, before the first one started.
#[derive(Debug, Clone)]
pub(super) enum BatchError {
    /// The accounts did not accept them.
    Accounts(actors::Error),
    /// The caller's API key has ended meanwhile.
    Auth(AuthError),
}

impl From<BatchError> for Error {
    fn from(why: BatchError) -> Error {
        match why {
            BatchError::Accounts(error) => error.into(),
            BatchError::Auth(denied) => denied.into(),
        }
    }
}

impl From<BatchError> for ItemError {
    fn from(why: BatchError) -> ItemError {
        match why {
            BatchError::Accounts(error) => ItemError::Failed(error),
            BatchError::Auth(denied) => ItemError::Auth(denied),
        }
    }
}

impl Error {
    /// The contract's code.
    pub(super) fn code(&self) -> u16 {
        match self {
            Error::SlowBody | Error::IncompleteBody | Error::Malformed(_) => 400,
            Error::Auth(denied) => denied.code(),
            Error::NoSuchPath => 404,
            Error::MethodNotAllowed { .. } => 405,
            Error::TooLarge { .. } => 413,
            Error::UnsupportedMediaType => 415,
            Error::Rejected { rejection, .. } => rejection_code(*rejection),
            Error::MemoryBudgetExceeded | Error::NotReady | Error::Timeout { .. } => 503,
            Error::Accounts(error) => actors_error_code(error),
            Error::Idempotency(error) => idempotency_code(error),
            Error::Vault(_) | Error::TaskFailed(_) => 500,
        }
    }

    /// The message for the caller. It hides the details of internal errors.
    pub(super) fn message(&self) -> Cow<'static, str> {
        let inside = match self {
            Error::Accounts(error) => actors_error_message(error),
            Error::Idempotency(error) => (idempotency_code(error) == 500).then_some(INTERNAL_ERROR_MESSAGE),
            Error::Vault(_) | Error::TaskFailed(_) => Some(INTERNAL_ERROR_MESSAGE),
            Error::NoSuchPath
            | Error::MethodNotAllowed { .. }
            | Error::TooLarge { .. }
            | Error::UnsupportedMediaType
            | Error::MemoryBudgetExceeded
            | Error::SlowBody
            | Error::IncompleteBody
            | Error::Malformed(_)
            | Error::Rejected { .. }
            | Error::Auth(_)
            | Error::NotReady
            | Error::Timeout { .. } => None,
        };
        inside.map_or_else(|| Cow::Owned(self.to_string()), Cow::Borrowed)
    }

    /// Seconds until a retry may succeed; `None` if a retry cannot help.
    pub(super) fn retry_after(&self) -> Option<u64> {
        if let Error::Auth(denied) = self {
            denied.retry_after()
        } else if let Error::Idempotency(idempotency::Error::NoCapacity { seconds }) = self {
            Some(*seconds)
        } else {
            (self.code() == 503).then_some(1)
        }
    }
}

fn idempotency_code(error: &idempotency::Error) -> u16 {
    match error {
        idempotency::Error::KeyReused => 422,
        idempotency::Error::TooManyInFlight | idempotency::Error::NoCapacity { .. } => 503,
        idempotency::Error::Unreadable | idempotency::Error::Store(_) | idempotency::Error::Journal(_) => 500,
    }
}
