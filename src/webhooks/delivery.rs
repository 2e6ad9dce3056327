//! What one event tells a receiver: the body of the contract, and the id that it has in every attempt.

use bytes::Bytes;
use serde::Serialize;

use crate::domain::{AccountNumber, Channel, Notice, Timestamp};
use crate::journal::Recorded;
use crate::store::StoreId;

/// One event, as a receiver is to be told of it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Whose event it is.
    pub(super) account: AccountNumber,
    /// The position of the event.
    pub(super) position: u64,
    /// When the event happened.
    pub(super) at: Timestamp,
    /// What is posted.
    pub(super) body: Bytes,
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
        let body = self.body(account, &notice);
        Some(Delivery { account, position: record.position, at: record.at, body: body.into() })
    }

    /// The id of a delivery: the same in every attempt, after every restart and for every replay.
    ///
    /// The position alone would do, but a receiver may hear from several stores, and after a store was put back to an
    /// earlier backup other events take the same positions, though not at the same microsecond.
    pub(super) fn id(&self, delivery: &Delivery) -> String {
        let Delivery { position, at, .. } = delivery;
        format!("msg_{}_{:x}_{}_{position}", self.store, at.0, self.channel.short_name())
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
