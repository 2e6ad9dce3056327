//! Decides whether a receiver's response is a success, and names the failure if not. Pure.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{FailureClass, json_text};
use crate::limits::WEBHOOK_RESPONSE_BYTES;
use crate::metrics::AttemptOutcome;

/// Why an attempt failed. A later attempt may succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AttemptFailure {
    /// The HTTP status is not a success.
    #[error("the receiver answered HTTP {0}, not 200")]
    Status(u16),
    /// The HTTP status is a success, but the code in the body is not.
    #[error("the receiver answered HTTP {status} with code {code}, not 200 or 0")]
    Code {
        /// The HTTP status.
        status: u16,
        /// The code in the body.
        code: i64,
    },
    /// The body has no integer code.
    #[error("the receiver answered HTTP {0}, but its body is not a JSON object with an integer code")]
    NoCode(u16),
    /// The body is too long.
    #[error("the receiver's response has more than {WEBHOOK_RESPONSE_BYTES} bytes")]
    TooLong,
    /// No response in time. The value is the timeout.
    #[error("the receiver did not respond within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// No response for another reason.
    #[error("{}: {words}", network_failure_text(*.class))]
    Network {
        /// The class of failure.
        class: FailureClass,
        /// The text of the innermost error.
        words: String,
    },
}

/// HTTP 410: the receiver no longer exists.
const GONE: u16 = 410;

impl AttemptFailure {
    /// The name of the class of failure.
    pub(super) fn class(&self) -> &'static str {
        self.outcome().word()
    }

    /// The outcome, for metrics.
    pub(super) fn outcome(&self) -> AttemptOutcome {
        match self {
            AttemptFailure::Status(_) => AttemptOutcome::Status,
            AttemptFailure::Code { .. } => AttemptOutcome::Code,
            AttemptFailure::NoCode(_) => AttemptOutcome::NoCode,
            AttemptFailure::TooLong => AttemptOutcome::TooLong,
            AttemptFailure::Timeout(_) => AttemptOutcome::Timeout,
            AttemptFailure::Network { class, .. } => match class {
                FailureClass::Dns => AttemptOutcome::Dns,
                FailureClass::Forbidden => AttemptOutcome::Forbidden,
                FailureClass::Refused => AttemptOutcome::Refused,
                FailureClass::Reset => AttemptOutcome::Reset,
                FailureClass::Tls => AttemptOutcome::Tls,
                FailureClass::Timeout => AttemptOutcome::Timeout,
                FailureClass::TooLong => AttemptOutcome::TooLong,
                FailureClass::Network => AttemptOutcome::Network,
            },
        }
    }

    /// Whether the receiver answered HTTP 410.
    pub(super) fn is_gone(&self) -> bool {
        *self == AttemptFailure::Status(GONE)
    }
}

/// The first half of a network failure's message; the system's text follows.
fn network_failure_text(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Dns => "the receiver's name has no address",
        FailureClass::Forbidden => "the receiver's address is not allowed",
        FailureClass::Refused => "the receiver refuses connections",
        FailureClass::Reset => "the connection to the receiver broke",
        FailureClass::Tls => "TLS with the receiver failed",
        FailureClass::Timeout => "the receiver did not respond in time",
        FailureClass::TooLong => "the receiver's response is too long",
        FailureClass::Network => "the receiver cannot be reached",
    }
}

/// Whether the receiver has taken a delivery: HTTP 200 and `code` 200 or 0 in the body (the contract). With
/// `accept_plain`, a 2xx whose body holds no code is taken for success too; one that is no integer is a code all the
/// same, and no success. Nor is a body that begins as an object and is not JSON: its code may be there, unread.
pub(super) fn check_response(status: u16, body: &[u8], accept_plain: bool) -> Result<(), AttemptFailure> {
    if !(200..300).contains(&status) {
        return Err(AttemptFailure::Status(status));
    }
    let text = json_text(body);
    // Only the code is read as a value: what else is there may be nested too deep, or a number too great.
    let answer = serde_json::from_str::<HashMap<String, &RawValue>>(&text);
    let is_readable = answer.is_ok() || !begins_as_object(&text);
    let code = answer.ok().and_then(|members| members.get("code").map(|code| integer(code.get())));
    match code {
        Some(Some(0 | 200)) if status == 200 || accept_plain => Ok(()),
        Some(Some(0 | 200)) => Err(AttemptFailure::Status(status)),
        Some(Some(code)) => Err(AttemptFailure::Code { status, code }),
        None if accept_plain && is_readable => Ok(()),
        Some(None) | None => Err(AttemptFailure::NoCode(status)),
    }
}

fn begins_as_object(text: &str) -> bool {
    let is_skipped = |it: char| it.is_whitespace() || it.is_control() || it == '\u{feff}';
    text.trim_start_matches(is_skipped).starts_with('{')
}

/// The integer that a number is, also if it is written as `200.0` or `2e2`.
fn integer(json: &str) -> Option<i64> {
    let value: Value = serde_json::from_str(json).ok()?;
    // Beyond 2^53 a float is no longer one integer alone.
    let is_integer = |number: &f64| number.fract() == 0.0 && number.abs() < (1_u64 << 53) as f64;
    value.as_i64().or_else(|| value.as_f64().filter(is_integer).map(|number| number as i64))
}
