//! Why the command for one account of a batch was not executed, with the contract's code and message.

use std::borrow::Cow;

use crate::access::AuthError;
use crate::actors::CommandResult;
use crate::domain::{AccountNumber, CommandRejection};
use crate::journal::Origin;
use crate::{actors, journal};

/// Why the command for one account of a batch was not executed.
#[derive(Debug, Clone)]
pub enum ItemError {
    /// The rules reject the command.
    Rejected(CommandRejection),
    /// The command failed.
    Failed(actors::Error),
    /// The caller's API key expired or was revoked before this command started.
    Auth(AuthError),
}

impl ItemError {
    /// The contract's code.
    pub fn code(&self) -> u16 {
        match self {
            ItemError::Rejected(rejection) => rejection_code(*rejection),
            ItemError::Failed(error) => actors_error_code(error),
            ItemError::Auth(error) => error.code(),
        }
    }

    /// The message for the caller. It begins with the account.
    pub fn message(&self, account: AccountNumber) -> String {
        let separator = match self {
            ItemError::Rejected(_) => "",
            ItemError::Failed(_) | ItemError::Auth(_) => ":",
        };
        format!("{account}{separator} {}", self.reason())
    }

    /// The message without the account.
    pub fn reason(&self) -> Cow<'static, str> {
        match self {
            ItemError::Rejected(rejection) => rejection.to_string().into(),
            ItemError::Auth(error) => error.to_string().into(),
            ItemError::Failed(error) => {
                actors_error_message(error).map_or_else(|| error.to_string().into(), Cow::Borrowed)
            }
        }
    }
}

/// The outcomes of commands. The first internal failure is logged.
pub fn item_outcomes(
    executed: Vec<Result<CommandResult, actors::Error>>,
    origin: Origin,
) -> Vec<Result<(), ItemError>> {
    let outcome =
        |outcome: Result<CommandResult, _>| outcome.map_err(ItemError::Failed)?.map(drop).map_err(ItemError::Rejected);
    let outcomes: Vec<_> = executed.into_iter().map(outcome).collect();
    if let Some(Err(ItemError::Failed(error))) = outcomes.iter().find(|it| matches!(it, Err(ItemError::Failed(_)))) {
        tracing::error!(request = %origin.request, %error, "accounts of a batch failed with an internal error");
    }
    outcomes
}

/// The message for an internal error. Only the log has its cause.
pub const INTERNAL_ERROR_MESSAGE: &str = "the service failed, and the request may have been carried out: check \
    queryWhatsAppStatus before you retry. The operator finds the cause in the log under this response's x-request-id";
const CONFLICT_MESSAGE: &str = "another request changed the same account at the same time; retry";
const STOPPING_MESSAGE: &str = "the service is stopping; retry when it is back";
const NO_TASK_IDS_MESSAGE: &str =
    "no task ids are left, so the number cannot be registered; contact the service's operator";

/// The contract's code for a rejection.
pub fn rejection_code(rejection: CommandRejection) -> u16 {
    match rejection {
        CommandRejection::OtherContent
        | CommandRejection::Banned
        | CommandRejection::Erased
        | CommandRejection::PersonalAccount { .. }
        | CommandRejection::VerifyTypeNotOffered { .. }
        | CommandRejection::BudgetUsedUp { .. } => 409,
        CommandRejection::Unknown | CommandRejection::NoContent | CommandRejection::NoRegistrationWaiting => 404,
    }
}

/// The contract's code for an error of the actors.
pub fn actors_error_code(error: &actors::Error) -> u16 {
    match error {
        actors::Error::Overloaded { .. } | actors::Error::Stopping => 503,
        actors::Error::Journal(cause) => match **cause {
            // Other writers came first, twice. Nothing was written, and a retry decides on the new state.
            journal::Error::Conflict { .. } => 503,
            journal::Error::TooLarge { .. }
            | journal::Error::Damaged { .. }
            | journal::Error::UnknownEvent { .. }
            | journal::Error::Store(_)
            | journal::Error::Closed => 500,
        },
        // Task ids are not reused, so a retry cannot succeed: no 503.
        actors::Error::TaskIdsExhausted
        | actors::Error::Vault(_)
        | actors::Error::ActorFailed { .. }
        | actors::Error::Threads(_) => 500,
    }
}

/// The message for callers. `None` if callers may see the error's own text.
pub fn actors_error_message(error: &actors::Error) -> Option<&'static str> {
    match error {
        actors::Error::Overloaded { .. } => None,
        actors::Error::Stopping => Some(STOPPING_MESSAGE),
        actors::Error::TaskIdsExhausted => Some(NO_TASK_IDS_MESSAGE),
        actors::Error::Journal(_) if actors_error_code(error) == 503 => Some(CONFLICT_MESSAGE),
        actors::Error::Journal(_)
        | actors::Error::Vault(_)
        | actors::Error::ActorFailed { .. }
        | actors::Error::Threads(_) => Some(INTERNAL_ERROR_MESSAGE),
    }
}
