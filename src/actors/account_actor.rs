//! The actor of one account: recover, decide, append, evolve, then start effects.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AtomicResponse, Context, Handler, Message, WrapFuture, fut};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::content_comparison::recognise_content;
use super::deadline_queue::{AccountDeadlines, Deadline, DeadlineKind, DeadlineQueue};
use super::{CommandResult, CommandSuccess, Error, GatewayPort, spans};
use crate::clock::Clock;
use crate::domain::{
    Account, AccountNumber, Command, CommandRejection, DecisionContext, GatewayRouting, OnlineStatus, PendingEffect,
    decide,
};
use crate::journal::{self, AppendRequest, AppendSlot, Journal, JournalRecord, Origin};
use crate::limits::{SNAPSHOT_EVERY, SNAPSHOT_ON_RETIRE_EVENTS};
use crate::metrics::{CommandKind, CommandOutcome};
use crate::vault::Vault;

/// The actor.
pub(super) struct AccountActor {
    account: AccountNumber,
    dependencies: Arc<ActorDependencies>,
    /// `None` before the first request. That request recovers the state from the journal.
    state: Option<Account>,
    /// Events since the last snapshot.
    since_snapshot: u64,
    /// Whether the deadline queue may hold a deadline of this account.
    has_deadlines: bool,
    /// The pending effects that were dispatched to the gateway.
    dispatched: Vec<PendingEffect>,
}

/// The dependencies that all actors share.
pub(super) struct ActorDependencies {
    pub(super) journal: Journal,
    /// Opens stored contents, to compare them with sent ones.
    pub(super) vault: Vault,
    pub(super) gateway: Arc<dyn GatewayPort>,
    pub(super) deadlines: Arc<DeadlineQueue>,
    pub(super) coming_timeout: Duration,
    /// The wait before the first reconnect; each further drop in a row makes the wait longer. `None` if dropped accounts
    /// are not reconnected.
    pub(super) reconnect_wait: Option<Duration>,
    pub(super) routing: GatewayRouting,
    /// The clock for timestamps of events. Deadlines use elapsed time.
    pub(super) now: Clock,
}

/// A request to an actor.
#[derive(Clone)]
pub(super) enum AccountRequest {
    /// Execute a command.
    Execute {
        /// The command. Shared, because it is sent again if the actor ends.
        command: Arc<Command>,
        /// The requester.
        origin: Origin,
        /// Its span, if spans are collected.
        span: Span,
    },
    /// Dispatch the pending effects that are not dispatched yet. Every decided request ends with that, so this one
    /// contains nothing else.
    Dispatch,
    /// Dispatch all pending effects to the gateway again, because the gateway may have lost them.
    Redispatch,
}

/// A request with its reply channel. If the actor ends, the channel is dropped.
pub(super) struct AccountMessage<T> {
    pub(super) request: AccountRequest,
    /// The journal slot that is reserved for its events, if there is one.
    pub(super) slot: Option<AppendSlot>,
    pub(super) reply: oneshot::Sender<Result<CommandResult, Error>>,
    pub(super) tracker: T,
}

/// Follows a request for its sender. If it is dropped before it is completed, the actor has failed.
pub(super) trait RequestTracker: 'static {
    /// The actor begins with the request.
    fn begin(&self);

    /// The request is completed: the actor is ready for the next one.
    fn complete(self, outcome: CommandOutcome);

    /// The request failed: the actor stops.
    fn fail(self, outcome: CommandOutcome);
}

/// Asks an idle actor to stop.
pub(super) struct Retire;

/// The actor's next step for a request.
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

    /// Its metric label, if it is a command.
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

    /// Decides a request. If it results in events, the caller must append them.
    fn decide_request(&mut self, request: AccountRequest) -> Result<Decision, Error> {
        if let AccountRequest::Redispatch = request {
            self.dispatched.clear();
        }
        self.recover().map_err(Arc::new)?;
        // `recover` has just set it.
        let state = self.state.as_ref().ok_or_else(|| Arc::new(journal::Error::Closed))?;
        let at = (self.dependencies.now)();
        let (decided, origin) = match request {
            AccountRequest::Dispatch | AccountRequest::Redispatch => (Ok(vec![]), Origin::SERVICE),
            AccountRequest::Execute { mut command, origin, .. } => {
                recognise_content(&self.dependencies.vault, self.account, state, &mut command).map_err(Arc::new)?;
                let context = DecisionContext {
                    now: at,
                    choice: self.dependencies.routing.choice_for(self.account),
                    offers: &self.dependencies.gateway.offers(),
                    lost_numbers: self.dependencies.journal.generations().lost_numbers(),
                };
                match decide(state, &command, context) {
                    Ok(events) if !events.is_empty() && self.is_late(&command) => {
                        (Err(CommandRejection::NoRegistrationWaiting), origin)
                    }
                    decided => (decided, origin),
                }
            }
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

    /// Reads the state from the journal, unless the actor already has it.
    fn recover(&mut self) -> Result<(), journal::Error> {
        if self.state.is_none() {
            let (state, events_read) = self.dependencies.journal.load_account(self.account)?;
            self.since_snapshot = events_read;
            self.state = Some(state);
            self.dependencies.journal.metrics().recoveries.inc();
            if events_read > SNAPSHOT_EVERY {
                self.save_snapshot();
            }
            // Decisions may depend on deadlines.
            self.update_deadlines();
        }
        Ok(())
    }

    /// Whether the command submits a code after the registration's deadline. The command that ends the registration may
    /// still wait behind this one in the mailbox.
    fn is_late(&self, command: &Command) -> bool {
        let left = || self.dependencies.deadlines.left(self.account, DeadlineKind::Registration);
        matches!(command, Command::SubmitCode { .. }) && left().is_none_or(|left| left.is_zero())
    }

    /// Applies committed events.
    fn apply_commit(&mut self, records: &[JournalRecord]) {
        let Some(state) = &mut self.state else { return };
        records.iter().filter_map(JournalRecord::account_event).for_each(|(_, event)| state.evolve(event));
        self.start_effects();
        self.since_snapshot += records.len() as u64;
        if self.since_snapshot >= SNAPSHOT_EVERY {
            self.save_snapshot();
        }
    }

    /// Sets the deadlines that the state requires, then dispatches its pending effects. A request is decided first, so
    /// that a passed deadline is handled before the gateway is called again. A recovered actor does this too, because
    /// its predecessor may have ended before the dispatch.
    fn start_effects(&mut self) {
        self.update_deadlines();
        let Some(state) = &self.state else { return };
        let outstanding = state.pending_effects();
        for effect in outstanding.iter().filter(|effect| !self.dispatched.contains(effect)) {
            self.dependencies.journal.metrics().gateway_calls.with(effect.into()).inc();
            let span = spans::gateway_span(self.account, effect);
            let left = self.dependencies.deadlines.left(self.account, effect.into()).unwrap_or_default();
            span.in_scope(|| self.dependencies.gateway.dispatch(self.account, state, effect, left));
        }
        self.dispatched = outstanding;
    }

    /// Updates the deadline queue from the state.
    fn update_deadlines(&mut self) {
        let Some(state) = &self.state else { return };
        let ActorDependencies { deadlines: queue, gateway, coming_timeout, reconnect_wait, now, .. } =
            &*self.dependencies;
        let since_version = state.online_status_version;
        // If this start lacks the settings of the account's gateway, the request to go online must not expire. A later
        // start with the settings carries it out.
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
            queue.set(self.account, deadlines);
        }
    }

    /// Saves a snapshot, which is only a cache. If the write fails, the next recovery reads more events, and the next
    /// append reports the store's failure.
    fn save_snapshot(&mut self) {
        let Some(state) = &self.state else { return };
        match self.dependencies.journal.save_snapshot(self.account, state) {
            Ok(()) => self.since_snapshot = 0,
            Err(error) => tracing::warn!(account = %self.account, %error, "a snapshot was not saved"),
        }
    }
}

impl<T> Message for AccountMessage<T> {
    type Result = ();
}

impl Message for Retire {
    type Result = ();
}

impl Actor for AccountActor {
    type Context = Context<AccountActor>;
}

impl<T: RequestTracker> Handler<AccountMessage<T>> for AccountActor {
    type Result = AtomicResponse<AccountActor, ()>;

    /// Atomic: the actor handles no other message until the events of this request are durable.
    fn handle(&mut self, message: AccountMessage<T>, context: &mut Context<AccountActor>) -> Self::Result {
        let AccountMessage { request, slot, reply, tracker } = message;
        tracker.begin();
        let command = request.span();
        let append = match self.decide_request(request) {
            Ok(Decision::Append(append)) => append,
            Ok(Decision::Reply(outcome)) => {
                send_reply(outcome, tracker, reply, context);
                return AtomicResponse::new(Box::pin(fut::ready(())));
            }
            Err(error) => {
                send_reply(Err(error), tracker, reply, context);
                return AtomicResponse::new(Box::pin(fut::ready(())));
            }
        };
        let commit = spans::commit_span(&command, &append);
        let journal = self.dependencies.journal.clone();
        let appended = async move {
            match slot {
                Some(slot) => slot.append(append).await,
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
            send_reply(outcome, tracker, reply, context);
        })))
    }
}

/// Replies to a request. After an error the actor stops, because its state may differ from the journal. Its successor
/// reads the journal. The tracker is released before the reply is sent, so that a caller with the reply reaches the
/// successor.
fn send_reply(
    outcome: Result<CommandResult, Error>,
    tracker: impl RequestTracker,
    reply: oneshot::Sender<Result<CommandResult, Error>>,
    context: &mut Context<AccountActor>,
) {
    match &outcome {
        Ok(Ok(_)) => tracker.complete(CommandOutcome::Accepted),
        Ok(Err(_)) => tracker.complete(CommandOutcome::Refused),
        Err(error) => {
            context.stop();
            tracker.fail(if error.is_conflict() { CommandOutcome::Conflict } else { CommandOutcome::Failed });
        }
    }
    // The send fails if the caller stopped waiting. That does not change the outcome.
    let _gone = reply.send(outcome);
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
