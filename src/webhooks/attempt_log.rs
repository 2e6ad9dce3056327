//! The attempt log of one delivery, and the dead letter of a delivery that failed for good.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::delivery::Delivery;
use super::response_check::AttemptResponse;
use crate::domain::{AccountNumber, Timestamp};
use crate::limits::ATTEMPTS_PER_DELIVERY;

// Frozen: the names of fields and states in the stored JSON. A new field has a default, because older rows lack it.
/// The attempt log of a delivery. It is stored as JSON, so that fields can be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttemptLog {
    pub(super) state: DeliveryState,
    /// When the delivery entered this state, µs since 1970.
    at: i64,
    /// The last attempts, in order.
    #[serde(default)]
    pub(super) attempts: Vec<DeliveryAttempt>,
    /// The number of earlier attempts, which are no longer listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(rename = "earlier")]
    pub(super) earlier_attempts: u64,
    /// The position of the event that superseded this delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "by")]
    pub(super) superseded_by: Option<u64>,
    /// Why an operator dropped the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeliveryState)]
pub enum DeliveryState {
    /// The first attempt is still to come.
    Pending,
    /// An attempt failed, and the next one is due later.
    Waiting,
    /// The receiver accepted it.
    Delivered,
    /// All attempts failed; it is a dead letter.
    Dead,
    /// An operator dropped the dead letter.
    Dropped,
    /// It was not sent, because a newer one replaces it.
    Superseded,
    /// Its attempts are deleted; or there was no receiver; or the webhook was closed before it was accepted.
    Forgotten,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [DeliveryState; 7] = [
        DeliveryState::Pending,
        DeliveryState::Waiting,
        DeliveryState::Delivered,
        DeliveryState::Dead,
        DeliveryState::Dropped,
        DeliveryState::Superseded,
        DeliveryState::Forgotten,
    ];

    /// The name in the API and in texts.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Waiting => "waiting",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Dropped => "dropped",
            DeliveryState::Superseded => "superseded",
            DeliveryState::Forgotten => "forgotten",
        }
    }
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeliveryAttempt {
    /// When it began, µs since 1970.
    pub(super) at: i64,
    /// How long it took, in µs.
    pub(super) micros: u64,
    /// The HTTP status, if there was a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// The class and the text of the failure; `None` if the attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<(String, String)>,
    /// The beginning of the response body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) response: String,
    /// When the next attempt was due, µs since 1970; `None` if no other attempt was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<i64>,
}

/// A delivery that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetter {
    pub(super) account: AccountNumber,
    /// The number of attempts.
    pub(super) attempts: u64,
    /// When the last attempt ended.
    pub(super) at: Timestamp,
    /// Why the last attempt failed.
    pub(super) failure: String,
    /// The payload; `None` in rows of the first format.
    pub(super) body: Option<Bytes>,
}

impl AttemptLog {
    /// A log without attempts.
    pub(super) fn new(state: DeliveryState, at: Timestamp) -> AttemptLog {
        AttemptLog { state, at: at.0, attempts: Vec::new(), earlier_attempts: 0, superseded_by: None, reason: None }
    }

    /// Adds an attempt, and sets the delivery's new state. If there are too many attempts, the oldest are removed and
    /// only counted.
    pub(super) fn add(&mut self, attempt: DeliveryAttempt, state: DeliveryState, at: Timestamp) {
        if self.attempts.len() >= ATTEMPTS_PER_DELIVERY {
            let over = self.attempts.len() + 1 - ATTEMPTS_PER_DELIVERY;
            self.attempts.drain(..over);
            self.earlier_attempts = self.earlier_attempts.saturating_add(over as u64);
        }
        self.attempts.push(attempt);
        self.set_state(state, at);
    }

    /// The number of attempts, earlier ones included.
    pub(super) fn attempt_count(&self) -> u64 {
        self.earlier_attempts.saturating_add(self.attempts.len() as u64)
    }

    pub(super) fn set_state(&mut self, state: DeliveryState, at: Timestamp) {
        (self.state, self.at) = (state, at.0);
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Strings and integers always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<AttemptLog> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether the delivery is completed. A dead one is not: an operator may replay it.
    pub(super) fn is_over(&self) -> bool {
        match self.state {
            DeliveryState::Delivered
            | DeliveryState::Dropped
            | DeliveryState::Superseded
            | DeliveryState::Forgotten => true,
            DeliveryState::Pending | DeliveryState::Waiting | DeliveryState::Dead => false,
        }
    }

    /// Whether the delivery entered its state at `time` or later.
    pub(super) fn is_younger_than(&self, time: Timestamp) -> bool {
        self.at >= time.0
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl DeliveryAttempt {
    /// An attempt that began at `at`. `next` is when the next attempt is due.
    pub(super) fn new(at: Timestamp, answered: AttemptResponse, next: Option<Timestamp>) -> DeliveryAttempt {
        let AttemptResponse { verdict, status, body_excerpt: response, took, .. } = answered;
        DeliveryAttempt {
            at: at.0,
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            status,
            failure: verdict.err().map(|failure| (failure.class().to_owned(), failure.to_string())),
            response,
            next: next.map(|next| next.0),
        }
    }
}

impl DeadLetter {
    /// The dead letter of a delivery whose last attempt failed with `failure`.
    pub(super) fn new(delivery: &Delivery, attempts: u64, failure: String, at: Timestamp) -> DeadLetter {
        DeadLetter { account: delivery.account, attempts, at, failure, body: Some(delivery.body.clone()) }
    }
}
