//! The events of an account. Past tense and permanent: variants are added, never changed.
//!
//! The byte format of events is in `journal::schema`.

use std::sync::Arc;
use std::time::Duration;

use super::{
    AccountType, CallingCode, Content, GatewayKind, OnlineStatus, ProviderCall, Reason, SealedBytes, Status, TaskId,
    Timestamp, VerifyType,
};

/// One state transition of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The account was imported with its content.
    AccountImported {
        /// The imported content.
        content: Arc<Content>,
    },
    /// A caller replaced the content, with the override flag.
    ContentReplaced {
        /// The new content.
        content: Arc<Content>,
    },
    /// A caller asked for the account to be online.
    OnlineRequested,
    /// The gateway reported an open session.
    CameOnline {
        /// The gateway's scan or pairing id of the session; empty if there is none.
        instance_code: String,
    },
    /// A caller asked for the account to be taken offline.
    RecycleRequested,
    /// The gateway reported the session closed, or not opened.
    WentOffline {
        /// Why.
        reason: Reason,
        /// As in [`Event::CameOnline`].
        instance_code: String,
    },
    /// WhatsApp banned the account.
    Banned {
        /// Why.
        reason: Reason,
        /// As in [`Event::CameOnline`].
        instance_code: String,
    },
    /// WhatsApp lifted the ban.
    BanLifted,
    /// A caller asked to register the number. It supersedes a registration that still waits.
    RegistrationRequested {
        /// The task id that the caller received.
        task: TaskId,
        /// How the code reaches the phone.
        verify_type: VerifyType,
        /// Personal or business.
        account_type: AccountType,
        /// The calling code.
        calling_code: CallingCode,
        /// ISO 3166-1 alpha-2, upper case.
        country: String,
        /// When the registration ends by the wall clock if no code has been accepted by then.
        expires_at: Timestamp,
        /// How long after the request it ends, by elapsed time: see [`Registration::left`].
        ///
        /// [`Registration::left`]: super::Registration::left
        lifetime: Duration,
    },
    /// The gateway had the code sent to the phone.
    CodeSent,
    /// A caller submitted a code.
    CodeSubmitted {
        /// The code, sealed.
        code: SealedBytes,
    },
    /// The number is registered.
    Registered,
    /// The registration, or one code of it, failed.
    RegistrationFailed {
        /// Why.
        reason: Reason,
        /// The attempt number of the rejected code; 0 if the failure is not about a code.
        attempt: u32,
        /// Whether the registration still waits for another code.
        still_waiting: bool,
    },
    /// The data key of the account's secrets is destroyed, so every sealed copy is unreadable.
    SecretsErased {
        /// Why, in the requester's words.
        reason: Reason,
    },
    /// Another gateway serves the account from now on.
    GatewayAssigned {
        /// The gateway.
        gateway: GatewayKind,
    },
    /// The account has the PIN that its number is registered with.
    PinKept {
        /// The PIN, sealed.
        pin: SealedBytes,
    },
    /// A provider call is about to be made. This alone does not tell whether it was made.
    ProviderCalled {
        /// The call.
        call: ProviderCall,
        /// The time of the record.
        at: Timestamp,
    },
}

impl Event {
    /// The event's name, as logs and readers show it.
    pub fn name(&self) -> &'static str {
        match self {
            Event::AccountImported { .. } => "account_imported",
            Event::ContentReplaced { .. } => "content_replaced",
            Event::OnlineRequested => "online_requested",
            Event::CameOnline { .. } => "came_online",
            Event::RecycleRequested => "recycle_requested",
            Event::WentOffline { .. } => "went_offline",
            Event::Banned { .. } => "banned",
            Event::BanLifted => "ban_lifted",
            Event::RegistrationRequested { .. } => "registration_requested",
            Event::CodeSent => "code_sent",
            Event::CodeSubmitted { .. } => "code_submitted",
            Event::Registered => "registered",
            Event::RegistrationFailed { .. } => "registration_failed",
            Event::SecretsErased { .. } => "secrets_erased",
            Event::GatewayAssigned { .. } => "gateway_assigned",
            Event::PinKept { .. } => "pin_kept",
            Event::ProviderCalled { .. } => "provider_called",
        }
    }

    /// The statuses after this event, independent of the state before; `None` if it leaves them unchanged.
    ///
    /// It states the effect of `Account::evolve` on the statuses, for readers that follow all accounts and keep no
    /// other state.
    pub fn resulting_status(&self) -> Option<(Status, OnlineStatus)> {
        match self {
            Event::OnlineRequested => Some((Status::Normal, OnlineStatus::OnlineComing)),
            Event::CameOnline { .. } => Some((Status::Normal, OnlineStatus::Online)),
            Event::RecycleRequested => Some((Status::Normal, OnlineStatus::OfflineComing)),
            Event::WentOffline { .. } | Event::BanLifted | Event::Registered => {
                Some((Status::Normal, OnlineStatus::Offline))
            }
            Event::Banned { .. } => Some((Status::Banned, OnlineStatus::Offline)),
            Event::AccountImported { .. }
            | Event::ContentReplaced { .. }
            | Event::RegistrationRequested { .. }
            | Event::CodeSent
            | Event::CodeSubmitted { .. }
            | Event::RegistrationFailed { .. }
            | Event::SecretsErased { .. }
            | Event::GatewayAssigned { .. }
            | Event::PinKept { .. }
            | Event::ProviderCalled { .. } => None,
        }
    }

    /// Whether this event drops an account that had the status `before`: it goes offline although its callers want it
    /// online, for a reason that allows a reconnect.
    pub fn is_drop(&self, before: OnlineStatus) -> bool {
        match self {
            Event::WentOffline { reason, .. } => before.is_desired_online() && !reason.is_pairing_failure(),
            Event::AccountImported { .. }
            | Event::ContentReplaced { .. }
            | Event::OnlineRequested
            | Event::CameOnline { .. }
            | Event::RecycleRequested
            | Event::Banned { .. }
            | Event::BanLifted
            | Event::RegistrationRequested { .. }
            | Event::CodeSent
            | Event::CodeSubmitted { .. }
            | Event::Registered
            | Event::RegistrationFailed { .. }
            | Event::SecretsErased { .. }
            | Event::GatewayAssigned { .. }
            | Event::PinKept { .. }
            | Event::ProviderCalled { .. } => false,
        }
    }

    /// Whether a registration waits after this event, independent of the state before; `None` if it leaves that
    /// unchanged.
    pub fn awaits_code(&self) -> Option<bool> {
        match self {
            Event::RegistrationRequested { .. } => Some(true),
            Event::Registered
            | Event::RegistrationFailed { still_waiting: false, .. }
            | Event::SecretsErased { .. } => Some(false),
            Event::AccountImported { .. }
            | Event::ContentReplaced { .. }
            | Event::OnlineRequested
            | Event::CameOnline { .. }
            | Event::RecycleRequested
            | Event::WentOffline { .. }
            | Event::Banned { .. }
            | Event::BanLifted
            | Event::CodeSent
            | Event::CodeSubmitted { .. }
            | Event::RegistrationFailed { still_waiting: true, .. }
            | Event::GatewayAssigned { .. }
            | Event::PinKept { .. }
            | Event::ProviderCalled { .. } => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::Account;
    use super::*;

    /// One event of each kind that affects a status or a registration, and one that affects neither.
    pub(crate) fn events() -> Vec<Event> {
        let (reason, instance_code) = (Reason::none, String::new);
        let failed = |still_waiting| Event::RegistrationFailed { reason: reason(), attempt: 1, still_waiting };
        vec![
            Event::OnlineRequested,
            Event::CameOnline { instance_code: instance_code() },
            Event::RecycleRequested,
            Event::WentOffline { reason: reason(), instance_code: instance_code() },
            Event::Banned { reason: reason(), instance_code: instance_code() },
            Event::BanLifted,
            Event::RegistrationRequested {
                task: TaskId::new(1).unwrap(),
                verify_type: VerifyType::Sms,
                account_type: AccountType::Personal,
                calling_code: "+86".parse().unwrap(),
                country: "CN".to_owned(),
                expires_at: Timestamp(0),
                lifetime: Duration::ZERO,
            },
            Event::CodeSent,
            Event::CodeSubmitted { code: SealedBytes(Box::default()) },
            Event::Registered,
            failed(false),
            failed(true),
            Event::GatewayAssigned { gateway: GatewayKind::Bridge },
            Event::ProviderCalled { call: ProviderCall::RequestCode, at: Timestamp(0) },
        ]
    }

    #[test]
    fn resulting_status_agrees_with_evolve() {
        for [first, second, event] in triples(&events()) {
            let mut account = Account::initial();
            account.evolve(first);
            account.evolve(second);
            let before = account.clone();
            account.evolve(event);
            let standing = event.resulting_status().unwrap_or((before.status, before.online_status));
            assert_eq!((account.status, account.online_status), standing, "{first:?}, {second:?}, {event:?}");
            let awaits = event.awaits_code().unwrap_or(before.registration.is_some());
            assert_eq!(account.registration.is_some(), awaits, "{first:?}, {second:?}, {event:?}");
        }
    }

    fn triples(events: &[Event]) -> impl Iterator<Item = [&Event; 3]> {
        let pairs = events.iter().flat_map(|first| events.iter().map(move |second| (first, second)));
        pairs.flat_map(|(first, second)| events.iter().map(move |third| [first, second, third]))
    }
}
