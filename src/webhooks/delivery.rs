//! What one event tells a receiver: the body of the contract, and the id that it has in every attempt.

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::domain::{AccountNumber, Channel, Notice, Timestamp};
use crate::journal::{Recorded, RequestId};
use crate::store::StoreId;
use crate::traces::TraceContext;

/// One event, as a receiver is to be told of it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Whose event it is.
    pub(super) account: AccountNumber,
    /// The position of the event.
    pub(super) position: u64,
    /// Its place in the account's history.
    pub(super) version: u64,
    /// The request that it came of, if it came of one.
    pub(super) request: RequestId,
    /// When the event happened.
    pub(super) at: Timestamp,
    /// What is posted.
    pub(super) body: Bytes,
}

impl Delivery {
    /// The contract's example, to try a receiver with. Its id is new each time, and no event's.
    pub(super) fn test(form: &Form, at: Timestamp) -> Delivery {
        let body = match form.channel {
            Channel::SyncStatus => {
                r#"{"whatsApp":"8218132718231","status":1,"onlineStatus":1,"reason":"","instanceCode":""}"#
            }
            Channel::RegisterStatus if form.status_as_string => r#"{"phone":"861821726232","status":"1"}"#,
            Channel::RegisterStatus => r#"{"phone":"861821726232","status":1}"#,
        };
        let (account, position, version, request) = (AccountNumber::EXAMPLE, 0, 0, RequestId(0));
        Delivery { account, position, version, request, at, body: Bytes::from_static(body.as_bytes()) }
    }
}

/// How the events of one channel are put into words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) channel: Channel,
    pub(super) store: StoreId,
    /// Whether a registration's status is a string.
    pub(super) status_as_string: bool,
    /// Whether a failed registration says if another code may be tried.
    pub(super) with_still_waiting: bool,
}

/// The body of `CHANNEL_SYNC_STATUS`; the fields stand in this order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountStatus, example = json!({"whatsApp": "8218132718231", "status": 1, "onlineStatus": 1, "reason": "", "instanceCode": ""}))]
pub struct StatusBody<'a> {
    /// The account number.
    whats_app: &'a str,
    /// 1 normal, 2 banned.
    #[schema(minimum = 1, maximum = 2)]
    status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(minimum = 1, maximum = 4)]
    online_status: u8,
    /// `1001` pairing failed, scan again; `1002` network exception, change IP; other words of a gateway as they are; empty
    /// where there is nothing to say.
    reason: &'a str,
    /// The gateway's scan or pairing id of the session; empty where there is none.
    instance_code: &'a str,
}

/// The body of `CHANNEL_REGISTER_STATUS`.
#[derive(Serialize, ToSchema)]
#[schema(as = RegistrationStatus, example = json!({"phone": "861821726232", "status": 1}))]
pub struct RegistrationBody<'a> {
    /// The account number.
    phone: &'a str,
    status: Outcome,
    /// Of a failed registration: whether another code may be tried. Sent with `webhooks.register_still_waiting` only; the
    /// document does not have it.
    #[serde(rename = "stillWaiting", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    still_waiting: Option<bool>,
}

/// What is posted to a receiver.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = PostedBody)]
pub(super) enum Posted<'a> {
    Status(StatusBody<'a>),
    Registration(RegistrationBody<'a>),
}

/// How a registration ended: 1 registered, 0 failed; as a text with `webhooks.register_status_as_string`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = RegistrationOutcome)]
enum Outcome {
    Number(u8),
    Text(String),
}

impl Form {
    /// The delivery of an event; none if this channel does not tell it.
    pub(super) fn delivery(&self, record: &Recorded) -> Option<Delivery> {
        let (account, event) = record.event()?;
        let notice = Notice::of(event).filter(|notice| notice.channel() == self.channel)?;
        let body = self.body(account, &notice).into();
        let Recorded { position, version, at, origin, .. } = *record;
        Some(Delivery { account, position, version, request: origin.request, at, body })
    }

    /// The id of a delivery: the same in every attempt, after every restart and for every replay.
    ///
    /// The position alone would do, but a receiver may hear from several stores, and after a store was put back to an
    /// earlier backup other events take the same positions, though not at the same microsecond.
    pub(super) fn id(&self, delivery: &Delivery) -> String {
        let Delivery { position, at, .. } = delivery;
        format!("msg_{}_{:x}_{}_{position}", self.store, at.0, self.channel.short_name())
    }

    /// The trace that an attempt belongs to by itself: that with the id of the request that led to it, or one of its own.
    pub(super) fn trace(&self, delivery: &Delivery, attempt: u32) -> TraceContext {
        let first = |text: String| {
            let hash = Sha256::digest(text);
            hash.first_chunk().map_or(1, |bytes| u128::from_be_bytes(*bytes))
        };
        let own = first(format!("{} {attempt}", self.id(delivery)));
        let trace = match delivery.request {
            RequestId(0) => first(self.id(delivery)),
            RequestId(request) => request,
        };
        TraceContext { trace, span: (own >> 64) as u64, is_sampled: true, state: "".into() }
    }

    fn body(&self, account: AccountNumber, notice: &Notice<'_>) -> Vec<u8> {
        let account = &account.to_string();
        let posted = match *notice {
            Notice::Status { status, online_status, reason, instance_code } => {
                let (status, online_status) = (status.code(), online_status.code());
                Posted::Status(StatusBody { whats_app: account, status, online_status, reason, instance_code })
            }
            Notice::Registration { successful, still_waiting } => {
                let status = u8::from(successful);
                let status =
                    if self.status_as_string { Outcome::Text(status.to_string()) } else { Outcome::Number(status) };
                let still_waiting = (self.with_still_waiting && !successful).then_some(still_waiting);
                Posted::Registration(RegistrationBody { phone: account, status, still_waiting })
            }
        };
        // Texts and integers always become JSON.
        serde_json::to_vec(&posted).unwrap_or_default()
    }
}
