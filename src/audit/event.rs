//! Facts as others read them: CloudEvents 1.0 in JSON. One view, wherever it is shown.
//!
//! | attribute | what |
//! |---|---|
//! | `id` | the position in the journal |
//! | `source` | the store, as in `urn:muster:0123456789abcdef` |
//! | `type` | as in `muster.account.came_online.v1` |
//! | `subject` | the account number, or `administration` |
//! | `time` | RFC 3339, UTC, to the microsecond |
//! | `version` | the place in the subject's own history, from 1 (extension) |
//! | `prev` | the position of the subject's event before, `0` for none (extension) |
//! | `origin` | who asked: `caller`, `gateway`, `operator` with its id, or `service` (extension) |
//! | `requestid` | in which request, 32 hex digits; left out where there was none (extension) |
//! | `data` | what happened. Secrets are shown as fingerprints only |

use serde::Serialize;

use super::hex;
use super::time::written;
use crate::domain::{Act, Channel, Content, Deed, Event};
use crate::journal::{Fact, Origin, Principal, Recorded, Stream};

/// A CloudEvent; the attributes stand in this order.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: String,
    version: u64,
    prev: String,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestid: Option<String>,
    datacontenttype: &'static str,
    data: Data<'a>,
}

/// What happened.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Data<'a> {
    Nothing {},
    Content(ContentView<'a>),
    Session {
        instance_code: &'a str,
    },
    Ended {
        reason: &'a str,
        instance_code: &'a str,
    },
    Registration {
        task: u32,
        verify_type: u8,
        account_type: u8,
        area_code: String,
        country_code: &'a str,
        expires_at: String,
    },
    Code {
        code_fingerprint: String,
    },
    Failed {
        reason: &'a str,
        attempt: u32,
        still_waiting: bool,
    },
    Erased {
        reason: &'a str,
    },
    Rebuilt {
        projection: &'a str,
        differences: u64,
        from: &'a str,
    },
    Backup {
        position: String,
        from: &'a str,
    },
    Rotated {
        rewrapped: u64,
        from: &'a str,
    },
    Ordered {
        order: &'static str,
        accounts: u64,
        reason: &'a str,
        from: &'a str,
    },
    Webhook(WebhookView<'a>),
    ApiKey(ApiKeyView<'a>),
    Unknown {
        event_type: u16,
        schema: u16,
        payload: String,
    },
}

/// What was done to a webhook: what there is to say of it.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct WebhookView<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'a str>,
    /// By which people tell secrets apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    from: &'a str,
}

/// An API key, without what proves it.
#[derive(Default, Serialize)]
struct ApiKeyView<'a> {
    key: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    from: &'a str,
}

/// What was imported with an account, without its secrets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContentView<'a> {
    whatsapp_type: u8,
    name: Option<&'a str>,
    avatar: Option<&'a str>,
    public_key: &'a str,
    msg_public_key: &'a str,
    account_id: Option<&'a str>,
    next_key_id: Option<&'a str>,
    registration_id: Option<&'a str>,
    /// Equal for equal content, secrets included; keyed, so that nobody can try out what they are.
    content_fingerprint: String,
}

/// The event as one line of JSON, without a line end. `source` is the store's.
pub(super) fn line(record: &Recorded, source: &str) -> Vec<u8> {
    let event = CloudEvent {
        specversion: "1.0",
        id: record.position.to_string(),
        source,
        kind: kind(&record.fact),
        subject: subject(record.stream),
        time: written(record.at),
        version: record.version,
        prev: record.previous.to_string(),
        origin: origin(record.origin),
        requestid: request_id(record.origin),
        datacontenttype: "application/json",
        data: Data::of(&record.fact),
    };
    // Texts and integers always become JSON.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// The `type` of a fact.
pub(super) fn kind(fact: &Fact) -> String {
    match fact {
        Fact::Event(event) => format!("muster.account.{}.v1", event.name()),
        Fact::Act(act) => format!("muster.administration.{}.v1", act.deed.name()),
        Fact::Unknown(unknown) => format!("muster.unknown.{}.v{}", unknown.event_type, unknown.schema),
    }
}

/// The `data` of a fact.
pub(super) fn data(fact: &Fact) -> String {
    serde_json::to_string(&Data::of(fact)).unwrap_or_default()
}

/// The name in a `type`: that of the event without what stands around it, so that both may be asked for.
pub(super) fn name_in(kind: &str) -> &str {
    let name = kind.strip_prefix("muster.account.").or(kind.strip_prefix("muster.administration."));
    name.and_then(|name| name.strip_suffix(".v1")).unwrap_or(kind)
}

/// The `subject` of a stream.
pub(super) fn subject(stream: Stream) -> String {
    match stream {
        Stream::Account(account) => account.to_string(),
        Stream::Administration => "administration".to_owned(),
    }
}

/// The `origin` of a record: who asked.
pub(super) fn origin(origin: Origin) -> String {
    let named = |kind: &str, id: u64| if id == 0 { kind.to_owned() } else { format!("{kind}:{id}") };
    match origin.principal {
        Principal::Service => "service".to_owned(),
        Principal::Caller(id) => named("caller", id),
        Principal::Gateway(id) => named("gateway", id),
        Principal::Operator(id) => named("operator", id),
    }
}

/// The `requestid` of a record.
pub(super) fn request_id(origin: Origin) -> Option<String> {
    (origin.request.0 != 0).then(|| origin.request.to_string())
}

impl<'a> Data<'a> {
    fn of(fact: &'a Fact) -> Data<'a> {
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
                Deed::ApiKeyCreated(grant) => Data::ApiKey(ApiKeyView {
                    key: grant.id,
                    name: Some(&grant.name),
                    role: Some(grant.role.name()),
                    tenant: grant.tenant(),
                    accounts: (!grant.accounts.is_empty()).then_some(&grant.accounts),
                    expires: grant.expires.map(written),
                    from,
                }),
                Deed::MasterKeyRotated { rewrapped } => Data::Rotated { rewrapped: *rewrapped, from },
                Deed::AccountsOrdered { order, accounts, reason } => {
                    Data::Ordered { order: order.name(), accounts: *accounts, reason, from }
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
            Event::RegistrationRequested { task, verify_type, account_type, calling_code, country, expires_at } => {
                Data::Registration {
                    task: task.get(),
                    verify_type: verify_type.code(),
                    account_type: account_type.code(),
                    area_code: format!("+{calling_code}"),
                    country_code: country,
                    expires_at: written(*expires_at),
                }
            }
            Event::CodeSubmitted { code } => Data::Code { code_fingerprint: super::sealed_fingerprint(code) },
            Event::RegistrationFailed { reason, attempt, still_waiting } => {
                Data::Failed { reason: reason.as_str(), attempt: *attempt, still_waiting: *still_waiting }
            }
            Event::SecretsErased { reason } => Data::Erased { reason: reason.as_str() },
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
