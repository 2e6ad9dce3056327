//! The call that registers a number, which Meta counts: never twice for one need, never without a record, and never where
//! a look shows that it is not needed.

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Inner;
use super::answer::Number;
use super::brake::{Over, Wish};
use super::failure::Failure;
use super::table::{self, Standing, Verdict, Verification};
use crate::actors::{Effect, Outcome};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{AccountNumber, Command, ProviderCall, Refusal, Sealed, Timestamp};
use crate::limits::{
    GRAPH_AGAIN, GRAPH_AGAIN_MAX, META_COMPLETIONS, META_PENDING, META_PIN_DIGITS, META_REGISTER_TRIES,
};

/// Why something that was wanted did not come about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// Meta has shut the number or its account out.
    Banned(String),
    /// For another reason, in a sentence.
    Failed(String),
    /// It is not wanted any more, or the service stops: nothing is reported.
    Over,
}

/// What the account brings along.
pub(super) struct Applicant {
    pub(super) account: AccountNumber,
    /// Its PIN, if it has one.
    pub(super) pin: Option<Sealed>,
    /// When a provider was last called to register it or to take that back.
    pub(super) last_call: Option<Timestamp>,
}

/// How far it must come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Meta has taken the call.
    Taken,
    /// The number is connected.
    Connected,
}

impl From<Over> for Ended {
    fn from(_: Over) -> Ended {
        Ended::Over
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        match failure.verdict() {
            Some(Verdict::Banned) => Ended::Banned(failure.to_string()),
            Some(_) | None if failure == Failure::Over => Ended::Over,
            Some(_) | None => Ended::Failed(failure.to_string()),
        }
    }
}

impl Inner {
    /// Registers a number, unless a look shows that it is. Each call is on record before it is made; one whose answer is
    /// lost is looked after before another is made.
    pub(super) async fn register(&self, wish: &Wish, applicant: &Applicant, until: Until) -> Result<Number, Ended> {
        let Applicant { account, .. } = *applicant;
        let mut recorded = Record::of(applicant.last_call);
        let (mut tries, mut completions, mut looks) = (0, 0, 0);
        loop {
            let number = self.seen(wish, account).await?;
            let state = number.state();
            match state.standing {
                Standing::Connected => return Ok(number),
                Standing::Banned => return Err(Ended::Banned(standing(&number))),
                Standing::Gone => return Err(Ended::Failed(standing(&number))),
                // It may be on its way, or what will become of it cannot be told: each look waits longer than the last.
                Standing::Pending if recorded.is_pending(until) => {
                    self.look_later(wish, &number, &mut looks).await?;
                    continue;
                }
                Standing::Unclear => {
                    self.look_later(wish, &number, &mut looks).await?;
                    continue;
                }
                Standing::Offline if recorded.is_taken && until == Until::Connected => {
                    self.look_later(wish, &number, &mut looks).await?;
                    continue;
                }
                Standing::Pending | Standing::Offline => {}
            }
            // Meta would refuse it with 133006, and count it.
            if number.verification == Verification::NotVerified {
                let words = "the number must be verified first; register it anew and submit its code";
                return Err(Ended::Failed(words.to_owned()));
            }
            let pin = self.pin(applicant).await?;
            recorded.note(self, account, ProviderCall::Register).await?;
            let failure = match self.graph.register(wish, &number.id, &pin).await {
                Ok(()) => {
                    recorded.taken();
                    match until {
                        Until::Taken => return Ok(number),
                        Until::Connected => continue,
                    }
                }
                Err(failure) => failure,
            };
            recorded.made(&failure);
            tries += 1;
            if failure.verdict() == Some(Verdict::Incomplete) && completions < META_COMPLETIONS {
                completions += 1;
                self.deregister_number(wish, account, &number.id).await?;
                continue;
            }
            match failure.again_after(tries).filter(|wait| tries < META_REGISTER_TRIES && wish.has(*wait)) {
                Some(wait) => wish.pause(wait).await?,
                None => return self.unless_connected(wish, account, failure).await,
            }
        }
    }

    /// Takes a registration back: once on record, once called. One that there is none of is as good as taken back.
    pub(super) async fn deregister_number(&self, wish: &Wish, account: AccountNumber, id: &str) -> Result<(), Ended> {
        let (mut tries, mut recorded) = (0, Record::default());
        loop {
            recorded.note(self, account, ProviderCall::Deregister).await?;
            let failure = match self.graph.deregister(wish, id).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.verdict() == Some(Verdict::NotRegistered) => return Ok(()),
                Err(failure) => failure,
            };
            recorded.made(&failure);
            tries += 1;
            if matches!(failure, Failure::Unanswered { .. }) {
                let standing = self.seen(wish, account).await?.state().standing;
                if standing == Standing::Offline {
                    return Ok(());
                }
            }
            let again = match failure.verdict() {
                Some(Verdict::Incomplete) if tries <= META_COMPLETIONS => Some(GRAPH_AGAIN),
                Some(_) | None => failure.again_after(tries),
            };
            match again.filter(|wait| tries < META_REGISTER_TRIES && wish.has(*wait)) {
                Some(wait) => wish.pause(wait).await?,
                None => return Err(failure.into()),
            }
        }
    }

    /// How the number stands now. An account whose number is not in the list is none that can be served.
    pub(super) async fn seen(&self, wish: &Wish, account: AccountNumber) -> Result<Number, Ended> {
        let absent = || {
            let words = "the number is not in the WhatsApp Business account; register it first";
            Ended::Failed(words.to_owned())
        };
        self.numbers.look(&self.graph, wish, account).await?.ok_or_else(absent)
    }

    /// Waits before the next look, longer each time; tells how the number stands where there is no time for one.
    async fn look_later(&self, wish: &Wish, number: &Number, looks: &mut u32) -> Result<(), Ended> {
        let wait = GRAPH_AGAIN.saturating_mul(1 << (*looks).min(16)).min(GRAPH_AGAIN_MAX);
        *looks += 1;
        if !wish.has(wait) {
            return Err(Ended::Failed(format!("{}, and did not come online in time", standing(number))));
        }
        Ok(wish.pause(wait).await?)
    }

    /// A refusal counts for nothing where the number is connected all the same: it was registered before.
    async fn unless_connected(&self, wish: &Wish, account: AccountNumber, failure: Failure) -> Result<Number, Ended> {
        if failure.verdict() == Some(Verdict::Permanent) {
            let number = self.seen(wish, account).await?;
            if number.state().standing == Standing::Connected {
                return Ok(number);
            }
        }
        Err(failure.into())
    }

    /// The PIN of an account, kept durably before it is used: its own, or that of the settings, or one that is drawn.
    async fn pin(&self, applicant: &Applicant) -> Result<Zeroizing<String>, Ended> {
        let account = applicant.account;
        let failed = |error: crate::vault::Error| Ended::Failed(error.to_string());
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
            None => drawn_pin().map_err(|error| Ended::Failed(format!("no PIN can be drawn: {error}")))?,
        };
        let unknown = || Ended::Failed("the account has no key to seal a PIN with; import it first".to_owned());
        let sealed = self.vault.seal_pin(account, &pin).map_err(failed)?.ok_or_else(unknown)?;
        match self.settle(account, Command::KeepPin { pin: sealed.clone() }).await? {
            Ok(Effect::Happened) => {}
            Ok(Effect::Nothing) => {
                return Err(Ended::Failed("the account has a PIN already, and it was not there when asked".to_owned()));
            }
            Err(refusal) => return Err(Ended::Failed(refusal.to_string())),
        }
        self.pins().insert(account, sealed);
        Ok(pin)
    }

    /// Has a command of an account settled; ends if the service does.
    pub(super) async fn settle(&self, account: AccountNumber, command: Command) -> Result<Outcome, Ended> {
        self.reports.settle(crate::domain::GatewayKind::CloudApi, account, command).await.map_err(|error| {
            tracing::warn!(%account, %error, "a report of the Cloud API was not taken in");
            Ended::Over
        })
    }
}

/// The sentence that tells how a number stands, with Meta's word.
pub(super) fn standing(number: &Number) -> String {
    let shown: String = number.status.chars().filter(char::is_ascii_graphic).collect();
    format!("{} ({})", table::state(&number.status).sentence, if shown.is_empty() { "no status" } else { &shown })
}

/// Calls to register or deregister one number, and which of them are on record.
#[derive(Default)]
struct Record {
    /// When the last one was put on record, by this clock.
    last: Option<Instant>,
    /// On record, and known not to have been made: the next call needs no other record.
    is_unused: bool,
    /// Meta has taken one.
    is_taken: bool,
}

impl Record {
    fn of(last_call: Option<Timestamp>) -> Record {
        let last = last_call.and_then(|at| Instant::now().checked_sub(clock::now().since(at)));
        Record { last, ..Record::default() }
    }

    /// Puts the next call on record, durably.
    async fn note(&mut self, inner: &Inner, account: AccountNumber, call: ProviderCall) -> Result<(), Ended> {
        if !std::mem::take(&mut self.is_unused) {
            match inner.settle(account, Command::CallProvider { call }).await? {
                Ok(_) => {}
                Err(refusal @ Refusal::BudgetUsedUp { free_at }) => {
                    return Err(Ended::Failed(format!(
                        "the number {refusal}; the next is free at {}",
                        write_time(free_at)
                    )));
                }
                Err(refusal) => return Err(Ended::Failed(format!("the number {refusal}"))),
            }
        }
        self.last = Some(Instant::now());
        Ok(())
    }

    /// The call failed.
    fn made(&mut self, failure: &Failure) {
        let is_made = match failure {
            Failure::NotMade { .. } | Failure::Unreachable { .. } | Failure::Over => false,
            Failure::Unanswered { .. } | Failure::Refused(_) => true,
        };
        self.is_unused = !is_made;
        if matches!(failure, Failure::Refused(_)) {
            // Refused is not pending.
            self.last = None;
        }
    }

    fn taken(&mut self) {
        self.is_taken = true;
    }

    /// Whether a number that is PENDING may be so because of a call.
    fn is_pending(&self, until: Until) -> bool {
        let is_young = |at: Instant| at.elapsed() < META_PENDING;
        !self.is_unused && (self.is_taken && until == Until::Connected || self.last.is_some_and(is_young))
    }
}

/// As many random digits as a PIN has, each as likely as any other.
fn drawn_pin() -> Result<Zeroizing<String>, getrandom::Error> {
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
