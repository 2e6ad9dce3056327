//! The actor of one account: recover, decide, append, evolve, then what follows.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AtomicResponse, Context, Handler, Message, WrapFuture, fut};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::actor_registry::RequestGuard;
use super::deadline_queue::{AccountDeadlines, Deadline, DeadlineKind, DeadlineQueue};
use super::{CommandResult, CommandSuccess, Error, GatewayPort, spans};
use crate::clock::Clock;
use crate::domain::{
    Account, AccountNumber, Command, CommandRejection, GatewayRouting, OnlineStatus, PendingEffect, decide,
};
use crate::journal::{self, AppendRequest, AppendSlot, Journal, JournalRecord, Origin};
use crate::limits::{SNAPSHOT_EVERY, SNAPSHOT_ON_RETIRE_EVENTS};
use crate::metrics::{CommandKind, CommandOutcome};

/// The actor.
pub(super) struct AccountActor {
    account: AccountNumber,
    dependencies: Arc<ActorDependencies>,
    /// None until the first question: then it is recovered from the journal.
    state: Option<Account>,
    /// Events since the last snapshot.
    since_snapshot: u64,
    /// Whether the agenda may hold a deadline of this account.
    has_deadlines: bool,
    /// What was handed to the gateway and is still outstanding.
    dispatched: Vec<PendingEffect>,
}

/// What all actors share.
pub(super) struct ActorDependencies {
    pub(super) journal: Journal,
    pub(super) gateway: Arc<dyn GatewayPort>,
    pub(super) deadlines: Arc<DeadlineQueue>,
    pub(super) coming_timeout: Duration,
    /// How long after the first drop in a row an account is brought back; none if it is not.
    pub(super) reconnect_wait: Option<Duration>,
    pub(super) routing: GatewayRouting,
    /// What tells the time of events. Deadlines go by elapsed time.
    pub(super) now: Clock,
}

/// A question to an actor.
#[derive(Clone)]
pub(super) enum AccountRequest {
    /// Carry out a command.
    Execute {
        /// Which. Shared, because it is asked again if the actor ends.
        command: Arc<Command>,
        /// Who asks.
        origin: Origin,
        /// Its span, if somebody collects it.
        span: Span,
    },
    /// Take up what is outstanding. Recovery does it, so there is nothing else to do.
    Dispatch,
    /// Hand what is outstanding to the gateway once more: it may have lost it.
    Redispatch,
}

/// A question with the place for its answer. The answer's place is dropped if the actor ends.
pub(super) struct AccountMessage {
    pub(super) request: AccountRequest,
    /// Where in the journal its events are to stand, if that is decided already.
    pub(super) slot: Option<AppendSlot>,
    pub(super) reply: oneshot::Sender<Result<CommandResult, Error>>,
    pub(super) guard: RequestGuard,
}

/// Asks an idle actor to end.
pub(super) struct Retire;

/// What an actor does next about a question.
enum Decision {
    Reply(Result<CommandResult, Error>),
    Append(AppendRequest),
}

impl AccountRequest {
    pub(super) fn execute(command: Command, origin: Origin, span: Span) -> AccountRequest {
        AccountRequest::Execute { command: Arc::new(command), origin, span }
    }

    fn span(&self) -> Span {
        match self {
            AccountRequest::Execute { span, .. } => span.clone(),
            AccountRequest::Dispatch | AccountRequest::Redispatch => Span::none(),
        }
    }

    /// What it is counted as, if it is a command.
    pub(super) fn kind(&self) -> Option<CommandKind> {
        match self {
            AccountRequest::Execute { command, .. } => Some((&**command).into()),
            AccountRequest::Dispatch | AccountRequest::Redispatch => None,
        }
    }
}

impl AccountActor {
    pub(super) fn new(account: AccountNumber, dependencies: Arc<ActorDependencies>) -> AccountActor {
        AccountActor {
            account,
            dependencies,
            state: None,
            since_snapshot: 0,
            has_deadlines: true,
            dispatched: Vec::new(),
        }
    }

    /// What to do about `ask`. Nothing has happened yet.
    fn decide_request(&mut self, ask: AccountRequest) -> Result<Decision, journal::Error> {
        let choice = self.dependencies.routing.choice_for(self.account);
        if let AccountRequest::Redispatch = ask {
            self.dispatched.clear();
        }
        self.recover()?;
        // Just set.
        let state = self.state.as_ref().ok_or(journal::Error::Closed)?;
        let at = (self.dependencies.now)();
        let (decided, origin) = match ask {
            AccountRequest::Dispatch | AccountRequest::Redispatch => (Ok(vec![]), Origin::SERVICE),
            AccountRequest::Execute { command, origin, .. } => match decide(state, &command, at, choice) {
                Ok(events) if !events.is_empty() && self.is_late(&command) => {
                    (Err(CommandRejection::NoRegistrationWaiting), origin)
                }
                decided => (decided, origin),
            },
        };
        let events = match decided {
            Ok(events) if !events.is_empty() => events,
            nothing => {
                self.start_effects();
                return Ok(Decision::Reply(Ok(nothing.map(|_| CommandSuccess::Unchanged))));
            }
        };
        let expected_version = state.version;
        Ok(Decision::Append(AppendRequest { account: self.account, expected_version, events, origin, at }))
    }

    /// Reads the state from the journal, unless it is known already.
    fn recover(&mut self) -> Result<(), journal::Error> {
        if self.state.is_none() {
            let (state, events_read) = self.dependencies.journal.load_account(self.account)?;
            self.since_snapshot = events_read;
            self.state = Some(state);
            self.dependencies.journal.metrics().recoveries.inc();
            if events_read > SNAPSHOT_EVERY {
                self.save_snapshot();
            }
            // What is decided first may ask for a deadline.
            self.update_deadlines();
        }
        Ok(())
    }

    /// Whether a code comes after its registration's deadline. The command that ends the registration may stand behind it
    /// in the mailbox.
    fn is_late(&self, command: &Command) -> bool {
        let left = || self.dependencies.deadlines.left(self.account, DeadlineKind::Registration);
        matches!(command, Command::SubmitCode { .. }) && left().is_none_or(|left| left.is_zero())
    }

    /// Goes on after a commit.
    fn apply_commit(&mut self, records: &[JournalRecord]) {
        let Some(state) = &mut self.state else { return };
        records.iter().filter_map(JournalRecord::account_event).for_each(|(_, event)| state.evolve(event));
        self.start_effects();
        self.since_snapshot += records.len() as u64;
        if self.since_snapshot >= SNAPSHOT_EVERY {
            self.save_snapshot();
        }
    }

    /// What follows from the state: deadlines, then what the gateway owes. Both once a question is decided, so that a
    /// deadline that has passed is heeded before anything is asked of the gateway again. Whoever recovers an account
    /// comes here too: its last actor may have ended before it did.
    fn start_effects(&mut self) {
        self.update_deadlines();
        let Some(state) = &self.state else { return };
        let outstanding = state.pending_effects();
        for owed in outstanding.iter().filter(|owed| !self.dispatched.contains(owed)) {
            self.dependencies.journal.metrics().gateway_calls.with(owed.into()).inc();
            let span = spans::gateway_span(self.account, owed);
            let left = self.dependencies.deadlines.left(self.account, owed.into()).unwrap_or_default();
            span.in_scope(|| self.dependencies.gateway.dispatch(self.account, state, owed, left));
        }
        self.dispatched = outstanding;
    }

    /// Brings the agenda in line with the state.
    fn update_deadlines(&mut self) {
        let Some(state) = &self.state else { return };
        let ActorDependencies { deadlines: agenda, gateway, coming_timeout, reconnect_wait, now, .. } =
            &*self.dependencies;
        let since_version = state.online_status_version;
        // A start without the settings of its gateway must not end a wish to be online; the next start carries it out.
        let is_kept = state.online_status == OnlineStatus::OnlineComing && !gateway.is_set_up(state.gateway);
        let reconnect_wait = reconnect_wait.filter(|_| state.is_dropped());
        let deadlines = AccountDeadlines {
            transition: (state.online_status.is_coming() && !is_kept)
                .then(|| Deadline::in_future(*coming_timeout, Command::GiveUpComing { since_version })),
            reconnect: reconnect_wait.map(|first| {
                Deadline::in_future(state.reconnect_delay(self.account, first), Command::Reconnect { since_version })
            }),
            registration: state.registration.as_ref().map(|waiting| {
                Deadline::in_future(waiting.left(now()), Command::GiveUpRegistration { task: waiting.task })
            }),
        };
        if self.has_deadlines || !deadlines.is_empty() {
            self.has_deadlines = !deadlines.is_empty();
            agenda.set(self.account, deadlines);
        }
    }

    /// A snapshot is a cache: if it cannot be written, the next recovery reads more, and the store's failure is told
    /// by the next append.
    fn save_snapshot(&mut self) {
        let Some(state) = &self.state else { return };
        match self.dependencies.journal.save_snapshot(self.account, state) {
            Ok(()) => self.since_snapshot = 0,
            Err(error) => tracing::warn!(account = %self.account, %error, "a snapshot was not saved"),
        }
    }
}

impl Message for AccountMessage {
    type Result = ();
}

impl Message for Retire {
    type Result = ();
}

impl Actor for AccountActor {
    type Context = Context<AccountActor>;
}

impl Handler<AccountMessage> for AccountActor {
    type Result = AtomicResponse<AccountActor, ()>;

    /// Atomic: until the events of one question are durable, the mailbox is not read.
    fn handle(&mut self, asked: AccountMessage, context: &mut Context<AccountActor>) -> Self::Result {
        let AccountMessage { request: ask, slot: turn, reply: answer, guard: ticket } = asked;
        ticket.record_wait();
        let command = ask.span();
        let append = match self.decide_request(ask) {
            Ok(Decision::Append(append)) => append,
            Ok(Decision::Reply(outcome)) => {
                send_reply(outcome, ticket, answer, context);
                return AtomicResponse::new(Box::pin(fut::ready(())));
            }
            Err(error) => {
                send_reply(Err(Error::Journal(Arc::new(error))), ticket, answer, context);
                return AtomicResponse::new(Box::pin(fut::ready(())));
            }
        };
        let commit = spans::commit_span(&command, &append);
        let journal = self.dependencies.journal.clone();
        let appended = async move {
            match turn {
                Some(turn) => turn.append(append).await,
                None => journal.append(append).await,
            }
        };
        let appended = appended.instrument(commit.clone()).into_actor(self);
        AtomicResponse::new(Box::pin(appended.map(move |appended, actor, context| {
            let outcome = match appended {
                Ok(records) => {
                    commit.in_scope(|| actor.apply_commit(&records));
                    Ok(Ok(CommandSuccess::Recorded))
                }
                Err(error) => Err(Error::Journal(Arc::new(error))),
            };
            send_reply(outcome, ticket, answer, context);
        })))
    }
}

/// Answers a question. An actor that failed ends: what is in the journal now is not known here, so the next one reads
/// it. The ticket goes first, so that whoever reads the answer can ask that next one at once.
fn send_reply(
    outcome: Result<CommandResult, Error>,
    ticket: RequestGuard,
    answer: oneshot::Sender<Result<CommandResult, Error>>,
    context: &mut Context<AccountActor>,
) {
    match &outcome {
        Ok(Ok(_)) => ticket.complete(CommandOutcome::Accepted),
        Ok(Err(_)) => ticket.complete(CommandOutcome::Refused),
        Err(error) => {
            context.stop();
            ticket.fail(if error.is_conflict() { CommandOutcome::Conflict } else { CommandOutcome::Failed });
        }
    }
    // A caller that no longer waits was told nothing; its command is done all the same.
    let _gone = answer.send(outcome);
}

impl Handler<Retire> for AccountActor {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Context<AccountActor>) {
        if self.since_snapshot >= SNAPSHOT_ON_RETIRE_EVENTS {
            self.save_snapshot();
        }
        context.stop();
    }
}
