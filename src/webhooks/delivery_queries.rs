//! Deliveries as operators find them: by account, state and time, each with every attempt.

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::attempt_log::{AttemptLog, DeliveryState};
use super::channel_command::ChannelStatus;
use super::delivery::{Delivery, WebhookPayload};
use super::views::{AttemptView, DeadLetterView, format_time, raw_json};
use super::{ChannelHandle, Error, ManagementError, Webhooks};
use crate::audit::write_time;
use crate::domain::{AccountNumber, Channel, Timestamp};
use crate::journal::{self, JournalRecord, StreamId};
use crate::limits::{DELIVERIES_SCANNED, READ_RECORDS};

/// One event, as a receiver is told of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// Its `webhook-id`.
    id: String,
    /// The position of its event.
    position: String,
    /// The account number.
    whats_app: String,
    /// The event's place in the account's history.
    version: u64,
    /// When the event happened.
    #[schema(format = DateTime)]
    time: String,
    state: DeliveryState,
    /// Those that are remembered, the first one first.
    attempts: Vec<AttemptView>,
    /// When the next attempt is due; left out if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    next: Option<String>,
    /// The position of the event that said more, if it was superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    superseded_by: Option<String>,
    /// Why it was dropped, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// What is posted.
    #[schema(value_type = Option<WebhookPayload>, required)]
    body: Option<Box<RawValue>>,
}

/// Which deliveries are asked for.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Of this account.
    pub account: Option<AccountNumber>,
    /// That stand so.
    pub state: Option<DeliveryState>,
    /// Of events from this time on.
    pub since: Option<Timestamp>,
    /// Of events before this time.
    pub until: Option<Timestamp>,
    /// Of events from this position on.
    pub from: Option<u64>,
    /// Of events up to this position.
    pub to: Option<u64>,
}

/// A page, and where the next one begins, if there may be more.
#[derive(Debug, Serialize)]
pub struct ResultsPage<T> {
    /// What was found.
    pub items: Vec<T>,
    /// What to ask for as `cursor` next.
    pub next: Option<u64>,
}

impl Webhooks {
    /// Deliveries, the latest first, from the position `cursor` back.
    pub async fn deliveries(
        &self,
        channel: Channel,
        asked: DeliveryFilter,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<ResultsPage<DeliveryView>, ManagementError> {
        let (webhooks, live) = (self.clone(), self.channel_status(channel).await?);
        let finding = move || webhooks.find_deliveries(channel, &asked, live, cursor, limit);
        spawn_blocking(finding).await.map_err(Error::from)?
    }

    /// One delivery.
    pub async fn delivery(&self, channel: Channel, position: u64) -> Result<DeliveryView, ManagementError> {
        let delivery = self.delivery_at(channel, position).await?;
        self.channel(channel).delivery_view(&delivery, self.channel_status(channel).await?)
    }

    /// What a channel tells of the event at a position.
    pub(super) async fn delivery_at(&self, channel: Channel, position: u64) -> Result<Delivery, ManagementError> {
        let (journal, form) = (self.inner.journal.clone(), self.channel(channel).payloads);
        let record = spawn_blocking(move || journal.read_at(position)).await.map_err(Error::from)??;
        let nothing =
            || ManagementError::NotFound(format!("{} tells of no event at position {position}", channel.short_name()));
        record.and_then(|record| form.build_delivery(&record)).ok_or_else(nothing)
    }

    /// Dead letters, the earliest first, from the position `cursor` on.
    pub async fn dead_letters(
        &self,
        channel: Channel,
        cursor: u64,
        limit: usize,
    ) -> Result<ResultsPage<DeadLetterView>, ManagementError> {
        let book = self.channel(channel).store.clone();
        let finding = move || -> Result<ResultsPage<DeadLetterView>, ManagementError> {
            let mut items = Vec::new();
            for entry in book.dead_letters(cursor) {
                let (position, letter) = entry?;
                if items.len() == limit {
                    return Ok(ResultsPage { items, next: Some(position) });
                }
                items.push(DeadLetterView::of(position, &letter));
            }
            Ok(ResultsPage { items, next: None })
        };
        spawn_blocking(finding).await.map_err(Error::from)?
    }

    fn find_deliveries(
        &self,
        channel: Channel,
        asked: &DeliveryFilter,
        live: ChannelStatus,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<ResultsPage<DeliveryView>, ManagementError> {
        let desk = self.channel(channel);
        let mut items = Vec::new();
        let latest = cursor.unwrap_or(u64::MAX).min(self.inner.journal.head());
        for (record, seen) in self.records_backward(asked.account, latest).zip(1..) {
            let record = record?;
            if asked.matches(&record)
                && let Some(delivery) = desk.payloads.build_delivery(&record)
            {
                let view = desk.delivery_view(&delivery, live)?;
                items.extend(asked.state.is_none_or(|state| state == view.state).then_some(view));
            }
            if items.len() == limit || seen == DELIVERIES_SCANNED {
                return Ok(ResultsPage { items, next: record.position.checked_sub(1).filter(|next| *next > 0) });
            }
        }
        Ok(ResultsPage { items, next: None })
    }

    /// Records from a position back, of one account or of all.
    fn records_backward(
        &self,
        account: Option<AccountNumber>,
        latest: u64,
    ) -> Box<dyn Iterator<Item = Result<JournalRecord, journal::Error>> + '_> {
        let journal = &self.inner.journal;
        if let Some(account) = account {
            let ours = journal.history_back(StreamId::Account(account));
            return Box::new(ours.skip_while(move |it| it.as_ref().is_ok_and(|record| record.position > latest)));
        }
        let mut end = latest;
        let mut batch: Vec<JournalRecord> = Vec::new();
        Box::new(std::iter::from_fn(move || {
            if batch.is_empty() && end > 0 {
                let size = READ_RECORDS as u64;
                let after = end.saturating_sub(size);
                match journal.read_after(after, usize::try_from(end - after).unwrap_or(READ_RECORDS)) {
                    Ok(records) => batch = records,
                    Err(error) => {
                        end = 0;
                        return Some(Err(error));
                    }
                }
                end = after;
            }
            batch.pop().map(Ok)
        }))
    }
}

impl DeliveryFilter {
    /// Whether nothing narrows it.
    pub fn is_unfiltered(&self) -> bool {
        let DeliveryFilter { account, state, since, until, from, to } = self;
        account.is_none() && state.is_none() && since.is_none() && until.is_none() && from.is_none() && to.is_none()
    }

    /// Whether the event of a delivery is asked for.
    pub(super) fn matches(&self, record: &JournalRecord) -> bool {
        let DeliveryFilter { account, since, until, from, to, .. } = *self;
        account.is_none_or(|account| record.stream == StreamId::Account(account))
            && since.is_none_or(|since| record.at >= since)
            && until.is_none_or(|until| record.at < until)
            && from.is_none_or(|from| record.position >= from)
            && to.is_none_or(|to| record.position <= to)
    }
}

impl ChannelHandle {
    /// How a delivery stands, with what is remembered of it.
    pub(super) fn delivery_state(
        &self,
        account: AccountNumber,
        position: u64,
        live: ChannelStatus,
    ) -> Result<(DeliveryState, Option<AttemptLog>), ManagementError> {
        let trail = self.store.attempt_log(position)?;
        let row = self.store.lane_row(account, live.now)?;
        let is_ahead =
            live.cursor.is_some_and(|cursor| position > cursor) || row.is_some_and(|row| row.next_position <= position);
        let state = match &trail {
            // A channel that was closed has no rows; then nothing waits any more.
            Some(trail)
                if trail.state == DeliveryState::Waiting
                    && !is_ahead
                    && !self.store.has_redelivery(account, position)? =>
            {
                DeliveryState::Forgotten
            }
            Some(trail) => trail.state,
            None if is_ahead => DeliveryState::Pending,
            None => DeliveryState::Forgotten,
        };
        Ok((state, trail))
    }

    fn delivery_view(&self, delivery: &Delivery, live: ChannelStatus) -> Result<DeliveryView, ManagementError> {
        let (state, trail) = self.delivery_state(delivery.account, delivery.position, live)?;
        let attempts = trail.as_ref().map_or(&[][..], |trail| &trail.attempts);
        let earlier = trail.as_ref().map_or(0, |trail| trail.earlier_attempts);
        let next = attempts.last().and_then(|last| last.next).filter(|_| state == DeliveryState::Waiting);
        Ok(DeliveryView {
            id: self.payloads.webhook_id(delivery),
            position: delivery.position.to_string(),
            whats_app: delivery.account.to_string(),
            version: delivery.version,
            time: write_time(delivery.at),
            state,
            attempts: attempts
                .iter()
                .zip(earlier + 1..)
                .map(|(attempt, number)| AttemptView::of(number, attempt))
                .collect(),
            next: next.map(format_time),
            superseded_by: trail.as_ref().and_then(|trail| trail.superseded_by).map(|by| by.to_string()),
            reason: trail.as_ref().and_then(|trail| trail.reason.clone()),
            body: raw_json(&delivery.body),
        })
    }
}
