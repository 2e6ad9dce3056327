//! What operators send again, and the dead letters that they give up.

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
use crate::journal::{RequesterIdentity, StreamId};
use crate::limits::{READ_RECORDS, REDELIVERIES_PER_REQUEST, REDELIVERY_CHUNK};

/// What is sent again, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Resent)]
pub struct RedeliverySummary {
    /// How many deliveries.
    deliveries: u64,
    /// Of how many accounts.
    accounts: u64,
    /// The position of the first; null if there is none.
    #[schema(required)]
    first: Option<String>,
    /// The position of the last; null if there is none.
    #[schema(required)]
    last: Option<String>,
    /// Whether it was only counted.
    dry_run: bool,
}

/// Dead letters that were chosen.
#[derive(Clone, Debug)]
pub enum DeadLetterScope {
    /// These.
    At(Vec<u64>),
    /// All up to this position.
    UpTo(u64),
}

/// What becomes of them.
#[derive(Clone, Debug)]
pub enum DeadLetterAction {
    /// They are sent again.
    Replay,
    /// They are given up, for this reason.
    Drop(String),
}

impl Webhooks {
    /// Sends one delivery again, under its id: at once if it waits for a retry.
    pub async fn resend(
        &self,
        channel: Channel,
        position: u64,
        asker: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let live = self.channel_status(channel).await?;
        self.require_receiver(channel, live)?;
        let delivery = self.delivery_at(channel, position).await?;
        if self.channel(channel).delivery_state(delivery.account, position, live)?.0 == DeliveryState::Pending {
            let words = format!("the delivery at position {position} is on its way for the first time; wait for it");
            return Err(ManagementError::Conflict(words));
        }
        self.queue_redeliveries(channel, vec![(delivery.account, position)], format!("position {position}"), asker)
            .await
    }

    /// Sends again what is settled of what is asked for; only counts it if it is a dry run.
    pub async fn redeliver(
        &self,
        channel: Channel,
        asked: DeliveryFilter,
        dry_run: bool,
        asker: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let live = self.channel_status(channel).await?;
        self.require_receiver(channel, live)?;
        let (webhooks, what) = (self.clone(), describe_filter(&asked));
        let finding = move || webhooks.find_redeliverable(channel, &asked, live);
        let which = spawn_blocking(finding).await.map_err(Error::from)??;
        if dry_run {
            return Ok(RedeliverySummary::of(&which, true));
        }
        self.queue_redeliveries(channel, which, what, asker).await
    }

    /// Sends dead letters again, or gives them up.
    pub async fn process_dead_letters(
        &self,
        channel: Channel,
        letters: DeadLetterScope,
        chosen: DeadLetterAction,
        asker: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let (book, asked) = (self.channel(channel).store.clone(), letters.clone());
        let finding = move || -> Result<Vec<DeliveryKey>, ManagementError> {
            match asked {
                DeadLetterScope::At(positions) => BTreeSet::from_iter(positions)
                    .into_iter()
                    .map(|position| {
                        let nothing =
                            || ManagementError::NotFound(format!("there is no dead letter at position {position}"));
                        Ok((book.dead_letter(position)?.ok_or_else(nothing)?.account, position))
                    })
                    .collect(),
                DeadLetterScope::UpTo(last) => {
                    let letters =
                        book.dead_letters(0).map(|entry| entry.map(|(position, letter)| (letter.account, position)));
                    let letters = letters.take_while(|it| it.as_ref().map_or(true, |(_, position)| *position <= last));
                    Ok(letters.take(REDELIVERIES_PER_REQUEST).collect::<Result<_, _>>()?)
                }
            }
        };
        let which = spawn_blocking(finding).await.map_err(Error::from)??;
        let what = match letters {
            DeadLetterScope::At(_) => format!("dead letters at {}", format_positions(&which)),
            DeadLetterScope::UpTo(u64::MAX) => "all dead letters".to_owned(),
            DeadLetterScope::UpTo(last) => format!("dead letters up to position {last}"),
        };
        match chosen {
            DeadLetterAction::Replay => {
                self.require_receiver(channel, self.channel_status(channel).await?)?;
                self.queue_redeliveries(channel, which, what, asker).await
            }
            DeadLetterAction::Drop(reason) => self.drop_dead_letters(channel, which, what, &reason, asker).await,
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
        asker: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let resent = RedeliverySummary::of(&which, false);
        if which.is_empty() {
            return Ok(resent);
        }
        for chunk in which.chunks(REDELIVERY_CHUNK) {
            let which = chunk.to_vec();
            self.channel(channel).send_command(|done| ChannelCommand::Redeliver { which, done }).await?;
        }
        self.inner.journal.metrics().webhook_redeliveries.with(channel).inc_by(resent.deliveries);
        // Its commit makes durable what the channel noted.
        self.append_administrative_event(
            AdministrativeEvent::WebhookRedelivered { channel, what, deliveries: resent.deliveries },
            asker,
        )
        .await?;
        Ok(resent)
    }

    async fn drop_dead_letters(
        &self,
        channel: Channel,
        which: Vec<DeliveryKey>,
        what: String,
        reason: &str,
        asker: RequesterIdentity,
    ) -> Result<RedeliverySummary, ManagementError> {
        let (desk, reason, resent) =
            (self.channel(channel), validate_reason(reason)?, RedeliverySummary::of(&which, false));
        if which.is_empty() {
            return Ok(resent);
        }
        for chunk in which.chunks(REDELIVERY_CHUNK) {
            let (book, which, why) = (desk.store.clone(), chunk.to_vec(), reason.clone());
            let dropping = which.clone();
            let dropping =
                move || dropping.iter().try_for_each(|(_, position)| drop_dead_letter(&book, *position, &why));
            spawn_blocking(dropping).await.map_err(Error::from)??;
            desk.send_command(|done| ChannelCommand::Discard { which, done }).await?;
        }
        let deliveries = resent.deliveries;
        self.append_administrative_event(
            AdministrativeEvent::WebhookLettersDropped { channel, what, deliveries, reason },
            asker,
        )
        .await?;
        Ok(resent)
    }

    /// What is settled of what is asked for, in order.
    fn find_redeliverable(
        &self,
        channel: Channel,
        asked: &DeliveryFilter,
        live: ChannelStatus,
    ) -> Result<Vec<DeliveryKey>, ManagementError> {
        let (desk, journal) = (self.channel(channel), &self.inner.journal);
        let mut which = Vec::new();
        let last = asked.to.unwrap_or(u64::MAX).min(journal.head());
        let mut after = asked.from.unwrap_or(1).saturating_sub(1);
        loop {
            let records = match asked.account {
                Some(account) => journal.history_after(StreamId::Account(account), after, READ_RECORDS)?,
                None => journal.read_after(after, READ_RECORDS)?,
            };
            for record in records.iter().take_while(|record| record.position <= last) {
                let Some(delivery) = desk.payloads.build_delivery(record).filter(|_| asked.matches(record)) else {
                    continue;
                };
                let (state, _) = desk.delivery_state(delivery.account, delivery.position, live)?;
                let is_settled = !matches!(state, DeliveryState::Pending | DeliveryState::Waiting);
                if is_settled && asked.state.is_none_or(|wanted| wanted == state) {
                    if which.len() == REDELIVERIES_PER_REQUEST {
                        let words =
                            format!("must be narrower: more than {REDELIVERIES_PER_REQUEST} deliveries are in it");
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

/// A dead letter is given up: it goes, and what is remembered of the delivery says why.
pub(super) fn drop_dead_letter(book: &DeliveryStore, position: u64, reason: &str) -> Result<(), ManagementError> {
    if let Some(mut trail) = book.attempt_log(position)? {
        trail.set_state(DeliveryState::Dropped, clock::now());
        trail.reason = Some(reason.to_owned());
        book.put_attempt_log(position, &trail)?;
    }
    Ok(book.remove_dead_letter(position)?)
}

impl RedeliverySummary {
    fn of(which: &[DeliveryKey], dry_run: bool) -> RedeliverySummary {
        let accounts: BTreeSet<_> = which.iter().map(|(account, _)| account).collect();
        RedeliverySummary {
            deliveries: which.len() as u64,
            accounts: accounts.len() as u64,
            first: which.first().map(|(_, position)| position.to_string()),
            last: which.last().map(|(_, position)| position.to_string()),
            dry_run,
        }
    }
}

/// What is asked for, in words.
fn describe_filter(asked: &DeliveryFilter) -> String {
    let DeliveryFilter { account, state, since, until, from, to } = asked;
    let parts = [
        account.map(|account| format!("of {account}")),
        state.map(|state| format!("that are {}", state.name())),
        since.map(|since| format!("since {}", write_time(since))),
        until.map(|until| format!("before {}", write_time(until))),
        from.map(|from| format!("from position {from}")),
        to.map(|to| format!("to position {to}")),
    ];
    let words = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "all".to_owned() } else { words }
}

/// The first few positions.
fn format_positions(which: &[DeliveryKey]) -> String {
    const SHOWN: usize = 10;
    let first: Vec<String> = which.iter().take(SHOWN).map(|(_, position)| position.to_string()).collect();
    let more = if which.len() > SHOWN { format!(" and {} more", which.len() - SHOWN) } else { String::new() };
    format!("{}{more}", first.join(", "))
}
