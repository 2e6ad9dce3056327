//! What Meta's states and error codes mean here, each in one row. Pure.
//!
//! Meta's own sources disagree on what values there are, so each table ends with a row for those that nobody knows. An
//! error is judged by its code; its HTTP status is a hint where the code is unknown, because the sources disagree on that
//! too. The sentences are ours: Meta's own words may repeat a token.

use std::time::Duration;

use super::graph_response::GraphError;
use crate::limits::{
    META_CODE_WAIT, META_CODE_WAIT_LONG, META_DELETED_WAIT, META_PIN_WAIT, META_PIN_WAIT_LONG, REGISTER_CALLS,
    REGISTER_CALLS_WINDOW,
};

/// How a number stands at Meta, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberStatus {
    /// Registered: messages can be sent and received.
    Connected,
    /// A call to register it is being carried out, or none was ever made.
    Pending,
    /// Not registered, and can be.
    Offline,
    /// Shut out by Meta.
    Banned,
    /// Not ours any more.
    Gone,
    /// Meta says nothing that is known here: nothing is done about it, and it may pass.
    Unclear,
}

/// A row of the table of states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StatusMeaning {
    /// What it comes to.
    pub(super) status: NumberStatus,
    /// The sentence for whoever waits for another one, without the word itself.
    pub(super) message: &'static str,
}

/// What `status` says of a number.
pub(super) fn status_meaning(status: &str) -> StatusMeaning {
    let (standing, sentence) = match status {
        "CONNECTED" => (NumberStatus::Connected, "the number is registered"),
        "LINKED" => (NumberStatus::Connected, "the number is linked"),
        "FLAGGED" => (NumberStatus::Connected, "the number is registered, and flagged for its quality"),
        "RATE_LIMITED" => (NumberStatus::Connected, "the number is registered, and has sent all that it may for now"),
        "RESTRICTED" => (NumberStatus::Connected, "the number is registered, and restricted for its quality"),
        "PENDING" => (NumberStatus::Pending, "the number is not registered yet"),
        "DISCONNECTED" => (NumberStatus::Offline, "the number is not registered"),
        "UNLINKED" => (NumberStatus::Offline, "the number is not linked"),
        "UNVERIFIED" => (NumberStatus::Offline, "the number is not verified"),
        "BANNED" => (NumberStatus::Banned, "the number is banned"),
        "DELETED" => (NumberStatus::Gone, "the number was deleted at Meta; add it again by registering it"),
        "MIGRATED" => (NumberStatus::Gone, "the number was moved to another WhatsApp Business account"),
        "UNKNOWN" => (NumberStatus::Unclear, "Meta does not know how the number stands"),
        _ => (NumberStatus::Unclear, "the number stands in a way that Muster does not know"),
    };
    StatusMeaning { status: standing, message: sentence }
}

/// Whether a code has confirmed that the number is ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum VerificationStatus {
    /// It has.
    Verified,
    /// It has not.
    NotVerified,
    /// It has, and too long ago to register the number by it.
    Expired,
    /// Meta does not say, or not in words that are known here.
    Unclear,
}

/// What `code_verification_status` says.
pub(super) fn verification_status(status: &str) -> VerificationStatus {
    match status {
        "VERIFIED" => VerificationStatus::Verified,
        "NOT_VERIFIED" | "UNVERIFIED" => VerificationStatus::NotVerified,
        "EXPIRED" => VerificationStatus::Expired,
        _ => VerificationStatus::Unclear,
    }
}

/// What is done about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum GraphErrorClass {
    /// The token is not taken: no call is made until it is, and somebody is called.
    TokenRejected,
    /// It stays so until somebody changes something: what was wanted ends.
    Permanent,
    /// The account or its business is shut out.
    Banned,
    /// It passes by itself: again, a little later.
    Transient,
    /// Too many calls: none is made until Meta takes them again.
    RateLimited,
    /// Again after so long, if what is wanted still waits then.
    RetryAfter(Duration),
    /// The calls to register and deregister are used up: none is made until they are free again.
    CallsUsedUp,
    /// An earlier deregistration is to be completed first.
    DeregistrationIncomplete,
    /// There is no registration: who wanted it gone has what they wanted.
    NotRegistered,
    /// The number is in the list already.
    AlreadyListed,
    /// The number is not there, or not for this token.
    NotFound,
    /// The code is refused; another may be tried.
    CodeRefused,
}

/// What is done about an error, and the sentence that tells why, without the code.
pub(super) fn classify(refused: &GraphError) -> (GraphErrorClass, &'static str) {
    use GraphErrorClass::{
        AlreadyListed, Banned, CallsUsedUp, CodeRefused, DeregistrationIncomplete, NotFound, NotRegistered, Permanent,
        RateLimited, RetryAfter, TokenRejected, Transient,
    };
    let Some(code) = refused.code else { return classify_unknown(refused) };
    match (code, refused.subcode) {
        (0 | 104 | 190, Some(463)) => {
            (TokenRejected, "the token has expired; set a new one in gateway.cloud_api.token")
        }
        (0 | 104 | 190, _) => (TokenRejected, "the token is not valid; set another in gateway.cloud_api.token"),
        (200, Some(1_349_175)) => (Permanent, "the business has as many numbers as Meta allows it"),
        (3 | 10 | 200..=299, _) => (Permanent, "the app or its token lacks a permission"),
        (368, _) => (Banned, "the account is blocked for a breach of Meta's policies"),
        (131_031, _) => (Banned, "the account is locked by Meta"),
        (130_497, _) => (Permanent, "the business may not serve this country"),
        (1 | 2, _) => (Transient, "Meta's service fails for now"),
        (4 | 17 | 80_007 | 130_429 | 131_048 | 131_056, _) => (RateLimited, "Meta takes no more calls for now"),
        (33, _) => (NotFound, "the number was deleted at Meta"),
        (100, Some(33)) | (803, _) => (NotFound, "the number is not there, or not for this token"),
        (100, Some(2_207_051)) | (133_010, _) => (NotRegistered, "the number is not registered"),
        (100, _) => (Permanent, "Meta does not take what it was sent"),
        (131_057, _) => (Transient, "Meta's service is being maintained"),
        (131_000 | 131_016 | 2_494_100 | 133_004, _) => (Transient, "Meta's service fails for now"),
        (131_045, _) => (Transient, "Meta has not completed the number's registration"),
        (131_005, _) => (Permanent, "the token may not do this"),
        (131_008, _) => (Permanent, "Meta misses something in what it was sent"),
        (131_009, _) => (Permanent, "Meta does not take a value that it was sent"),
        (133_000, _) => (DeregistrationIncomplete, "an earlier deregistration was not completed"),
        (133_005, _) => (Permanent, "the PIN is not the number's; set the right one in gateway.cloud_api.pin"),
        (133_006, _) => (Permanent, "the number must be verified first; register it anew and submit its code"),
        (133_008, _) => (RetryAfter(META_PIN_WAIT_LONG), "too many wrong PINs were tried"),
        (133_009, _) => (RetryAfter(META_PIN_WAIT), "PINs were tried too quickly"),
        (133_015, _) => (RetryAfter(META_DELETED_WAIT), "the number was deleted a moment ago"),
        (133_016, _) => (CallsUsedUp, "Meta takes no more registrations of the number for up to 72 hours"),
        (136_024, Some(2_388_367)) => (RetryAfter(META_CODE_WAIT_LONG), "codes were asked for far too often"),
        (136_024, _) => {
            (RetryAfter(META_CODE_WAIT), "codes were asked for too often, or the number is verified already")
        }
        (136_025, _) => (CodeRefused, "the code is wrong, or too old"),
        (2_388_012, _) => (AlreadyListed, "the number is in a WhatsApp Business account already"),
        (135_000, _) => (Permanent, "Meta does not say what is wrong"),
        (2_388_091 | 2_388_093 | 2_388_103, _) => (Permanent, "Meta does not let the number be moved here"),
        (_, _) => classify_unknown(refused),
    }
}

/// What is done about an error whose code nobody knows: what its status and Meta's own hint say.
fn classify_unknown(refused: &GraphError) -> (GraphErrorClass, &'static str) {
    match refused.http_status {
        _ if refused.is_transient => (GraphErrorClass::Transient, "Meta's service fails for now"),
        429 => (GraphErrorClass::RateLimited, "Meta takes no more calls for now"),
        401 => (GraphErrorClass::TokenRejected, "the token is not valid; set another in gateway.cloud_api.token"),
        500..=599 => (GraphErrorClass::Transient, "Meta's service fails for now"),
        _ => (GraphErrorClass::Permanent, "Meta refuses it for a reason that Muster does not know"),
    }
}

/// The sentence that callers are told about an error, with its code.
pub(super) fn error_message(refused: &GraphError) -> String {
    let (verdict, words) = classify(refused);
    let wait = match verdict {
        GraphErrorClass::RetryAfter(wait) => format!("; try again in {}", hours_or_minutes(wait)),
        GraphErrorClass::CallsUsedUp => {
            let hours = REGISTER_CALLS_WINDOW.as_secs() / 3600;
            format!(", because it had {REGISTER_CALLS} in {hours} hours")
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
    format!("{words}{wait} ({refused})")
}

fn hours_or_minutes(wait: Duration) -> String {
    match wait.as_secs() / 60 {
        60 => "an hour".to_owned(),
        minutes if minutes.is_multiple_of(60) => format!("{} hours", minutes / 60),
        minutes => format!("{minutes} minutes"),
    }
}
