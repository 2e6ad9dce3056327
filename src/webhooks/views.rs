//! What operators see of a channel, of an attempt, of a dead letter.

use serde::Serialize;
use serde_json::value::RawValue;

use super::delivery::Delivery;
use super::endpoint::Endpoint;
use super::order::Live;
use super::trail::{Attempt, Letter};
use super::{Desk, Refused, Webhooks, breaker};
use crate::audit::write_time;
use crate::clock;
use crate::config::{Word, masked_url};
use crate::domain::{Channel, Timestamp};
use crate::limits::READ_RECORDS;

/// A channel.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    channel: &'static str,
    configuration_id: &'static str,
    /// `active`, `paused`, or `off`: without a receiver.
    state: &'static str,
    /// Without a password and a query.
    url: Option<String>,
    /// `settings`, or `management`: set while the service ran.
    url_from: Option<&'static str>,
    paused: Option<PausedView>,
    deliver: &'static str,
    signing: SigningView,
    lag: Lag,
    oldest_pending: Option<Oldest>,
    in_flight: usize,
    /// Accounts that wait for a retry.
    waiting: u64,
    /// Accounts that wait for an operator.
    blocked: u64,
    dead_letters: u64,
    /// Deliveries that are to be sent again.
    again: u64,
    breaker: BreakerView,
    /// Attempts of the last five minutes, and those of them that failed.
    attempts: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct PausedView {
    since: String,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SigningView {
    standard: Vec<SecretView>,
    tenant_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct SecretView {
    fingerprint: String,
    until: Option<String>,
}

/// How far behind the channel is: events of all kinds, and the age of the oldest delivery that is not settled.
#[derive(Debug, Serialize)]
struct Lag {
    events: u64,
    seconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Oldest {
    position: String,
    whats_app: String,
    time: String,
    attempts: u64,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct BreakerView {
    state: &'static str,
    until: Option<String>,
}

/// An attempt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    attempt: u64,
    time: String,
    duration_ms: f64,
    /// `ok`, or the class of failure.
    outcome: String,
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    response: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A dead letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterView {
    position: String,
    whats_app: String,
    time: String,
    attempts: u64,
    failure: String,
    body: Option<Box<RawValue>>,
}

impl Webhooks {
    /// How a channel is; reads the store.
    pub(super) fn shown(&self, channel: Channel, endpoint: &Endpoint, live: Live) -> Result<Shown, Refused> {
        let (desk, settings) = (self.desk(channel), &self.inner.settings);
        let url = endpoint.url(channel, settings);
        let now = clock::now();
        let (events, oldest) = self.behind(desk, live)?;
        let oldest_pending = oldest.as_ref().map(|delivery| desk.oldest(delivery)).transpose()?;
        let until = |until: Option<Timestamp>| until.map(write_time);
        let secrets = endpoint.signing.secrets.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
        Ok(Shown {
            channel: channel.short_name(),
            configuration_id: channel.configuration_id(),
            state: match (&url, &endpoint.paused) {
                (None, _) => "off",
                (Some(_), Some(_)) => "paused",
                (Some(_), None) => "active",
            },
            url_from: url.as_ref().map(|_| if endpoint.own_url.is_some() { "management" } else { "settings" }),
            url: url.map(|url| masked_url(url.as_str())),
            paused: endpoint
                .paused
                .as_ref()
                .map(|paused| PausedView { since: time(paused.at), reason: paused.reason.clone() }),
            deliver: settings.of(channel).deliver.word(),
            signing: SigningView {
                standard: secrets
                    .map(|(secret, end)| SecretView { fingerprint: secret.fingerprint(), until: until(*end) })
                    .collect(),
                tenant_id: endpoint.signing.app.as_ref().map(|app| app.tenant_id.clone()),
            },
            lag: Lag { events, seconds: oldest.map_or(0.0, |delivery| now.since(delivery.at).as_secs_f64()) },
            oldest_pending,
            in_flight: live.in_flight,
            waiting: live.counts.waiting,
            blocked: live.counts.blocked,
            dead_letters: desk.book.count_letters()?,
            again: desk.book.count_again()?,
            breaker: match live.breaker {
                breaker::State::Closed => BreakerView { state: "closed", until: None },
                breaker::State::Open { until } => BreakerView { state: "open", until: Some(write_time(until)) },
                breaker::State::Probing => BreakerView { state: "probing", until: None },
            },
            attempts: live.rates.attempts,
            failed: live.rates.failed,
        })
    }

    /// How many events a channel is behind, and the oldest delivery that is not settled.
    pub(super) fn behind(&self, desk: &Desk, live: Live) -> Result<(u64, Option<Delivery>), Refused> {
        let head = self.inner.journal.head();
        let unread = live.cursor.filter(|cursor| *cursor < head).map(|cursor| cursor + 1);
        let Some(position) = live.counts.oldest.or(unread) else { return Ok((0, None)) };
        Ok(((head + 1).saturating_sub(position), self.first_told(desk, position)?))
    }

    /// The first delivery from a position on, looking no further than one batch.
    fn first_told(&self, desk: &Desk, position: u64) -> Result<Option<Delivery>, Refused> {
        let records = self.inner.journal.read_after(position.saturating_sub(1), READ_RECORDS)?;
        Ok(records.iter().find_map(|record| desk.form.delivery(record)))
    }
}

impl Desk {
    fn oldest(&self, delivery: &Delivery) -> Result<Oldest, Refused> {
        let trail = self.book.trail(delivery.position)?;
        let next = trail.as_ref().and_then(|trail| trail.attempts.last()?.next);
        Ok(Oldest {
            position: delivery.position.to_string(),
            whats_app: delivery.account.to_string(),
            time: write_time(delivery.at),
            attempts: trail.map_or(0, |trail| trail.count()),
            next: next.map(time),
        })
    }
}

impl AttemptView {
    pub(super) fn of(number: u64, attempt: &Attempt) -> AttemptView {
        let (class, words) = attempt.failure.clone().unzip();
        AttemptView {
            attempt: number,
            time: time(attempt.at),
            duration_ms: attempt.micros as f64 / 1_000.0,
            outcome: class.unwrap_or_else(|| "ok".to_owned()),
            status: attempt.status,
            failure: words,
            response: attempt.response.clone(),
            next: attempt.next.map(time),
        }
    }
}

impl LetterView {
    pub(super) fn of(position: u64, letter: &Letter) -> LetterView {
        LetterView {
            position: position.to_string(),
            whats_app: letter.account.to_string(),
            time: write_time(letter.at),
            attempts: letter.attempts,
            failure: letter.failure.clone(),
            body: letter.body.as_deref().and_then(raw),
        }
    }
}

/// A stored time in words.
pub(super) fn time(at: i64) -> String {
    write_time(Timestamp(at))
}

/// What is posted is JSON already.
pub(super) fn raw(body: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(body.to_vec()).ok()?).ok()
}
