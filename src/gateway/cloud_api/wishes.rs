//! What accounts wait for: each a task of its own, those of one account one after the other, each once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::brake::Wish;
use super::registering::{Applicant, Ended};
use super::registration::Refused;
use crate::domain::{
    Account, AccountNumber, CallingCode, Command, Outstanding, Reason, Report, Sealed, TaskId, VerifyType,
};

/// What is under way for one account.
#[derive(Default)]
pub(super) struct Hand {
    /// Held by the one that is at work.
    turn: Arc<tokio::sync::Mutex<()>>,
    wishes: Vec<(Key, CancellationToken)>,
}

/// By what a wish is known when it is asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    Connect(u32),
    Disconnect(u32),
    RequestCode(TaskId),
    SubmitCode(TaskId, u32),
}

/// What is to be done.
enum Work {
    Connect { session: u32 },
    Disconnect { session: u32 },
    RequestCode { task: TaskId, verify_type: VerifyType, calling_code: CallingCode },
    SubmitCode { task: TaskId, attempt: u32, code: Sealed },
}

impl Key {
    fn of(owed: &Outstanding) -> Key {
        match owed {
            Outstanding::Connect { session } => Key::Connect(*session),
            Outstanding::Disconnect { session } => Key::Disconnect(*session),
            Outstanding::RequestCode { task, .. } => Key::RequestCode(*task),
            Outstanding::SubmitCode { task, attempt, .. } => Key::SubmitCode(*task, *attempt),
        }
    }

    /// Whether nobody wants `self` any more once `later` is wanted.
    fn is_over_by(self, later: Key) -> bool {
        match (self, later) {
            (Key::Connect(_) | Key::Disconnect(_), Key::Connect(_) | Key::Disconnect(_)) => true,
            (
                Key::RequestCode(task) | Key::SubmitCode(task, _),
                Key::RequestCode(later) | Key::SubmitCode(later, _),
            ) => task != later,
            (Key::Connect(_) | Key::Disconnect(_), Key::RequestCode(_) | Key::SubmitCode(..))
            | (Key::RequestCode(_) | Key::SubmitCode(..), Key::Connect(_) | Key::Disconnect(_)) => false,
        }
    }
}

impl Inner {
    /// Begins what is owed, unless it is under way already.
    pub(super) fn take_up(
        self: &Arc<Inner>,
        account: AccountNumber,
        state: &Account,
        owed: &Outstanding,
        left: Duration,
    ) {
        let key = Key::of(owed);
        // An account is told why it did not get where it should, so that is given up a little before its deadline.
        let in_time = left * 9 / 10;
        let (work, patience) = match owed {
            Outstanding::Connect { session } => (Work::Connect { session: *session }, in_time),
            Outstanding::Disconnect { session } => (Work::Disconnect { session: *session }, in_time),
            Outstanding::RequestCode { task, verify_type } => {
                let Some(waiting) = &state.registration else { return };
                let calling_code = waiting.calling_code;
                (Work::RequestCode { task: *task, verify_type: *verify_type, calling_code }, left)
            }
            Outstanding::SubmitCode { task, attempt, code } => {
                (Work::SubmitCode { task: *task, attempt: *attempt, code: code.clone() }, left)
            }
        };
        let applicant = Applicant { account, pin: state.pin.clone(), last_call: state.register_calls.last().copied() };
        let is_over = self.stop.child_token();
        let turn = {
            let mut hands = self.hands();
            let hand = hands.entry(account).or_default();
            if hand.wishes.iter().any(|(known, _)| *known == key) {
                return;
            }
            let superseded = hand.wishes.iter().filter(|(known, _)| known.is_over_by(key));
            superseded.for_each(|(_, is_over)| is_over.cancel());
            hand.wishes.push((key, is_over.clone()));
            hand.turn.clone()
        };
        let wish = Wish { until: Instant::now() + patience, is_over };
        let inner = self.clone();
        let task = async move {
            let stop = inner.stop.clone();
            let carried_out = async {
                // What is a local fact waits for nobody.
                let waits = !matches!(work, Work::Disconnect { .. }) || inner.settings.deregister_on_recycle;
                let _turn = if waits { wish.is_over.run_until_cancelled(turn.lock()).await } else { None };
                if !wish.is_over.is_cancelled() {
                    inner.carry_out(&wish, &applicant, work).await;
                }
            };
            let _stopped = stop.run_until_cancelled(carried_out).await;
            inner.put_down(account, key);
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    fn put_down(&self, account: AccountNumber, key: Key) {
        let mut hands = self.hands();
        if let Some(hand) = hands.get_mut(&account) {
            hand.wishes.retain(|(known, _)| *known != key);
            if hand.wishes.is_empty() {
                hands.remove(&account);
                // Whoever is taken up from here on brings it along.
                self.pins().remove(&account);
            }
        }
    }

    /// Does it, and reports what came of it.
    async fn carry_out(&self, wish: &Wish, applicant: &Applicant, work: Work) {
        let reports = match work {
            Work::Connect { session } => {
                let connected = self.connect(wish, applicant).await;
                connected.map_or_else(
                    |ended| offline(session, ended),
                    |number| vec![Report::Connected { session: Some(session), instance_code: number.id }],
                )
            }
            Work::Disconnect { session } => match self.disconnect(wish, applicant).await {
                Ok(()) => vec![disconnected(session, Reason::none())],
                Err(ended) => offline(session, ended),
            },
            Work::RequestCode { task, verify_type, calling_code } => {
                match self.request_code(wish, applicant.account, calling_code, verify_type).await {
                    Ok(()) => vec![Report::CodeSent { task }],
                    Err(ended) => failed(task, ended),
                }
            }
            Work::SubmitCode { task, attempt, code } => match self.submit_code(wish, applicant, &code).await {
                Ok(()) => vec![Report::CodeAccepted { task }],
                Err(Refused::Code(reason)) => {
                    vec![Report::CodeRefused { task, attempt, reason: Reason::new(reason) }]
                }
                Err(Refused::Ended(ended)) => failed(task, ended),
            },
        };
        for report in reports {
            // Whoever stops takes it up again at the next start.
            let _stopping = self.settle(applicant.account, Command::Report(report)).await;
        }
    }
}

/// What is reported of a session that did not come about, or could not be closed as it should.
fn offline(session: u32, ended: Ended) -> Vec<Report> {
    match ended {
        Ended::Banned(reason) => vec![banned(reason)],
        Ended::Failed(reason) => vec![disconnected(session, Reason::new(reason))],
        Ended::Over => vec![],
    }
}

/// What is reported of a registration that is over.
fn failed(task: TaskId, ended: Ended) -> Vec<Report> {
    let failed = |reason: &str| Report::RegistrationFailed { task, reason: Reason::new(reason) };
    match ended {
        Ended::Banned(reason) => vec![failed(&reason), banned(reason)],
        Ended::Failed(reason) => vec![failed(&reason)],
        Ended::Over => vec![],
    }
}

fn disconnected(session: u32, reason: Reason) -> Report {
    Report::Disconnected { session: Some(session), reason, instance_code: String::new() }
}

fn banned(reason: String) -> Report {
    Report::Banned { reason: Reason::new(reason), instance_code: String::new() }
}
