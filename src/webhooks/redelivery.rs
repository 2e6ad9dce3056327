//! Operators send deliveries again, and replay or drop dead letters.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::attempt_log::DeliveryState;
use super::channel_command::{ChannelCommand, ChannelStatus, DeliveryKey};
use super::delivery_store::DeliveryStore;
use super::management::{no_receiver_error, validate_reason};
use super::{DeliveryFilter, Error, ManagementError, Webhooks};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{AdministrativeEvent, Channel};
use crate::journal::{Generations, RequesterIdentity, StreamId};
use crate::limits::{READ_RECORDS, REDELIVERIES_PER_REQUEST, REDELIVERY_CHUNK};

/// What is redelivered, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Resent)]
pub struct RedeliverySummary {
    /// The number of deliveries.
    deliveries: u64,
    /// The number of their accounts.
    accounts: u64,
    /// The id of the first one's event; null if there is none.
    #[schema(required)]
    first: Option<String>,
    /// The id of the last one's event; null if there is none.
    #[schema(required)]
    last: Option<String>,
    /// Whether they were only counted.
    dry_run: bool,
}

/// Which dead letters an action applies to.
#[derive(Clone, Debug)]
pub enum DeadLetterScope {
    /// Those at these positions.
    At(Vec<u64>),
    /// All up to this position.
    UpTo(u64),
}

/// What to do with dead letters.
#[derive(Clone, Debug)]
pub enum DeadLetterAction {
    /// Send them again.
    Replay,
    /// Drop them, for this reason.
    Drop(String),
}

impl Webhooks {
    /// Sends one delivery again, under the same id. If it waits for a retry, it is tried at once.
    pub async fn resend(
        &self,
        channel: Channel,
        position: u64,
        requester: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let live = self.channel_status(channel).await?;
        self.require_receiver(channel, live)?;
        let delivery = self.delivery_at(channel, position).await?;
        let id = self.generations().event_id(position);
        if self.channel(channel).delivery_state(delivery.account, position, live)?.0 == DeliveryState::Pending {
            let words = format!("the delivery at position {id} is in its first attempts; wait until they end");
            return Err(ManagementError::Conflict(words));
        }
        self.queue_redeliveries(channel, vec![(delivery.account, position)], format!("position {id}"), requester).await
    }

    /// Sends the completed deliveries that match a filter again. A dry run only counts them.
    pub async fn redeliver(
        &self,
        channel: Channel,
        filter: DeliveryFilter,
        dry_run: bool,
        requester: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let live = self.channel_status(channel).await?;
        self.require_receiver(channel, live)?;
        let (webhooks, what) = (self.clone(), describe_filter(&filter, self.generations()));
        let finding = move || webhooks.find_redeliverable(channel, &filter, live);
        let which = spawn_blocking(finding).await.map_err(Error::from)??;
        if dry_run {
            return Ok(RedeliverySummary::of(&which, self.generations(), true));
        }
        self.queue_redeliveries(channel, which, what, requester).await
    }

    /// Replays or drops dead letters.
    pub async fn process_dead_letters(
        &self,
        channel: Channel,
        letters: DeadLetterScope,
        chosen: DeadLetterAction,
        requester: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let (store, scope) = (self.channel(channel).store.clone(), letters.clone());
        let generations = self.generations().clone();
        let finding = move || -> Result<Vec<DeliveryKey>, ManagementError> {
            match scope {
                DeadLetterScope::At(positions) => BTreeSet::from_iter(positions)
                    .into_iter()
                    .map(|position| {
                        let not_found = || {
                            let id = generations.event_id(position);
                            ManagementError::NotFound(format!("there is no dead letter at position {id}"))
                        };
                        Ok((store.dead_letter(position)?.ok_or_else(not_found)?.account, position))
                    })
                    .collect(),
                DeadLetterScope::UpTo(last) => {
                    let letters =
                        store.dead_letters(0).map(|entry| entry.map(|(position, letter)| (letter.account, position)));
                    let letters = letters.take_while(|it| it.as_ref().map_or(true, |(_, position)| *position <= last));
                    Ok(letters.take(REDELIVERIES_PER_REQUEST).collect::<Result<_, _>>()?)
                }
            }
        };
        let which = spawn_blocking(finding).await.map_err(Error::from)??;
        let what = match letters {
            DeadLetterScope::At(_) => format!("dead letters at {}", format_positions(&which, self.generations())),
            DeadLetterScope::UpTo(u64::MAX) => "all dead letters".to_owned(),
            DeadLetterScope::UpTo(last) => format!("dead letters up to position {}", self.generations().event_id(last)),
        };
        match chosen {
            DeadLetterAction::Replay => {
                self.require_receiver(channel, self.channel_status(channel).await?)?;
                self.queue_redeliveries(channel, which, what, requester).await
            }
            DeadLetterAction::Drop(reason) => self.drop_dead_letters(channel, which, what, &reason, requester).await,
        }
    }

    fn require_receiver(&self, channel: Channel, live: ChannelStatus) -> Result<(), ManagementError> {
        if live.has_receiver { Ok(()) } else { Err(no_receiver_error(channel)) }
    }

    async fn queue_redeliveries(
        &self,
        channel: Channel,
        which: Vec<DeliveryKey>,
        what: String,
        requester: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let summary = RedeliverySummary::of(&which, self.generations(), false);
        if which.is_empty() {
            return Ok(summary);
        }
        for chunk in which.chunks(REDELIVERY_CHUNK) {
            let which = chunk.to_vec();
            self.channel(channel).send_command(|done| ChannelCommand::Redeliver { which, done }).await?;
        }
        self.inner.journal.metrics().webhook_redeliveries.with(channel).inc_by(summary.deliveries);
        // The commit of the event makes the queued redeliveries durable.
        self.append_administrative_event(
            AdministrativeEvent::WebhookRedelivered { channel, what, deliveries: summary.deliveries },
            requester,
        )
        .await?;
        Ok(summary)
    }

    async fn drop_dead_letters(
        &self,
        channel: Channel,
        which: Vec<DeliveryKey>,
        what: String,
        reason: &str,
        requester: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let (handle, reason, summary) =
            (self.channel(channel), validate_reason(reason)?, RedeliverySummary::of(&which, self.generations(), false));
        if which.is_empty() {
            return Ok(summary);
        }
        for chunk in which.chunks(REDELIVERY_CHUNK) {
            let (store, which, why) = (handle.store.clone(), chunk.to_vec(), reason.clone());
            let dropping = which.clone();
            let dropping =
                move || dropping.iter().try_for_each(|(_, position)| drop_dead_letter(&store, *position, &why));
            spawn_blocking(dropping).await.map_err(Error::from)??;
            handle.send_command(|done| ChannelCommand::Discard { which, done }).await?;
        }
        let deliveries = summary.deliveries;
        self.append_administrative_event(
            AdministrativeEvent::WebhookLettersDropped { channel, what, deliveries, reason },
            requester,
        )
        .await?;
        Ok(summary)
    }

    /// The completed deliveries that match a filter, in order. Fails if there are too many.
    fn find_redeliverable(
        &self,
        channel: Channel,
        filter: &DeliveryFilter,
        live: ChannelStatus,
    ) -> Result<Vec<DeliveryKey>, ManagementError> {
        let (handle, journal) = (self.channel(channel), &self.inner.journal);
        let mut which = Vec::new();
        let last = filter.to.unwrap_or(u64::MAX).min(journal.head());
        let mut after = filter.from.unwrap_or(1).saturating_sub(1);
        loop {
            let records = match filter.account {
                Some(account) => journal.history_after(StreamId::Account(account), after, READ_RECORDS)?,
                None => journal.read_after(after, READ_RECORDS)?,
            };
            for record in records.iter().take_while(|record| record.position <= last) {
                let Some(delivery) = handle.payloads.build_delivery(record)?.filter(|_| filter.matches(record)) else {
                    continue;
                };
                let (state, _) = handle.delivery_state(delivery.account, delivery.position, live)?;
                let is_completed = !matches!(state, DeliveryState::Pending | DeliveryState::Waiting);
                if is_completed && filter.state.is_none_or(|wanted| wanted == state) {
                    if which.len() == REDELIVERIES_PER_REQUEST {
                        let words =
                            format!("must be narrower: it selects more than {REDELIVERIES_PER_REQUEST} deliveries");
                        return Err(ManagementError::InvalidField { field: "to", words });
                    }
                    which.push((delivery.account, delivery.position));
                }
            }
            match records.last() {
                Some(end) if end.position < last => after = end.position,
                Some(_) | None => return Ok(which),
            }
        }
    }
}

/// Removes a dead letter, and stores the reason in the delivery's attempt log.
pub(super) fn drop_dead_letter(store: &DeliveryStore, position: u64, reason: &str) -> Result<(), ManagementError> {
    if let Some(mut log) = store.attempt_log(position)? {
        log.set_state(DeliveryState::Dropped, clock::now());
        log.reason = Some(reason.to_owned());
        store.put_attempt_log(position, &log)?;
    }
    Ok(store.remove_dead_letter(position)?)
}

impl RedeliverySummary {
    fn of(which: &[DeliveryKey], generations: &Generations, dry_run: bool) -> RedeliverySummary {
        let accounts: BTreeSet<_> = which.iter().map(|(account, _)| account).collect();
        let id = |(_, position): &DeliveryKey| generations.event_id(*position).to_string();
        RedeliverySummary {
            deliveries: which.len() as u64,
            accounts: accounts.len() as u64,
            first: which.first().map(id),
            last: which.last().map(id),
            dry_run,
        }
    }
}

/// A filter as text, for the administrative event.
fn describe_filter(filter: &DeliveryFilter, generations: &Generations) -> String {
    let DeliveryFilter { account, state, since, until, from, to } = filter;
    let parts = [
        account.map(|account| format!("of {account}")),
        state.map(|state| format!("in state {}", state.name())),
        since.map(|since| format!("since {}", write_time(since))),
        until.map(|until| format!("before {}", write_time(until))),
        from.map(|from| format!("from position {}", generations.event_id(from))),
        to.map(|to| format!("to position {}", generations.event_id(to))),
    ];
    let words = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "all".to_owned() } else { words }
}

/// The first few positions as text.
fn format_positions(which: &[DeliveryKey], generations: &Generations) -> String {
    const SHOWN: usize = 10;
    let first: Vec<String> =
        which.iter().take(SHOWN).map(|(_, position)| generations.event_id(*position).to_string()).collect();
    let more = if which.len() > SHOWN { format!(" and {} more", which.len() - SHOWN) } else { String::new() };
    format!("{}{more}", first.join(", "))
}
