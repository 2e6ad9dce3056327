//! What a webhook says, in words. Pure.

use serde_json::Value;

/// What a body says, in the contract's words. What is missing is empty.
pub struct WebhookSummary<'a> {
    /// Of whom.
    pub account: &'a str,
    /// What happened; none if the body says nothing that the contract knows.
    pub label: Option<&'static str>,
    /// Why.
    pub reason: &'a str,
    /// The gateway's scan or pairing id.
    pub instance_code: &'a str,
    /// Of a failed registration, whether another code may be tried; none if the body does not say so, which it does with
    /// `webhooks.register_still_waiting` alone.
    pub still_waiting: Option<bool>,
}

impl WebhookSummary<'_> {
    /// Reads the body of either channel.
    pub(super) fn parse(body: &Value) -> WebhookSummary<'_> {
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        // With `webhooks.register_status_as_string` a number stands in a text.
        let number = |name: &str| body[name].as_i64().or_else(|| body[name].as_str()?.parse().ok());
        let (account, label) = match body.get("phone") {
            Some(_) => (text("phone"), registration_label(number("status"))),
            None => (text("whatsApp"), account_label(number("status"), number("onlineStatus"))),
        };
        let still_waiting = body["stillWaiting"].as_bool();
        WebhookSummary { account, label, reason: text("reason"), instance_code: text("instanceCode"), still_waiting }
    }
}

/// What became of a registration.
fn registration_label(status: Option<i64>) -> Option<&'static str> {
    match status? {
        0 => Some("registration failed"),
        1 => Some("registered"),
        _ => None,
    }
}

/// How an account stands.
fn account_label(status: Option<i64>, online_status: Option<i64>) -> Option<&'static str> {
    match (status?, online_status?) {
        (2, _) => Some("banned"),
        (1, 1) => Some("online-coming"),
        (1, 2) => Some("online"),
        (1, 3) => Some("offline-coming"),
        (1, 4) => Some("offline"),
        _ => None,
    }
}
