//! The `data` of administrative events about webhooks and API keys.

use serde::Serialize;
use utoipa::ToSchema;

use super::rfc3339::format_rfc3339;
use crate::domain::{Channel, Grant};

// Frozen: the names of fields and their order. Auditors compare exports of the same event, and clients parse them.

/// Data of an administrative event about a webhook.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookAct)]
pub(crate) struct WebhookEventData<'a> {
    /// `sync` or `register`.
    pub(super) channel: &'a str,
    /// The receiver's URL, without user, password and query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) url: Option<&'a str>,
    /// The kind of secret: `standard` or `app`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) scheme: Option<&'a str>,
    /// The public name of the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) name: Option<&'a str>,
    /// The end of the time in which the previous secret also signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) grace_until: Option<String>,
    /// Which deliveries, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) what: Option<&'a str>,
    /// The number of deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) deliveries: Option<u64>,
    /// The operator's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) reason: Option<&'a str>,
    /// The origin of the request.
    pub(super) from: &'a str,
    /// The number of accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) accounts: Option<u64>,
}

/// An API key that was created or revoked, without its text.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ApiKeyAct)]
pub(crate) struct ApiKeyEventData<'a> {
    /// The key's number.
    pub(super) key: u64,
    /// The key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) name: Option<&'a str>,
    /// The key's role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) role: Option<&'static str>,
    /// The tenant that uses the key through tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) tenant: Option<&'a str>,
    /// Prefixes of the account numbers that the key is limited to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) accounts: Option<&'a [String]>,
    /// The expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) expires: Option<String>,
    /// The origin of the request.
    pub(super) from: &'a str,
}

impl<'a> WebhookEventData<'a> {
    pub(super) fn new(channel: Channel, from: &'a str) -> WebhookEventData<'a> {
        WebhookEventData { channel: channel.short_name(), from, ..WebhookEventData::default() }
    }
}

impl<'a> ApiKeyEventData<'a> {
    pub(super) fn of_grant(grant: &'a Grant, from: &'a str) -> ApiKeyEventData<'a> {
        ApiKeyEventData {
            key: grant.id,
            name: Some(&grant.name),
            role: Some(grant.role.name()),
            tenant: grant.tenant(),
            accounts: (!grant.accounts.is_empty()).then_some(&grant.accounts),
            expires: grant.expires_at.map(format_rfc3339),
            from,
        }
    }
}
