//! The `data` of an event's CloudEvent.
//!
//! Frozen: what is shown of a stored event. Bundles and exports hold it, and auditors compare it. A field of a
//! later schema version is therefore an `Option` that stays away from the events of earlier versions.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::administrative_event_data::{ApiKeyEventData, WebhookEventData};
use super::content_view::{ContentOrderView, ContentView};
use super::encode_hex;
use super::labels_view::LabelsView;
use super::rfc3339::format_rfc3339;
use crate::domain::{AdministrativeEvent, AuditLogEntry, Channel, Event, EventId, MasterKeyId, Reason};
use crate::journal::{JournalEvent, JournalRecord};

/// The data of an event. Secrets appear as fingerprints only.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EventData)]
pub(crate) enum EventData<'a> {
    /// Data of `online_requested`, `recycle_requested` and `secrets_erased`; other events have none.
    Reason {
        /// The requester's reason; empty if there is none. In orders since schema version 2.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reason: Option<&'a str>,
    },
    Content(ContentOrderView<'a>),
    /// Data of `came_online`.
    #[serde(rename_all = "camelCase")]
    CameOnline {
        /// The gateway's scan or pairing id; empty if there is none.
        instance_code: &'a str,
    },
    /// Data of `went_offline` and `banned`.
    #[serde(rename_all = "camelCase")]
    SessionEnded {
        /// The reason: `1001`, `1002`, or the gateway's own text; empty if there is none.
        reason: &'a str,
        /// As in `came_online`.
        instance_code: &'a str,
    },
    /// Data of `registration_requested`.
    #[serde(rename_all = "camelCase")]
    RegistrationRequested {
        /// The task id that the caller received.
        task: u32,
        /// 0 sms, 1 voice, 2 missed call, 3 internal verification.
        verify_type: u8,
        /// 1 personal, 2 business.
        account_type: u8,
        /// The calling code, such as `+86`.
        area_code: String,
        /// ISO 3166-1 alpha-2.
        country_code: &'a str,
        /// The deadline for a code, by the clock at the request. The registration ends by elapsed time, even if the
        /// clock is changed.
        #[schema(format = DateTime)]
        expires_at: String,
        /// The reason of the order; empty if there is none. Since schema version 2.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reason: Option<&'a str>,
    },
    /// Data of `code_submitted`.
    #[serde(rename_all = "camelCase")]
    CodeSubmitted {
        /// SHA-256 of the sealed code, in hex.
        code_fingerprint: String,
        /// The reason of the order; empty if there is none. Since schema version 2.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reason: Option<&'a str>,
    },
    /// Data of `registration_failed`.
    #[serde(rename_all = "camelCase")]
    RegistrationFailed {
        /// The reason.
        reason: &'a str,
        /// The number of the rejected code in this registration, from 1; 0 if no code was rejected.
        attempt: u32,
        /// Whether the registration waits for another code.
        still_waiting: bool,
    },
    /// Data of `gateway_assigned`.
    GatewayAssigned {
        /// The gateway's name, as in an account's `gateway`.
        gateway: &'static str,
    },
    /// Data of `pin_kept`.
    #[serde(rename_all = "camelCase")]
    PinKept {
        /// SHA-256 of the sealed PIN, in hex.
        pin_fingerprint: String,
    },
    /// Data of `provider_called`.
    ProviderCalled {
        /// `request_code`, `register` or `deregister`.
        call: &'static str,
        /// The time for which the call was planned.
        #[schema(format = DateTime)]
        at: String,
    },
    /// Data of `labels_changed`.
    LabelsChanged {
        /// All labels of the account after the change: names and values.
        labels: LabelsView,
        /// The requester's reason; empty if there is none.
        reason: &'a str,
    },
    /// Data of `status_resynced`.
    #[serde(rename_all = "camelCase")]
    StatusResynced {
        /// 1 normal, 2 banned.
        status: u8,
        /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
        online_status: u8,
        /// The reason of the last status change; empty if there is none.
        reason: &'a str,
        /// The gateway's scan or pairing id in the last status change; empty if there is none.
        instance_code: &'a str,
    },
    /// Data of `registration_resynced`.
    #[serde(rename_all = "camelCase")]
    RegistrationResynced {
        /// Whether the number is registered.
        successful: bool,
        /// Whether the registration waits for another code.
        still_waiting: bool,
    },
    /// Data of `session_numbers_advanced`.
    SessionNumbersAdvanced {
        /// The last session number that is left out. The account's next session has the one after it.
        last: u32,
    },
    /// Data of `projection_rebuilt`.
    ProjectionRebuilt {
        /// The projection: `roster`.
        projection: &'a str,
        /// The number of accounts that differed before.
        differences: u64,
        /// The origin of the request: an address and port, or `command line`.
        from: &'a str,
    },
    /// Data of `backup_taken` and `restored`.
    #[serde(rename_all = "camelCase")]
    Backup {
        /// The last position in the backup.
        position: String,
        /// The origin of the request.
        from: &'a str,
        /// The id of the master key that opens the backup. Since schema version 2.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = String, nullable = false, required = false, example = "3f9a01c2")]
        master_key: Option<MasterKeyId>,
    },
    /// Data of `master_key_rotated`, `master_key_rotation_aborted` and `master_key_rotation_finished`.
    #[serde(rename_all = "camelCase")]
    MasterKeyRotated {
        /// Keys and secrets that were sealed under the new master key.
        rewrapped: u64,
        /// The origin of the request.
        from: &'a str,
        /// The id of the master key that holds afterwards. Since schema version 2.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = String, nullable = false, required = false, example = "3f9a01c2")]
        master_key: Option<MasterKeyId>,
    },
    /// Data of `accounts_ordered`.
    AccountsOrdered {
        /// `online` or `recycle`.
        order: &'static str,
        /// The number of accounts.
        accounts: u64,
        /// The operator's reason.
        reason: &'a str,
        /// The origin of the request.
        from: &'a str,
    },
    /// Data of `reconciliation_ordered`.
    ReconciliationOrdered {
        /// The gateway's name, as in an account's `gateway`.
        gateway: &'static str,
        /// The operator's reason.
        reason: &'a str,
        /// The origin of the request.
        from: &'a str,
    },
    /// Data of `events_exported`.
    EventsExported {
        /// `cloudevents` or `csv`.
        format: &'a str,
        /// The conditions that were asked for: the parameters of the call. Times are in RFC 3339.
        filter: &'a BTreeMap<String, String>,
        /// The first position to be examined.
        first: String,
        /// The last position to be examined; before `first` if the log ended before it.
        last: String,
        /// The origin of the request.
        from: &'a str,
    },
    /// Data of `account_bundle_exported`.
    AccountBundleExported {
        /// The account whose bundle was made.
        account: String,
        /// The origin of the request.
        from: &'a str,
    },
    /// Data of `generation_begun`.
    #[serde(rename_all = "camelCase")]
    GenerationBegun {
        /// The number of the new generation.
        generation: u32,
        /// The number of the generation of the backup.
        previous: u32,
        /// The id of the last event in the backup, where the history before forks.
        fork: String,
        /// The root of the log at the fork, in base64 as in checkpoints.
        root: String,
        /// The operator's reason; empty if there is none.
        reason: &'a str,
        /// The origin of the request.
        from: &'a str,
        /// The id of the master key that opens the backup; left out if the backup does not say.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = String, nullable = false, required = false, example = "3f9a01c2")]
        master_key: Option<MasterKeyId>,
    },
    Webhook(WebhookEventData<'a>),
    ApiKey(ApiKeyEventData<'a>),
    /// Data of an event that a newer program wrote.
    #[serde(rename_all = "camelCase")]
    Unknown {
        /// The number of the event type.
        event_type: u16,
        /// The number of the schema.
        schema: u16,
        /// The payload, in hex.
        payload: String,
    },
}

impl<'a> EventData<'a> {
    /// The data of a record's event, in the schema version of the record.
    pub(super) fn of(record: &'a JournalRecord) -> EventData<'a> {
        match &record.event {
            JournalEvent::Account(event) => EventData::from_account_event(event, record.schema),
            JournalEvent::Administration(AuditLogEntry { event, source }) => {
                EventData::from_administrative_event(event, source)
            }
            JournalEvent::Unknown(unknown) => EventData::Unknown {
                event_type: unknown.event_type,
                schema: unknown.schema,
                payload: encode_hex(&unknown.payload),
            },
        }
    }

    fn from_account_event(event: &'a Event, schema: u16) -> EventData<'a> {
        let since_schema_2 = |reason: &'a Reason| (schema >= 2).then_some(reason.as_str());
        match event {
            Event::AccountImported { content, reason } | Event::ContentReplaced { content, reason } => {
                EventData::Content(ContentOrderView { content: ContentView(content), reason: since_schema_2(reason) })
            }
            Event::OnlineRequested { reason } | Event::RecycleRequested { reason } => {
                EventData::Reason { reason: since_schema_2(reason) }
            }
            Event::CameOnline { instance_code } => EventData::CameOnline { instance_code },
            Event::WentOffline { reason, instance_code } | Event::Banned { reason, instance_code } => {
                EventData::SessionEnded { reason: reason.as_str(), instance_code }
            }
            Event::RegistrationRequested {
                task,
                verify_type,
                account_type,
                calling_code,
                country,
                expires_at,
                lifetime: _,
                reason,
            } => EventData::RegistrationRequested {
                task: task.get(),
                verify_type: verify_type.code(),
                account_type: account_type.code(),
                area_code: format!("+{calling_code}"),
                country_code: country,
                expires_at: format_rfc3339(*expires_at),
                reason: since_schema_2(reason),
            },
            Event::CodeSubmitted { code, reason } => EventData::CodeSubmitted {
                code_fingerprint: super::fingerprint_sealed(code),
                reason: since_schema_2(reason),
            },
            Event::RegistrationFailed { reason, attempt, still_waiting } => EventData::RegistrationFailed {
                reason: reason.as_str(),
                attempt: *attempt,
                still_waiting: *still_waiting,
            },
            Event::SecretsErased { reason } => EventData::Reason { reason: Some(reason.as_str()) },
            Event::GatewayAssigned { gateway } => EventData::GatewayAssigned { gateway: gateway.name() },
            Event::PinKept { pin } => EventData::PinKept { pin_fingerprint: super::fingerprint_sealed(pin) },
            Event::ProviderCalled { call, at } => {
                EventData::ProviderCalled { call: call.name(), at: format_rfc3339(*at) }
            }
            Event::LabelsChanged { labels, reason } => {
                EventData::LabelsChanged { labels: LabelsView(labels.clone()), reason: reason.as_str() }
            }
            Event::StatusResynced { status, online_status, reason, instance_code } => EventData::StatusResynced {
                status: status.code(),
                online_status: online_status.code(),
                reason: reason.as_str(),
                instance_code,
            },
            Event::RegistrationResynced { result } => {
                EventData::RegistrationResynced { successful: result.successful, still_waiting: result.still_waiting }
            }
            Event::SessionNumbersAdvanced { last } => EventData::SessionNumbersAdvanced { last: *last },
            Event::BanLifted | Event::CodeSent | Event::Registered => EventData::Reason { reason: None },
        }
    }

    /// The data of an administrative event.
    fn from_administrative_event(event: &'a AdministrativeEvent, from: &'a str) -> EventData<'a> {
        let new = |channel: &Channel| WebhookEventData::new(*channel, from);
        let deliveries_of = |channel, what, deliveries: &u64, reason| {
            EventData::Webhook(WebhookEventData { what, deliveries: Some(*deliveries), reason, ..new(channel) })
        };
        match event {
            AdministrativeEvent::ProjectionRebuilt { projection, differences } => {
                EventData::ProjectionRebuilt { projection, differences: *differences, from }
            }
            AdministrativeEvent::BackupTaken { position, master_key }
            | AdministrativeEvent::Restored { position, master_key } => {
                EventData::Backup { position: position.to_string(), from, master_key: *master_key }
            }
            AdministrativeEvent::WebhookUrlSet { channel, url } => {
                EventData::Webhook(WebhookEventData { url: Some(url), ..new(channel) })
            }
            AdministrativeEvent::WebhookSecretSet { channel, scheme, name, grace_until } => {
                EventData::Webhook(WebhookEventData {
                    scheme: Some(scheme.name()),
                    name: Some(name),
                    grace_until: grace_until.map(format_rfc3339),
                    ..new(channel)
                })
            }
            AdministrativeEvent::WebhookPaused { channel, reason } => {
                EventData::Webhook(WebhookEventData { reason: Some(reason), ..new(channel) })
            }
            AdministrativeEvent::WebhookResumed { channel } => EventData::Webhook(new(channel)),
            AdministrativeEvent::WebhookRedelivered { channel, what, deliveries } => {
                deliveries_of(channel, Some(what), deliveries, None)
            }
            AdministrativeEvent::WebhookLettersDropped { channel, what, deliveries, reason } => {
                deliveries_of(channel, Some(what), deliveries, Some(reason))
            }
            AdministrativeEvent::WebhookClosed { channel, deliveries, reason } => {
                deliveries_of(channel, None, deliveries, Some(reason))
            }
            AdministrativeEvent::WebhookResynced { channel, accounts, reason } => {
                EventData::Webhook(WebhookEventData { accounts: Some(*accounts), reason: Some(reason), ..new(channel) })
            }
            AdministrativeEvent::ApiKeyCreated(grant) => EventData::ApiKey(ApiKeyEventData::of_grant(grant, from)),
            AdministrativeEvent::MasterKeyRotated { rewrapped, master_key }
            | AdministrativeEvent::MasterKeyRotationAborted { rewrapped, master_key }
            | AdministrativeEvent::MasterKeyRotationFinished { rewrapped, master_key } => {
                EventData::MasterKeyRotated { rewrapped: *rewrapped, from, master_key: *master_key }
            }
            AdministrativeEvent::AccountsOrdered { order, accounts, reason } => {
                EventData::AccountsOrdered { order: order.name(), accounts: *accounts, reason, from }
            }
            AdministrativeEvent::ReconciliationOrdered { gateway, reason } => {
                EventData::ReconciliationOrdered { gateway: gateway.name(), reason, from }
            }
            AdministrativeEvent::EventsExported { format, filter, first, last } => {
                EventData::EventsExported { format, filter, first: first.to_string(), last: last.to_string(), from }
            }
            AdministrativeEvent::AccountBundleExported { account } => {
                EventData::AccountBundleExported { account: account.to_string(), from }
            }
            AdministrativeEvent::GenerationBegun { generation, previous, fork, root, master_key, reason } => {
                // The backup has the event that began its generation, so the fork is in that generation.
                let fork = EventId { generation: *previous, position: *fork }.to_string();
                let (generation, previous, master_key) = (generation.number(), previous.number(), *master_key);
                let root = STANDARD.encode(root);
                EventData::GenerationBegun { generation, previous, fork, root, reason, from, master_key }
            }
            AdministrativeEvent::ApiKeyRevoked { id } => {
                EventData::ApiKey(ApiKeyEventData { key: *id, from, ..ApiKeyEventData::default() })
            }
        }
    }
}
