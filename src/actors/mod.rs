//! One actor per account; `Accounts` is the handle that others hold.

use crate::domain::{AccountNumber, Command, Refusal, TaskId};
use crate::journal::{self, Origin};

/// The accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {}

/// What became of a command: it was done (durably), or refused by the rules.
pub type Outcome = Result<(), Refusal>;

/// Why a command could not be carried out at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Too many commands are under way.
    #[error("{limit} commands are under way, which is the limit; try again shortly")]
    Overloaded {
        /// The bound.
        limit: usize,
    },
    /// Task ids are used up.
    #[error("task ids are used up")]
    TaskIdsExhausted,
    /// The journal failed or is closed.
    #[error(transparent)]
    Journal(#[from] std::sync::Arc<journal::Error>),
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
}

impl Accounts {
    /// Carries out one command. Durable when it returns.
    pub async fn execute(&self, _account: AccountNumber, _command: Command, _origin: Origin) -> Result<Outcome, Error> {
        todo!()
    }

    /// Carries out commands of several accounts side by side; the outcomes are in the order of the commands.
    pub async fn execute_all(
        &self,
        _commands: Vec<(AccountNumber, Command)>,
        _origin: Origin,
    ) -> Result<Vec<Outcome>, Error> {
        todo!()
    }

    /// The next task id.
    pub fn new_task(&self) -> Result<TaskId, Error> {
        todo!()
    }
}
