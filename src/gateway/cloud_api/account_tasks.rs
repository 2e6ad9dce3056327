//! What accounts wait for: each a task of its own, those of one account one after the other, each once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::CloudApiInner;
use super::code_verification::SubmitCodeError;
use super::number_registration::{RegistrationInput, WorkError};
use super::throttle::WorkDeadline;
use crate::domain::{
    Account, AccountNumber, CallingCode, Command, PendingEffect, Reason, Report, SealedBytes, TaskId, VerifyType,
};

/// What is under way for one account.
#[derive(Default)]
pub(super) struct AccountTasks {
    /// Held by the one that is at work.
    lock: Arc<tokio::sync::Mutex<()>>,
    tasks: Vec<(TaskKey, CancellationToken)>,
}

/// By what a wish is known when it is asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TaskKey {
    Connect(u32),
    Disconnect(u32),
    RequestCode(TaskId),
    SubmitCode(TaskId, u32),
}

/// What is to be done.
enum AccountWork {
    Connect { session: u32 },
    Disconnect { session: u32 },
    RequestCode { task: TaskId, verify_type: VerifyType, calling_code: CallingCode },
    SubmitCode { task: TaskId, attempt: u32, code: SealedBytes },
}

impl TaskKey {
    fn for_effect(owed: &PendingEffect) -> TaskKey {
        match owed {
            PendingEffect::Connect { session } => TaskKey::Connect(*session),
            PendingEffect::Disconnect { session } => TaskKey::Disconnect(*session),
            PendingEffect::RequestCode { task, .. } => TaskKey::RequestCode(*task),
            PendingEffect::SubmitCode { task, attempt, .. } => TaskKey::SubmitCode(*task, *attempt),
        }
    }

    /// Whether nobody wants `self` any more once `later` is wanted.
    fn is_superseded_by(self, later: TaskKey) -> bool {
        match (self, later) {
            (TaskKey::Connect(_) | TaskKey::Disconnect(_), TaskKey::Connect(_) | TaskKey::Disconnect(_)) => true,
            (
                TaskKey::RequestCode(task) | TaskKey::SubmitCode(task, _),
                TaskKey::RequestCode(later) | TaskKey::SubmitCode(later, _),
            ) => task != later,
            (TaskKey::Connect(_) | TaskKey::Disconnect(_), TaskKey::RequestCode(_) | TaskKey::SubmitCode(..))
            | (TaskKey::RequestCode(_) | TaskKey::SubmitCode(..), TaskKey::Connect(_) | TaskKey::Disconnect(_)) => {
                false
            }
        }
    }
}

impl CloudApiInner {
    /// Begins what is owed, unless it is under way already.
    pub(super) fn dispatch(
        self: &Arc<CloudApiInner>,
        account: AccountNumber,
        state: &Account,
        owed: &PendingEffect,
        left: Duration,
    ) {
        let key = TaskKey::for_effect(owed);
        // An account is told why it did not get where it should, so that is given up a little before its deadline.
        let in_time = left * 9 / 10;
        let (work, patience) = match owed {
            PendingEffect::Connect { session } => (AccountWork::Connect { session: *session }, in_time),
            PendingEffect::Disconnect { session } => (AccountWork::Disconnect { session: *session }, in_time),
            PendingEffect::RequestCode { task, verify_type } => {
                let Some(waiting) = &state.registration else { return };
                let calling_code = waiting.calling_code;
                (AccountWork::RequestCode { task: *task, verify_type: *verify_type, calling_code }, left)
            }
            PendingEffect::SubmitCode { task, attempt, code } => {
                (AccountWork::SubmitCode { task: *task, attempt: *attempt, code: code.clone() }, left)
            }
        };
        let applicant =
            RegistrationInput { account, pin: state.pin.clone(), last_call: state.register_calls.last().copied() };
        let is_over = self.stop.child_token();
        let turn = {
            let mut hands = self.account_tasks();
            let hand = hands.entry(account).or_default();
            if hand.tasks.iter().any(|(known, _)| *known == key) {
                return;
            }
            let superseded = hand.tasks.iter().filter(|(known, _)| known.is_superseded_by(key));
            superseded.for_each(|(_, is_over)| is_over.cancel());
            hand.tasks.push((key, is_over.clone()));
            hand.lock.clone()
        };
        let wish = WorkDeadline { deadline: Instant::now() + patience, cancel: is_over };
        let inner = self.clone();
        let task = async move {
            let stop = inner.stop.clone();
            let carried_out = async {
                // What is a local fact waits for nobody.
                let waits = !matches!(work, AccountWork::Disconnect { .. }) || inner.settings.deregister_on_recycle;
                let _turn = if waits { wish.cancel.run_until_cancelled(turn.lock()).await } else { None };
                if !wish.cancel.is_cancelled() {
                    inner.run_work(&wish, &applicant, work).await;
                }
            };
            let _stopped = stop.run_until_cancelled(carried_out).await;
            inner.finish_task(account, key);
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    fn finish_task(&self, account: AccountNumber, key: TaskKey) {
        let mut hands = self.account_tasks();
        if let Some(hand) = hands.get_mut(&account) {
            hand.tasks.retain(|(known, _)| *known != key);
            if hand.tasks.is_empty() {
                hands.remove(&account);
                // Whoever is taken up from here on brings it along.
                self.pins().remove(&account);
            }
        }
    }

    /// Does it, and reports what came of it.
    async fn run_work(&self, wish: &WorkDeadline, applicant: &RegistrationInput, work: AccountWork) {
        let reports = match work {
            AccountWork::Connect { session } => {
                let connected = self.connect(wish, applicant).await;
                connected.map_or_else(
                    |ended| session_failure_reports(session, ended),
                    |number| vec![Report::Connected { session: Some(session), instance_code: number.id }],
                )
            }
            AccountWork::Disconnect { session } => match self.disconnect(wish, applicant).await {
                Ok(()) => vec![disconnected_report(session, Reason::none())],
                Err(ended) => session_failure_reports(session, ended),
            },
            AccountWork::RequestCode { task, verify_type, calling_code } => {
                match self.request_code(wish, applicant.account, calling_code, verify_type).await {
                    Ok(()) => vec![Report::CodeSent { task }],
                    Err(ended) => registration_failure_reports(task, ended),
                }
            }
            AccountWork::SubmitCode { task, attempt, code } => match self.submit_code(wish, applicant, &code).await {
                Ok(()) => vec![Report::CodeAccepted { task }],
                Err(SubmitCodeError::WrongCode(reason)) => {
                    vec![Report::CodeRefused { task, attempt, reason: Reason::new(reason) }]
                }
                Err(SubmitCodeError::Work(ended)) => registration_failure_reports(task, ended),
            },
        };
        for report in reports {
            // Whoever stops takes it up again at the next start.
            let _stopping = self.execute(applicant.account, Command::Report(report)).await;
        }
    }
}

/// What is reported of a session that did not come about, or could not be closed as it should.
fn session_failure_reports(session: u32, ended: WorkError) -> Vec<Report> {
    match ended {
        WorkError::Banned(reason) => vec![banned_report(reason)],
        WorkError::Failed(reason) => vec![disconnected_report(session, Reason::new(reason))],
        WorkError::Cancelled => vec![],
    }
}

/// What is reported of a registration that is over.
fn registration_failure_reports(task: TaskId, ended: WorkError) -> Vec<Report> {
    let failed = |reason: &str| Report::RegistrationFailed { task, reason: Reason::new(reason) };
    match ended {
        WorkError::Banned(reason) => vec![failed(&reason), banned_report(reason)],
        WorkError::Failed(reason) => vec![failed(&reason)],
        WorkError::Cancelled => vec![],
    }
}

fn disconnected_report(session: u32, reason: Reason) -> Report {
    Report::Disconnected { session: Some(session), reason, instance_code: String::new() }
}

fn banned_report(reason: String) -> Report {
    Report::Banned { reason: Reason::new(reason), instance_code: String::new() }
}
