//! The delivery of one event: the body that the contract defines, and the id, which is the same in every attempt.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::label_source::LabelSource;
use crate::audit::{LabelsView, OnlineStatusCode, StatusCode};
use crate::domain::{AccountNumber, Channel, Event, Labels, Notification, Timestamp};
use crate::journal::{self, Generations, JournalRecord, RequestId};
use crate::store::StoreId;
use crate::traces::TraceContext;

/// The delivery of one event. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) account: AccountNumber,
    /// The position of the event in the journal.
    pub(super) position: u64,
    /// The number of the event in the account's history.
    pub(super) version: u64,
    /// The request that caused the event; 0 if no request did.
    pub(super) request: RequestId,
    /// When the event happened.
    pub(super) at: Timestamp,
    /// Whether an operator had the state sent again. Such deliveries wait for their turn (`delivery_scheduler`).
    pub(super) is_resync: bool,
    /// The JSON body that is posted.
    pub(super) body: Bytes,
}

impl Delivery {
    /// The contract's example, to test a receiver. Its id is new each time and belongs to no event.
    pub(super) fn example(payloads: &PayloadBuilder, at: Timestamp) -> Delivery {
        let body = match payloads.channel {
            Channel::SyncStatus => {
                r#"{"whatsApp":"8218132718231","status":1,"onlineStatus":1,"reason":"","instanceCode":""}"#
            }
            Channel::RegisterStatus if payloads.status_as_string => r#"{"phone":"861821726232","status":"1"}"#,
            Channel::RegisterStatus => r#"{"phone":"861821726232","status":1}"#,
        };
        let body = match (&payloads.labels, body.strip_suffix('}')) {
            (Some(_), Some(fields)) => Bytes::from(format!(r#"{fields},"labels":{{"team":"care"}}}}"#)),
            (_, _) => Bytes::from_static(body.as_bytes()),
        };
        let (account, position, version, request) = (AccountNumber::EXAMPLE, 0, 0, RequestId(0));
        Delivery { account, position, version, request, at, is_resync: false, body }
    }
}

/// Builds the deliveries of one channel from journal records.
#[derive(Clone)]
pub(super) struct PayloadBuilder {
    pub(super) channel: Channel,
    pub(super) store: StoreId,
    /// The generations of the log, which are part of ids and versions.
    pub(super) generations: Generations,
    /// Whether the status of a registration is a string (`webhooks.register_status_as_string`).
    pub(super) status_as_string: bool,
    /// Whether a failed registration has `stillWaiting` (`webhooks.register_still_waiting`).
    pub(super) with_still_waiting: bool,
    /// Where the labels in each body come from; `None` without `webhooks.include_labels`.
    pub(super) labels: Option<LabelSource>,
}

// Frozen: the fields of both bodies and their order. The API document defines them, and receivers read them. Others
// come last, and only if a setting asks for them.
/// The body of `CHANNEL_SYNC_STATUS`; the fields keep this order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountStatus, example = json!({"whatsApp": "8218132718231", "status": 1, "onlineStatus": 1, "reason": "", "instanceCode": ""}))]
pub(super) struct AccountStatusPayload<'a> {
    /// The account number.
    whats_app: &'a str,
    /// 1 normal, 2 banned.
    #[schema(value_type = StatusCode)]
    status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(value_type = OnlineStatusCode)]
    online_status: u8,
    /// `1001` pairing failed, scan again; `1002` network exception, change IP; or the gateway's own text; empty if
    /// there is no reason.
    reason: &'a str,
    /// The gateway's scan or pairing id of the session; empty if there is none.
    instance_code: &'a str,
    /// The account's labels after the event. Sent with `webhooks.include_labels` only; the document does not have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    labels: Option<LabelsView>,
}

/// The body of `CHANNEL_REGISTER_STATUS`.
#[derive(Serialize, ToSchema)]
#[schema(as = RegistrationStatus, example = json!({"phone": "861821726232", "status": 1}))]
pub(super) struct RegistrationStatusPayload<'a> {
    /// The account number.
    phone: &'a str,
    status: RegistrationOutcome,
    /// After a failed registration: whether another code may be submitted. Sent with `webhooks.register_still_waiting`
    /// only; the document does not have it.
    #[serde(rename = "stillWaiting", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    still_waiting: Option<bool>,
    /// The account's labels after the event. Sent with `webhooks.include_labels` only; the document does not have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    labels: Option<LabelsView>,
}

/// The payload of a webhook.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WebhookPayload<'a> {
    Status(AccountStatusPayload<'a>),
    Registration(RegistrationStatusPayload<'a>),
}

impl PartialSchema for WebhookPayload<'_> {
    fn schema() -> RefOr<Schema> {
        // Any type: clients could not tell the two forms apart.
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "The body as posted: an `AccountStatus` or a `RegistrationStatus`, as the channel has it.",
            ))
            .into()
    }
}

impl ToSchema for WebhookPayload<'_> {
    fn name() -> Cow<'static, str> {
        "PostedBody".into()
    }
}

/// The schema of a channel's body, with the schemas that it refers to.
pub fn payload_schema(channel: Channel) -> PayloadSchema {
    match channel {
        Channel::SyncStatus => PayloadSchema::of::<AccountStatusPayload<'_>>(),
        Channel::RegisterStatus => PayloadSchema::of::<RegistrationStatusPayload<'_>>(),
    }
}

/// The schema of a body.
pub struct PayloadSchema {
    /// Its name among `schemas`.
    pub name: String,
    /// Named schemas: its own, and those that it refers to.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

impl PayloadSchema {
    fn of<T: ToSchema>() -> PayloadSchema {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        PayloadSchema { name: T::name().into_owned(), schemas }
    }
}

/// The outcome of a registration: 1 registered, 0 failed; a string with `webhooks.register_status_as_string`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = RegistrationOutcome)]
enum RegistrationOutcome {
    Number(u8),
    Text(String),
}

impl PayloadBuilder {
    /// The delivery of an event; `None` if this channel does not deliver such events.
    pub(super) fn build_delivery(&self, record: &JournalRecord) -> Result<Option<Delivery>, journal::Error> {
        let Some((account, event)) = record.account_event() else { return Ok(None) };
        let notice = Notification::for_event(event).filter(|notice| notice.channel() == self.channel);
        let Some(notice) = notice else { return Ok(None) };
        let labels = self.labels.as_ref().map(|source| source.labels_after(account, record)).transpose()?;
        let body = self.encode_payload(account, &notice, labels).into();
        let JournalRecord { position, version, at, origin, .. } = *record;
        let is_resync = matches!(event, Event::StatusResynced { .. } | Event::RegistrationResynced { .. });
        Ok(Some(Delivery { account, position, version, request: origin.request, at, is_resync, body }))
    }

    // Frozen: receivers recognise repeats by this id, also across an upgrade.
    /// The webhook id of a delivery: the same in every attempt, after every restart and for every replay.
    ///
    /// The position alone is not unique. A receiver may get deliveries from several stores, so the id contains the
    /// store's id. After a restore from an earlier backup, new events get old positions, so the id contains the event's
    /// time in µs, and from generation 1 on the generation.
    pub(super) fn webhook_id(&self, delivery: &Delivery) -> String {
        let Delivery { position, at, .. } = delivery;
        let event = self.generations.event_id(*position);
        format!("msg_{}_{:x}_{}_{event}", self.store, at.0, self.channel.short_name())
    }

    /// The id of the event at a position, as text.
    pub(super) fn event_id(&self, position: u64) -> String {
        self.generations.event_id(position).to_string()
    }

    /// The version of the account after the event, as receivers compare it: it never falls, also after a restore.
    pub(super) fn account_version(&self, delivery: &Delivery) -> u64 {
        self.generations.at(delivery.position).qualify_version(delivery.version)
    }

    /// The trace context of an attempt. The trace id is the id of the request that caused the event. Without a request,
    /// it is derived from the webhook id.
    pub(super) fn trace_context(&self, delivery: &Delivery, attempt: u32) -> TraceContext {
        let first = |text: String| {
            let hash = Sha256::digest(text);
            hash.first_chunk().map_or(1, |bytes| u128::from_be_bytes(*bytes))
        };
        let own = first(format!("{} {attempt}", self.webhook_id(delivery)));
        let trace = match delivery.request {
            RequestId(0) => first(self.webhook_id(delivery)),
            RequestId(request) => request,
        };
        TraceContext { trace, span: (own >> 64) as u64, is_sampled: true, state: "".into() }
    }

    fn encode_payload(&self, account: AccountNumber, notice: &Notification<'_>, labels: Option<Labels>) -> Vec<u8> {
        let (account, labels) = (&account.to_string(), labels.map(LabelsView));
        let posted = match *notice {
            Notification::Status { status, online_status, reason, instance_code } => {
                let (status, online_status) = (status.code(), online_status.code());
                WebhookPayload::Status(AccountStatusPayload {
                    whats_app: account,
                    status,
                    online_status,
                    reason,
                    instance_code,
                    labels,
                })
            }
            Notification::Registration { successful, still_waiting } => {
                let status = u8::from(successful);
                let status = if self.status_as_string {
                    RegistrationOutcome::Text(status.to_string())
                } else {
                    RegistrationOutcome::Number(status)
                };
                let still_waiting = (self.with_still_waiting && !successful).then_some(still_waiting);
                WebhookPayload::Registration(RegistrationStatusPayload {
                    phone: account,
                    status,
                    still_waiting,
                    labels,
                })
            }
        };
        // Strings and integers always serialize.
        serde_json::to_vec(&posted).unwrap_or_default()
    }
}
