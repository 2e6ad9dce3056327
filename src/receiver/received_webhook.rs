//! A webhook and its response, as text and as JSON. Pure.
//!
//! The output has the sender's text unchanged, including control characters. The code that prints it must escape them.

use serde_json::{Map, Value, json};

use super::duplicate_detection::SequenceStatus;
use super::received_headers::ReceivedHeaders;
use super::webhook_summary::WebhookSummary;
use crate::audit::write_time;
use crate::domain::{Channel, Timestamp};

/// A received webhook.
pub struct ReceivedWebhook {
    /// When it arrived.
    pub received_at: Timestamp,
    /// The body: a JSON object, or a string if it is not an object; null if it could not be read.
    pub body: Value,
    pub(super) path: String,
    pub(super) headers: ReceivedHeaders,
    /// The result of the signature check in one or two words, or why the signature is wrong.
    pub(super) signature: Result<&'static str, String>,
    pub(super) sequence: SequenceStatus,
    pub(super) response: ReceiverResponse,
}

/// The response to a webhook.
#[derive(Clone)]
pub(super) struct ReceiverResponse {
    /// The HTTP status.
    pub(super) status: u16,
    /// The code in the body.
    pub(super) code: u32,
    /// `success`, or the reason for the rejection.
    pub(super) message: String,
}

impl ReceivedWebhook {
    /// What the webhook reports.
    pub fn summary(&self) -> WebhookSummary<'_> {
        WebhookSummary::parse(&self.body)
    }

    /// One line of text for people, without a line break at its end.
    pub fn to_text(&self) -> String {
        let WebhookSummary { account, label, reason, instance_code, still_waiting } = self.summary();
        let mut summary = match (label, &self.body) {
            (Some(label), _) => label.to_owned(),
            (None, Value::Null) => "-".to_owned(),
            (None, body) => body.to_string(),
        };
        let details = [("reason", reason), ("instanceCode", instance_code)];
        for (name, value) in details.iter().filter(|(_, value)| label.is_some() && !value.is_empty()) {
            summary += &format!(" {name}={value}");
        }
        summary += match still_waiting.filter(|_| label.is_some()) {
            Some(true) => ", another code can be submitted",
            Some(false) => ", no more codes can be submitted",
            None => "",
        };
        let header = |name| self.headers.get(name).unwrap_or("-");
        let line = format!(
            "{}  {:9} {account:15} v{:<5} {summary:36} attempt {:2} {:15} → {}  {}",
            write_time(self.received_at),
            self.channel().map_or(&*self.path, |channel| channel.short_name()),
            header("x-muster-account-version"),
            header("x-muster-attempt"),
            self.signature.as_deref().unwrap_or("WRONG SIGNATURE"),
            self.response.to_text(),
            header("webhook-id"),
        );
        match self.sequence {
            SequenceStatus::New => line,
            SequenceStatus::Duplicate => line + "  DUPLICATE",
            SequenceStatus::OutOfOrder { after } => format!("{line}  OUT OF ORDER after v{after}"),
        }
    }

    /// One line of JSON for programs.
    pub fn to_json(&self) -> String {
        let WebhookSummary { account, label, .. } = self.summary();
        let ReceiverResponse { status, code, message } = &self.response;
        let after = match self.sequence {
            SequenceStatus::OutOfOrder { after } => Some(after),
            SequenceStatus::New | SequenceStatus::Duplicate => None,
        };
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        json!({
            "time": write_time(self.received_at),
            "path": self.path,
            "channel": self.channel().map(Channel::configuration_id),
            "account": account,
            "what": label,
            "signature": self.signature.as_deref().unwrap_or("wrong"),
            "isDuplicate": matches!(self.sequence, SequenceStatus::Duplicate),
            "outOfOrderAfter": after,
            "answer": {"status": status, "code": code, "message": message},
            "headers": headers,
            "body": self.body,
        })
        .to_string()
    }

    /// The channel whose default path the path ends with. The base URL does not matter.
    fn channel(&self) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| self.path.ends_with(channel.default_path()))
    }
}

impl ReceiverResponse {
    /// The contract's response for an accepted webhook.
    pub(super) fn success() -> ReceiverResponse {
        ReceiverResponse { status: 200, code: 200, message: "success".to_owned() }
    }

    /// A rejection with its reason.
    pub(super) fn rejection(status: u16, message: impl Into<String>) -> ReceiverResponse {
        ReceiverResponse { status, code: u32::from(status), message: message.into() }
    }

    /// Whether the response accepts the webhook, as the contract defines it.
    pub(super) fn is_success(&self) -> bool {
        self.status == 200 && matches!(self.code, 0 | 200)
    }

    /// The body, in the contract's envelope.
    pub(super) fn to_envelope(&self) -> Value {
        json!({"data": "", "code": self.code, "message": self.message})
    }

    fn to_text(&self) -> String {
        let ReceiverResponse { status, code, message } = self;
        let code = if *code == u32::from(*status) { String::new() } else { format!("code={code} ") };
        format!("{status} {code}{message}")
    }
}
