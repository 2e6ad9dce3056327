//! The meaning of Meta's states and error codes, one row each. Pure.
//!
//! Meta's sources disagree on the possible values, so each table ends with a row for unknown values. The code of an error
//! decides its class. The HTTP status counts only where the code is unknown, because the sources disagree on it too. The
//! sentences are Muster's own: Meta's text may repeat a token.

use std::fmt;
use std::time::Duration;

use crate::limits::{
    META_CODE_WAIT, META_CODE_WAIT_LONG, META_DELETED_WAIT, META_PIN_WAIT, META_PIN_WAIT_LONG, REGISTER_CALLS,
    REGISTER_CALLS_WINDOW,
};

/// The status of a number at Meta.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberStatus {
    /// Registered: messages can be sent and received.
    Connected,
    /// A registration is under way, or was never requested.
    Pending,
    /// Not registered, but can be.
    Offline,
    /// Banned by Meta.
    Banned,
    /// No longer in the WhatsApp Business account.
    Gone,
    /// Muster does not know the status. Nothing is changed, because the status may be transient.
    Unclear,
}

/// A row of the status table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StatusMeaning {
    /// The status.
    pub(super) status: NumberStatus,
    /// The sentence for callers, without Meta's own word.
    pub(super) message: &'static str,
}

/// The meaning of Meta's `status`.
pub(super) fn status_meaning(status: &str) -> StatusMeaning {
    let (status, message) = match status {
        "CONNECTED" => (NumberStatus::Connected, "the number is registered"),
        "LINKED" => (NumberStatus::Connected, "the number is linked"),
        "FLAGGED" => (NumberStatus::Connected, "the number is registered, and flagged for low quality"),
        "RATE_LIMITED" => (NumberStatus::Connected, "the number is registered, and has reached its sending limit"),
        "RESTRICTED" => (NumberStatus::Connected, "the number is registered, and restricted for low quality"),
        "PENDING" => (NumberStatus::Pending, "the number is not registered yet"),
        "DISCONNECTED" => (NumberStatus::Offline, "the number is not registered"),
        "UNLINKED" => (NumberStatus::Offline, "the number is not linked"),
        "UNVERIFIED" => (NumberStatus::Offline, "the number is not verified"),
        "BANNED" => (NumberStatus::Banned, "the number is banned"),
        "DELETED" => (NumberStatus::Gone, "the number was deleted at Meta; register it to add it again"),
        "MIGRATED" => (NumberStatus::Gone, "the number was moved to another WhatsApp Business account"),
        "UNKNOWN" => (NumberStatus::Unclear, "Meta does not report the number's status"),
        _ => (NumberStatus::Unclear, "the number has a status that Muster does not know"),
    };
    StatusMeaning { status, message }
}

/// Whether a code has verified the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum VerificationStatus {
    /// Verified.
    Verified,
    /// Not verified.
    NotVerified,
    /// Verified too long ago to register the number.
    Expired,
    /// Missing, or a value that is unknown here.
    Unclear,
}

/// The meaning of Meta's `code_verification_status`.
pub(super) fn verification_status(status: &str) -> VerificationStatus {
    match status {
        "VERIFIED" => VerificationStatus::Verified,
        "NOT_VERIFIED" | "UNVERIFIED" => VerificationStatus::NotVerified,
        "EXPIRED" => VerificationStatus::Expired,
        _ => VerificationStatus::Unclear,
    }
}

/// The class of an error, which decides the reaction to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum GraphErrorClass {
    /// Meta rejects the token. All calls stop until it is accepted, and an error is logged for the operator.
    TokenRejected,
    /// The error stays until a person changes something. The work fails.
    Permanent,
    /// Meta banned the account or its business.
    Banned,
    /// The error passes by itself. The call is retried soon.
    Transient,
    /// Too many calls. All calls stop until Meta accepts them again.
    RateLimited,
    /// The call may be retried after this time.
    RetryAfter(Duration),
    /// The budget of calls to register and deregister is used up for now.
    CallsUsedUp,
    /// An earlier deregistration must be completed first.
    DeregistrationIncomplete,
    /// The number is not registered. For a deregistration this is success.
    NotRegistered,
    /// The number is in a WhatsApp Business account already.
    AlreadyListed,
    /// The number does not exist, or is not visible to this token.
    NotFound,
    /// Meta rejects the code; another may be submitted.
    CodeRefused,
}

/// An error from Meta, without Meta's text, which may repeat the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct GraphError {
    /// The HTTP status.
    pub(super) http_status: u16,
    /// `code`, which decides the error class.
    pub(super) code: Option<i64>,
    /// `error_subcode`, if there is one.
    pub(super) subcode: Option<i64>,
    /// `is_transient`.
    pub(super) is_transient: bool,
    /// `fbtrace_id`, by which Meta's support finds the call.
    pub(super) trace_id: Option<String>,
}

/// The code, as messages give it in brackets.
impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.subcode) {
            (Some(code), Some(subcode)) => write!(f, "code {code}, subcode {subcode}"),
            (Some(code), None) => write!(f, "code {code}"),
            (None, _) => write!(f, "HTTP {}", self.http_status),
        }
    }
}

/// The class of an error, and its sentence without the code.
pub(super) fn classify(error: &GraphError) -> (GraphErrorClass, &'static str) {
    use GraphErrorClass::{
        AlreadyListed, Banned, CallsUsedUp, CodeRefused, DeregistrationIncomplete, NotFound, NotRegistered, Permanent,
        RateLimited, RetryAfter, TokenRejected, Transient,
    };
    let Some(code) = error.code else { return classify_unknown(error) };
    match (code, error.subcode) {
        (0 | 104 | 190, Some(463)) => {
            (TokenRejected, "the token has expired; set a new one in gateway.cloud_api.token")
        }
        (0 | 104 | 190, _) => (TokenRejected, "the token is not valid; set another in gateway.cloud_api.token"),
        (200, Some(1_349_175)) => (Permanent, "the business has reached Meta's limit of numbers"),
        (3 | 10 | 200..=299, _) => (Permanent, "the app or its token lacks a permission"),
        (368, _) => (Banned, "the account is blocked for a breach of Meta's policies"),
        (131_031, _) => (Banned, "the account is locked by Meta"),
        (130_497, _) => (Permanent, "the business may not serve this country"),
        (1 | 2, _) => (Transient, "Meta's service fails temporarily"),
        (4 | 17 | 80_007 | 130_429 | 131_048 | 131_056, _) => (RateLimited, "Meta accepts no more calls for now"),
        (33, _) => (NotFound, "the number was deleted at Meta"),
        (100, Some(33)) | (803, _) => (NotFound, "the number does not exist, or the token has no access to it"),
        (100, Some(2_207_051)) | (133_010, _) => (NotRegistered, "the number is not registered"),
        (100, _) => (Permanent, "Meta rejects the request as invalid"),
        (131_057, _) => (Transient, "Meta's service is under maintenance"),
        (131_000 | 131_016 | 2_494_100 | 133_004, _) => (Transient, "Meta's service fails temporarily"),
        (131_045, _) => (Transient, "Meta has not completed the number's registration"),
        (131_005, _) => (Permanent, "the token lacks the permission"),
        (131_008, _) => (Permanent, "Meta misses a field in the request"),
        (131_009, _) => (Permanent, "Meta rejects a value in the request"),
        (133_000, _) => (DeregistrationIncomplete, "an earlier deregistration is incomplete"),
        (133_005, _) => (Permanent, "the PIN is wrong; set the correct one in gateway.cloud_api.pin"),
        (133_006, _) => (Permanent, "the number must be verified first; register it again and submit its code"),
        (133_008, _) => (RetryAfter(META_PIN_WAIT_LONG), "too many wrong PINs were tried"),
        (133_009, _) => (RetryAfter(META_PIN_WAIT), "PINs were tried too quickly"),
        (133_015, _) => (RetryAfter(META_DELETED_WAIT), "the number was deleted recently"),
        (133_016, _) => (CallsUsedUp, "Meta rejects registrations of the number for up to 72 hours"),
        (136_024, Some(2_388_367)) => (RetryAfter(META_CODE_WAIT_LONG), "far too many codes were requested"),
        (136_024, _) => {
            (RetryAfter(META_CODE_WAIT), "too many codes were requested, or the number is already verified")
        }
        (136_025, _) => (CodeRefused, "the code is wrong or expired"),
        (2_388_012, _) => (AlreadyListed, "the number is already in a WhatsApp Business account"),
        (135_000, _) => (Permanent, "Meta gives no reason"),
        (2_388_091 | 2_388_093 | 2_388_103, _) => (Permanent, "Meta does not allow moving the number here"),
        (_, _) => classify_unknown(error),
    }
}

/// The class of an error with an unknown code, by its HTTP status and `is_transient`.
fn classify_unknown(error: &GraphError) -> (GraphErrorClass, &'static str) {
    match error.http_status {
        _ if error.is_transient => (GraphErrorClass::Transient, "Meta's service fails temporarily"),
        429 => (GraphErrorClass::RateLimited, "Meta accepts no more calls for now"),
        401 => (GraphErrorClass::TokenRejected, "the token is not valid; set another in gateway.cloud_api.token"),
        500..=599 => (GraphErrorClass::Transient, "Meta's service fails temporarily"),
        _ => (GraphErrorClass::Permanent, "Meta rejects it for a reason that Muster does not know"),
    }
}

/// The sentence about an error for callers, with its code.
pub(super) fn error_message(error: &GraphError) -> String {
    let (class, words) = classify(error);
    let wait = match class {
        GraphErrorClass::RetryAfter(wait) => format!("; try again in {}", hours_or_minutes(wait)),
        GraphErrorClass::CallsUsedUp => {
            let hours = REGISTER_CALLS_WINDOW.as_secs() / 3600;
            format!(", after {REGISTER_CALLS} in {hours} hours")
        }
        GraphErrorClass::TokenRejected
        | GraphErrorClass::Permanent
        | GraphErrorClass::Banned
        | GraphErrorClass::Transient
        | GraphErrorClass::RateLimited
        | GraphErrorClass::DeregistrationIncomplete
        | GraphErrorClass::NotRegistered
        | GraphErrorClass::AlreadyListed
        | GraphErrorClass::NotFound
        | GraphErrorClass::CodeRefused => String::new(),
    };
    format!("{words}{wait} ({error})")
}

fn hours_or_minutes(wait: Duration) -> String {
    match wait.as_secs() / 60 {
        60 => "an hour".to_owned(),
        minutes if minutes.is_multiple_of(60) => format!("{} hours", minutes / 60),
        minutes => format!("{minutes} minutes"),
    }
}
