//! The call that registers a number, which Meta counts: never twice for one need, never without a record, and never where
//! a look shows that it is not needed.

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::CloudApiInner;
use super::call_error::GraphCallError;
use super::graph_response::PhoneNumber;
use super::meta_codes::{self, GraphErrorClass, NumberStatus, VerificationStatus};
use super::throttle::{Cancellation, WorkDeadline};
use crate::actors::{CommandResult, CommandSuccess};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{AccountNumber, Command, CommandRejection, ProviderCall, SealedBytes, Timestamp};
use crate::limits::{
    GRAPH_RETRY_WAIT, GRAPH_RETRY_WAIT_MAX, META_DEREGISTER_RETRIES, META_PENDING_TIMEOUT, META_PIN_DIGITS,
    META_REGISTER_ATTEMPTS_MAX,
};

/// Why something that was wanted did not come about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum WorkError {
    /// Meta has shut the number or its account out.
    Banned(String),
    /// For another reason, in a sentence.
    Failed(String),
    /// It is not wanted any more, or the service stops: nothing is reported.
    Cancelled,
}

/// What the account brings along.
pub(super) struct RegistrationInput {
    pub(super) account: AccountNumber,
    /// Its PIN, if it has one.
    pub(super) pin: Option<SealedBytes>,
    /// When a provider was last called to register it or to take that back.
    pub(super) last_call: Option<Timestamp>,
}

/// How far it must come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RegistrationGoal {
    /// Meta has taken the call.
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

impl CloudApiInner {
    /// Registers a number, unless a look shows that it is. Each call is on record before it is made; one whose answer is
    /// lost is looked after before another is made.
    pub(super) async fn register_number(
        &self,
        wish: &WorkDeadline,
        applicant: &RegistrationInput,
        until: RegistrationGoal,
    ) -> Result<PhoneNumber, WorkError> {
        let RegistrationInput { account, .. } = *applicant;
        let mut recorded = CallRecord::from_last_call(applicant.last_call);
        let (mut tries, mut completions, mut looks) = (0, 0, 0);
        loop {
            let number = self.require_number(wish, account).await?;
            let state = number.status_meaning();
            match state.status {
                NumberStatus::Connected => return Ok(number),
                NumberStatus::Banned => return Err(WorkError::Banned(describe_status(&number))),
                NumberStatus::Gone => return Err(WorkError::Failed(describe_status(&number))),
                // It may be on its way, or what will become of it cannot be told: each look waits longer than the last.
                NumberStatus::Pending if recorded.may_be_pending(until) => {
                    self.wait_before_lookup(wish, &number, &mut looks).await?;
                    continue;
                }
                NumberStatus::Unclear => {
                    self.wait_before_lookup(wish, &number, &mut looks).await?;
                    continue;
                }
                NumberStatus::Offline if recorded.is_accepted && until == RegistrationGoal::Connected => {
                    self.wait_before_lookup(wish, &number, &mut looks).await?;
                    continue;
                }
                NumberStatus::Pending | NumberStatus::Offline => {}
            }
            // Meta would refuse it with 133006, and count it.
            if number.verification == VerificationStatus::NotVerified {
                let words = "the number must be verified first; register it anew and submit its code";
                return Err(WorkError::Failed(words.to_owned()));
            }
            let pin = self.pin(applicant).await?;
            recorded.record_call(self, account, ProviderCall::Register).await?;
            let failure = match self.graph.register(wish, &number.id, &pin).await {
                Ok(()) => {
                    recorded.mark_accepted();
                    match until {
                        RegistrationGoal::Accepted => return Ok(number),
                        RegistrationGoal::Connected => continue,
                    }
                }
                Err(failure) => failure,
            };
            recorded.record_failure(&failure);
            tries += 1;
            if failure.error_class() == Some(GraphErrorClass::DeregistrationIncomplete)
                && completions < META_DEREGISTER_RETRIES
            {
                completions += 1;
                self.deregister_number(wish, account, &number.id).await?;
                continue;
            }
            match failure
                .retry_delay(tries)
                .filter(|wait| tries < META_REGISTER_ATTEMPTS_MAX && wish.has_time_for(*wait))
            {
                Some(wait) => wish.sleep(wait).await?,
                None => return self.accept_if_connected(wish, account, failure).await,
            }
        }
    }

    /// Takes a registration back: once on record, once called. One that there is none of is as good as taken back.
    pub(super) async fn deregister_number(
        &self,
        wish: &WorkDeadline,
        account: AccountNumber,
        id: &str,
    ) -> Result<(), WorkError> {
        let (mut tries, mut recorded) = (0, CallRecord::default());
        loop {
            recorded.record_call(self, account, ProviderCall::Deregister).await?;
            let failure = match self.graph.deregister(wish, id).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.error_class() == Some(GraphErrorClass::NotRegistered) => return Ok(()),
                Err(failure) => failure,
            };
            recorded.record_failure(&failure);
            tries += 1;
            if matches!(failure, GraphCallError::NoAnswer { .. }) {
                let standing = self.require_number(wish, account).await?.status_meaning().status;
                if standing == NumberStatus::Offline {
                    return Ok(());
                }
            }
            let again = match failure.error_class() {
                Some(GraphErrorClass::DeregistrationIncomplete) if tries <= META_DEREGISTER_RETRIES => {
                    Some(GRAPH_RETRY_WAIT)
                }
                Some(_) | None => failure.retry_delay(tries),
            };
            match again.filter(|wait| tries < META_REGISTER_ATTEMPTS_MAX && wish.has_time_for(*wait)) {
                Some(wait) => wish.sleep(wait).await?,
                None => return Err(failure.into()),
            }
        }
    }

    /// How the number stands now. An account whose number is not in the list is none that can be served.
    pub(super) async fn require_number(
        &self,
        wish: &WorkDeadline,
        account: AccountNumber,
    ) -> Result<PhoneNumber, WorkError> {
        let absent = || {
            let words = "the number is not in the WhatsApp Business account; register it first";
            WorkError::Failed(words.to_owned())
        };
        self.numbers.lookup(&self.graph, wish, account).await?.ok_or_else(absent)
    }

    /// Waits before the next look, longer each time; tells how the number stands where there is no time for one.
    async fn wait_before_lookup(
        &self,
        wish: &WorkDeadline,
        number: &PhoneNumber,
        looks: &mut u32,
    ) -> Result<(), WorkError> {
        let wait = GRAPH_RETRY_WAIT.saturating_mul(1 << (*looks).min(16)).min(GRAPH_RETRY_WAIT_MAX);
        *looks += 1;
        if !wish.has_time_for(wait) {
            return Err(WorkError::Failed(format!("{}, and did not come online in time", describe_status(number))));
        }
        Ok(wish.sleep(wait).await?)
    }

    /// A refusal counts for nothing where the number is connected all the same: it was registered before.
    async fn accept_if_connected(
        &self,
        wish: &WorkDeadline,
        account: AccountNumber,
        failure: GraphCallError,
    ) -> Result<PhoneNumber, WorkError> {
        if failure.error_class() == Some(GraphErrorClass::Permanent) {
            let number = self.require_number(wish, account).await?;
            if number.status_meaning().status == NumberStatus::Connected {
                return Ok(number);
            }
        }
        Err(failure.into())
    }

    /// The PIN of an account, kept durably before it is used: its own, or that of the settings, or one that is drawn.
    async fn pin(&self, applicant: &RegistrationInput) -> Result<Zeroizing<String>, WorkError> {
        let account = applicant.account;
        let failed = |error: crate::vault::Error| WorkError::Failed(error.to_string());
        if let Some(own) = &applicant.pin {
            return self.vault.open_pin(account, own).map_err(failed);
        }
        let kept = self.pins().get(&account).cloned();
        // One whose key was destroyed since is none.
        if let Some(kept) = kept.and_then(|kept| self.vault.open_pin(account, &kept).ok()) {
            return Ok(kept);
        }
        let pin = match &self.settings.pin {
            Some(pin) => Zeroizing::new(pin.text().to_owned()),
            None => random_pin().map_err(|error| WorkError::Failed(format!("no PIN can be drawn: {error}")))?,
        };
        let unknown = || WorkError::Failed("the account has no key to seal a PIN with; import it first".to_owned());
        let sealed = self.vault.seal_pin(account, &pin).map_err(failed)?.ok_or_else(unknown)?;
        match self.execute(account, Command::KeepPin { pin: sealed.clone() }).await? {
            Ok(CommandSuccess::Recorded) => {}
            Ok(CommandSuccess::Unchanged) => {
                return Err(WorkError::Failed(
                    "the account has a PIN already, and it was not there when asked".to_owned(),
                ));
            }
            Err(refusal) => return Err(WorkError::Failed(refusal.to_string())),
        }
        self.pins().insert(account, sealed);
        Ok(pin)
    }

    /// Has a command of an account settled; ends if the service does.
    pub(super) async fn execute(&self, account: AccountNumber, command: Command) -> Result<CommandResult, WorkError> {
        self.reports.execute(crate::domain::GatewayKind::CloudApi, account, command).await.map_err(|error| {
            tracing::warn!(%account, %error, "a report of the Cloud API was not taken in");
            WorkError::Cancelled
        })
    }
}

/// The sentence that tells how a number stands, with Meta's word.
pub(super) fn describe_status(number: &PhoneNumber) -> String {
    let shown: String = number.status.chars().filter(char::is_ascii_graphic).collect();
    format!(
        "{} ({})",
        meta_codes::status_meaning(&number.status).message,
        if shown.is_empty() { "no status" } else { &shown }
    )
}

/// Calls to register or deregister one number, and which of them are on record.
#[derive(Default)]
struct CallRecord {
    /// When the last one was put on record, by this clock.
    last_recorded_at: Option<Instant>,
    /// On record, and known not to have been made: the next call needs no other record.
    is_unused: bool,
    /// Meta has taken one.
    is_accepted: bool,
}

impl CallRecord {
    fn from_last_call(last_call: Option<Timestamp>) -> CallRecord {
        let last_recorded_at = last_call.and_then(|at| Instant::now().checked_sub(clock::now().since(at)));
        CallRecord { last_recorded_at, ..CallRecord::default() }
    }

    /// Puts the next call on record, durably.
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
                        "the number {refusal}; the next is free at {}",
                        write_time(free_at)
                    )));
                }
                Err(refusal) => return Err(WorkError::Failed(format!("the number {refusal}"))),
            }
        }
        self.last_recorded_at = Some(Instant::now());
        Ok(())
    }

    /// The call failed.
    fn record_failure(&mut self, failure: &GraphCallError) {
        let is_made = match failure {
            GraphCallError::NotSent { .. } | GraphCallError::Unreachable { .. } | GraphCallError::Cancelled => false,
            GraphCallError::NoAnswer { .. } | GraphCallError::Graph(_) => true,
        };
        self.is_unused = !is_made;
        if matches!(failure, GraphCallError::Graph(_)) {
            // Refused is not pending.
            self.last_recorded_at = None;
        }
    }

    fn mark_accepted(&mut self) {
        self.is_accepted = true;
    }

    /// Whether a number that is PENDING may be so because of a call.
    fn may_be_pending(&self, until: RegistrationGoal) -> bool {
        let is_young = |at: Instant| at.elapsed() < META_PENDING_TIMEOUT;
        !self.is_unused
            && (self.is_accepted && until == RegistrationGoal::Connected || self.last_recorded_at.is_some_and(is_young))
    }
}

/// As many random digits as a PIN has, each as likely as any other.
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
