//! Searches deliveries by account, state and time, and returns each with its attempts. Lists dead letters.

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

/// The delivery of one event to one receiver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// The webhook id.
    pub(crate) id: String,
    /// The id of its event: its position.
    pub(crate) position: String,
    /// The account number.
    pub(crate) whats_app: String,
    /// The version of the account after the event.
    pub(crate) version: u64,
    /// When the event happened.
    #[schema(format = DateTime)]
    pub(crate) time: String,
    pub(crate) state: DeliveryState,
    /// The stored attempts, first one first.
    pub(crate) attempts: Vec<AttemptView>,
    /// The time of the next attempt; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(crate) next: Option<String>,
    /// The id of the newer event that replaces it, if it is superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) superseded_by: Option<String>,
    /// The reason for which it was dropped, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reason: Option<String>,
    /// The payload.
    #[schema(value_type = Option<WebhookPayload>, required)]
    pub(crate) body: Option<Box<RawValue>>,
}

/// Which deliveries to return. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only deliveries of this account.
    pub account: Option<AccountNumber>,
    /// Only deliveries in this state.
    pub state: Option<DeliveryState>,
    /// Only deliveries of events at this time or later.
    pub since: Option<Timestamp>,
    /// Only deliveries of events before this time.
    pub until: Option<Timestamp>,
    /// Only deliveries of events at this position or later.
    pub from: Option<u64>,
    /// Only deliveries of events at this position or earlier.
    pub to: Option<u64>,
}

/// A page of results.
#[derive(Debug, Serialize)]
pub struct ResultsPage<T> {
    /// The results.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `None` on the last one.
    pub next: Option<u64>,
}

impl Webhooks {
    /// Deliveries in descending order of position, starting at `cursor`.
    pub async fn deliveries(
        &self,
        channel: Channel,
        filter: DeliveryFilter,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<ResultsPage<DeliveryView>, ManagementError> {
        let (webhooks, live) = (self.clone(), self.channel_status(channel).await?);
        let finding = move || webhooks.find_deliveries(channel, &filter, live, cursor, limit);
        spawn_blocking(finding).await.map_err(Error::from)?
    }

    /// The delivery at a position.
    pub async fn delivery(&self, channel: Channel, position: u64) -> Result<DeliveryView, ManagementError> {
        let delivery = self.delivery_at(channel, position).await?;
        self.channel(channel).delivery_view(&delivery, self.channel_status(channel).await?)
    }

    /// A channel's delivery of the event at a position.
    pub(super) async fn delivery_at(&self, channel: Channel, position: u64) -> Result<Delivery, ManagementError> {
        let (journal, payloads) = (self.inner.journal.clone(), self.channel(channel).payloads.clone());
        let reading = move || -> Result<Option<Delivery>, journal::Error> {
            let Some(record) = journal.read_at(position)? else { return Ok(None) };
            payloads.build_delivery(&record)
        };
        let delivery = spawn_blocking(reading).await.map_err(Error::from)??;
        let not_found = || {
            ManagementError::NotFound(format!(
                "{} does not notify about the event at position {}",
                channel.short_name(),
                self.inner.journal.event_id(position)
            ))
        };
        delivery.ok_or_else(not_found)
    }

    /// Dead letters in ascending order of position, starting at `cursor`.
    pub async fn dead_letters(
        &self,
        channel: Channel,
        cursor: u64,
        limit: usize,
    ) -> Result<ResultsPage<DeadLetterView>, ManagementError> {
        let (store, payloads) = (self.channel(channel).store.clone(), self.channel(channel).payloads.clone());
        let finding = move || -> Result<ResultsPage<DeadLetterView>, ManagementError> {
            let mut items = Vec::new();
            for entry in store.dead_letters(cursor) {
                let (position, letter) = entry?;
                if items.len() == limit {
                    return Ok(ResultsPage { items, next: Some(position) });
                }
                items.push(DeadLetterView::of(payloads.event_id(position), &letter));
            }
            Ok(ResultsPage { items, next: None })
        };
        spawn_blocking(finding).await.map_err(Error::from)?
    }

    fn find_deliveries(
        &self,
        channel: Channel,
        filter: &DeliveryFilter,
        live: ChannelStatus,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<ResultsPage<DeliveryView>, ManagementError> {
        let handle = self.channel(channel);
        let mut items = Vec::new();
        let latest = cursor.unwrap_or(u64::MAX).min(self.inner.journal.head());
        for (record, seen) in self.records_backward(filter.account, latest).zip(1..) {
            let record = record?;
            if filter.matches(&record)
                && let Some(delivery) = handle.payloads.build_delivery(&record)?
            {
                let view = handle.delivery_view(&delivery, live)?;
                items.extend(filter.state.is_none_or(|state| state == view.state).then_some(view));
            }
            if items.len() == limit || seen == DELIVERIES_SCANNED {
                return Ok(ResultsPage { items, next: record.position.checked_sub(1).filter(|next| *next > 0) });
            }
        }
        Ok(ResultsPage { items, next: None })
    }

    /// Journal records of one account or of all, in descending order, starting at the position `latest`.
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
    /// Whether the filter has no condition.
    pub fn is_unfiltered(&self) -> bool {
        let DeliveryFilter { account, state, since, until, from, to } = self;
        account.is_none() && state.is_none() && since.is_none() && until.is_none() && from.is_none() && to.is_none()
    }

    /// Whether an event matches, apart from the state of its delivery.
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
    /// The state of a delivery, and its attempt log if one is kept.
    pub(super) fn delivery_state(
        &self,
        account: AccountNumber,
        position: u64,
        live: ChannelStatus,
    ) -> Result<(DeliveryState, Option<AttemptLog>), ManagementError> {
        let log = self.store.attempt_log(position)?;
        let row = self.store.lane_row(account, live.now)?;
        let is_ahead =
            live.cursor.is_some_and(|cursor| position > cursor) || row.is_some_and(|row| row.next_position <= position);
        let state = match &log {
            // Closing a channel removes its rows, but the logs still say that deliveries wait.
            Some(log)
                if log.state == DeliveryState::Waiting
                    && !is_ahead
                    && !self.store.has_redelivery(account, position)? =>
            {
                DeliveryState::Forgotten
            }
            Some(log) => log.state,
            None if is_ahead => DeliveryState::Pending,
            None => DeliveryState::Forgotten,
        };
        Ok((state, log))
    }

    fn delivery_view(&self, delivery: &Delivery, live: ChannelStatus) -> Result<DeliveryView, ManagementError> {
        let (state, log) = self.delivery_state(delivery.account, delivery.position, live)?;
        let attempts = log.as_ref().map_or(&[][..], |log| &log.attempts);
        let earlier = log.as_ref().map_or(0, |log| log.earlier_attempts);
        let next = attempts.last().and_then(|last| last.next).filter(|_| state == DeliveryState::Waiting);
        Ok(DeliveryView {
            id: self.payloads.webhook_id(delivery),
            position: self.payloads.event_id(delivery.position),
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
            superseded_by: log.as_ref().and_then(|log| log.superseded_by).map(|by| self.payloads.event_id(by)),
            reason: log.as_ref().and_then(|log| log.reason.clone()),
            body: raw_json(&delivery.body),
        })
    }
}
