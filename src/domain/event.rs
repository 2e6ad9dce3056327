//! What happened to an account. Past tense, and for ever: a variant is added, never changed.
//!
//! How an event is written in bytes is the journal's matter (`journal::schema`).

use super::{AccountType, CallingCode, Content, Reason, Sealed, TaskId, Timestamp, VerifyType};

/// One state transition of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The account was imported with its content.
    AccountImported {
        /// What came with it.
        content: Box<Content>,
    },
    /// The content was replaced by a caller who asked to override it.
    ContentReplaced {
        /// What stands now.
        content: Box<Content>,
    },
    /// A caller asked for the account to be online.
    OnlineRequested,
    /// The gateway reported a session.
    CameOnline {
        /// The gateway's scan or pairing id of the session; empty where there is none.
        instance_code: String,
    },
    /// A caller asked for the account to be taken offline.
    RecycleRequested,
    /// The gateway reported the session closed, or never opened.
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
    /// A caller asked for the number to be registered; a registration still waiting is superseded.
    RegistrationRequested {
        /// The task that the caller was given.
        task: TaskId,
        /// How the code is to reach the phone.
        verify_type: VerifyType,
        /// Personal or business.
        account_type: AccountType,
        /// The calling code.
        calling_code: CallingCode,
        /// ISO 3166-1 alpha-2, upper case.
        country: String,
        /// When the registration ends if no code has been accepted by then.
        expires_at: Timestamp,
    },
    /// The gateway had the code sent to the phone.
    CodeSent,
    /// A caller submitted a code.
    CodeSubmitted {
        /// The code, sealed.
        code: Sealed,
    },
    /// The number is registered.
    Registered,
    /// The registration, or one code of it, failed.
    RegistrationFailed {
        /// Why.
        reason: Reason,
        /// The how many-th code was refused; 0 where the failure is not about a code.
        attempt: u32,
        /// Whether the registration still waits for another code.
        still_waiting: bool,
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
        }
    }
}
