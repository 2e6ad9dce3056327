//! The small enumerations of the contract, with the integers that it assigns to their values.
//!
//! Frozen: these integers. The API document defines them, and events hold them.

use std::fmt;
use std::time::Duration;

use crate::limits::{REASON_BYTES, TASK_ID_MAX};

/// Whether WhatsApp admits the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Not banned.
    Normal = 1,
    /// Banned by WhatsApp.
    Banned = 2,
}

/// The account's connection state: what callers asked for, and what its gateway reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnlineStatus {
    /// Requested online, not connected yet.
    OnlineComing = 1,
    /// Connected.
    Online = 2,
    /// Requested offline, still connected.
    OfflineComing = 3,
    /// Not connected.
    Offline = 4,
}

/// The kind of WhatsApp account (`whatsappType`, `accountType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountType {
    /// An account of a person.
    Personal = 1,
    /// A WhatsApp Business account.
    Business = 2,
}

/// How a verification code reaches the phone (`verifyType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifyType {
    /// A text message.
    Sms = 0,
    /// A spoken call.
    Voice = 1,
    /// The caller's number is the code.
    MissedCall = 2,
    /// Inside another WhatsApp client.
    Internal = 3,
}

/// The integer is not a value of the enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {allowed}, not {found}")]
pub struct UnknownEnumValue {
    /// The integer.
    pub found: i64,
    /// The allowed integers, in words.
    pub allowed: &'static str,
}

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Timestamp(pub i64);

/// The id of a registration task: positive, rising, at most 2,147,483,647.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TaskId(u32);

/// Why something failed, in a gateway's words; empty without a reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reason(String);

// === impl Status ===

impl Status {
    /// The contract's integer.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status of a stored integer.
    pub fn from_code(code: u8) -> Option<Status> {
        match code {
            1 => Some(Status::Normal),
            2 => Some(Status::Banned),
            _ => None,
        }
    }

    /// Its one-word name.
    pub fn name(self) -> &'static str {
        match self {
            Status::Normal => "normal",
            Status::Banned => "banned",
        }
    }
}

// === impl OnlineStatus ===

impl OnlineStatus {
    /// The contract's integer.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status of a stored integer.
    pub fn from_code(code: u8) -> Option<OnlineStatus> {
        match code {
            1 => Some(OnlineStatus::OnlineComing),
            2 => Some(OnlineStatus::Online),
            3 => Some(OnlineStatus::OfflineComing),
            4 => Some(OnlineStatus::Offline),
            _ => None,
        }
    }

    /// Its one-word name.
    pub fn name(self) -> &'static str {
        match self {
            OnlineStatus::OnlineComing => "online-coming",
            OnlineStatus::Online => "online",
            OnlineStatus::OfflineComing => "offline-coming",
            OnlineStatus::Offline => "offline",
        }
    }

    /// Whether callers want the account online.
    pub fn is_desired_online(self) -> bool {
        match self {
            OnlineStatus::OnlineComing | OnlineStatus::Online => true,
            OnlineStatus::OfflineComing | OnlineStatus::Offline => false,
        }
    }

    /// Whether a request still waits for the gateway's answer.
    pub fn is_coming(self) -> bool {
        match self {
            OnlineStatus::OnlineComing | OnlineStatus::OfflineComing => true,
            OnlineStatus::Online | OnlineStatus::Offline => false,
        }
    }
}

// === impl AccountType ===

impl AccountType {
    /// The contract's integer.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl TryFrom<i64> for AccountType {
    type Error = UnknownEnumValue;

    fn try_from(code: i64) -> Result<AccountType, UnknownEnumValue> {
        match code {
            1 => Ok(AccountType::Personal),
            2 => Ok(AccountType::Business),
            found => Err(UnknownEnumValue { found, allowed: "1 (personal) or 2 (business)" }),
        }
    }
}

// === impl VerifyType ===

impl VerifyType {
    /// The contract's integer.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Its name in sentences.
    pub fn name(self) -> &'static str {
        match self {
            VerifyType::Sms => "sms",
            VerifyType::Voice => "voice",
            VerifyType::MissedCall => "missed call",
            VerifyType::Internal => "internal verification",
        }
    }
}

impl TryFrom<i64> for VerifyType {
    type Error = UnknownEnumValue;

    fn try_from(code: i64) -> Result<VerifyType, UnknownEnumValue> {
        match code {
            0 => Ok(VerifyType::Sms),
            1 => Ok(VerifyType::Voice),
            2 => Ok(VerifyType::MissedCall),
            3 => Ok(VerifyType::Internal),
            found => Err(UnknownEnumValue {
                found,
                allowed: "0 (sms), 1 (voice), 2 (missed call) or 3 (internal verification)",
            }),
        }
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// This time plus `later`.
    #[must_use]
    pub fn plus(self, later: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(later.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this timestamp; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

// === impl TaskId ===

impl TaskId {
    /// The task with this id; `None` for 0 and above the largest id.
    pub fn new(id: u32) -> Option<TaskId> {
        (1..=TASK_ID_MAX).contains(&id).then_some(TaskId(id))
    }

    /// The id as an integer.
    pub fn get(self) -> u32 {
        self.0
    }
}

// === impl Reason ===

impl Reason {
    /// The contract's code: pairing failed, scan again.
    pub const PAIRING_FAILED: &'static str = "1001";
    /// The contract's code: network exception, change IP.
    pub const NETWORK: &'static str = "1002";

    /// A reason with this text, cut at [`REASON_BYTES`].
    pub fn new(words: impl Into<String>) -> Reason {
        Reason(truncate_reason(words.into()))
    }

    /// No reason.
    pub fn none() -> Reason {
        Reason(String::new())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a person has to pair the account again before it can come online.
    pub fn is_pairing_failure(&self) -> bool {
        self.0 == Reason::PAIRING_FAILED
    }
}

/// Cuts a gateway's text at [`REASON_BYTES`], so that a long text cannot prevent an event.
pub(super) fn truncate_reason(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(REASON_BYTES));
    words
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
