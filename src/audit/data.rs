//! What there is to say of an event beside its type: the `data` of its CloudEvent.

use serde::Serialize;
use utoipa::ToSchema;

use super::hex;
use super::time::written;
use crate::domain::{Act, Channel, Content, Deed, Event};
use crate::journal::Fact;

/// What there is to say of an event beside its `type`. Secrets are shown as fingerprints only.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EventData)]
pub(super) enum Data<'a> {
    /// Of events that say all by their `type`.
    Nothing {},
    Content(ContentView<'a>),
    /// Of `came_online`.
    #[serde(rename_all = "camelCase")]
    Session {
        /// The gateway's scan or pairing id; empty where there is none.
        instance_code: &'a str,
    },
    /// Of `went_offline` and `banned`.
    #[serde(rename_all = "camelCase")]
    Ended {
        /// Why: `1001`, `1002`, or a gateway's own words; empty where there is nothing to say.
        reason: &'a str,
        /// As in `came_online`.
        instance_code: &'a str,
    },
    /// Of `registration_requested`.
    #[serde(rename_all = "camelCase")]
    Registration {
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
    Code {
        /// SHA-256 of the sealed code, in hex.
        code_fingerprint: String,
    },
    /// Of `registration_failed`.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why.
        reason: &'a str,
        /// Which of the registration's codes was refused, from 1; 0 where none was.
        attempt: u32,
        /// Whether the registration waits for another code.
        still_waiting: bool,
    },
    /// Of `secrets_erased`.
    Erased {
        /// Why, as the operator said.
        reason: &'a str,
    },
    /// Of `gateway_assigned`.
    Assigned {
        /// `simulator`, `bridge` or `cloud_api`.
        gateway: &'static str,
    },
    /// Of `pin_kept`.
    #[serde(rename_all = "camelCase")]
    Pin {
        /// SHA-256 of the sealed PIN, in hex.
        pin_fingerprint: String,
    },
    /// Of `provider_called`.
    Called {
        /// `request_code`, `register` or `deregister`.
        call: &'static str,
        /// When it was to be made.
        #[schema(format = DateTime)]
        at: String,
    },
    /// Of `projection_rebuilt`.
    Rebuilt {
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
    Rotated {
        /// Keys and secrets that were sealed anew.
        rewrapped: u64,
        /// From where it was asked.
        from: &'a str,
    },
    /// Of `accounts_ordered`.
    Ordered {
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
    Reconciling {
        /// Which: `bridge`, `cloud_api`.
        gateway: &'static str,
        /// Why, as the operator said.
        reason: &'a str,
        /// From where it was asked.
        from: &'a str,
    },
    Webhook(WebhookView<'a>),
    ApiKey(ApiKeyView<'a>),
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
pub(super) struct WebhookView<'a> {
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
pub(super) struct ApiKeyView<'a> {
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

/// What was imported with an account, without its secrets; null where a caller left it out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountContent)]
pub(super) struct ContentView<'a> {
    /// 1 personal, 2 business.
    whatsapp_type: u8,
    #[schema(required)]
    name: Option<&'a str>,
    #[schema(required)]
    avatar: Option<&'a str>,
    public_key: &'a str,
    msg_public_key: &'a str,
    #[schema(required)]
    account_id: Option<&'a str>,
    #[schema(required)]
    next_key_id: Option<&'a str>,
    #[schema(required)]
    registration_id: Option<&'a str>,
    /// Equal for equal content, secrets included; keyed, so that nobody can try out what they are.
    content_fingerprint: String,
}

impl<'a> Data<'a> {
    pub(super) fn of(fact: &'a Fact) -> Data<'a> {
        match fact {
            Fact::Event(event) => Data::of_event(event),
            Fact::Act(Act { deed, from }) => match deed {
                Deed::ProjectionRebuilt { projection, differences } => {
                    Data::Rebuilt { projection, differences: *differences, from }
                }
                Deed::BackupTaken { position } | Deed::Restored { position } => {
                    Data::Backup { position: position.to_string(), from }
                }
                Deed::WebhookUrlSet { channel, url } => {
                    Data::Webhook(WebhookView { url: Some(url), ..WebhookView::new(*channel, from) })
                }
                Deed::WebhookSecretSet { channel, scheme, name, grace_until } => Data::Webhook(WebhookView {
                    scheme: Some(scheme.name()),
                    name: Some(name),
                    grace_until: grace_until.map(written),
                    ..WebhookView::new(*channel, from)
                }),
                Deed::WebhookPaused { channel, reason } => {
                    Data::Webhook(WebhookView { reason: Some(reason), ..WebhookView::new(*channel, from) })
                }
                Deed::WebhookResumed { channel } => Data::Webhook(WebhookView::new(*channel, from)),
                Deed::WebhookRedelivered { channel, what, deliveries } => Data::Webhook(WebhookView {
                    what: Some(what),
                    deliveries: Some(*deliveries),
                    ..WebhookView::new(*channel, from)
                }),
                Deed::WebhookLettersDropped { channel, what, deliveries, reason } => Data::Webhook(WebhookView {
                    what: Some(what),
                    deliveries: Some(*deliveries),
                    reason: Some(reason),
                    ..WebhookView::new(*channel, from)
                }),
                Deed::WebhookClosed { channel, deliveries, reason } => Data::Webhook(WebhookView {
                    deliveries: Some(*deliveries),
                    reason: Some(reason),
                    ..WebhookView::new(*channel, from)
                }),
                Deed::ApiKeyCreated(grant) => Data::ApiKey(ApiKeyView {
                    key: grant.id,
                    name: Some(&grant.name),
                    role: Some(grant.role.name()),
                    tenant: grant.tenant(),
                    accounts: (!grant.accounts.is_empty()).then_some(&grant.accounts),
                    expires: grant.expires.map(written),
                    from,
                }),
                Deed::MasterKeyRotated { rewrapped }
                | Deed::MasterKeyRotationAborted { rewrapped }
                | Deed::MasterKeyRotationFinished { rewrapped } => Data::Rotated { rewrapped: *rewrapped, from },
                Deed::AccountsOrdered { order, accounts, reason } => {
                    Data::Ordered { order: order.name(), accounts: *accounts, reason, from }
                }
                Deed::ReconciliationOrdered { gateway, reason } => {
                    Data::Reconciling { gateway: gateway.name(), reason, from }
                }
                Deed::ApiKeyRevoked { id } => Data::ApiKey(ApiKeyView { key: *id, from, ..ApiKeyView::default() }),
            },
            Fact::Unknown(unknown) => {
                Data::Unknown { event_type: unknown.event_type, schema: unknown.schema, payload: hex(&unknown.payload) }
            }
        }
    }

    fn of_event(event: &'a Event) -> Data<'a> {
        match event {
            Event::AccountImported { content } | Event::ContentReplaced { content } => {
                Data::Content(ContentView::of(content))
            }
            Event::CameOnline { instance_code } => Data::Session { instance_code },
            Event::WentOffline { reason, instance_code } | Event::Banned { reason, instance_code } => {
                Data::Ended { reason: reason.as_str(), instance_code }
            }
            Event::RegistrationRequested {
                task,
                verify_type,
                account_type,
                calling_code,
                country,
                expires_at,
                lifetime: _,
            } => Data::Registration {
                task: task.get(),
                verify_type: verify_type.code(),
                account_type: account_type.code(),
                area_code: format!("+{calling_code}"),
                country_code: country,
                expires_at: written(*expires_at),
            },
            Event::CodeSubmitted { code } => Data::Code { code_fingerprint: super::sealed_fingerprint(code) },
            Event::RegistrationFailed { reason, attempt, still_waiting } => {
                Data::Failed { reason: reason.as_str(), attempt: *attempt, still_waiting: *still_waiting }
            }
            Event::SecretsErased { reason } => Data::Erased { reason: reason.as_str() },
            Event::GatewayAssigned { gateway } => Data::Assigned { gateway: gateway.name() },
            Event::PinKept { pin } => Data::Pin { pin_fingerprint: super::sealed_fingerprint(pin) },
            Event::ProviderCalled { call, at } => Data::Called { call: call.name(), at: written(*at) },
            Event::OnlineRequested
            | Event::RecycleRequested
            | Event::BanLifted
            | Event::CodeSent
            | Event::Registered => Data::Nothing {},
        }
    }
}

impl<'a> WebhookView<'a> {
    fn new(channel: Channel, from: &'a str) -> WebhookView<'a> {
        WebhookView { channel: channel.short_name(), from, ..WebhookView::default() }
    }
}

impl<'a> ContentView<'a> {
    pub(super) fn of(content: &'a Content) -> ContentView<'a> {
        ContentView {
            whatsapp_type: content.account_type.code(),
            name: content.name.as_deref(),
            avatar: content.avatar.as_deref(),
            public_key: &content.public_key,
            msg_public_key: &content.msg_public_key,
            account_id: content.account_id.as_deref(),
            next_key_id: content.next_key_id.as_deref(),
            registration_id: content.registration_id.as_deref(),
            content_fingerprint: hex(&content.fingerprint.0),
        }
    }
}
