//! One actor per account. `Accounts` is the handle for other modules.
//!
//! | file | contents |
//! |---|---|
//! | `account_actor` | the actor: recover, decide, append, evolve, then start effects |
//! | `actor_registry` | which actors are active, on which arbiter, and which may be retired |
//! | `deadline_queue` | the deadlines of `-coming` states, reconnects and registrations |
//! | `inbox` | work without a caller: gateway reports, deadlines, dispatch after a restart |
//! | `content_comparison` | recognises a sent content that the account already has |
//! | `erasure` | erasing an account's secrets |
//! | `spans` | the spans of commands, commits and gateway calls |
//! | `gateway_port` | the interface that actors need from a gateway |
//!
//! An actor decides one command at a time: while its events are being committed, the next command waits in its mailbox.
//! Effects start after the commit. They depend on the state alone, so a recovered actor finds the pending effects
//! again. A replay of events alone starts no effect.

mod account_actor;
mod actor_registry;
mod content_comparison;
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

use crate::domain::{AccountNumber, Command, CommandRejection, TaskId};
use crate::journal::{self, AppendSlot, Journal, Origin};
use crate::limits::{COMMAND_SPANS_PER_REQUEST, TASK_ID_MAX};
use crate::metrics::CommandOutcome;
use crate::vault::{self, Vault};
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
    /// Locked while the commands of one request enter the mailboxes, so that two requests have the same order in every
    /// mailbox. With different orders, each request could wait for a journal slot of the other.
    mailbox_order: tokio::sync::Mutex<()>,
    is_stopping: AtomicBool,
    last_task: AtomicU32,
}

/// The commands of one request, with their permits. They can no longer fail with [`Error::Overloaded`].
pub struct ReservedCommands {
    accounts: Accounts,
    commands: Vec<(AccountNumber, Command)>,
    permit: CommandPermit,
}

/// The outcome of a command: carried out (durably), or rejected by the rules.
pub type CommandResult = Result<CommandSuccess, CommandRejection>;

/// The result of a command that was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommandSuccess {
    /// It recorded events, which are durable.
    Recorded,
    /// It recorded no event: the account was already in the requested state, or the command did not apply to its state.
    Unchanged,
}

/// Why a command could not be carried out at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Too many commands are in flight.
    #[error("{limit} commands are in progress, which is the limit; retry shortly")]
    Overloaded {
        /// The limit.
        limit: usize,
    },
    /// All task ids are in use.
    #[error("all {TASK_ID_MAX} task ids are in use")]
    TaskIdsExhausted,
    /// The journal failed, or rejected the events.
    #[error(transparent)]
    Journal(#[from] Arc<journal::Error>),
    /// The vault cannot open the account's stored content, so a sent one cannot be compared with it.
    #[error(transparent)]
    Vault(#[from] Arc<vault::Error>),
    /// The account's actor ended during the command, twice.
    #[error("the actor of account {account:?} failed; the journal shows whether the command took effect")]
    ActorFailed {
        /// The account.
        account: AccountNumber,
    },
    /// The arbiters' threads cannot be started.
    #[error("cannot start the actors' threads: {0}")]
    Threads(Arc<std::io::Error>),
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

impl Accounts {
    /// Starts the arbiters. Task ids continue after `last_task`. The inbox ingests the messages of `reported` while it
    /// runs.
    pub fn start(
        journal: Journal,
        vault: Vault,
        settings: &config::Settings,
        gateway: Arc<dyn GatewayPort>,
        reported: ReportReceiver,
        last_task: u32,
    ) -> Result<(Accounts, Inbox), Error> {
        let dependencies = ActorDependencies {
            journal,
            vault,
            gateway,
            deadlines: Arc::default(),
            coming_timeout: settings.actors.coming_timeout,
            reconnect_wait: settings.accounts.auto_reconnect.then_some(settings.accounts.reconnect_wait),
            routing: settings.gateway.routing.clone(),
            now: clock::now,
        };
        Accounts::start_in(dependencies, &settings.actors, reported, last_task)
    }

    fn start_in(
        dependencies: ActorDependencies,
        settings: &config::ActorSettings,
        reported: ReportReceiver,
        last_task: u32,
    ) -> Result<(Accounts, Inbox), Error> {
        let (journal, deadlines) = (dependencies.journal.clone(), dependencies.deadlines.clone());
        let accounts = Accounts {
            inner: Arc::new(AccountsInner {
                journal,
                registry: ActorRegistry::start(dependencies, settings)?,
                permits: Arc::new(Semaphore::new(settings.max_in_flight)),
                max_in_flight: settings.max_in_flight,
                mailbox_order: tokio::sync::Mutex::default(),
                is_stopping: AtomicBool::new(false),
                last_task: AtomicU32::new(last_task),
            }),
        };
        Ok((accounts.clone(), Inbox::new(accounts, deadlines, reported)))
    }

    /// Executes one command. Its events are durable when this returns. The command is executed even if the caller stops
    /// waiting.
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

    /// Executes commands of several accounts concurrently, each with its own outcome. Outcomes and events keep the
    /// order of the commands. If the whole call fails, no command was started.
    pub async fn execute_all(
        &self,
        commands: Vec<(AccountNumber, Command)>,
        origin: Origin,
    ) -> Result<Vec<Result<CommandResult, Error>>, Error> {
        Ok(self.reserve(commands)?.execute(origin).await)
    }

    /// Takes the permits for [`Accounts::execute_all`] in advance. Use it when other work must happen before the
    /// commands, but only if they will run.
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

    /// Updates the gauge of active actors.
    pub fn update_metrics(&self) {
        self.inner.journal.metrics().actors.set(self.active_actors() as u64);
    }

    /// Accepts no more commands, waits for those in flight, and stops the arbiters.
    pub async fn drain(&self) {
        self.inner.is_stopping.store(true, Ordering::Relaxed);
        let all = u32::try_from(self.inner.max_in_flight).unwrap_or(u32::MAX);
        // This fails only if the semaphore is closed, and it is never closed.
        let _all = self.inner.permits.acquire_many(all).await;
        self.inner.registry.stop();
    }

    /// Takes permits for all commands, or for none.
    fn acquire_permit<'c>(
        &self,
        commands: impl IntoIterator<Item = &'c Command, IntoIter: ExactSizeIterator>,
    ) -> Result<CommandPermit, Error> {
        let commands = commands.into_iter();
        if self.inner.is_stopping.load(Ordering::Relaxed) {
            return Err(Error::Stopping);
        }
        let limit = self.inner.max_in_flight;
        // A request with more commands than the limit is accepted when nothing else is in flight.
        let wanted = u32::try_from(commands.len().min(limit)).unwrap_or(u32::MAX);
        let permit = self.inner.permits.clone().try_acquire_many_owned(wanted);
        permit.map(Arc::new).map_err(|_| {
            for command in commands {
                self.inner.journal.metrics().commands.with((command.into(), CommandOutcome::Overloaded)).inc();
            }
            Error::Overloaded { limit }
        })
    }

    /// Puts `request` into the account's mailbox at once; the returned future waits for the reply.
    ///
    /// If the actor ends during the request, or its append conflicts, its successor gets the request once more. The
    /// successor recovers the durable state and decides the same command again.
    fn send_request(
        &self,
        account: AccountNumber,
        request: AccountRequest,
        slot: Option<AppendSlot>,
        permit: Option<CommandPermit>,
    ) -> impl Future<Output = Result<CommandResult, Error>> + use<> {
        let retry = request.clone();
        let first = self.inner.registry.send_request(account, request, slot, permit.clone());
        let inner = self.inner.clone();
        async move {
            match first.await {
                Some(reply) if !reply.as_ref().is_err_and(Error::is_conflict) => reply,
                Some(_) | None => match inner.registry.send_request(account, retry, None, permit).await {
                    Some(reply) => reply,
                    None => Err(Error::ActorFailed { account }),
                },
            }
        }
    }
}

impl ReservedCommands {
    /// Executes them, as [`Accounts::execute_all`] does.
    pub async fn execute(self, origin: Origin) -> Vec<Result<CommandResult, Error>> {
        let ReservedCommands { accounts, commands, permit } = self;
        let mut seen = HashSet::with_capacity(commands.len());
        let slots = accounts.inner.journal.reserve_slots(commands.len());
        let is_traced = commands.len() <= COMMAND_SPANS_PER_REQUEST;
        let replies = {
            let _handing_out = accounts.inner.mailbox_order.lock().await;
            join_all(commands.into_iter().zip(slots).map(|((account, command), slot)| {
                // A second command of the same account waits in the mailbox until the first one is done, so it cannot
                // have its own slot here.
                let slot = seen.insert(account).then_some(slot);
                let span = if is_traced { spans::command_span(account, &command) } else { Span::none() };
                accounts.send_request(
                    account,
                    AccountRequest::execute(command, origin, span),
                    slot,
                    Some(permit.clone()),
                )
            }))
        };
        replies.await
    }
}

impl Error {
    /// Whether another append to the account came first, so that the command must be decided again.
    fn is_conflict(&self) -> bool {
        matches!(self, Error::Journal(cause) if matches!(**cause, journal::Error::Conflict { .. }))
    }
}
