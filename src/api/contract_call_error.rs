//! Why one of the documented calls was not carried out, with the contract's code and message.

use tokio::task::JoinError;

use super::ItemError;
use super::item_error::{INTERNAL_ERROR_MESSAGE, actors_error_code, actors_error_message, rejection_code};
use crate::access::AuthError;
use crate::domain::{AccountNumber, CommandRejection};
use crate::{actors, vault};

/// Why one of the documented calls was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ContractCallError {
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
    /// The commands failed.
    #[error(transparent)]
    Accounts(#[from] actors::Error),
    /// Secrets could not be sealed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The task of the request panicked.
    #[error("the request's task failed: {0}")]
    TaskFailed(#[from] JoinError),
}

/// Why a request's commands were rejected as a whole, before the first one started.
#[derive(Debug, Clone)]
pub enum BatchError {
    /// The actors did not accept the commands.
    Accounts(actors::Error),
    /// The caller's API key is no longer valid.
    Auth(AuthError),
}

impl From<BatchError> for ContractCallError {
    fn from(error: BatchError) -> ContractCallError {
        match error {
            BatchError::Accounts(error) => error.into(),
            BatchError::Auth(error) => error.into(),
        }
    }
}

impl From<BatchError> for ItemError {
    fn from(error: BatchError) -> ItemError {
        match error {
            BatchError::Accounts(error) => ItemError::Failed(error),
            BatchError::Auth(error) => ItemError::Auth(error),
        }
    }
}

impl ContractCallError {
    /// The contract's code.
    pub fn code(&self) -> u16 {
        match self {
            ContractCallError::Rejected { rejection, .. } => rejection_code(*rejection),
            ContractCallError::Auth(error) => error.code(),
            ContractCallError::Accounts(error) => actors_error_code(error),
            ContractCallError::Vault(_) | ContractCallError::TaskFailed(_) => 500,
        }
    }

    /// The message for callers. `None` if callers may see the error's own text.
    pub fn public_message(&self) -> Option<&'static str> {
        match self {
            ContractCallError::Rejected { .. } | ContractCallError::Auth(_) => None,
            ContractCallError::Accounts(error) => actors_error_message(error),
            ContractCallError::Vault(_) | ContractCallError::TaskFailed(_) => Some(INTERNAL_ERROR_MESSAGE),
        }
    }
}
