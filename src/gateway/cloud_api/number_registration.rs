//! Registers and deregisters numbers. Meta counts these calls, so each call is recorded first, and is not repeated without
//! need. A number that Meta shows as registered is not registered again.

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::call_error::GraphCallError;
use super::graph_response::PhoneNumber;
use super::meta_codes::{self, GraphErrorClass, NumberStatus, VerificationStatus};
use super::number_cache::LookupError;
use super::shared_state::CloudApiInner;
use super::throttle::{Cancellation, WorkDeadline};
use crate::actors::{CommandResult, CommandSuccess};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{AccountNumber, Command, CommandRejection, ProviderCall, SealedBytes, Timestamp};
use crate::limits::{
    GRAPH_RETRY_WAIT, GRAPH_RETRY_WAIT_MAX, META_DEREGISTER_RETRIES, META_PENDING_TIMEOUT, META_PIN_DIGITS,
    META_REGISTER_ATTEMPTS_MAX,
};

/// Why work on a number failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum WorkError {
    /// Meta has banned the number or its account.
    Banned(String),
    /// Another reason, as a sentence.
    Failed(String),
    /// The work was cancelled, or the service stops. Nothing is reported.
    Cancelled,
}

/// The account's data that a registration needs.
pub(super) struct RegistrationInput {
    pub(super) account: AccountNumber,
    /// The account's PIN, if it has one.
    pub(super) pin: Option<SealedBytes>,
    /// When the last call to register or deregister the number was recorded.
    pub(super) last_call: Option<Timestamp>,
}

/// When a registration counts as done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RegistrationGoal {
    /// Meta has accepted the call.
    Accepted,
    /// The number is connected.
    Connected,
}

impl From<Cancellation> for WorkError {
    fn from(_: Cancellation) -> WorkError {
        WorkError::Cancelled
    }
}

impl From<GraphCallError> for WorkError {
    fn from(failure: GraphCallError) -> WorkError {
        match failure.error_class() {
            Some(GraphErrorClass::Banned) => WorkError::Banned(failure.to_string()),
            Some(_) | None if failure == GraphCallError::Cancelled => WorkError::Cancelled,
            Some(_) | None => WorkError::Failed(failure.to_string()),
        }
    }
}

impl From<LookupError> for WorkError {
    fn from(failure: LookupError) -> WorkError {
        match failure {
            LookupError::Call(failure) => failure.into(),
            LookupError::Conflict(conflict) => WorkError::Failed(conflict.to_string()),
        }
    }
}

impl CloudApiInner {
    /// Registers a number, unless Meta shows it as registered. Each call is recorded before it is made. After a lost
    /// response the number is read before another call.
    pub(super) async fn register_number(
        &self,
        work: &WorkDeadline,
        input: &RegistrationInput,
        goal: RegistrationGoal,
    ) -> Result<PhoneNumber, WorkError> {
        let RegistrationInput { account, .. } = *input;
        let mut calls = CallRecord::from_last_call(input.last_call);
        let (mut tries, mut completions, mut lookups) = (0, 0, 0);
        loop {
            let number = self.require_number(work, account).await?;
            let state = number.status_meaning();
            match state.status {
                NumberStatus::Connected => return Ok(number),
                NumberStatus::Banned => return Err(WorkError::Banned(describe_status(&number))),
                NumberStatus::Gone => return Err(WorkError::Failed(describe_status(&number))),
                // A registration may be under way, or the status is unclear: read it again, with growing waits.
                NumberStatus::Pending if calls.may_be_pending(goal) => {
                    self.wait_before_lookup(work, &number, &mut lookups).await?;
                    continue;
                }
                NumberStatus::Unclear => {
                    self.wait_before_lookup(work, &number, &mut lookups).await?;
                    continue;
                }
                NumberStatus::Offline if calls.is_accepted && goal == RegistrationGoal::Connected => {
                    self.wait_before_lookup(work, &number, &mut lookups).await?;
                    continue;
                }
                NumberStatus::Pending | NumberStatus::Offline => {}
            }
            // Meta would refuse the call with 133006, and count it.
            if number.verification == VerificationStatus::NotVerified {
                let words = "the number must be verified first; register it again and submit its code";
                return Err(WorkError::Failed(words.to_owned()));
            }
            let pin = self.pin(input).await?;
            calls.record_call(self, account, ProviderCall::Register).await?;
            let failure = match self.graph.register(work, &number.id, &pin).await {
                Ok(()) => {
                    calls.mark_accepted();
                    match goal {
                        RegistrationGoal::Accepted => return Ok(number),
                        RegistrationGoal::Connected => continue,
                    }
                }
                Err(failure) => failure,
            };
            calls.record_failure(&failure);
            tries += 1;
            if failure.error_class() == Some(GraphErrorClass::DeregistrationIncomplete)
                && completions < META_DEREGISTER_RETRIES
            {
                completions += 1;
                self.deregister_number(work, account, &number.id).await?;
                continue;
            }
            match failure
                .retry_delay(tries)
                .filter(|wait| tries < META_REGISTER_ATTEMPTS_MAX && work.has_time_for(*wait))
            {
                Some(wait) => work.sleep(wait).await?,
                None => return self.accept_if_connected(work, account, failure).await,
            }
        }
    }

    /// Deregisters a number. Each call is recorded before it is made. Succeeds if the number is not
    /// registered.
    pub(super) async fn deregister_number(
        &self,
        work: &WorkDeadline,
        account: AccountNumber,
        id: &str,
    ) -> Result<(), WorkError> {
        let (mut tries, mut calls) = (0, CallRecord::default());
        loop {
            calls.record_call(self, account, ProviderCall::Deregister).await?;
            let failure = match self.graph.deregister(work, id).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.error_class() == Some(GraphErrorClass::NotRegistered) => return Ok(()),
                Err(failure) => failure,
            };
            calls.record_failure(&failure);
            tries += 1;
            if matches!(failure, GraphCallError::NoAnswer { .. }) {
                let status = self.require_number(work, account).await?.status_meaning().status;
                if status == NumberStatus::Offline {
                    return Ok(());
                }
            }
            let delay = match failure.error_class() {
                Some(GraphErrorClass::DeregistrationIncomplete) if tries <= META_DEREGISTER_RETRIES => {
                    Some(GRAPH_RETRY_WAIT)
                }
                Some(_) | None => failure.retry_delay(tries),
            };
            match delay.filter(|wait| tries < META_REGISTER_ATTEMPTS_MAX && work.has_time_for(*wait)) {
                Some(wait) => work.sleep(wait).await?,
                None => return Err(failure.into()),
            }
        }
    }

    /// Looks up the number of an account at Meta. Fails if the number is not in the list.
    pub(super) async fn require_number(
        &self,
        work: &WorkDeadline,
        account: AccountNumber,
    ) -> Result<PhoneNumber, WorkError> {
        let absent = || {
            let words = "the number is not in the WhatsApp Business account; register it first";
            WorkError::Failed(words.to_owned())
        };
        self.numbers.lookup(&self.graph, work, account).await?.ok_or_else(absent)
    }

    /// Waits before the next lookup, longer each time. Fails with the number's status if no time is left.
    async fn wait_before_lookup(
        &self,
        work: &WorkDeadline,
        number: &PhoneNumber,
        lookups: &mut u32,
    ) -> Result<(), WorkError> {
        let wait = GRAPH_RETRY_WAIT.saturating_mul(1 << (*lookups).min(16)).min(GRAPH_RETRY_WAIT_MAX);
        *lookups += 1;
        if !work.has_time_for(wait) {
            return Err(WorkError::Failed(format!("{}, and did not come online in time", describe_status(number))));
        }
        Ok(work.sleep(wait).await?)
    }

    /// Succeeds after a permanent error if the number is connected, because it was registered before.
    async fn accept_if_connected(
        &self,
        work: &WorkDeadline,
        account: AccountNumber,
        failure: GraphCallError,
    ) -> Result<PhoneNumber, WorkError> {
        if failure.error_class() == Some(GraphErrorClass::Permanent) {
            let number = self.require_number(work, account).await?;
            if number.status_meaning().status == NumberStatus::Connected {
                return Ok(number);
            }
        }
        Err(failure.into())
    }

    /// The PIN of an account: its own, or the PIN of the settings, or a random one. It is stored durably before it is used.
    async fn pin(&self, input: &RegistrationInput) -> Result<Zeroizing<String>, WorkError> {
        let account = input.account;
        let failed = |error: crate::vault::Error| WorkError::Failed(error.to_string());
        if let Some(own) = &input.pin {
            return self.vault.open_pin(account, own).map_err(failed);
        }
        let stored = self.pins().get(&account).cloned();
        // A PIN whose data key was destroyed does not open, and is ignored.
        if let Some(stored) = stored.and_then(|stored| self.vault.open_pin(account, &stored).ok()) {
            return Ok(stored);
        }
        let pin = match &self.settings.pin {
            Some(pin) => Zeroizing::new(pin.text().to_owned()),
            None => random_pin().map_err(|error| WorkError::Failed(format!("no PIN can be generated: {error}")))?,
        };
        let no_data_key =
            || WorkError::Failed("the account has no data key to seal a PIN with; import it first".to_owned());
        let sealed = self.vault.seal_pin(account, &pin).map_err(failed)?.ok_or_else(no_data_key)?;
        match self.execute(account, Command::KeepPin { pin: sealed.clone() }).await? {
            Ok(CommandSuccess::Recorded) => {}
            Ok(CommandSuccess::Unchanged) => {
                return Err(WorkError::Failed("the account already has a PIN, which could not be read".to_owned()));
            }
            Err(refusal) => return Err(WorkError::Failed(refusal.to_string())),
        }
        self.pins().insert(account, sealed);
        Ok(pin)
    }

    /// Executes a command of an account. Fails with `Cancelled` if the service stops.
    pub(super) async fn execute(&self, account: AccountNumber, command: Command) -> Result<CommandResult, WorkError> {
        self.reports.execute(crate::domain::GatewayKind::CloudApi, account, command).await.map_err(|error| {
            tracing::warn!(%account, %error, "a report of the Cloud API was not processed");
            WorkError::Cancelled
        })
    }
}

/// A sentence about the status of a number, with Meta's own word.
pub(super) fn describe_status(number: &PhoneNumber) -> String {
    let word: String = number.status.chars().filter(char::is_ascii_graphic).collect();
    format!(
        "{} ({})",
        meta_codes::status_meaning(&number.status).message,
        if word.is_empty() { "no status" } else { &word }
    )
}

/// Records the calls to register or deregister one number.
#[derive(Default)]
struct CallRecord {
    /// When the last call was recorded.
    last_recorded_at: Option<Instant>,
    /// The last record's call was certainly not made, so the next call needs no record of its own.
    is_unused: bool,
    /// Meta has accepted a call.
    is_accepted: bool,
}

impl CallRecord {
    fn from_last_call(last_call: Option<Timestamp>) -> CallRecord {
        let last_recorded_at = last_call.and_then(|at| Instant::now().checked_sub(clock::now().since(at)));
        CallRecord { last_recorded_at, ..CallRecord::default() }
    }

    /// Records the next call durably, unless an unused record exists.
    async fn record_call(
        &mut self,
        inner: &CloudApiInner,
        account: AccountNumber,
        call: ProviderCall,
    ) -> Result<(), WorkError> {
        if !std::mem::take(&mut self.is_unused) {
            match inner.execute(account, Command::CallProvider { call }).await? {
                Ok(_) => {}
                Err(refusal @ CommandRejection::BudgetUsedUp { free_at }) => {
                    return Err(WorkError::Failed(format!(
                        "the number {refusal}; the next attempt is possible at {}",
                        write_time(free_at)
                    )));
                }
                Err(refusal) => return Err(WorkError::Failed(format!("the number {refusal}"))),
            }
        }
        self.last_recorded_at = Some(Instant::now());
        Ok(())
    }

    /// Notes that the recorded call failed.
    fn record_failure(&mut self, failure: &GraphCallError) {
        let is_made = match failure {
            GraphCallError::NotSent { .. } | GraphCallError::Unreachable { .. } | GraphCallError::Cancelled => false,
            GraphCallError::NoAnswer { .. } | GraphCallError::Graph(_) => true,
        };
        self.is_unused = !is_made;
        if matches!(failure, GraphCallError::Graph(_)) {
            // A refused call leaves nothing pending.
            self.last_recorded_at = None;
        }
    }

    fn mark_accepted(&mut self) {
        self.is_accepted = true;
    }

    /// Whether a recorded call may be the reason that a number is PENDING.
    fn may_be_pending(&self, goal: RegistrationGoal) -> bool {
        let is_young = |at: Instant| at.elapsed() < META_PENDING_TIMEOUT;
        !self.is_unused
            && (self.is_accepted && goal == RegistrationGoal::Connected || self.last_recorded_at.is_some_and(is_young))
    }
}

/// A random PIN of uniformly distributed digits.
fn random_pin() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut pin = Zeroizing::new(String::with_capacity(META_PIN_DIGITS));
    while pin.len() < META_PIN_DIGITS {
        let mut byte = [0];
        getrandom::fill(&mut byte)?;
        // 250 is the largest multiple of ten that a byte can hold.
        if byte[0] < 250 {
            pin.push(char::from(b'0' + byte[0] % 10));
        }
    }
    Ok(pin)
}
