//! A channel, an attempt and a dead letter, as the API returns them.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::attempt_log::{DeadLetter, DeliveryAttempt};
use super::channel_command::ChannelStatus;
use super::delivery::{Delivery, WebhookPayload};
use super::receiver_endpoint::ReceiverEndpoint;
use super::{ChannelHandle, ManagementError, Webhooks, circuit_breaker};
use crate::audit::write_time;
use crate::client::redact_url;
use crate::config::NamedEnum;
use crate::domain::{Channel, Timestamp};
use crate::limits::READ_RECORDS;

/// The state of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
pub struct ChannelView {
    /// `sync` or `register`.
    pub(crate) channel: &'static str,
    /// `CHANNEL_SYNC_STATUS` or `CHANNEL_REGISTER_STATUS`.
    pub(crate) configuration_id: &'static str,
    /// `active`, `paused`, or `off`: it has no receiver. Events wait for one if it ever had a receiver.
    pub(crate) state: &'static str,
    /// The receiver's URL, without password and query.
    #[schema(required)]
    pub(crate) url: Option<String>,
    /// `settings`, or `management`: set while the service runs.
    #[schema(required)]
    pub(crate) url_from: Option<&'static str>,
    #[schema(required)]
    pub(crate) paused: Option<PausedView>,
    /// `all`, or `latest`: of the unsent states of an account, only the newest is sent.
    pub(crate) deliver: &'static str,
    pub(crate) signing: SigningView,
    /// The id of the event up to which all deliveries are finished or wait for a retry. Null if the webhook never had a
    /// receiver, or was closed. It stays if the receiver is removed.
    #[schema(required)]
    pub(crate) cursor: Option<String>,
    pub(crate) lag: LagView,
    #[schema(required)]
    pub(crate) oldest_pending: Option<OldestPendingView>,
    /// Attempts in flight.
    pub(crate) in_flight: usize,
    /// Accounts that wait for a retry.
    pub(crate) waiting: u64,
    /// Accounts that wait for an operator.
    pub(crate) blocked: u64,
    /// The number of dead letters.
    pub(crate) dead_letters: u64,
    /// The number of waiting redeliveries.
    pub(crate) again: u64,
    pub(crate) breaker: BreakerView,
    /// Attempts in the last five minutes.
    pub(crate) attempts: u64,
    /// Failed attempts in the last five minutes.
    pub(crate) failed: u64,
}

/// The pause of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Paused)]
pub(crate) struct PausedView {
    #[schema(format = DateTime)]
    pub(crate) since: String,
    /// The operator's reason.
    pub(crate) reason: String,
}

/// The signatures of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Signing)]
pub(crate) struct SigningView {
    /// The secrets of Standard Webhooks; several during the grace time of a new one.
    pub(crate) standard: Vec<SecretView>,
    /// The tenant of the API family's signature; null if no app secret is set.
    #[schema(required)]
    pub(crate) tenant_id: Option<String>,
}

/// A signing secret, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SigningSecret)]
pub(crate) struct SecretView {
    /// The first digits of its SHA-256.
    pub(crate) fingerprint: String,
    /// The end of its validity; null if it has none.
    #[schema(required, format = DateTime)]
    pub(crate) until: Option<String>,
}

/// How far a webhook is behind the journal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lag)]
pub(crate) struct LagView {
    /// The number of events, of all kinds, from the oldest pending delivery on.
    pub(crate) events: u64,
    /// The age of that delivery, in seconds.
    pub(crate) seconds: f64,
}

/// The oldest pending delivery.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OldestPending)]
pub(crate) struct OldestPendingView {
    /// The id of its event: its position.
    pub(crate) position: String,
    /// The account number.
    pub(crate) whats_app: String,
    /// When the event happened.
    #[schema(format = DateTime)]
    pub(crate) time: String,
    /// The number of attempts so far.
    pub(crate) attempts: u64,
    /// The time of the next attempt; null if none is planned.
    #[schema(required, format = DateTime)]
    pub(crate) next: Option<String>,
}

/// The circuit breaker of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Breaker)]
pub(crate) struct BreakerView {
    /// `closed`: everything is sent; `open`: nothing is sent; `probing`: one test delivery is sent.
    pub(crate) state: &'static str,
    /// The end of the open state; null if it is not open.
    #[schema(required, format = DateTime)]
    pub(crate) until: Option<String>,
}

/// One attempt of a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// The attempt number, from 1.
    pub(crate) attempt: u64,
    /// The start time.
    #[schema(format = DateTime)]
    pub(crate) time: String,
    /// The duration in milliseconds.
    pub(crate) duration_ms: f64,
    /// `ok`, or the class of failure.
    pub(crate) outcome: String,
    /// The HTTP status; null if there was no response.
    #[schema(required)]
    pub(crate) status: Option<u16>,
    /// What went wrong; left out on success.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) failure: Option<String>,
    /// The start of the response's body.
    pub(crate) response: String,
    /// The time of the next attempt; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(crate) next: Option<String>,
}

/// A dead letter: a delivery that failed for good.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub struct DeadLetterView {
    /// The id of its event: its position.
    pub(crate) position: String,
    /// The account number.
    pub(crate) whats_app: String,
    /// When the event happened.
    #[schema(format = DateTime)]
    pub(crate) time: String,
    /// The number of attempts.
    pub(crate) attempts: u64,
    /// The failure of the last attempt.
    pub(crate) failure: String,
    /// The payload.
    #[schema(value_type = Option<WebhookPayload>, required)]
    pub(crate) body: Option<Box<RawValue>>,
}

impl Webhooks {
    /// Builds the view of a channel. It reads the store, so it blocks.
    pub(super) fn build_channel_view(
        &self,
        channel: Channel,
        endpoint: &ReceiverEndpoint,
        live: ChannelStatus,
    ) -> Result<ChannelView, ManagementError> {
        let (handle, settings) = (self.channel(channel), &self.inner.settings);
        let url = endpoint.url(channel, settings);
        let (events, oldest) = self.backlog(handle, live)?;
        let oldest_pending = oldest.as_ref().map(|delivery| handle.oldest_pending_view(delivery)).transpose()?;
        let until = |until: Option<Timestamp>| until.map(write_time);
        Ok(ChannelView {
            channel: channel.short_name(),
            configuration_id: channel.configuration_id(),
            state: match (&url, &endpoint.paused) {
                (None, _) => "off",
                (Some(_), Some(_)) => "paused",
                (Some(_), None) => "active",
            },
            url_from: url.as_ref().map(|_| if endpoint.url_override.is_some() { "management" } else { "settings" }),
            url: url.map(|url| redact_url(url.as_str())),
            paused: endpoint
                .paused
                .as_ref()
                .map(|paused| PausedView { since: format_time(paused.at), reason: paused.reason.clone() }),
            deliver: settings.channel(channel).deliver.name(),
            signing: SigningView {
                standard: endpoint
                    .signing
                    .in_use()
                    .map(|(secret, end)| SecretView { fingerprint: secret.fingerprint(), until: until(*end) })
                    .collect(),
                tenant_id: endpoint.signing.app.as_ref().map(|app| app.tenant_id.clone()),
            },
            cursor: live.cursor.map(|cursor| handle.payloads.event_id(cursor)),
            lag: LagView {
                events,
                seconds: oldest.map_or(0.0, |delivery| live.pending_age(delivery.at).as_secs_f64()),
            },
            oldest_pending,
            in_flight: live.in_flight,
            waiting: live.counts.waiting,
            blocked: live.counts.blocked,
            dead_letters: handle.store.count_dead_letters()?,
            again: handle.store.count_redeliveries()?,
            breaker: match live.breaker {
                circuit_breaker::CircuitState::Closed => BreakerView { state: "closed", until: None },
                circuit_breaker::CircuitState::Open { until } => {
                    BreakerView { state: "open", until: Some(write_time(live.now.wait_until(until).end)) }
                }
                circuit_breaker::CircuitState::Probing => BreakerView { state: "probing", until: None },
            },
            attempts: live.recent_attempts.attempts,
            failed: live.recent_attempts.failed,
        })
    }

    /// The number of events that a channel is behind, and its oldest pending delivery.
    pub(super) fn backlog(
        &self,
        handle: &ChannelHandle,
        live: ChannelStatus,
    ) -> Result<(u64, Option<Delivery>), ManagementError> {
        let head = self.inner.journal.head();
        let unread = live.cursor.filter(|cursor| *cursor < head).map(|cursor| cursor + 1);
        let Some(position) = live.counts.oldest.or(unread) else { return Ok((0, None)) };
        Ok(((head + 1).saturating_sub(position), self.first_delivery_from(handle, position)?))
    }

    /// The first delivery from a position on, within one batch of events.
    fn first_delivery_from(&self, handle: &ChannelHandle, position: u64) -> Result<Option<Delivery>, ManagementError> {
        let records = self.inner.journal.read_after(position.saturating_sub(1), READ_RECORDS)?;
        Ok(records.iter().find_map(|record| handle.payloads.build_delivery(record).transpose()).transpose()?)
    }
}

impl ChannelHandle {
    fn oldest_pending_view(&self, delivery: &Delivery) -> Result<OldestPendingView, ManagementError> {
        let log = self.store.attempt_log(delivery.position)?;
        let next = log.as_ref().and_then(|log| log.attempts.last()?.next);
        Ok(OldestPendingView {
            position: self.payloads.event_id(delivery.position),
            whats_app: delivery.account.to_string(),
            time: write_time(delivery.at),
            attempts: log.map_or(0, |log| log.attempt_count()),
            next: next.map(format_time),
        })
    }
}

impl AttemptView {
    pub(super) fn of(number: u64, attempt: &DeliveryAttempt) -> AttemptView {
        let (class, words) = attempt.failure.clone().unzip();
        AttemptView {
            attempt: number,
            time: format_time(attempt.at),
            duration_ms: attempt.micros as f64 / 1_000.0,
            outcome: class.unwrap_or_else(|| "ok".to_owned()),
            status: attempt.status,
            failure: words,
            response: attempt.response.clone(),
            next: attempt.next.map(format_time),
        }
    }
}

impl DeadLetterView {
    pub(super) fn of(position: String, letter: &DeadLetter) -> DeadLetterView {
        DeadLetterView {
            position,
            whats_app: letter.account.to_string(),
            time: write_time(letter.at),
            attempts: letter.attempts,
            failure: letter.failure.clone(),
            body: letter.body.as_deref().and_then(raw_json),
        }
    }
}

/// A stored time, in µs since 1970, as RFC 3339.
pub(super) fn format_time(at: i64) -> String {
    write_time(Timestamp(at))
}

/// A posted body as raw JSON; it is JSON already.
pub(super) fn raw_json(body: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(body.to_vec()).ok()?).ok()
}
