//! One actor per account. `Accounts` is the handle that others hold.
//!
//! | file | what it knows |
//! |---|---|
//! | `account_actor` | the actor: recover, decide, append, evolve, then what follows |
//! | `actor_registry` | which actors are active, on which arbiter, and which of them may go |
//! | `deadline_queue` | the deadlines of `-coming` states and registrations |
//! | `inbox` | what is not asked by a caller: gateway reports, deadlines, taking up after a restart |
//! | `erasure` | an account's secrets are erased |
//! | `spans` | the spans of commands, commits, and what a gateway is asked |
//! | `gateway_port` | what actors need of a gateway |
//!
//! An actor decides one command at a time: while its events are on the way to the disk, the next command waits in its
//! mailbox. Effects begin after the commit and follow from the state alone, so whoever recovers an account finds again
//! what is outstanding, and a replay runs none.

mod account_actor;
mod actor_registry;
mod deadline_queue;
mod erasure;
mod gateway_port;
mod inbox;
mod spans;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tracing::Span;

pub use erasure::{ErasureError, finish_erasures};
pub use gateway_port::GatewayPort;
pub use inbox::{Inbox, ReportReceiver, ReportSender, report_channel};

use crate::domain::{AccountNumber, Command, CommandRejection, GatewayRouting, TaskId};
use crate::journal::{self, AppendSlot, Journal, Origin};
use crate::limits::{COMMAND_SPANS_PER_REQUEST, TASK_ID_MAX};
use crate::metrics::CommandOutcome;
use crate::{clock, config};
use account_actor::{AccountRequest, ActorDependencies};
use actor_registry::{ActorRegistry, CommandPermit};

/// The accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<AccountsInner>,
}

struct AccountsInner {
    journal: Journal,
    registry: ActorRegistry,
    permits: Arc<Semaphore>,
    max_in_flight: usize,
    /// Held while the commands of one request are put into mailboxes, so that any two requests are in the same order
    /// in all of them: otherwise each could wait for a turn of the other.
    mailbox_order: tokio::sync::Mutex<()>,
    is_stopping: AtomicBool,
    last_task: AtomicU32,
}

/// Commands of one request, with room for them all: they are not turned away any more.
pub struct ReservedCommands {
    accounts: Accounts,
    commands: Vec<(AccountNumber, Command)>,
    permit: CommandPermit,
}

/// What became of a command: it was done (durably), or refused by the rules.
pub type CommandResult = Result<CommandSuccess, CommandRejection>;

/// What a command that was done led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommandSuccess {
    /// Events, which are durable.
    Recorded,
    /// No event: it held already, or did not fit the state.
    Unchanged,
}

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
    #[error("all {TASK_ID_MAX} task ids are used up")]
    TaskIdsExhausted,
    /// The journal failed, or refused the events.
    #[error(transparent)]
    Journal(#[from] Arc<journal::Error>),
    /// The account's actor ended under the command, twice.
    #[error("the actor of account {account:?} failed; what became of the command is in the journal, or did not happen")]
    ActorFailed {
        /// Whose.
        account: AccountNumber,
    },
    /// The arbiters' threads cannot be started.
    #[error("cannot start the actors' threads: {0}")]
    Threads(Arc<std::io::Error>),
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
}

impl Accounts {
    /// Starts the arbiters. Task ids go on after `last_task`. The inbox takes in what is `reported`, while it is run.
    pub fn start(
        journal: Journal,
        settings: &config::ActorSettings,
        rules: &config::AccountSettings,
        routing: GatewayRouting,
        gateway: Arc<dyn GatewayPort>,
        reported: ReportReceiver,
        last_task: u32,
    ) -> Result<(Accounts, Inbox), Error> {
        let surroundings = ActorDependencies {
            journal,
            gateway,
            deadlines: Arc::default(),
            coming_timeout: settings.coming_timeout,
            reconnect_wait: rules.auto_reconnect.then_some(rules.reconnect_wait),
            routing,
            now: clock::now,
        };
        Accounts::start_in(surroundings, settings, reported, last_task)
    }

    fn start_in(
        surroundings: ActorDependencies,
        settings: &config::ActorSettings,
        reported: ReportReceiver,
        last_task: u32,
    ) -> Result<(Accounts, Inbox), Error> {
        let (journal, agenda) = (surroundings.journal.clone(), surroundings.deadlines.clone());
        let accounts = Accounts {
            inner: Arc::new(AccountsInner {
                journal,
                registry: ActorRegistry::start(surroundings, settings)?,
                permits: Arc::new(Semaphore::new(settings.max_in_flight)),
                max_in_flight: settings.max_in_flight,
                mailbox_order: tokio::sync::Mutex::default(),
                is_stopping: AtomicBool::new(false),
                last_task: AtomicU32::new(last_task),
            }),
        };
        Ok((accounts.clone(), Inbox::new(accounts, agenda, reported)))
    }

    /// Carries out one command. Durable when it returns, and carried out also if nobody waits for that.
    pub async fn execute(
        &self,
        account: AccountNumber,
        command: Command,
        origin: Origin,
    ) -> Result<CommandResult, Error> {
        let permit = self.acquire_permit([&command])?;
        let span = spans::command_span(account, &command);
        self.send_request(account, AccountRequest::execute(command, origin, span), None, Some(permit)).await
    }

    /// Carries out commands of several accounts side by side, each with an outcome of its own. Outcomes and events are
    /// in the order of the commands. An error of them all means that none was begun.
    pub async fn execute_all(
        &self,
        commands: Vec<(AccountNumber, Command)>,
        origin: Origin,
    ) -> Result<Vec<Result<CommandResult, Error>>, Error> {
        Ok(self.reserve(commands)?.execute(origin).await)
    }

    /// The same in two steps, for what must be done before the commands and not for nothing.
    pub fn reserve(&self, commands: Vec<(AccountNumber, Command)>) -> Result<ReservedCommands, Error> {
        let permit = self.acquire_permit(commands.iter().map(|(_, command)| command))?;
        Ok(ReservedCommands { accounts: self.clone(), commands, permit })
    }

    /// The next task id.
    pub fn next_task_id(&self) -> Result<TaskId, Error> {
        let next = |last: u32| last.checked_add(1).filter(|next| *next <= TASK_ID_MAX);
        let last = self.inner.last_task.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.ok().and_then(|last| TaskId::new(last + 1)).ok_or(Error::TaskIdsExhausted)
    }

    /// How many actors are active.
    pub fn active_actors(&self) -> usize {
        self.inner.registry.active_count()
    }

    /// Reports that.
    pub fn update_metrics(&self) {
        self.inner.journal.metrics().actors.set(self.active_actors() as u64);
    }

    /// Takes no more commands, waits for those under way, and ends the arbiters.
    pub async fn drain(&self) {
        self.inner.is_stopping.store(true, Ordering::Relaxed);
        let all = u32::try_from(self.inner.max_in_flight).unwrap_or(u32::MAX);
        // Fails only if closed, and nobody closes it.
        let _all = self.inner.permits.acquire_many(all).await;
        self.inner.registry.stop();
    }

    /// Lets commands in, all of them or none.
    fn acquire_permit<'c>(
        &self,
        commands: impl IntoIterator<Item = &'c Command, IntoIter: ExactSizeIterator>,
    ) -> Result<CommandPermit, Error> {
        let commands = commands.into_iter();
        if self.inner.is_stopping.load(Ordering::Relaxed) {
            return Err(Error::Stopping);
        }
        let limit = self.inner.max_in_flight;
        // More commands than the bound at once are let in when nothing else is under way.
        let wanted = u32::try_from(commands.len().min(limit)).unwrap_or(u32::MAX);
        let permit = self.inner.permits.clone().try_acquire_many_owned(wanted);
        permit.map(Arc::new).map_err(|_| {
            for command in commands {
                self.inner.journal.metrics().commands.with((command.into(), CommandOutcome::Overloaded)).inc();
            }
            Error::Overloaded { limit }
        })
    }

    /// Puts `ask` into the account's mailbox at once; what is returned waits for the answer.
    ///
    /// An actor that ended under the question is evicted, and its successor is asked once more: it has recovered what
    /// is durable, and decides the same command in that state.
    fn send_request(
        &self,
        account: AccountNumber,
        ask: AccountRequest,
        turn: Option<AppendSlot>,
        permit: Option<CommandPermit>,
    ) -> impl Future<Output = Result<CommandResult, Error>> + use<> {
        let again = ask.clone();
        let first = self.inner.registry.send_request(account, ask, turn, permit.clone());
        let inner = self.inner.clone();
        async move {
            match first.await {
                Some(answer) if !answer.as_ref().is_err_and(Error::is_conflict) => answer,
                Some(_) | None => match inner.registry.send_request(account, again, None, permit).await {
                    Some(answer) => answer,
                    None => Err(Error::ActorFailed { account }),
                },
            }
        }
    }
}

impl ReservedCommands {
    /// Carries them out, as [`Accounts::execute_all`] does.
    pub async fn execute(self, origin: Origin) -> Vec<Result<CommandResult, Error>> {
        let ReservedCommands { accounts, commands, permit } = self;
        let mut seen = HashSet::with_capacity(commands.len());
        let turns = accounts.inner.journal.reserve_slots(commands.len());
        let is_traced = commands.len() <= COMMAND_SPANS_PER_REQUEST;
        let asked = {
            let _handing_out = accounts.inner.mailbox_order.lock().await;
            join_all(commands.into_iter().zip(turns).map(|((account, command), turn)| {
                // A second command of an account waits behind the first, which would wait for its turn.
                let turn = seen.insert(account).then_some(turn);
                let span = if is_traced { spans::command_span(account, &command) } else { Span::none() };
                accounts.send_request(
                    account,
                    AccountRequest::execute(command, origin, span),
                    turn,
                    Some(permit.clone()),
                )
            }))
        };
        asked.await
    }
}

impl Error {
    /// Whether someone else appended to the account first, so that it must be decided again.
    fn is_conflict(&self) -> bool {
        matches!(self, Error::Journal(cause) if matches!(**cause, journal::Error::Conflict { .. }))
    }
}
