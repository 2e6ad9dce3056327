//! What a gateway's answer to a command means. Pure.

use std::time::Duration;

use super::protocol::read_refusal;
use super::sessions::SessionPage;
use crate::client::json_text;
use crate::limits::BRIDGE_RESPONSE_BYTES;

/// What follows from an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CommandResponse {
    /// The gateway has taken the command over.
    Accepted,
    /// These are the sessions that were asked for.
    Sessions(SessionPage),
    /// It does not carry the command out, and will not.
    Rejected(String),
    /// The command came too late.
    TooLate,
}

/// Why an attempt failed. Another may succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CommandFailure {
    /// The gateway asks to be left alone for a while.
    #[error("the gateway answered HTTP {status}: it takes no more for now")]
    RetryLater {
        /// The status of HTTP.
        status: u16,
        /// How long, if it says so.
        wait: Option<Duration>,
    },
    /// The gateway does not take the signature: the secrets differ, or it has seen this very one, which comes of a restart
    /// within the second. The next attempt is signed anew.
    #[error(
        "the gateway does not take the signature (HTTP 401); both sides must have the same secret, and the right time"
    )]
    SignatureRejected,
    /// Another status.
    #[error("the gateway answered HTTP {0}, which is no answer of the protocol")]
    Status(u16),
    /// The sessions are not as they must be.
    #[error("the gateway's list of sessions cannot be read: {0}")]
    Malformed(String),
    /// The body does not end.
    #[error("the gateway's answer has more than {0} bytes")]
    TooLong(usize),
    /// No answer.
    #[error("{0}")]
    Network(String),
    /// The command was over before it was its turn.
    #[error("the command's deadline was over before it could be sent")]
    DeadlinePassed,
    /// What is sealed in it does not open.
    #[error("{0}")]
    UnsealFailed(String),
}

impl CommandFailure {
    /// Whether it says that the gateway is away, and not of this command alone.
    pub(super) fn is_unavailable(&self) -> bool {
        match self {
            CommandFailure::RetryLater { status, .. } => *status == 503,
            // Redirects are not followed: nobody of the protocol's answers there.
            CommandFailure::Status(status) => *status >= 500 || (300..400).contains(status),
            CommandFailure::SignatureRejected | CommandFailure::Network(_) => true,
            CommandFailure::Malformed(_)
            | CommandFailure::TooLong(_)
            | CommandFailure::DeadlinePassed
            | CommandFailure::UnsealFailed(_) => false,
        }
    }

    /// How long the gateway wants to be left alone, if it says so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            CommandFailure::RetryLater { wait, .. } => *wait,
            CommandFailure::SignatureRejected
            | CommandFailure::Status(_)
            | CommandFailure::Malformed(_)
            | CommandFailure::TooLong(_)
            | CommandFailure::Network(_)
            | CommandFailure::DeadlinePassed
            | CommandFailure::UnsealFailed(_) => None,
        }
    }
}

/// Judges an answer. `asks_sessions` says that the command was `list_sessions`.
pub(super) fn interpret_response(
    status: u16,
    body: &[u8],
    retry_after: Option<Duration>,
    asks_sessions: bool,
) -> Result<CommandResponse, CommandFailure> {
    let body = json_text(body);
    let body = body.as_bytes();
    match (status, asks_sessions) {
        (200, true) => SessionPage::read(body)
            .map(CommandResponse::Sessions)
            .map_err(|fault| CommandFailure::Malformed(fault.to_string())),
        (202, false) => Ok(CommandResponse::Accepted),
        (401, _) => Err(CommandFailure::SignatureRejected),
        (400 | 403 | 404 | 409 | 422, _) => {
            let words = read_refusal(&body[..body.len().min(BRIDGE_RESPONSE_BYTES)]);
            Ok(CommandResponse::Rejected(words.unwrap_or_else(|| format!("the gateway refused it with HTTP {status}"))))
        }
        (410, _) => Ok(CommandResponse::TooLate),
        (429 | 503, _) => Err(CommandFailure::RetryLater { status, wait: retry_after }),
        (_, _) => Err(CommandFailure::Status(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let mut text = String::new();
        let sessions = r#"{"sessions":[{"account":"861821726232","session":3,"state":"connected"}],"next":null}"#;
        for (status, body, asks_sessions) in [
            (202, r#"{"accepted":true}"#, false),
            (202, "", false),
            (200, "{}", false),
            (200, sessions, true),
            (200, r#"{"sessions":[{"account":"861821726232","state":"open"}]}"#, true),
            (200, "gateway", true),
            (202, sessions, true),
            (400, r#"{"error":"no such field"}"#, false),
            (401, r#"{"error":"the signature does not fit"}"#, false),
            (403, "<html>", false),
            (404, r#"{"error":""}"#, false),
            (404, "\u{feff}{\"error\":\"no such \\ud83d\"}", false),
            (409, r#"{"error":"another gateway has the account"}"#, false),
            (422, r#"{"error":"no pairing"}"#, false),
            (410, "", false),
            (429, "", false),
            (503, "", true),
            (500, "", false),
            (502, "", true),
            (302, "", false),
            (405, "", false),
        ] {
            let judged = interpret_response(status, body.as_bytes(), Some(Duration::from_secs(7)), asks_sessions);
            let said = match &judged {
                Ok(verdict) => format!("{verdict:?}"),
                Err(failure) => {
                    let (away, wait) = (if failure.is_unavailable() { ", away" } else { "" }, failure.retry_after());
                    format!("tried again{away}, after {wait:?}: {failure}")
                }
            };
            text += &format!("{status} {body}{}\n  {said}\n", if asks_sessions { " (list_sessions)" } else { "" });
        }
        insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("bridge_verdicts", text);
        });
    }
}
