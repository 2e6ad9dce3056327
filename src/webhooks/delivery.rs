//! What one event tells a receiver: the body of the contract, and the id that it has in every attempt.

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

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
}

/// The body of `CHANNEL_SYNC_STATUS`; the fields stand in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody<'a> {
    whats_app: &'a str,
    status: u8,
    online_status: u8,
    reason: &'a str,
    instance_code: &'a str,
}

/// The body of `CHANNEL_REGISTER_STATUS`.
#[derive(Serialize)]
struct RegistrationBody<'a, S> {
    phone: &'a str,
    status: S,
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
        let account = account.to_string();
        match *notice {
            Notice::Status { status, online_status, reason, instance_code } => json(&StatusBody {
                whats_app: &account,
                status: status.code(),
                online_status: online_status.code(),
                reason,
                instance_code,
            }),
            Notice::Registration { successful } => {
                let (phone, status) = (account.as_str(), u8::from(successful));
                if self.status_as_string {
                    json(&RegistrationBody { phone, status: status.to_string() })
                } else {
                    json(&RegistrationBody { phone, status })
                }
            }
        }
    }
}

/// Texts and integers always become JSON.
fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
