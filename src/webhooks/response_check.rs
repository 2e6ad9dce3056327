//! The result of an attempt: decides whether a receiver's response is a success, and names the failure if not. Pure.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{FailureClass, json_text};
use crate::limits::WEBHOOK_RESPONSE_BYTES;
use crate::metrics::AttemptOutcome;

/// The result of an attempt.
#[derive(Clone, Debug)]
pub(super) struct AttemptResponse {
    pub(super) verdict: Result<(), AttemptFailure>,
    /// The HTTP status, if there was a response.
    pub(super) status: Option<u16>,
    /// The beginning of the response body.
    pub(super) body_excerpt: String,
    /// The receiver's `Retry-After`, if it sent one.
    pub(super) retry_after: Option<Duration>,
    pub(super) took: Duration,
}

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

impl Default for AttemptResponse {
    /// A success without a status or body.
    fn default() -> AttemptResponse {
        let (status, response, retry_after) = (None, String::new(), None);
        AttemptResponse { verdict: Ok(()), status, body_excerpt: response, retry_after, took: Duration::ZERO }
    }
}

impl AttemptFailure {
    /// The name of the class of failure.
    pub(super) fn class(&self) -> &'static str {
        self.outcome().label()
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

/// Checks whether the receiver accepted a delivery. The contract requires HTTP 200 and a body with `code` 200 or 0.
/// With `accept_plain`, any 2xx status is accepted, and the body needs no code. A code that is present must still be
/// 200 or 0; a code that is not an integer is a failure. A body that begins like a JSON object but is not valid JSON is
/// a failure too, because its code cannot be read.
pub(super) fn check_response(status: u16, body: &[u8], accept_plain: bool) -> Result<(), AttemptFailure> {
    if !(200..300).contains(&status) {
        return Err(AttemptFailure::Status(status));
    }
    let text = json_text(body);
    // Only the code is parsed as a value, because other members may be nested too deeply or have too large numbers.
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

/// The integer value of a JSON number. `200.0` and `2e2` count as integers too.
fn integer(json: &str) -> Option<i64> {
    let value: Value = serde_json::from_str(json).ok()?;
    // Above 2^53 one float can stand for several integers.
    let is_integer = |number: &f64| number.fract() == 0.0 && number.abs() < (1_u64 << 53) as f64;
    value.as_i64().or_else(|| value.as_f64().filter(is_integer).map(|number| number as i64))
}
