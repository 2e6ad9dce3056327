//! What became of one delivery, attempt by attempt; and the dead letter that is left if no attempt was of use.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::delivery::Delivery;
use super::receiver_client::AttemptResponse;
use crate::domain::{AccountNumber, Timestamp};
use crate::limits::ATTEMPTS_PER_DELIVERY;

/// The trail of a delivery, as it is stored: JSON, so that it can grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttemptLog {
    /// How it stands.
    pub(super) state: DeliveryState,
    /// When it came to stand so, µs since 1970.
    at: i64,
    /// The last attempts, in order.
    #[serde(default)]
    pub(super) attempts: Vec<DeliveryAttempt>,
    /// How many there were before them.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(rename = "earlier")]
    pub(super) earlier_attempts: u64,
    /// The position of the event that says more, if it was superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "by")]
    pub(super) superseded_by: Option<u64>,
    /// Why it was dropped, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeliveryState)]
pub enum DeliveryState {
    /// No attempt was made yet.
    Pending,
    /// An attempt failed, the next is due at some time.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// No attempt is left; there is a dead letter.
    Dead,
    /// It was dead, and an operator dropped it.
    Dropped,
    /// It was never tried, because a later one said more.
    Superseded,
    /// Its attempts are not remembered any more; or there was no receiver; or the webhook was closed before it was taken.
    Forgotten,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [DeliveryState; 7] = [
        DeliveryState::Pending,
        DeliveryState::Waiting,
        DeliveryState::Delivered,
        DeliveryState::Dead,
        DeliveryState::Dropped,
        DeliveryState::Superseded,
        DeliveryState::Forgotten,
    ];

    /// One word for it.
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
    /// How long it took, µs.
    pub(super) micros: u64,
    /// The status of HTTP, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// The class of failure and its words; none if it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<(String, String)>,
    /// The beginning of the answer's body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) response: String,
    /// When the next attempt was due, µs since 1970, if there was to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<i64>,
}

/// A delivery that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetter {
    pub(super) account: AccountNumber,
    /// How many attempts were made.
    pub(super) attempts: u64,
    /// When the last one ended.
    pub(super) at: Timestamp,
    /// Why it failed.
    pub(super) failure: String,
    /// What was to be posted; none in those of the first format.
    pub(super) body: Option<Bytes>,
}

impl AttemptLog {
    /// The trail of a delivery that stands so, with no attempt yet.
    pub(super) fn new(state: DeliveryState, at: Timestamp) -> AttemptLog {
        AttemptLog { state, at: at.0, attempts: Vec::new(), earlier_attempts: 0, superseded_by: None, reason: None }
    }

    /// Adds an attempt, and how the delivery stands after it.
    pub(super) fn add(&mut self, attempt: DeliveryAttempt, state: DeliveryState, at: Timestamp) {
        if self.attempts.len() >= ATTEMPTS_PER_DELIVERY {
            let over = self.attempts.len() + 1 - ATTEMPTS_PER_DELIVERY;
            self.attempts.drain(..over);
            self.earlier_attempts = self.earlier_attempts.saturating_add(over as u64);
        }
        self.attempts.push(attempt);
        self.set_state(state, at);
    }

    /// How many attempts were made.
    pub(super) fn attempt_count(&self) -> u64 {
        self.earlier_attempts.saturating_add(self.attempts.len() as u64)
    }

    /// How the delivery stands from now on.
    pub(super) fn set_state(&mut self, state: DeliveryState, at: Timestamp) {
        (self.state, self.at) = (state, at.0);
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Texts and integers always become JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<AttemptLog> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether nothing is to come of it.
    pub(super) fn is_over(&self) -> bool {
        match self.state {
            DeliveryState::Delivered
            | DeliveryState::Dropped
            | DeliveryState::Superseded
            | DeliveryState::Forgotten => true,
            DeliveryState::Pending | DeliveryState::Waiting | DeliveryState::Dead => false,
        }
    }

    /// Whether it came to stand so at `time` or later.
    pub(super) fn is_younger_than(&self, time: Timestamp) -> bool {
        self.at >= time.0
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl DeliveryAttempt {
    /// An attempt that began at a time, was answered so, and is followed by another then.
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
    /// The letter of a delivery whose last attempt failed so.
    pub(super) fn new(delivery: &Delivery, attempts: u64, failure: String, at: Timestamp) -> DeadLetter {
        DeadLetter { account: delivery.account, attempts, at, failure, body: Some(delivery.body.clone()) }
    }
}
