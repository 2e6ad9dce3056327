//! The events of an account, and the table of their types. Their names are in the past tense. New events may be added;
//! existing events never change.
//!
//! The byte format of events is in `journal::event_codec`.

use std::sync::Arc;
use std::time::Duration;

use super::event_type::event_types;
use super::{
    AccountType, CallingCode, Channel, Content, EventDefinition, EventGroup, GatewayKind, GroupStep, Labels,
    OnlineStatus, ProviderCall, Reason, RegistrationResult, SealedBytes, Status, TaskId, Timestamp, VerifyType,
};

// Frozen: numbers and names. Journals hold the numbers; filters, exports, bundles and metrics hold the names.
event_types! {
    /// The type of an account's event.
    AccountEventType {
        AccountImported = 1 "account_imported" { schema: 2 }
        ContentReplaced = 2 "content_replaced" { schema: 2 }
        OnlineRequested = 3 "online_requested" {
            schema: 2,
            is_request: true,
            resulting_status: Some((Status::Normal, OnlineStatus::OnlineComing)),
            channel: Some(Channel::SyncStatus),
            group: Some((EventGroup::Session, GroupStep::First)),
        }
        CameOnline = 4 "came_online" {
            resulting_status: Some((Status::Normal, OnlineStatus::Online)),
            channel: Some(Channel::SyncStatus),
            group: Some((EventGroup::Session, GroupStep::Middle)),
        }
        RecycleRequested = 5 "recycle_requested" {
            schema: 2,
            is_request: true,
            resulting_status: Some((Status::Normal, OnlineStatus::OfflineComing)),
            channel: Some(Channel::SyncStatus),
            group: Some((EventGroup::Session, GroupStep::Middle)),
        }
        WentOffline = 6 "went_offline" {
            resulting_status: Some((Status::Normal, OnlineStatus::Offline)),
            channel: Some(Channel::SyncStatus),
            group: Some((EventGroup::Session, GroupStep::Last)),
        }
        Banned = 7 "banned" {
            resulting_status: Some((Status::Banned, OnlineStatus::Offline)),
            channel: Some(Channel::SyncStatus),
            group: Some((EventGroup::Ban, GroupStep::First)),
        }
        BanLifted = 8 "ban_lifted" {
            resulting_status: Some((Status::Normal, OnlineStatus::Offline)),
            channel: Some(Channel::SyncStatus),
            group: Some((EventGroup::Ban, GroupStep::Last)),
        }
        RegistrationRequested = 9 "registration_requested" {
            schema: 2,
            is_request: true,
            awaits_code: Some(true),
            group: Some((EventGroup::Registration, GroupStep::First)),
        }
        CodeSent = 10 "code_sent" { group: Some((EventGroup::Registration, GroupStep::Middle)) }
        CodeSubmitted = 11 "code_submitted" {
            schema: 2,
            group: Some((EventGroup::Registration, GroupStep::Middle)),
        }
        Registered = 12 "registered" {
            resulting_status: Some((Status::Normal, OnlineStatus::Offline)),
            awaits_code: Some(false),
            channel: Some(Channel::RegisterStatus),
            group: Some((EventGroup::Registration, GroupStep::Last)),
        }
        RegistrationFailed = 13 "registration_failed" {
            awaits_code: Some(false),
            channel: Some(Channel::RegisterStatus),
            group: Some((EventGroup::Registration, GroupStep::Middle)),
        }
        SecretsErased = 14 "secrets_erased" { awaits_code: Some(false) }
        GatewayAssigned = 15 "gateway_assigned" {}
        PinKept = 16 "pin_kept" {}
        ProviderCalled = 17 "provider_called" {}
        LabelsChanged = 18 "labels_changed" {}
        StatusResynced = 19 "status_resynced" { channel: Some(Channel::SyncStatus) }
        RegistrationResynced = 20 "registration_resynced" { channel: Some(Channel::RegisterStatus) }
        SessionNumbersAdvanced = 21 "session_numbers_advanced" {}
    }
}

/// One state transition of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The account was imported with its content.
    AccountImported {
        /// The imported content.
        content: Arc<Content>,
        /// Why, in the requester's words; empty without a reason. The other orders have it too.
        reason: Reason,
    },
    /// A caller replaced the content, with the override flag.
    ContentReplaced {
        /// The new content.
        content: Arc<Content>,
        /// As in [`Event::AccountImported`].
        reason: Reason,
    },
    /// A caller asked for the account to be online.
    OnlineRequested {
        /// As in [`Event::AccountImported`].
        reason: Reason,
    },
    /// The gateway reported an open session.
    CameOnline {
        /// The gateway's scan or pairing id of the session; empty if there is none.
        instance_code: String,
    },
    /// A caller asked for the account to be taken offline.
    RecycleRequested {
        /// As in [`Event::AccountImported`].
        reason: Reason,
    },
    /// The gateway reported that the session is closed, or could not be opened.
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
    /// A caller asked to register the number. It replaces a registration that still waits.
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
        /// The wall-clock time at which the registration ends, unless a code is accepted before.
        expires_at: Timestamp,
        /// The elapsed time after the request at which the registration ends: see [`Registration::left`].
        ///
        /// [`Registration::left`]: super::Registration::left
        lifetime: Duration,
        /// As in [`Event::AccountImported`].
        reason: Reason,
    },
    /// The gateway reported that the code was sent to the phone.
    CodeSent,
    /// A caller submitted a code.
    CodeSubmitted {
        /// The code, sealed.
        code: SealedBytes,
        /// As in [`Event::AccountImported`].
        reason: Reason,
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
    /// The PIN for the registration of the account's number was stored.
    PinKept {
        /// The PIN, sealed.
        pin: SealedBytes,
    },
    /// The gateway is about to call the provider. This event does not prove that the call was made.
    ProviderCalled {
        /// The call.
        call: ProviderCall,
        /// The time of the record.
        at: Timestamp,
    },
    /// The account's labels were replaced.
    LabelsChanged {
        /// All its labels after the change.
        labels: Labels,
        /// Why, in the requester's words; empty without a reason.
        reason: Reason,
    },
    /// An operator had receivers notified again of the present status. It changes nothing.
    StatusResynced {
        /// Normal or banned.
        status: Status,
        /// Online, offline, or in transition.
        online_status: OnlineStatus,
        /// The reason of the last status change.
        reason: Reason,
        /// The instance code of the last status change.
        instance_code: String,
    },
    /// An operator had receivers notified again of the outcome of the last registration. It changes nothing.
    RegistrationResynced {
        /// The outcome.
        result: RegistrationResult,
    },
    /// The next session of the account is the one after `last`. A restore lost the sessions before, and the gateway may
    /// know their numbers.
    SessionNumbersAdvanced {
        /// The last session number that is left out.
        last: u32,
    },
}

impl Event {
    /// Its type.
    pub fn event_type(&self) -> AccountEventType {
        match self {
            Event::AccountImported { .. } => AccountEventType::AccountImported,
            Event::ContentReplaced { .. } => AccountEventType::ContentReplaced,
            Event::OnlineRequested { .. } => AccountEventType::OnlineRequested,
            Event::CameOnline { .. } => AccountEventType::CameOnline,
            Event::RecycleRequested { .. } => AccountEventType::RecycleRequested,
            Event::WentOffline { .. } => AccountEventType::WentOffline,
            Event::Banned { .. } => AccountEventType::Banned,
            Event::BanLifted => AccountEventType::BanLifted,
            Event::RegistrationRequested { .. } => AccountEventType::RegistrationRequested,
            Event::CodeSent => AccountEventType::CodeSent,
            Event::CodeSubmitted { .. } => AccountEventType::CodeSubmitted,
            Event::Registered => AccountEventType::Registered,
            Event::RegistrationFailed { .. } => AccountEventType::RegistrationFailed,
            Event::SecretsErased { .. } => AccountEventType::SecretsErased,
            Event::GatewayAssigned { .. } => AccountEventType::GatewayAssigned,
            Event::PinKept { .. } => AccountEventType::PinKept,
            Event::ProviderCalled { .. } => AccountEventType::ProviderCalled,
            Event::LabelsChanged { .. } => AccountEventType::LabelsChanged,
            Event::StatusResynced { .. } => AccountEventType::StatusResynced,
            Event::RegistrationResynced { .. } => AccountEventType::RegistrationResynced,
            Event::SessionNumbersAdvanced { .. } => AccountEventType::SessionNumbersAdvanced,
        }
    }

    /// The fixed properties of its type.
    pub fn definition(&self) -> &'static EventDefinition {
        self.event_type().definition()
    }

    /// Why it happened, in the words of its requester or of the gateway. `None` if no reason was given.
    pub fn reason(&self) -> Option<&str> {
        let reason = match self {
            Event::AccountImported { reason, .. }
            | Event::ContentReplaced { reason, .. }
            | Event::OnlineRequested { reason }
            | Event::RecycleRequested { reason }
            | Event::WentOffline { reason, .. }
            | Event::Banned { reason, .. }
            | Event::RegistrationRequested { reason, .. }
            | Event::CodeSubmitted { reason, .. }
            | Event::RegistrationFailed { reason, .. }
            | Event::SecretsErased { reason }
            | Event::LabelsChanged { reason, .. } => reason,
            Event::CameOnline { .. }
            | Event::BanLifted
            | Event::CodeSent
            | Event::Registered
            | Event::GatewayAssigned { .. }
            | Event::PinKept { .. }
            | Event::ProviderCalled { .. }
            | Event::StatusResynced { .. }
            | Event::RegistrationResynced { .. }
            | Event::SessionNumbersAdvanced { .. } => return None,
        };
        Some(reason.as_str()).filter(|reason| !reason.is_empty())
    }

    /// The reason of the status change. `None` if this event changes no status or has no reason.
    pub fn status_reason(&self) -> Option<&Reason> {
        if let Event::WentOffline { reason, .. } | Event::Banned { reason, .. } = self { Some(reason) } else { None }
    }

    /// The gateway's scan or pairing id of this event's session. `None` if this type of event has none.
    pub fn instance_code(&self) -> Option<&str> {
        if let Event::CameOnline { instance_code }
        | Event::WentOffline { instance_code, .. }
        | Event::Banned { instance_code, .. } = self
        {
            Some(instance_code)
        } else {
            None
        }
    }

    /// The outcome of a registration, or of one code of it. `None` if this type of event has none.
    pub fn registration_result(&self) -> Option<RegistrationResult> {
        if let Event::RegistrationFailed { still_waiting, .. } = self {
            return Some(RegistrationResult { successful: false, still_waiting: *still_waiting });
        }
        if let Event::RegistrationResynced { result } = self {
            return Some(*result);
        }
        (*self == Event::Registered).then_some(RegistrationResult { successful: true, still_waiting: false })
    }

    /// Whether this event drops an account that had the status `before`. In a drop, the account goes offline while its
    /// callers want it online, for a reason that allows a reconnect.
    pub fn is_drop(&self, before: OnlineStatus) -> bool {
        matches!(self, Event::WentOffline { reason, .. } if before.is_desired_online() && !reason.is_pairing_failure())
    }

    /// Whether a registration waits for a code after this event. `None` if the event does not change that.
    pub fn awaits_code(&self) -> Option<bool> {
        let is_only_one_code = matches!(self, Event::RegistrationFailed { still_waiting: true, .. });
        if is_only_one_code { None } else { self.definition().awaits_code }
    }
}
