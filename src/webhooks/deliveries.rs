//! Deliveries as operators find them: by account, state and time, each with every attempt.

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::delivery::{Delivery, Posted};
use super::order::Live;
use super::trail::{State, Trail};
use super::views::{AttemptView, LetterView, raw, time};
use super::{Desk, Error, Refused, Webhooks};
use crate::audit::write_time;
use crate::domain::{AccountNumber, Channel, Timestamp};
use crate::journal::{self, Recorded, Stream};
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
    state: State,
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
    #[schema(value_type = Option<Posted>, required)]
    body: Option<Box<RawValue>>,
}

/// Which deliveries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Of this account.
    pub account: Option<AccountNumber>,
    /// That stand so.
    pub state: Option<State>,
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
pub struct Page<T> {
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
        asked: Asked,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<Page<DeliveryView>, Refused> {
        let (webhooks, live) = (self.clone(), self.look(channel).await?);
        let finding = move || webhooks.found(channel, &asked, live, cursor, limit);
        spawn_blocking(finding).await.map_err(Error::from)?
    }

    /// One delivery.
    pub async fn delivery(&self, channel: Channel, position: u64) -> Result<DeliveryView, Refused> {
        let delivery = self.told(channel, position).await?;
        self.desk(channel).view(&delivery, self.look(channel).await?)
    }

    /// What a channel tells of the event at a position.
    pub(super) async fn told(&self, channel: Channel, position: u64) -> Result<Delivery, Refused> {
        let (journal, form) = (self.inner.journal.clone(), self.desk(channel).form);
        let record = spawn_blocking(move || journal.read_at(position)).await.map_err(Error::from)??;
        let nothing =
            || Refused::NotFound(format!("{} tells of no event at position {position}", channel.short_name()));
        record.and_then(|record| form.delivery(&record)).ok_or_else(nothing)
    }

    /// Dead letters, the earliest first, from the position `cursor` on.
    pub async fn letters(&self, channel: Channel, cursor: u64, limit: usize) -> Result<Page<LetterView>, Refused> {
        let book = self.desk(channel).book.clone();
        let finding = move || -> Result<Page<LetterView>, Refused> {
            let mut items = Vec::new();
            for entry in book.letters(cursor) {
                let (position, letter) = entry?;
                if items.len() == limit {
                    return Ok(Page { items, next: Some(position) });
                }
                items.push(LetterView::of(position, &letter));
            }
            Ok(Page { items, next: None })
        };
        spawn_blocking(finding).await.map_err(Error::from)?
    }

    fn found(
        &self,
        channel: Channel,
        asked: &Asked,
        live: Live,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<Page<DeliveryView>, Refused> {
        let desk = self.desk(channel);
        let mut items = Vec::new();
        let latest = cursor.unwrap_or(u64::MAX).min(self.inner.journal.head());
        for (record, seen) in self.back_from(asked.account, latest).zip(1..) {
            let record = record?;
            if asked.covers(&record)
                && let Some(delivery) = desk.form.delivery(&record)
            {
                let view = desk.view(&delivery, live)?;
                items.extend(asked.state.is_none_or(|state| state == view.state).then_some(view));
            }
            if items.len() == limit || seen == DELIVERIES_SCANNED {
                return Ok(Page { items, next: record.position.checked_sub(1).filter(|next| *next > 0) });
            }
        }
        Ok(Page { items, next: None })
    }

    /// Records from a position back, of one account or of all.
    fn back_from(
        &self,
        account: Option<AccountNumber>,
        latest: u64,
    ) -> Box<dyn Iterator<Item = Result<Recorded, journal::Error>> + '_> {
        let journal = &self.inner.journal;
        if let Some(account) = account {
            let ours = journal.history_back(Stream::Account(account));
            return Box::new(ours.skip_while(move |it| it.as_ref().is_ok_and(|record| record.position > latest)));
        }
        let mut end = latest;
        let mut batch: Vec<Recorded> = Vec::new();
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

impl Asked {
    /// Whether nothing narrows it.
    pub fn is_everything(&self) -> bool {
        let Asked { account, state, since, until, from, to } = self;
        account.is_none() && state.is_none() && since.is_none() && until.is_none() && from.is_none() && to.is_none()
    }

    /// Whether the event of a delivery is asked for.
    pub(super) fn covers(&self, record: &Recorded) -> bool {
        let Asked { account, since, until, from, to, .. } = *self;
        account.is_none_or(|account| record.stream == Stream::Account(account))
            && since.is_none_or(|since| record.at >= since)
            && until.is_none_or(|until| record.at < until)
            && from.is_none_or(|from| record.position >= from)
            && to.is_none_or(|to| record.position <= to)
    }
}

impl Desk {
    /// How a delivery stands, with what is remembered of it.
    pub(super) fn standing(
        &self,
        account: AccountNumber,
        position: u64,
        live: Live,
    ) -> Result<(State, Option<Trail>), Refused> {
        let trail = self.book.trail(position)?;
        let row = self.book.row(account, live.now)?;
        let is_ahead =
            live.cursor.is_some_and(|cursor| position > cursor) || row.is_some_and(|row| row.next <= position);
        let state = match &trail {
            // A channel that was closed has no rows; then nothing waits any more.
            Some(trail) if trail.state == State::Waiting && !is_ahead && !self.book.is_again(account, position)? => {
                State::Forgotten
            }
            Some(trail) => trail.state,
            None if is_ahead => State::Pending,
            None => State::Forgotten,
        };
        Ok((state, trail))
    }

    fn view(&self, delivery: &Delivery, live: Live) -> Result<DeliveryView, Refused> {
        let (state, trail) = self.standing(delivery.account, delivery.position, live)?;
        let attempts = trail.as_ref().map_or(&[][..], |trail| &trail.attempts);
        let earlier = trail.as_ref().map_or(0, |trail| trail.earlier);
        let next = attempts.last().and_then(|last| last.next).filter(|_| state == State::Waiting);
        Ok(DeliveryView {
            id: self.form.id(delivery),
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
            next: next.map(time),
            superseded_by: trail.as_ref().and_then(|trail| trail.by).map(|by| by.to_string()),
            reason: trail.as_ref().and_then(|trail| trail.reason.clone()),
            body: raw(&delivery.body),
        })
    }
}
