//! The state of one account, folded from its events.

use std::sync::Arc;
use std::time::Duration;

use super::{
    AccountNumber, AccountType, CallingCode, Channel, Content, Event, GatewayKind, Labels, OnlineStatus, ProviderCall,
    Reason, SealedBytes, Status, TaskId, Timestamp, VerifyType, apply_jitter,
};
use crate::limits::{RECONNECT_WAIT_MAX, REGISTER_CALLS_WINDOW, REGISTRATION_ATTEMPTS};

/// The current state of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The number of the account's events; 0 for an unknown account.
    pub version: u64,
    /// The imported content. `None` if the number was only registered, or if its secrets were erased.
    pub content: Option<Arc<Content>>,
    /// Whether the account's secrets were erased and no import followed.
    pub is_erased: bool,
    /// Normal or banned.
    pub status: Status,
    /// Online, offline, or in transition.
    pub online_status: OnlineStatus,
    /// The version at which `online_status` last changed.
    pub online_status_version: u64,
    /// The number of its latest session. Each request to be online begins the next one.
    pub latest_session: u32,
    /// The reason of the last status change; empty if that change has no reason.
    pub reason: Reason,
    /// The gateway's scan or pairing id in the last status change; empty if that change has none.
    pub instance_code: String,
    /// How many times in a row the account dropped or did not come online while its callers wanted it online.
    pub drops: u32,
    /// The registration that waits for a code, if there is one.
    pub registration: Option<Registration>,
    /// The last outcome of its last registration. `None` if it has none yet.
    pub registration_result: Option<RegistrationResult>,
    /// The gateway that serves it.
    pub gateway: GatewayKind,
    /// The sealed PIN that the number is registered with, if it has one.
    pub pin: Option<SealedBytes>,
    /// Times of the provider calls to register or deregister the number. Calls that no longer count towards the budget
    /// are removed at the next such call.
    pub register_calls: Vec<Timestamp>,
    /// Its labels. No other event changes them, so an account keeps them when it is banned, erased or imported again.
    pub labels: Labels,
}

/// A registration that waits for a code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// The task id that the caller received.
    pub task: TaskId,
    /// How the code reaches the phone.
    pub verify_type: VerifyType,
    /// Personal or business.
    pub account_type: AccountType,
    /// The calling code.
    pub calling_code: CallingCode,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    /// The wall-clock time at which the registration ends. People and gateways use this time; timers use elapsed time.
    pub expires_at: Timestamp,
    /// How long the registration waits for its code, counted from the request.
    pub lifetime: Duration,
    /// Whether the provider call that sends the code is recorded.
    pub code_requested: bool,
    /// Whether the gateway confirmed that the code was sent.
    pub code_sent: bool,
    /// How many codes were submitted.
    pub attempts: u32,
    /// Codes that the gateway has neither accepted nor rejected yet, in the order of submission.
    pub pending_codes: Vec<CodeAttempt>,
}

/// The outcome of a registration, or of one code of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegistrationResult {
    /// Whether the number is registered.
    pub successful: bool,
    /// Whether another code may be tried; false after success.
    pub still_waiting: bool,
}

/// A submitted verification code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeAttempt {
    /// Its attempt number within the registration, from 1.
    pub number: u32,
    /// The code, sealed.
    pub code: SealedBytes,
}

/// A pending effect: what the gateway still has to do for an account. It follows from the state alone, so a restart
/// finds it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PendingEffect {
    /// Open this session.
    Connect {
        /// The session's number.
        session: u32,
    },
    /// Close this session.
    Disconnect {
        /// The session's number.
        session: u32,
    },
    /// Request a code from the provider.
    RequestCode {
        /// For this registration.
        task: TaskId,
        /// How the code reaches the phone.
        verify_type: VerifyType,
    },
    /// Check a submitted code.
    SubmitCode {
        /// For this registration.
        task: TaskId,
        /// The attempt number of the code, from 1.
        attempt: u32,
        /// The code, sealed.
        code: SealedBytes,
    },
}

impl Account {
    /// The state of an account without events.
    pub fn initial() -> Account {
        Account {
            version: 0,
            content: None,
            is_erased: false,
            status: Status::Normal,
            online_status: OnlineStatus::Offline,
            online_status_version: 0,
            latest_session: 0,
            reason: Reason::none(),
            instance_code: String::new(),
            drops: 0,
            registration: None,
            registration_result: None,
            gateway: GatewayKind::UNASSIGNED,
            pin: None,
            register_calls: Vec::new(),
            labels: Labels::NONE,
        }
    }

    /// Whether the account has any event.
    pub fn is_known(&self) -> bool {
        self.version > 0
    }

    /// Applies `event` to the state. Every event is accepted.
    pub fn evolve(&mut self, event: &Event) {
        self.version += 1;
        self.evolve_status(event);
        self.registration_result = event.registration_result().or(self.registration_result);
        match event {
            Event::AccountImported { content, .. } | Event::ContentReplaced { content, .. } => {
                self.content = Some(content.clone());
                self.is_erased = false;
            }
            Event::OnlineRequested { .. } => self.latest_session += 1,
            Event::SessionNumbersAdvanced { last } => self.latest_session = *last,
            Event::CameOnline { .. }
            | Event::RecycleRequested { .. }
            | Event::WentOffline { .. }
            | Event::Banned { .. }
            | Event::BanLifted
            | Event::StatusResynced { .. }
            | Event::RegistrationResynced { .. } => {}
            Event::RegistrationRequested {
                task,
                verify_type,
                account_type,
                calling_code,
                country,
                expires_at,
                lifetime,
                reason: _,
            } => {
                self.registration_result = None;
                self.registration = Some(Registration {
                    task: *task,
                    verify_type: *verify_type,
                    account_type: *account_type,
                    calling_code: *calling_code,
                    country: country.clone(),
                    expires_at: *expires_at,
                    lifetime: *lifetime,
                    code_requested: false,
                    code_sent: false,
                    attempts: 0,
                    pending_codes: Vec::new(),
                });
            }
            Event::CodeSent => self.update_registration(|registration| registration.code_sent = true),
            Event::CodeSubmitted { code, .. } => self.update_registration(|registration| {
                registration.attempts += 1;
                registration.pending_codes.push(CodeAttempt { number: registration.attempts, code: code.clone() });
            }),
            Event::Registered | Event::RegistrationFailed { still_waiting: false, .. } => self.registration = None,
            Event::RegistrationFailed { still_waiting: true, attempt, .. } => {
                self.update_registration(|registration| {
                    registration.pending_codes.retain(|unjudged| unjudged.number != *attempt);
                });
            }
            Event::SecretsErased { .. } => {
                self.content = None;
                self.is_erased = true;
                // Without the data key, pending codes cannot be opened. Without content, a dropped account cannot
                // reconnect.
                self.registration = None;
                self.drops = 0;
                self.pin = None;
            }
            Event::GatewayAssigned { gateway } => self.gateway = *gateway,
            Event::PinKept { pin } => self.pin = Some(pin.clone()),
            Event::ProviderCalled { call, at } => self.note_provider_call(*call, *at),
            Event::LabelsChanged { labels, .. } => self.labels = labels.clone(),
        }
    }

    /// Whether `event` may follow this state. This restates the rules of `decide` independently, so that the
    /// verification of a history finds events that `decide` cannot have produced.
    pub fn is_valid_next(&self, event: &Event) -> bool {
        let is_normal = self.status == Status::Normal;
        let waiting = |fits: fn(&Registration) -> bool| self.registration.as_ref().is_some_and(fits);
        match event {
            Event::AccountImported { .. } => self.content.is_none(),
            Event::ContentReplaced { .. } => self.content.is_some() && is_normal,
            Event::OnlineRequested { .. } => {
                self.content.is_some() && is_normal && !self.online_status.is_desired_online()
            }
            Event::SessionNumbersAdvanced { last } => {
                *last > self.latest_session && self.is_known() && !self.online_status.is_desired_online()
            }
            Event::CameOnline { .. } => self.online_status == OnlineStatus::OnlineComing,
            Event::RecycleRequested { .. } => self.online_status.is_desired_online() || self.is_dropped(),
            Event::WentOffline { .. } => self.online_status != OnlineStatus::Offline,
            Event::Banned { .. } => self.is_known() && is_normal,
            Event::BanLifted => !is_normal,
            Event::RegistrationRequested { .. } => true,
            Event::CodeSent => waiting(|it| !it.code_sent),
            Event::CodeSubmitted { .. } => waiting(|it| it.attempts < REGISTRATION_ATTEMPTS),
            Event::Registered => waiting(|_| true),
            Event::RegistrationFailed { attempt: 0, .. } => waiting(|_| true),
            Event::RegistrationFailed { attempt, .. } => {
                let unjudged = self.registration.as_ref().map_or(&[][..], |it| &it.pending_codes);
                unjudged.iter().any(|unjudged| unjudged.number == *attempt)
            }
            Event::SecretsErased { .. } => {
                self.is_known() && self.registration.is_none() && !self.online_status.is_desired_online()
            }
            Event::GatewayAssigned { gateway } => {
                self.online_status == OnlineStatus::Offline && self.gateway != *gateway
            }
            Event::PinKept { .. } => self.is_known() && self.pin.is_none(),
            Event::ProviderCalled { call: ProviderCall::RequestCode, .. } => waiting(|it| !it.code_requested),
            Event::ProviderCalled { call, at } => self.is_known() && self.budget_free_at(*call, *at).is_none(),
            Event::LabelsChanged { labels, .. } => self.is_known() && self.labels != *labels,
            Event::StatusResynced { .. } => self.resync_event(Channel::SyncStatus).as_ref() == Some(event),
            Event::RegistrationResynced { .. } => self.resync_event(Channel::RegisterStatus).as_ref() == Some(event),
        }
    }

    /// The event that tells receivers on `channel` the present state again. `None` if there is nothing to tell.
    pub fn resync_event(&self, channel: Channel) -> Option<Event> {
        match channel {
            Channel::SyncStatus => self.is_known().then(|| Event::StatusResynced {
                status: self.status,
                online_status: self.online_status,
                reason: self.reason.clone(),
                instance_code: self.instance_code.clone(),
            }),
            Channel::RegisterStatus => self.registration_result.map(|result| Event::RegistrationResynced { result }),
        }
    }

    /// The pending effects of this account.
    pub fn pending_effects(&self) -> Vec<PendingEffect> {
        let session = self.latest_session;
        let presence = match self.online_status {
            OnlineStatus::OnlineComing => Some(PendingEffect::Connect { session }),
            OnlineStatus::OfflineComing => Some(PendingEffect::Disconnect { session }),
            OnlineStatus::Online | OnlineStatus::Offline => None,
        };
        presence.into_iter().chain(self.registration.iter().flat_map(Registration::pending_effects)).collect()
    }

    /// Whether the account is offline after a drop that allows a reconnect. A pairing failure or a ban does not.
    pub fn is_dropped(&self) -> bool {
        self.online_status == OnlineStatus::Offline && self.drops > 0
    }

    /// How long this account waits after a drop before it reconnects. The wait is `first` after the first drop, and
    /// doubles with each further drop in a row, up to `RECONNECT_WAIT_MAX`. A jitter that depends on the account
    /// shortens it.
    pub fn reconnect_delay(&self, account: AccountNumber, first: Duration) -> Duration {
        let wait = first.saturating_mul(1 << self.drops.saturating_sub(1).min(16)).min(RECONNECT_WAIT_MAX);
        apply_jitter(wait, account.get(), u64::from(self.drops))
    }

    /// When the next such call is allowed. `None` if it is allowed at `now`.
    pub fn budget_free_at(&self, call: ProviderCall, now: Timestamp) -> Option<Timestamp> {
        let budget = call.budget()?;
        let counted = || self.register_calls.iter().filter(|at| now.since(**at) < REGISTER_CALLS_WINDOW);
        // The oldest of the last `budget` calls: once it no longer counts, one more call is allowed.
        let oldest = counted().count().checked_sub(budget).and_then(|over| counted().nth(over))?;
        Some(oldest.plus(REGISTER_CALLS_WINDOW))
    }

    /// Whether the watchdog or the gateway still has work for this account.
    pub fn has_pending_work(&self) -> bool {
        self.online_status.is_coming() || self.registration.is_some()
    }

    /// Applies what `event` changes in the statuses, and counts the drops.
    fn evolve_status(&mut self, event: &Event) {
        let resulting_status = event.definition().resulting_status;
        self.drops = match resulting_status {
            Some(_) if event.is_drop(self.online_status) => self.drops + 1,
            // A reconnect attempt does not reset the count of drops; only coming online does.
            Some((_, OnlineStatus::OnlineComing)) | None => self.drops,
            Some((_, OnlineStatus::Online | OnlineStatus::OfflineComing | OnlineStatus::Offline)) => 0,
        };
        if let Some((status, online_status)) = resulting_status {
            self.set_status(status, online_status, event.status_reason(), event.instance_code());
        }
    }

    fn note_provider_call(&mut self, call: ProviderCall, at: Timestamp) {
        match call {
            ProviderCall::RequestCode => self.update_registration(|registration| registration.code_requested = true),
            ProviderCall::Register | ProviderCall::Deregister => {
                self.register_calls.retain(|earlier| at.since(*earlier) < REGISTER_CALLS_WINDOW);
                self.register_calls.push(at);
            }
        }
    }

    /// Changes the registration, if one waits for a code.
    fn update_registration(&mut self, update: impl FnOnce(&mut Registration)) {
        if let Some(registration) = &mut self.registration {
            update(registration);
        }
    }

    fn set_status(
        &mut self,
        status: Status,
        online_status: OnlineStatus,
        reason: Option<&Reason>,
        instance_code: Option<&str>,
    ) {
        if self.online_status != online_status {
            self.online_status_version = self.version;
        }
        self.status = status;
        self.online_status = online_status;
        self.reason = reason.cloned().unwrap_or(Reason::none());
        self.instance_code = instance_code.unwrap_or_default().to_owned();
    }
}

impl Registration {
    /// The remaining wait after a restart, when only the journal is known. It is the wall-clock time until
    /// `expires_at`. It is at most `lifetime`, because the clock may have been set back.
    pub fn left(&self, now: Timestamp) -> Duration {
        self.expires_at.since(now).min(self.lifetime)
    }

    /// The pending effects of this registration.
    fn pending_effects(&self) -> Vec<PendingEffect> {
        let task = self.task;
        if !self.code_sent && self.attempts == 0 {
            return vec![PendingEffect::RequestCode { task, verify_type: self.verify_type }];
        }
        let submit = |CodeAttempt { number, code }: &CodeAttempt| PendingEffect::SubmitCode {
            task,
            attempt: *number,
            code: code.clone(),
        };
        self.pending_codes.iter().map(submit).collect()
    }
}
