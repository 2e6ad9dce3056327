//! Errors of the contract's endpoints, with the code and message that the caller gets.

use std::borrow::Cow;
use std::time::Duration;

use tokio::task::JoinError;

use super::contract_endpoints::ContractEndpoint;
use super::validation_error::ValidationError;
use crate::access::AuthError;
use crate::domain::{AccountNumber, CommandRejection};
use crate::limits::BODY_TIMEOUT;
use crate::{actors, idempotency, journal, vault};

/// Why a request was not executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No endpoint has this path.
    #[error("no endpoint has this path; the API is under /group-dispatch-api")]
    NoSuchPath,
    /// The endpoint does not take this method.
    #[error("this endpoint does not take this method; use {}", .0.allowed_methods())]
    MethodNotAllowed(ContractEndpoint),
    /// The body is larger than allowed.
    #[error("the body has more than {limit} bytes; send fewer accounts in one request")]
    TooLarge {
        /// The maximum, in bytes.
        limit: usize,
    },
    /// The body is not plain JSON in UTF-8.
    #[error("the body must be JSON in UTF-8, not compressed; send Content-Type: application/json")]
    UnsupportedMediaType,
    /// Too many large bodies are being read.
    #[error("too many large requests are being read; try again shortly, or send fewer accounts in one request")]
    MemoryBudgetExceeded,
    /// The body did not arrive in time.
    #[error("the body did not arrive within {} s; send it without a pause", BODY_TIMEOUT.as_secs())]
    SlowBody,
    /// The connection broke before the body was complete.
    #[error("the body ended early; send as many bytes as Content-Length says")]
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
    #[error("the service is starting or stopping; try again shortly")]
    NotReady,
    /// The deadline passed before the response was ready.
    #[error(
        "there was no answer within {limit:?}; what was asked may have been done, in part or whole, or be done yet: ask \
         queryWhatsAppStatus before sending it again"
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
    #[error("the work on a request failed: {0}")]
    TaskFailed(#[from] JoinError),
}

/// Why the command for one account of a batch was not executed.
#[derive(Debug, Clone)]
pub(super) enum ItemError {
    /// The rules reject it.
    Rejected(CommandRejection),
    /// It failed.
    Failed(actors::Error),
    /// The caller's API key ended before this command started.
    Auth(AuthError),
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

impl ItemError {
    /// The contract's code.
    pub(super) fn code(&self) -> u16 {
        match self {
            ItemError::Rejected(rejection) => rejection_code(*rejection),
            ItemError::Failed(error) => accounts_code(error),
            ItemError::Auth(denied) => denied.code(),
        }
    }

    /// The message for the caller. It begins with the account.
    pub(super) fn message(&self, account: AccountNumber) -> String {
        let sign = match self {
            ItemError::Rejected(_) => "",
            ItemError::Failed(_) | ItemError::Auth(_) => ":",
        };
        format!("{account}{sign} {}", self.reason())
    }

    /// The message without the account.
    pub(super) fn reason(&self) -> Cow<'static, str> {
        match self {
            ItemError::Rejected(rejection) => rejection.to_string().into(),
            ItemError::Auth(denied) => denied.to_string().into(),
            ItemError::Failed(error) => accounts_message(error).map_or_else(|| error.to_string().into(), Cow::Borrowed),
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
            Error::MethodNotAllowed(_) => 405,
            Error::TooLarge { .. } => 413,
            Error::UnsupportedMediaType => 415,
            Error::Rejected { rejection, .. } => rejection_code(*rejection),
            Error::MemoryBudgetExceeded | Error::NotReady | Error::Timeout { .. } => 503,
            Error::Accounts(error) => accounts_code(error),
            Error::Idempotency(error) => idempotency_code(error),
            Error::Vault(_) | Error::TaskFailed(_) => 500,
        }
    }

    /// The message for the caller. It hides the details of internal errors.
    pub(super) fn message(&self) -> Cow<'static, str> {
        let inside = match self {
            Error::Accounts(error) => accounts_message(error),
            Error::Idempotency(error) => (idempotency_code(error) == 500).then_some(INTERNAL_ERROR_MESSAGE),
            Error::Vault(_) | Error::TaskFailed(_) => Some(INTERNAL_ERROR_MESSAGE),
            Error::NoSuchPath
            | Error::MethodNotAllowed(_)
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

/// The contract's code for a rejection.
fn rejection_code(rejection: CommandRejection) -> u16 {
    match rejection {
        CommandRejection::OtherContent
        | CommandRejection::Banned
        | CommandRejection::Erased
        | CommandRejection::PersonalAccount
        | CommandRejection::VerifyTypeNotOffered
        | CommandRejection::BudgetUsedUp { .. } => 409,
        CommandRejection::Unknown | CommandRejection::NoContent | CommandRejection::NoRegistrationWaiting => 404,
    }
}

const INTERNAL_ERROR_MESSAGE: &str = "the service failed, and what was asked may have happened or not: ask queryWhatsAppStatus before \
                      sending it again; the operator finds the cause in the log under this answer's x-request-id";
const CONFLICT_MESSAGE: &str = "another request changed the same account at the same moment; try again";
const STOPPING_MESSAGE: &str = "the service is stopping; try again when it is back";
const NO_TASK_IDS_MESSAGE: &str =
    "no task ids are left, so no number can be registered; tell the operator of the service";

fn idempotency_code(error: &idempotency::Error) -> u16 {
    match error {
        idempotency::Error::KeyReused => 422,
        idempotency::Error::TooManyInFlight | idempotency::Error::NoCapacity { .. } => 503,
        idempotency::Error::Unreadable | idempotency::Error::Store(_) | idempotency::Error::Journal(_) => 500,
    }
}

fn accounts_code(error: &actors::Error) -> u16 {
    match error {
        actors::Error::Overloaded { .. } | actors::Error::Stopping => 503,
        actors::Error::Journal(cause) => match **cause {
            // Another writer won twice in a row: nothing was written, and a retry decides on the new state.
            journal::Error::Conflict { .. } => 503,
            journal::Error::TooLarge { .. }
            | journal::Error::Damaged { .. }
            | journal::Error::UnknownEvent { .. }
            | journal::Error::Store(_)
            | journal::Error::Closed => 500,
        },
        // Task ids are not reused, so a retry cannot succeed: no 503.
        actors::Error::TaskIdsExhausted | actors::Error::ActorFailed { .. } | actors::Error::Threads(_) => 500,
    }
}

/// The message for callers. The error's own text is for operators.
fn accounts_message(error: &actors::Error) -> Option<&'static str> {
    match error {
        actors::Error::Overloaded { .. } => None,
        actors::Error::Stopping => Some(STOPPING_MESSAGE),
        actors::Error::TaskIdsExhausted => Some(NO_TASK_IDS_MESSAGE),
        actors::Error::Journal(_) if accounts_code(error) == 503 => Some(CONFLICT_MESSAGE),
        actors::Error::Journal(_) | actors::Error::ActorFailed { .. } | actors::Error::Threads(_) => {
            Some(INTERNAL_ERROR_MESSAGE)
        }
    }
}
