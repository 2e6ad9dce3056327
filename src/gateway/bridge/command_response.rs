//! Interprets a gateway's response to a command. Pure.

use std::time::Duration;

use super::protocol::read_rejection;
use super::sessions::SessionPage;
use crate::client::json_text;
use crate::limits::BRIDGE_RESPONSE_BYTES;

/// The meaning of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CommandResponse {
    /// The gateway has taken the command over.
    Accepted,
    /// The requested page of sessions.
    Sessions(SessionPage),
    /// The gateway rejects the command for good, for this reason.
    Rejected(String),
    /// The command came too late.
    TooLate,
}

/// Why an attempt failed. Another may succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CommandFailure {
    /// The gateway asks for a pause.
    #[error("the gateway answered HTTP {status}: it accepts no commands for now")]
    RetryLater {
        /// The HTTP status.
        status: u16,
        /// The length of the pause, if the gateway gives one.
        wait: Option<Duration>,
    },
    /// The gateway rejects the signature. Either the secrets differ, or it has seen this signature before, which happens
    /// after a restart within the same second. The next attempt has a new signature.
    #[error(
        "the gateway does not accept the signature (HTTP 401); check that both sides have the same secret and the \
         correct time"
    )]
    SignatureRejected,
    /// Another HTTP status.
    #[error("the gateway answered HTTP {0}, which is not a status of the protocol")]
    Status(u16),
    /// The list of sessions is malformed.
    #[error("the gateway's list of sessions cannot be read: {0}")]
    Malformed(String),
    /// The body has more bytes than this limit.
    #[error("the gateway's response has more than {0} bytes")]
    TooLong(usize),
    /// No response, for this reason.
    #[error("{0}")]
    Network(String),
    /// The command's deadline passed before it was sent.
    #[error("the command's deadline passed before it could be sent")]
    DeadlinePassed,
    /// The command's secrets could not be opened.
    #[error("{0}")]
    UnsealFailed(String),
}

impl CommandFailure {
    /// Whether the failure means that the gateway is away, rather than a fault of this command.
    pub(super) fn is_unavailable(&self) -> bool {
        match self {
            CommandFailure::RetryLater { status, .. } => *status == 503,
            // Redirects are not followed: a proxy sent this response, not the gateway.
            CommandFailure::Status(status) => *status >= 500 || (300..400).contains(status),
            CommandFailure::SignatureRejected | CommandFailure::Network(_) => true,
            CommandFailure::Malformed(_)
            | CommandFailure::TooLong(_)
            | CommandFailure::DeadlinePassed
            | CommandFailure::UnsealFailed(_) => false,
        }
    }

    /// The pause that the gateway asks for, if any.
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

/// Interprets a response. `asks_sessions` says that the command was `list_sessions`.
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
            let words = read_rejection(&body[..body.len().min(BRIDGE_RESPONSE_BYTES)]);
            Ok(CommandResponse::Rejected(
                words.unwrap_or_else(|| format!("the gateway rejected it with HTTP {status}")),
            ))
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
    fn responses_are_interpreted() {
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
            let result = interpret_response(status, body.as_bytes(), Some(Duration::from_secs(7)), asks_sessions);
            let described = match &result {
                Ok(response) => format!("{response:?}"),
                Err(failure) => {
                    let (away, wait) = (if failure.is_unavailable() { ", away" } else { "" }, failure.retry_after());
                    format!("tried again{away}, after {wait:?}: {failure}")
                }
            };
            text += &format!("{status} {body}{}\n  {described}\n", if asks_sessions { " (list_sessions)" } else { "" });
        }
        insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("bridge_verdicts", text);
        });
    }
}
