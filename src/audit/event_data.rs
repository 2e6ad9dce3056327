//! The `data` of an event's CloudEvent.

use serde::Serialize;
use utoipa::ToSchema;

use super::content_view::ContentView;
use super::encode_hex;
use super::rfc3339::format_rfc3339;
use crate::domain::{AdministrativeEvent, AuditLogEntry, Channel, Event};
use crate::journal::JournalEvent;

/// What there is to say of an event beside its `type`. Secrets are shown as fingerprints only.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EventData)]
pub(crate) enum EventData<'a> {
    /// Of events that say all by their `type`.
    Empty {},
    Content(ContentView<'a>),
    /// Of `came_online`.
    #[serde(rename_all = "camelCase")]
    CameOnline {
        /// The gateway's scan or pairing id; empty where there is none.
        instance_code: &'a str,
    },
    /// Of `went_offline` and `banned`.
    #[serde(rename_all = "camelCase")]
    SessionEnded {
        /// Why: `1001`, `1002`, or a gateway's own words; empty where there is nothing to say.
        reason: &'a str,
        /// As in `came_online`.
        instance_code: &'a str,
    },
    /// Of `registration_requested`.
    #[serde(rename_all = "camelCase")]
    RegistrationRequested {
        /// The task id that the caller was given.
        task: u32,
        /// 0 sms, 1 voice, 2 missed call, 3 internal verification.
        verify_type: u8,
        /// 1 personal, 2 business.
        account_type: u8,
        /// The calling code, as in `+86`.
        area_code: String,
        /// ISO 3166-1 alpha-2.
        country_code: &'a str,
        /// Until when a code is waited for, by the clock as it was when the registration was asked for. It ends by elapsed
        /// time, wherever the clock is set meanwhile.
        #[schema(format = DateTime)]
        expires_at: String,
    },
    /// Of `code_submitted`.
    #[serde(rename_all = "camelCase")]
    CodeSubmitted {
        /// SHA-256 of the sealed code, in hex.
        code_fingerprint: String,
    },
    /// Of `registration_failed`.
    #[serde(rename_all = "camelCase")]
    RegistrationFailed {
        /// Why.
        reason: &'a str,
        /// Which of the registration's codes was refused, from 1; 0 where none was.
        attempt: u32,
        /// Whether the registration waits for another code.
        still_waiting: bool,
    },
    /// Of `secrets_erased`.
    SecretsErased {
        /// Why, as the operator said.
        reason: &'a str,
    },
    /// Of `gateway_assigned`.
    GatewayAssigned {
        /// Its name, as an account's `gateway` says it.
        gateway: &'static str,
    },
    /// Of `pin_kept`.
    #[serde(rename_all = "camelCase")]
    PinKept {
        /// SHA-256 of the sealed PIN, in hex.
        pin_fingerprint: String,
    },
    /// Of `provider_called`.
    ProviderCalled {
        /// `request_code`, `register` or `deregister`.
        call: &'static str,
        /// When it was to be made.
        #[schema(format = DateTime)]
        at: String,
    },
    /// Of `projection_rebuilt`.
    ProjectionRebuilt {
        /// Which: `roster`.
        projection: &'a str,
        /// Accounts that were listed otherwise before.
        differences: u64,
        /// From where it was asked: an address and port, or `command line`.
        from: &'a str,
    },
    /// Of `backup_taken` and `restored`.
    Backup {
        /// The last position in it.
        position: String,
        /// From where it was asked.
        from: &'a str,
    },
    /// Of `master_key_rotated`, `master_key_rotation_aborted` and `master_key_rotation_finished`.
    MasterKeyRotated {
        /// Keys and secrets that were sealed under the new master key.
        rewrapped: u64,
        /// From where it was asked.
        from: &'a str,
    },
    /// Of `accounts_ordered`.
    AccountsOrdered {
        /// `online` or `recycle`.
        order: &'static str,
        /// How many accounts.
        accounts: u64,
        /// Why, as the operator said.
        reason: &'a str,
        /// From where it was asked.
        from: &'a str,
    },
    /// Of `reconciliation_ordered`.
    ReconciliationOrdered {
        /// Its name, as an account's `gateway` says it.
        gateway: &'static str,
        /// Why, as the operator said.
        reason: &'a str,
        /// From where it was asked.
        from: &'a str,
    },
    Webhook(WebhookEventData<'a>),
    ApiKey(ApiKeyEventData<'a>),
    /// Of what a newer program wrote.
    #[serde(rename_all = "camelCase")]
    Unknown {
        /// The number of its type.
        event_type: u16,
        /// The number of its schema.
        schema: u16,
        /// Its bytes, in hex.
        payload: String,
    },
}

/// What was done to a webhook: what there is to say of it.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookAct)]
pub(crate) struct WebhookEventData<'a> {
    /// `sync` or `register`.
    channel: &'a str,
    /// The receiver's URL, without user, password and query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<&'a str>,
    /// Which kind of secret: `standard` or `app`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scheme: Option<&'a str>,
    /// By which people tell secrets apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<&'a str>,
    /// Until when the secret before signs too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    grace_until: Option<String>,
    /// Which deliveries, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    what: Option<&'a str>,
    /// How many deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deliveries: Option<u64>,
    /// Why, as the operator said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'a str>,
    /// From where it was asked.
    from: &'a str,
}

/// An API key that was given or revoked, without what proves it.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ApiKeyAct)]
pub(crate) struct ApiKeyEventData<'a> {
    /// Its number.
    key: u64,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<&'a str>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<&'static str>,
    /// The tenant that shows it by tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<&'a str>,
    /// The first digits of the accounts that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accounts: Option<&'a [String]>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires: Option<String>,
    /// From where it was asked.
    from: &'a str,
}

impl<'a> EventData<'a> {
    pub(super) fn from_event(event: &'a JournalEvent) -> EventData<'a> {
        match event {
            JournalEvent::Account(event) => EventData::from_account_event(event),
            JournalEvent::Administration(AuditLogEntry { event, source: from }) => match event {
                AdministrativeEvent::ProjectionRebuilt { projection, differences } => {
                    EventData::ProjectionRebuilt { projection, differences: *differences, from }
                }
                AdministrativeEvent::BackupTaken { position } | AdministrativeEvent::Restored { position } => {
                    EventData::Backup { position: position.to_string(), from }
                }
                AdministrativeEvent::WebhookUrlSet { channel, url } => {
                    EventData::Webhook(WebhookEventData { url: Some(url), ..WebhookEventData::new(*channel, from) })
                }
                AdministrativeEvent::WebhookSecretSet { channel, scheme, name, grace_until } => {
                    EventData::Webhook(WebhookEventData {
                        scheme: Some(scheme.name()),
                        name: Some(name),
                        grace_until: grace_until.map(format_rfc3339),
                        ..WebhookEventData::new(*channel, from)
                    })
                }
                AdministrativeEvent::WebhookPaused { channel, reason } => EventData::Webhook(WebhookEventData {
                    reason: Some(reason),
                    ..WebhookEventData::new(*channel, from)
                }),
                AdministrativeEvent::WebhookResumed { channel } => {
                    EventData::Webhook(WebhookEventData::new(*channel, from))
                }
                AdministrativeEvent::WebhookRedelivered { channel, what, deliveries } => {
                    EventData::Webhook(WebhookEventData {
                        what: Some(what),
                        deliveries: Some(*deliveries),
                        ..WebhookEventData::new(*channel, from)
                    })
                }
                AdministrativeEvent::WebhookLettersDropped { channel, what, deliveries, reason } => {
                    EventData::Webhook(WebhookEventData {
                        what: Some(what),
                        deliveries: Some(*deliveries),
                        reason: Some(reason),
                        ..WebhookEventData::new(*channel, from)
                    })
                }
                AdministrativeEvent::WebhookClosed { channel, deliveries, reason } => {
                    EventData::Webhook(WebhookEventData {
                        deliveries: Some(*deliveries),
                        reason: Some(reason),
                        ..WebhookEventData::new(*channel, from)
                    })
                }
                AdministrativeEvent::ApiKeyCreated(grant) => EventData::ApiKey(ApiKeyEventData {
                    key: grant.id,
                    name: Some(&grant.name),
                    role: Some(grant.role.name()),
                    tenant: grant.tenant(),
                    accounts: (!grant.accounts.is_empty()).then_some(&grant.accounts),
                    expires: grant.expires_at.map(format_rfc3339),
                    from,
                }),
                AdministrativeEvent::MasterKeyRotated { rewrapped }
                | AdministrativeEvent::MasterKeyRotationAborted { rewrapped }
                | AdministrativeEvent::MasterKeyRotationFinished { rewrapped } => {
                    EventData::MasterKeyRotated { rewrapped: *rewrapped, from }
                }
                AdministrativeEvent::AccountsOrdered { order, accounts, reason } => {
                    EventData::AccountsOrdered { order: order.name(), accounts: *accounts, reason, from }
                }
                AdministrativeEvent::ReconciliationOrdered { gateway, reason } => {
                    EventData::ReconciliationOrdered { gateway: gateway.name(), reason, from }
                }
                AdministrativeEvent::ApiKeyRevoked { id } => {
                    EventData::ApiKey(ApiKeyEventData { key: *id, from, ..ApiKeyEventData::default() })
                }
            },
            JournalEvent::Unknown(unknown) => EventData::Unknown {
                event_type: unknown.event_type,
                schema: unknown.schema,
                payload: encode_hex(&unknown.payload),
            },
        }
    }

    fn from_account_event(event: &'a Event) -> EventData<'a> {
        match event {
            Event::AccountImported { content } | Event::ContentReplaced { content } => {
                EventData::Content(ContentView(content))
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
            } => EventData::RegistrationRequested {
                task: task.get(),
                verify_type: verify_type.code(),
                account_type: account_type.code(),
                area_code: format!("+{calling_code}"),
                country_code: country,
                expires_at: format_rfc3339(*expires_at),
            },
            Event::CodeSubmitted { code } => {
                EventData::CodeSubmitted { code_fingerprint: super::fingerprint_sealed(code) }
            }
            Event::RegistrationFailed { reason, attempt, still_waiting } => EventData::RegistrationFailed {
                reason: reason.as_str(),
                attempt: *attempt,
                still_waiting: *still_waiting,
            },
            Event::SecretsErased { reason } => EventData::SecretsErased { reason: reason.as_str() },
            Event::GatewayAssigned { gateway } => EventData::GatewayAssigned { gateway: gateway.name() },
            Event::PinKept { pin } => EventData::PinKept { pin_fingerprint: super::fingerprint_sealed(pin) },
            Event::ProviderCalled { call, at } => {
                EventData::ProviderCalled { call: call.name(), at: format_rfc3339(*at) }
            }
            Event::OnlineRequested
            | Event::RecycleRequested
            | Event::BanLifted
            | Event::CodeSent
            | Event::Registered => EventData::Empty {},
        }
    }
}

impl<'a> WebhookEventData<'a> {
    fn new(channel: Channel, from: &'a str) -> WebhookEventData<'a> {
        WebhookEventData { channel: channel.short_name(), from, ..WebhookEventData::default() }
    }
}
