//! The `data` of administrative events.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::rfc3339::format_rfc3339;
use crate::domain::{AdministrativeEvent, Channel, Grant, MasterKeyId};

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

/// Data of `projection_rebuilt`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectionRebuiltData<'a> {
    /// The projection: `roster`.
    pub(super) projection: &'a str,
    /// The number of accounts that differed before.
    pub(super) differences: u64,
    /// The origin of the request: an address and port, or `command line`.
    pub(super) from: &'a str,
}

/// Data of `backup_taken` and `restored`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupData<'a> {
    /// The last position in the backup.
    pub(super) position: String,
    /// The origin of the request.
    pub(super) from: &'a str,
    /// The id of the master key that opens the backup. Since schema version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false, required = false, example = "3f9a01c2")]
    pub(super) master_key: Option<MasterKeyId>,
}

/// Data of `master_key_rotated`, `master_key_rotation_aborted` and `master_key_rotation_finished`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MasterKeyRotatedData<'a> {
    /// Keys and secrets that were sealed under the new master key.
    pub(super) rewrapped: u64,
    /// The origin of the request.
    pub(super) from: &'a str,
    /// The id of the master key that holds afterwards. Since schema version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false, required = false, example = "3f9a01c2")]
    pub(super) master_key: Option<MasterKeyId>,
}

/// Data of `accounts_ordered`.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountsOrderedData<'a> {
    /// `online` or `recycle`.
    pub(super) order: &'static str,
    /// The number of accounts.
    pub(super) accounts: u64,
    /// The operator's reason.
    pub(super) reason: &'a str,
    /// The origin of the request.
    pub(super) from: &'a str,
}

/// Data of `reconciliation_ordered`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReconciliationOrderedData<'a> {
    /// The gateway's name, as in an account's `gateway`.
    pub(super) gateway: &'static str,
    /// The operator's reason.
    pub(super) reason: &'a str,
    /// The origin of the request.
    pub(super) from: &'a str,
}

/// Data of `events_exported`.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventsExportedData<'a> {
    /// `cloudevents` or `csv`.
    pub(super) format: &'a str,
    /// The conditions that were asked for: the parameters of the call. Times are in RFC 3339.
    #[schema(value_type = ExportConditions)]
    pub(super) filter: &'a BTreeMap<String, String>,
    /// The first position to be examined.
    pub(super) first: String,
    /// The last position to be examined; before `first` if the log ended before it.
    pub(super) last: String,
    /// The origin of the request.
    pub(super) from: &'a str,
}

/// Data of `account_bundle_exported`.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountBundleExportedData<'a> {
    /// The account whose bundle was made.
    pub(super) account: String,
    /// The origin of the request.
    pub(super) from: &'a str,
}

/// Data of `generation_begun`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerationBegunData<'a> {
    /// The number of the new generation.
    pub(super) generation: u32,
    /// The number of the generation of the backup.
    pub(super) previous: u32,
    /// The id of the last event in the backup, where the history before forks.
    pub(super) fork: String,
    /// The root of the log at the fork, in base64 as in checkpoints.
    pub(super) root: String,
    /// The operator's reason; empty if there is none.
    pub(super) reason: &'a str,
    /// The origin of the request.
    pub(super) from: &'a str,
    /// The id of the master key that opens the backup; left out if the backup does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false, required = false, example = "3f9a01c2")]
    pub(super) master_key: Option<MasterKeyId>,
}

/// The conditions of an export: the parameters of the call. Times are in RFC 3339.
#[derive(ToSchema)]
#[allow(dead_code)] // only its schema is used
pub(super) struct ExportConditions(BTreeMap<String, String>);

impl<'a> WebhookEventData<'a> {
    /// The data of an event about this channel.
    pub(super) fn of_event(event: &'a AdministrativeEvent, channel: Channel, from: &'a str) -> WebhookEventData<'a> {
        let data = WebhookEventData { channel: channel.short_name(), from, ..WebhookEventData::default() };
        match event {
            AdministrativeEvent::WebhookUrlSet { channel: _, url } => WebhookEventData { url: Some(url), ..data },
            AdministrativeEvent::WebhookSecretSet { channel: _, scheme, name, grace_until } => WebhookEventData {
                scheme: Some(scheme.name()),
                name: Some(name),
                grace_until: grace_until.map(format_rfc3339),
                ..data
            },
            AdministrativeEvent::WebhookPaused { channel: _, reason } => {
                WebhookEventData { reason: Some(reason), ..data }
            }
            AdministrativeEvent::WebhookRedelivered { channel: _, what, deliveries } => {
                WebhookEventData { what: Some(what), deliveries: Some(*deliveries), ..data }
            }
            AdministrativeEvent::WebhookLettersDropped { channel: _, what, deliveries, reason } => {
                WebhookEventData { what: Some(what), deliveries: Some(*deliveries), reason: Some(reason), ..data }
            }
            AdministrativeEvent::WebhookClosed { channel: _, deliveries, reason } => {
                WebhookEventData { deliveries: Some(*deliveries), reason: Some(reason), ..data }
            }
            AdministrativeEvent::WebhookResynced { channel: _, accounts, reason } => {
                WebhookEventData { accounts: Some(*accounts), reason: Some(reason), ..data }
            }
            AdministrativeEvent::WebhookResumed { channel: _ }
            | AdministrativeEvent::ProjectionRebuilt { .. }
            | AdministrativeEvent::BackupTaken { .. }
            | AdministrativeEvent::Restored { .. }
            | AdministrativeEvent::ApiKeyCreated(_)
            | AdministrativeEvent::ApiKeyRevoked { .. }
            | AdministrativeEvent::MasterKeyRotated { .. }
            | AdministrativeEvent::MasterKeyRotationAborted { .. }
            | AdministrativeEvent::MasterKeyRotationFinished { .. }
            | AdministrativeEvent::AccountsOrdered { .. }
            | AdministrativeEvent::ReconciliationOrdered { .. }
            | AdministrativeEvent::EventsExported { .. }
            | AdministrativeEvent::AccountBundleExported { .. }
            | AdministrativeEvent::GenerationBegun { .. } => data,
        }
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
