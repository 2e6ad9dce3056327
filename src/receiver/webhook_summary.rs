//! A summary of what a webhook reports. Pure.

use serde_json::Value;

/// The contents of a webhook's body. Missing texts are empty.
pub struct WebhookSummary<'a> {
    /// The account or phone number.
    pub account: &'a str,
    /// What happened; `None` if the contract does not define the status.
    pub label: Option<&'static str>,
    /// The reason code.
    pub reason: &'a str,
    /// The gateway's scan or pairing id.
    pub instance_code: &'a str,
    /// After a failed registration: whether another code may be tried. The body says so only with the setting
    /// `webhooks.register_still_waiting`.
    pub still_waiting: Option<bool>,
}

impl WebhookSummary<'_> {
    /// Parses the body of either channel.
    pub(super) fn parse(body: &Value) -> WebhookSummary<'_> {
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        // With the setting `webhooks.register_status_as_string` the status is a string.
        let number = |name: &str| body[name].as_i64().or_else(|| body[name].as_str()?.parse().ok());
        let (account, label) = match body.get("phone") {
            Some(_) => (text("phone"), registration_label(number("status"))),
            None => (text("whatsApp"), account_label(number("status"), number("onlineStatus"))),
        };
        let still_waiting = body["stillWaiting"].as_bool();
        WebhookSummary { account, label, reason: text("reason"), instance_code: text("instanceCode"), still_waiting }
    }
}

/// The label for the result of a registration.
fn registration_label(status: Option<i64>) -> Option<&'static str> {
    match status? {
        0 => Some("registration failed"),
        1 => Some("registered"),
        _ => None,
    }
}

/// The label for the status of an account.
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
