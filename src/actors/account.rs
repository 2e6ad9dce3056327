//! The actor of one account: recover, decide, append, evolve, then what follows.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AtomicResponse, Context, Handler, Message, WrapFuture, fut};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::agenda::{Agenda, Deadline, Deadlines, Kind};
use super::registry::Ticket;
use super::{Effect, Error, Gateway, Outcome, traced};
use crate::clock::Clock;
use crate::domain::{Account, AccountNumber, Command, OnlineStatus, Outstanding, Refusal, Routing, decide};
use crate::journal::{self, Append, Journal, Origin, Recorded, Turn};
use crate::limits::{SNAPSHOT_EVERY, SNAPSHOT_WORTH};
use crate::metrics::{CommandKind, CommandOutcome};

/// The actor.
pub(super) struct AccountActor {
    account: AccountNumber,
    surroundings: Arc<Surroundings>,
    /// None until the first question: then it is recovered from the journal.
    state: Option<Account>,
    /// Events since the last snapshot.
    since_snapshot: u64,
    /// Whether the agenda may hold a deadline of this account.
    is_watched: bool,
    /// What was handed to the gateway and is still outstanding.
    handed_over: Vec<Outstanding>,
}

/// What all actors share.
pub(super) struct Surroundings {
    pub(super) journal: Journal,
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) agenda: Arc<Agenda>,
    pub(super) coming_timeout: Duration,
    /// How long after the first drop in a row an account is brought back; none if it is not.
    pub(super) reconnect_wait: Option<Duration>,
    pub(super) routing: Routing,
    /// What tells the time of events. Deadlines go by elapsed time.
    pub(super) now: Clock,
}

/// A question to an actor.
#[derive(Clone)]
pub(super) enum Ask {
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
    TakeUp,
    /// Hand what is outstanding to the gateway once more: it may have lost it.
    OfferAgain,
}

/// A question with the place for its answer. The answer's place is dropped if the actor ends.
pub(super) struct Asked {
    pub(super) ask: Ask,
    /// Where in the journal its events are to stand, if that is decided already.
    pub(super) turn: Option<Turn>,
    pub(super) answer: oneshot::Sender<Result<Outcome, Error>>,
    pub(super) ticket: Ticket,
}

/// Asks an idle actor to end.
pub(super) struct Retire;

/// What an actor does next about a question.
enum Step {
    Answer(Result<Outcome, Error>),
    Append(Append),
}

impl Ask {
    pub(super) fn execute(command: Command, origin: Origin, span: Span) -> Ask {
        Ask::Execute { command: Arc::new(command), origin, span }
    }

    fn span(&self) -> Span {
        match self {
            Ask::Execute { span, .. } => span.clone(),
            Ask::TakeUp | Ask::OfferAgain => Span::none(),
        }
    }

    /// What it is counted as, if it is a command.
    pub(super) fn kind(&self) -> Option<CommandKind> {
        match self {
            Ask::Execute { command, .. } => Some((&**command).into()),
            Ask::TakeUp | Ask::OfferAgain => None,
        }
    }
}

impl AccountActor {
    pub(super) fn new(account: AccountNumber, surroundings: Arc<Surroundings>) -> AccountActor {
        AccountActor {
            account,
            surroundings,
            state: None,
            since_snapshot: 0,
            is_watched: true,
            handed_over: Vec::new(),
        }
    }

    /// What to do about `ask`. Nothing has happened yet.
    fn consider(&mut self, ask: Ask) -> Result<Step, journal::Error> {
        let choice = self.surroundings.routing.of(self.account);
        if let Ask::OfferAgain = ask {
            self.handed_over.clear();
        }
        self.recover()?;
        // Just set.
        let state = self.state.as_ref().ok_or(journal::Error::Closed)?;
        let at = (self.surroundings.now)();
        let (decided, origin) = match ask {
            Ask::TakeUp | Ask::OfferAgain => (Ok(vec![]), Origin::SERVICE),
            Ask::Execute { command, origin, .. } => match decide(state, &command, at, choice) {
                Ok(events) if !events.is_empty() && self.is_late(&command) => {
                    (Err(Refusal::NoRegistrationWaiting), origin)
                }
                decided => (decided, origin),
            },
        };
        let events = match decided {
            Ok(events) if !events.is_empty() => events,
            nothing => {
                self.follow_up();
                return Ok(Step::Answer(Ok(nothing.map(|_| Effect::Nothing))));
            }
        };
        let expected_version = state.version;
        Ok(Step::Append(Append { account: self.account, expected_version, events, origin, at }))
    }

    /// Reads the state from the journal, unless it is known already.
    fn recover(&mut self) -> Result<(), journal::Error> {
        if self.state.is_none() {
            let (state, events_read) = self.surroundings.journal.load(self.account)?;
            self.since_snapshot = events_read;
            self.state = Some(state);
            self.surroundings.journal.metrics().recoveries.inc();
            if events_read > SNAPSHOT_EVERY {
                self.save_snapshot();
            }
            // What is decided first may ask for a deadline.
            self.watch();
        }
        Ok(())
    }

    /// Whether a code comes after its registration's deadline. The command that ends the registration may stand behind it
    /// in the mailbox.
    fn is_late(&self, command: &Command) -> bool {
        let left = || self.surroundings.agenda.left(self.account, Kind::Registration);
        matches!(command, Command::SubmitCode { .. }) && left().is_none_or(|left| left.is_zero())
    }

    /// Goes on after a commit.
    fn committed(&mut self, records: &[Recorded]) {
        let Some(state) = &mut self.state else { return };
        records.iter().filter_map(Recorded::event).for_each(|(_, event)| state.evolve(event));
        self.follow_up();
        self.since_snapshot += records.len() as u64;
        if self.since_snapshot >= SNAPSHOT_EVERY {
            self.save_snapshot();
        }
    }

    /// What follows from the state: deadlines, then what the gateway owes. Both once a question is decided, so that a
    /// deadline that has passed is heeded before anything is asked of the gateway again. Whoever recovers an account
    /// comes here too: its last actor may have ended before it did.
    fn follow_up(&mut self) {
        self.watch();
        let Some(state) = &self.state else { return };
        let outstanding = state.outstanding();
        for owed in outstanding.iter().filter(|owed| !self.handed_over.contains(owed)) {
            self.surroundings.journal.metrics().gateway_calls.at(owed.into()).inc();
            let span = traced::gateway(self.account, owed);
            let left = self.surroundings.agenda.left(self.account, owed.into()).unwrap_or_default();
            span.in_scope(|| self.surroundings.gateway.take_up(self.account, state, owed, left));
        }
        self.handed_over = outstanding;
    }

    /// Brings the agenda in line with the state.
    fn watch(&mut self) {
        let Some(state) = &self.state else { return };
        let Surroundings { agenda, gateway, coming_timeout, reconnect_wait, now, .. } = &*self.surroundings;
        let since_version = state.online_status_version;
        // A start without the settings of its gateway must not end a wish to be online; the next start carries it out.
        let is_kept = state.online_status == OnlineStatus::OnlineComing && !gateway.is_set_up(state.gateway);
        let reconnect_wait = reconnect_wait.filter(|_| state.is_dropped());
        let deadlines = Deadlines {
            coming: (state.online_status.is_coming() && !is_kept)
                .then(|| Deadline::after(*coming_timeout, Command::GiveUpComing { since_version })),
            dropped: reconnect_wait.map(|first| {
                Deadline::after(state.comes_back_after(self.account, first), Command::Reconnect { since_version })
            }),
            registration: state.registration.as_ref().map(|waiting| {
                Deadline::after(waiting.left(now()), Command::GiveUpRegistration { task: waiting.task })
            }),
        };
        if self.is_watched || !deadlines.is_empty() {
            self.is_watched = !deadlines.is_empty();
            agenda.set(self.account, deadlines);
        }
    }

    /// A snapshot is a cache: if it cannot be written, the next recovery reads more, and the store's failure is told
    /// by the next append.
    fn save_snapshot(&mut self) {
        let Some(state) = &self.state else { return };
        match self.surroundings.journal.save_snapshot(self.account, state) {
            Ok(()) => self.since_snapshot = 0,
            Err(error) => tracing::warn!(account = %self.account, %error, "a snapshot was not saved"),
        }
    }
}

impl Message for Asked {
    type Result = ();
}

impl Message for Retire {
    type Result = ();
}

impl Actor for AccountActor {
    type Context = Context<AccountActor>;
}

impl Handler<Asked> for AccountActor {
    type Result = AtomicResponse<AccountActor, ()>;

    /// Atomic: until the events of one question are durable, the mailbox is not read.
    fn handle(&mut self, asked: Asked, context: &mut Context<AccountActor>) -> Self::Result {
        let Asked { ask, turn, answer, ticket } = asked;
        ticket.taken();
        let command = ask.span();
        let append = match self.consider(ask) {
            Ok(Step::Append(append)) => append,
            Ok(Step::Answer(outcome)) => {
                give(outcome, ticket, answer, context);
                return AtomicResponse::new(Box::pin(fut::ready(())));
            }
            Err(error) => {
                give(Err(Error::Journal(Arc::new(error))), ticket, answer, context);
                return AtomicResponse::new(Box::pin(fut::ready(())));
            }
        };
        let commit = traced::commit(&command, &append);
        let journal = self.surroundings.journal.clone();
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
                    commit.in_scope(|| actor.committed(&records));
                    Ok(Ok(Effect::Happened))
                }
                Err(error) => Err(Error::Journal(Arc::new(error))),
            };
            give(outcome, ticket, answer, context);
        })))
    }
}

/// Answers a question. An actor that failed ends: what is in the journal now is not known here, so the next one reads
/// it. The ticket goes first, so that whoever reads the answer can ask that next one at once.
fn give(
    outcome: Result<Outcome, Error>,
    ticket: Ticket,
    answer: oneshot::Sender<Result<Outcome, Error>>,
    context: &mut Context<AccountActor>,
) {
    match &outcome {
        Ok(Ok(_)) => ticket.done(CommandOutcome::Accepted),
        Ok(Err(_)) => ticket.done(CommandOutcome::Refused),
        Err(error) => {
            context.stop();
            ticket.failed(if error.is_conflict() { CommandOutcome::Conflict } else { CommandOutcome::Failed });
        }
    }
    // A caller that no longer waits was told nothing; its command is done all the same.
    let _gone = answer.send(outcome);
}

impl Handler<Retire> for AccountActor {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Context<AccountActor>) {
        if self.since_snapshot >= SNAPSHOT_WORTH {
            self.save_snapshot();
        }
        context.stop();
    }
}
