//! Why a request is not carried out, and the code and the sentence that its caller gets for it.

use std::borrow::Cow;
use std::time::Duration;

use tokio::task::JoinError;

use super::endpoint::Endpoint;
use super::fault::Fault;
use crate::access::Denied;
use crate::domain::{AccountNumber, Refusal};
use crate::limits::BODY_TIMEOUT;
use crate::{actors, answers, journal, vault};

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No endpoint has this path.
    #[error("no endpoint has this path; the API is under /group-dispatch-api")]
    NoSuchPath,
    /// The endpoint does not take this method.
    #[error("this endpoint does not take this method; use {}", .0.allow())]
    Method(Endpoint),
    /// The body is larger than allowed.
    #[error("the body has more than {limit} bytes; send fewer accounts in one request")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// The body is in another form.
    #[error("the body must be JSON in UTF-8, not compressed; send Content-Type: application/json")]
    MediaType,
    /// Too many large bodies are being read.
    #[error("too many large requests are being read; try again shortly, or send fewer accounts in one request")]
    NoRoom,
    /// The body did not arrive in time.
    #[error("the body did not arrive within {} s; send it without a pause", BODY_TIMEOUT.as_secs())]
    SlowBody,
    /// The connection broke within the body.
    #[error("the body ended early; send as many bytes as Content-Length says")]
    BrokenBody,
    /// The body or the query is malformed.
    #[error(transparent)]
    Malformed(#[from] Fault),
    /// The rules refuse what is asked of the one account of this request.
    #[error("{account} {refusal}")]
    Refused {
        /// Whose.
        account: AccountNumber,
        /// Why.
        refusal: Refusal,
    },
    /// Whoever asks is not let in, or may not ask this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The service starts or stops.
    #[error("the service is starting or stopping; try again shortly")]
    NotReady,
    /// There was no answer in time.
    #[error(
        "there was no answer within {limit:?}; what was asked may have been done, in part or whole, or be done yet: ask \
         queryWhatsAppStatus before sending it again"
    )]
    Late {
        /// The bound.
        limit: Duration,
    },
    /// The accounts could not carry it out.
    #[error(transparent)]
    Accounts(#[from] actors::Error),
    /// Secrets could not be sealed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// Its `Idempotency-Key` stands in the way.
    #[error(transparent)]
    Answers(#[from] answers::Error),
    /// The work on the request panicked.
    #[error("the work on a request failed: {0}")]
    Work(#[from] JoinError),
}

/// Why one account of a batch was not done.
#[derive(Debug, Clone)]
pub(super) enum Undone {
    /// The rules refuse it.
    Refused(Refusal),
    /// It failed.
    Failed(actors::Error),
    /// The key of whoever asked ended before its turn came.
    Denied(Denied),
}

/// Why none of the commands of a request was begun.
#[derive(Debug, Clone)]
pub(super) enum NotBegun {
    /// The accounts could not take them.
    Accounts(actors::Error),
    /// The key of whoever asked has ended meanwhile.
    Denied(Denied),
}

impl From<NotBegun> for Error {
    fn from(why: NotBegun) -> Error {
        match why {
            NotBegun::Accounts(error) => error.into(),
            NotBegun::Denied(denied) => denied.into(),
        }
    }
}

impl From<NotBegun> for Undone {
    fn from(why: NotBegun) -> Undone {
        match why {
            NotBegun::Accounts(error) => Undone::Failed(error),
            NotBegun::Denied(denied) => Undone::Denied(denied),
        }
    }
}

impl Undone {
    /// The contract's code.
    pub(super) fn code(&self) -> u16 {
        match self {
            Undone::Refused(refusal) => refusal_code(*refusal),
            Undone::Failed(error) => accounts_code(error),
            Undone::Denied(denied) => denied.code(),
        }
    }

    /// The sentence for the caller, which begins with the account.
    pub(super) fn message(&self, account: AccountNumber) -> String {
        let sign = match self {
            Undone::Refused(_) => "",
            Undone::Failed(_) | Undone::Denied(_) => ":",
        };
        format!("{account}{sign} {}", self.words())
    }

    /// The sentence without the account.
    pub(super) fn words(&self) -> Cow<'static, str> {
        match self {
            Undone::Refused(refusal) => refusal.to_string().into(),
            Undone::Denied(denied) => denied.to_string().into(),
            Undone::Failed(error) => accounts_words(error).map_or_else(|| error.to_string().into(), Cow::Borrowed),
        }
    }
}

impl Error {
    /// The contract's code.
    pub(super) fn code(&self) -> u16 {
        match self {
            Error::SlowBody | Error::BrokenBody | Error::Malformed(_) => 400,
            Error::Denied(denied) => denied.code(),
            Error::NoSuchPath => 404,
            Error::Method(_) => 405,
            Error::TooLarge { .. } => 413,
            Error::MediaType => 415,
            Error::Refused { refusal, .. } => refusal_code(*refusal),
            Error::NoRoom | Error::NotReady | Error::Late { .. } => 503,
            Error::Accounts(error) => accounts_code(error),
            Error::Answers(error) => answers_code(error),
            Error::Vault(_) | Error::Work(_) => 500,
        }
    }

    /// The sentence for the caller. What went wrong inside stays inside.
    pub(super) fn message(&self) -> Cow<'static, str> {
        let inside = match self {
            Error::Accounts(error) => accounts_words(error),
            Error::Answers(error) => (answers_code(error) == 500).then_some(FAILED),
            Error::Vault(_) | Error::Work(_) => Some(FAILED),
            Error::NoSuchPath
            | Error::Method(_)
            | Error::TooLarge { .. }
            | Error::MediaType
            | Error::NoRoom
            | Error::SlowBody
            | Error::BrokenBody
            | Error::Malformed(_)
            | Error::Refused { .. }
            | Error::Denied(_)
            | Error::NotReady
            | Error::Late { .. } => None,
        };
        inside.map_or_else(|| Cow::Owned(self.to_string()), Cow::Borrowed)
    }

    /// After how many seconds the same request may succeed, if it may.
    pub(super) fn retry_after(&self) -> Option<u64> {
        if let Error::Denied(denied) = self {
            denied.retry_after()
        } else if let Error::Answers(answers::Error::Full { seconds }) = self {
            Some(*seconds)
        } else {
            (self.code() == 503).then_some(1)
        }
    }
}

/// The contract's code for a refusal.
fn refusal_code(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::OtherContent
        | Refusal::Banned
        | Refusal::Erased
        | Refusal::PersonalAccount
        | Refusal::VerifyTypeNotOffered
        | Refusal::BudgetUsedUp { .. } => 409,
        Refusal::Unknown | Refusal::NoContent | Refusal::NoRegistrationWaiting => 404,
    }
}

const FAILED: &str = "the service failed, and what was asked may have happened or not: ask queryWhatsAppStatus before \
                      sending it again; the operator finds the cause in the log under this answer's x-request-id";
const CONFLICT: &str = "another request changed the same account at the same moment; try again";
const STOPPING: &str = "the service is stopping; try again when it is back";
const NO_TASK_IDS: &str = "no task ids are left, so no number can be registered; tell the operator of the service";

fn answers_code(error: &answers::Error) -> u16 {
    match error {
        answers::Error::OtherRequest => 422,
        answers::Error::UnderWay | answers::Error::Full { .. } => 503,
        answers::Error::Unreadable | answers::Error::Store(_) | answers::Error::Journal(_) => 500,
    }
}

fn accounts_code(error: &actors::Error) -> u16 {
    match error {
        actors::Error::Overloaded { .. } | actors::Error::Stopping => 503,
        actors::Error::Journal(cause) => match **cause {
            // Someone else wrote to the account twice in a row: nothing happened, and the next attempt decides anew.
            journal::Error::Conflict { .. } => 503,
            journal::Error::TooLarge { .. }
            | journal::Error::Damaged { .. }
            | journal::Error::UnknownEvent { .. }
            | journal::Error::Store(_)
            | journal::Error::Closed => 500,
        },
        // Task ids do not come back, so a caller who waits and tries again waits for nothing: no 503.
        actors::Error::TaskIdsExhausted | actors::Error::ActorFailed { .. } | actors::Error::Threads(_) => 500,
    }
}

/// What callers are told instead of the error's own words, which are for operators.
fn accounts_words(error: &actors::Error) -> Option<&'static str> {
    match error {
        actors::Error::Overloaded { .. } => None,
        actors::Error::Stopping => Some(STOPPING),
        actors::Error::TaskIdsExhausted => Some(NO_TASK_IDS),
        actors::Error::Journal(_) if accounts_code(error) == 503 => Some(CONFLICT),
        actors::Error::Journal(_) | actors::Error::ActorFailed { .. } | actors::Error::Threads(_) => Some(FAILED),
    }
}
