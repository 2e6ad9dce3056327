//! What a receiver's answer means. Pure.

use std::time::Duration;

use serde_json::Value;

use crate::limits::WEBHOOK_ANSWER_BYTES;

/// Why an attempt failed. Another may succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The receiver answered, but with no success.
    #[error("the receiver answered HTTP {0}, not 200")]
    Status(u16),
    /// HTTP was content, the receiver was not.
    #[error("the receiver answered HTTP {status} with code {code}, not 200 or 0")]
    Code {
        /// The status of HTTP.
        status: u16,
        /// What the body says.
        code: i64,
    },
    /// There is no verdict in the body.
    #[error("the receiver answered HTTP {0} with a body that is no JSON object with an integer code")]
    NoCode(u16),
    /// The body does not end.
    #[error("the receiver's answer has more than {WEBHOOK_ANSWER_BYTES} bytes")]
    TooLong,
    /// No answer in time.
    #[error("the receiver did not answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// No connection.
    #[error("the receiver cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke before the answer was whole.
    #[error("the connection to the receiver broke: {0}")]
    Broken(String),
}

/// Whether the receiver has taken a delivery: HTTP 200 and `code` 200 or 0 in the body (the contract). With
/// `accept_plain`, a 2xx whose body holds no code is taken for success too; one that is no integer is a code all the
/// same, and no success.
pub(super) fn judge(status: u16, body: &[u8], accept_plain: bool) -> Result<(), Failure> {
    if !(200..300).contains(&status) {
        return Err(Failure::Status(status));
    }
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    match answer.as_ref().and_then(|answer| answer.get("code")).map(Value::as_i64) {
        Some(Some(0 | 200)) if status == 200 || accept_plain => Ok(()),
        Some(Some(0 | 200)) => Err(Failure::Status(status)),
        Some(Some(code)) => Err(Failure::Code { status, code }),
        None if accept_plain => Ok(()),
        Some(None) | None => Err(Failure::NoCode(status)),
    }
}
