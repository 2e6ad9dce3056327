//! Runs each pending effect once, as a task of its own. Tasks of one account run one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::code_verification::SubmitCodeError;
use super::number_registration::{RegistrationInput, WorkError};
use super::shared_state::CloudApiInner;
use super::task_table::TaskKey;
use super::throttle::WorkDeadline;
use crate::domain::{
    Account, AccountNumber, CallingCode, Command, PendingEffect, Reason, Report, SealedBytes, TaskId, VerifyType,
};

/// The work of a task.
enum AccountWork {
    Connect { session: u32 },
    Disconnect { session: u32 },
    RequestCode { task: TaskId, verify_type: VerifyType, calling_code: CallingCode },
    SubmitCode { task: TaskId, attempt: u32, code: SealedBytes },
}

impl CloudApiInner {
    /// Starts a pending effect, unless it is under way already.
    pub(super) fn dispatch(
        self: &Arc<CloudApiInner>,
        account: AccountNumber,
        state: &Account,
        effect: &PendingEffect,
        left: Duration,
    ) {
        let key = TaskKey::for_effect(effect);
        // Work on a session ends before the account's deadline, so that the reason still reaches the account.
        let shortened = left * 9 / 10;
        let (work, time_left) = match effect {
            PendingEffect::Connect { session } => (AccountWork::Connect { session: *session }, shortened),
            PendingEffect::Disconnect { session } => (AccountWork::Disconnect { session: *session }, shortened),
            PendingEffect::RequestCode { task, verify_type } => {
                let Some(registration) = &state.registration else { return };
                let calling_code = registration.calling_code;
                (AccountWork::RequestCode { task: *task, verify_type: *verify_type, calling_code }, left)
            }
            PendingEffect::SubmitCode { task, attempt, code } => {
                (AccountWork::SubmitCode { task: *task, attempt: *attempt, code: code.clone() }, left)
            }
        };
        let input =
            RegistrationInput { account, pin: state.pin.clone(), last_call: state.register_calls.last().copied() };
        let cancel = self.stop.child_token();
        let Some(lock) = self.account_tasks().entry(account).or_default().add(key, cancel.clone()) else { return };
        let deadline = WorkDeadline { deadline: Instant::now() + time_left, cancel };
        let inner = self.clone();
        let task = async move {
            let stop = inner.stop.clone();
            let execution = async {
                // A disconnect without a call to Meta is local, and need not wait for other tasks.
                let needs_lock =
                    !matches!(work, AccountWork::Disconnect { .. }) || inner.settings.deregister_on_recycle;
                let _guard = if needs_lock { deadline.cancel.run_until_cancelled(lock.lock()).await } else { None };
                if !deadline.cancel.is_cancelled() {
                    inner.run_work(&deadline, &input, work).await;
                }
            };
            let _stopped = stop.run_until_cancelled(execution).await;
            inner.finish_task(account, key);
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    fn finish_task(&self, account: AccountNumber, key: TaskKey) {
        let mut all_tasks = self.account_tasks();
        if all_tasks.get_mut(&account).is_some_and(|tasks| tasks.remove(key)) {
            all_tasks.remove(&account);
            // Later tasks get the PIN from the account's state.
            self.pins().remove(&account);
        }
    }

    /// Does the work, and reports the outcome.
    async fn run_work(&self, deadline: &WorkDeadline, input: &RegistrationInput, work: AccountWork) {
        let reports = match work {
            AccountWork::Connect { session } => {
                let connected = self.connect(deadline, input).await;
                connected.map_or_else(
                    |error| session_failure_reports(session, error),
                    |number| vec![Report::Connected { session: Some(session), instance_code: number.id }],
                )
            }
            AccountWork::Disconnect { session } => match self.disconnect(deadline, input).await {
                Ok(()) => vec![disconnected_report(session, Reason::none())],
                Err(error) => session_failure_reports(session, error),
            },
            AccountWork::RequestCode { task, verify_type, calling_code } => {
                match self.request_code(deadline, input.account, calling_code, verify_type).await {
                    Ok(()) => vec![Report::CodeSent { task }],
                    Err(error) => registration_failure_reports(task, error),
                }
            }
            AccountWork::SubmitCode { task, attempt, code } => match self.submit_code(deadline, input, &code).await {
                Ok(()) => vec![Report::CodeAccepted { task }],
                Err(SubmitCodeError::WrongCode(reason)) => {
                    vec![Report::CodeRefused { task, attempt, reason: Reason::new(reason) }]
                }
                Err(SubmitCodeError::Work(error)) => registration_failure_reports(task, error),
            },
        };
        for report in reports {
            // This fails only while the service stops. The next start dispatches the effect again.
            let _stopping = self.execute(input.account, Command::Report(report)).await;
        }
    }
}

/// The reports for a session that could not be opened or closed.
fn session_failure_reports(session: u32, error: WorkError) -> Vec<Report> {
    match error {
        WorkError::Banned(reason) => vec![banned_report(reason)],
        WorkError::Failed(reason) => vec![disconnected_report(session, Reason::new(reason))],
        WorkError::Cancelled => vec![],
    }
}

/// The reports for a registration that failed.
fn registration_failure_reports(task: TaskId, error: WorkError) -> Vec<Report> {
    let failed = |reason: &str| Report::RegistrationFailed { task, reason: Reason::new(reason) };
    match error {
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
