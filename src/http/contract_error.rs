//! Errors of the contract's endpoints, with the code and message that the caller gets.

use std::borrow::Cow;
use std::time::Duration;

use tokio::task::JoinError;

use super::base_path::BasePath;
use super::body_type::BodyType;
use super::forwarded::ForwardedError;
use super::validation_error::ValidationError;
use crate::access::AuthError;
use crate::api::{ContractCallError, INTERNAL_ERROR_MESSAGE};
use crate::idempotency;
use crate::limits::BODY_TIMEOUT;

/// Why a request failed. After a timeout or an internal error it may have been executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No endpoint has this path.
    #[error("no such path; {}", suggestion(.base_path, *.nearest))]
    NoSuchPath {
        /// The path under which callers reach the service.
        base_path: BasePath,
        /// The path that was probably meant.
        nearest: Option<&'static str>,
    },
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
    /// The body does not have the endpoint's media type, or is not in UTF-8.
    #[error("the body is sent as {found}; send {} in UTF-8, with Content-Type: {}", .expected.label(), .expected.essences().join(" or "))]
    UnsupportedMediaType {
        /// The media type that the endpoint reads.
        expected: BodyType,
        /// The media type that was sent.
        found: &'static str,
    },
    /// The body is compressed.
    #[error("the body is compressed, as its Content-Encoding says; send it uncompressed")]
    CompressedBody,
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
    /// The call was not carried out.
    #[error(transparent)]
    Call(#[from] ContractCallError),
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
    /// A trusted proxy sent unusable headers.
    #[error(transparent)]
    Forwarded(#[from] ForwardedError),
    /// The `Idempotency-Key` cannot be used.
    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Error {
        Error::Call(error.into())
    }
}

impl From<JoinError> for Error {
    fn from(error: JoinError) -> Error {
        Error::Call(error.into())
    }
}

impl Error {
    /// The contract's code.
    pub(super) fn code(&self) -> u16 {
        match self {
            Error::SlowBody | Error::IncompleteBody | Error::Malformed(_) | Error::Forwarded(_) => 400,
            Error::Call(error) => error.code(),
            Error::NoSuchPath { .. } => 404,
            Error::MethodNotAllowed { .. } => 405,
            Error::TooLarge { .. } => 413,
            Error::UnsupportedMediaType { .. } | Error::CompressedBody => 415,
            Error::MemoryBudgetExceeded | Error::NotReady | Error::Timeout { .. } => 503,
            Error::Idempotency(error) => idempotency_code(error),
        }
    }

    /// The message for the caller. It hides the details of internal errors.
    pub(super) fn message(&self) -> Cow<'static, str> {
        let fixed_message = match self {
            Error::Call(error) => error.public_message(),
            Error::Idempotency(error) => (idempotency_code(error) == 500).then_some(INTERNAL_ERROR_MESSAGE),
            Error::NoSuchPath { .. }
            | Error::MethodNotAllowed { .. }
            | Error::TooLarge { .. }
            | Error::UnsupportedMediaType { .. }
            | Error::CompressedBody
            | Error::MemoryBudgetExceeded
            | Error::SlowBody
            | Error::IncompleteBody
            | Error::Malformed(_)
            | Error::Forwarded(_)
            | Error::NotReady
            | Error::Timeout { .. } => None,
        };
        fixed_message.map_or_else(|| Cow::Owned(self.to_string()), Cow::Borrowed)
    }

    /// Seconds until a retry may succeed; `None` if no wait is known.
    pub(super) fn retry_after(&self) -> Option<u64> {
        if let Error::Call(ContractCallError::Auth(error)) = self {
            error.retry_after()
        } else if let Error::Idempotency(idempotency::Error::NoCapacity { seconds }) = self {
            Some(*seconds)
        } else {
            (self.code() == 503).then_some(1)
        }
    }
}

fn suggestion(base_path: &BasePath, nearest: Option<&str>) -> String {
    match nearest {
        Some(path) => format!("did you mean {}?", base_path.add_to_path(path)),
        None => format!("the API is under {}", base_path.add_to_path("/group-dispatch-api")),
    }
}

fn idempotency_code(error: &idempotency::Error) -> u16 {
    match error {
        idempotency::Error::KeyReused => 422,
        idempotency::Error::TooManyInFlight | idempotency::Error::NoCapacity { .. } => 503,
        idempotency::Error::Unreadable | idempotency::Error::Store(_) | idempotency::Error::Journal(_) => 500,
    }
}
