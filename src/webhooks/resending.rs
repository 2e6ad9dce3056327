//! What operators send again, and the dead letters that they give up.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::book::Book;
use super::management::{no_receiver, remark};
use super::order::{Live, Order, Which};
use super::trail::State;
use super::{Asked, Error, Refused, Webhooks};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{Channel, Deed};
use crate::journal::{Asker, Stream};
use crate::limits::{READ_RECORDS, REDELIVERIES, REDELIVERY_CHUNK};

/// What is sent again, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resent {
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
pub enum Letters {
    /// These.
    At(Vec<u64>),
    /// All up to this position.
    UpTo(u64),
}

/// What becomes of them.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// They are sent again.
    Replay,
    /// They are given up, for this reason.
    Drop(String),
}

impl Webhooks {
    /// Sends one delivery again, under its id: at once if it waits for a retry.
    pub async fn resend(&self, channel: Channel, position: u64, asker: Asker) -> Result<Resent, Refused> {
        let live = self.look(channel).await?;
        self.has_receiver(channel, live)?;
        let delivery = self.told(channel, position).await?;
        if self.desk(channel).standing(delivery.account, position, live)?.0 == State::Pending {
            let words = format!("the delivery at position {position} is on its way for the first time; wait for it");
            return Err(Refused::Conflict(words));
        }
        self.send_again(channel, vec![(delivery.account, position)], format!("position {position}"), asker).await
    }

    /// Sends again what is settled of what is asked for; only counts it if it is a dry run.
    pub async fn redeliver(
        &self,
        channel: Channel,
        asked: Asked,
        dry_run: bool,
        asker: Asker,
    ) -> Result<Resent, Refused> {
        let live = self.look(channel).await?;
        self.has_receiver(channel, live)?;
        let (webhooks, what) = (self.clone(), words(&asked));
        let finding = move || webhooks.settled(channel, &asked, live);
        let which = spawn_blocking(finding).await.map_err(Error::from)??;
        if dry_run {
            return Ok(Resent::of(&which, true));
        }
        self.send_again(channel, which, what, asker).await
    }

    /// Sends dead letters again, or gives them up.
    pub async fn settle_letters(
        &self,
        channel: Channel,
        letters: Letters,
        chosen: Chosen,
        asker: Asker,
    ) -> Result<Resent, Refused> {
        let (book, asked) = (self.desk(channel).book.clone(), letters.clone());
        let finding = move || -> Result<Vec<Which>, Refused> {
            match asked {
                Letters::At(positions) => BTreeSet::from_iter(positions)
                    .into_iter()
                    .map(|position| {
                        let nothing = || Refused::NotFound(format!("there is no dead letter at position {position}"));
                        Ok((book.letter(position)?.ok_or_else(nothing)?.account, position))
                    })
                    .collect(),
                Letters::UpTo(last) => {
                    let letters =
                        book.letters(0).map(|entry| entry.map(|(position, letter)| (letter.account, position)));
                    let letters = letters.take_while(|it| it.as_ref().map_or(true, |(_, position)| *position <= last));
                    Ok(letters.take(REDELIVERIES).collect::<Result<_, _>>()?)
                }
            }
        };
        let which = spawn_blocking(finding).await.map_err(Error::from)??;
        let what = match letters {
            Letters::At(_) => format!("dead letters at {}", positions(&which)),
            Letters::UpTo(u64::MAX) => "all dead letters".to_owned(),
            Letters::UpTo(last) => format!("dead letters up to position {last}"),
        };
        match chosen {
            Chosen::Replay => {
                self.has_receiver(channel, self.look(channel).await?)?;
                self.send_again(channel, which, what, asker).await
            }
            Chosen::Drop(reason) => self.give_up(channel, which, what, &reason, asker).await,
        }
    }

    fn has_receiver(&self, channel: Channel, live: Live) -> Result<(), Refused> {
        if live.has_receiver { Ok(()) } else { Err(no_receiver(channel)) }
    }

    async fn send_again(
        &self,
        channel: Channel,
        which: Vec<Which>,
        what: String,
        asker: Asker,
    ) -> Result<Resent, Refused> {
        let resent = Resent::of(&which, false);
        if which.is_empty() {
            return Ok(resent);
        }
        for chunk in which.chunks(REDELIVERY_CHUNK) {
            let which = chunk.to_vec();
            self.desk(channel).order(|done| Order::Again { which, done }).await?;
        }
        self.inner.journal.metrics().webhook_redeliveries.at(channel).inc_by(resent.deliveries);
        // Its commit makes durable what the channel noted.
        self.record(Deed::WebhookRedelivered { channel, what, deliveries: resent.deliveries }, asker).await?;
        Ok(resent)
    }

    async fn give_up(
        &self,
        channel: Channel,
        which: Vec<Which>,
        what: String,
        reason: &str,
        asker: Asker,
    ) -> Result<Resent, Refused> {
        let (desk, reason, resent) = (self.desk(channel), remark(reason)?, Resent::of(&which, false));
        if which.is_empty() {
            return Ok(resent);
        }
        for chunk in which.chunks(REDELIVERY_CHUNK) {
            let (book, which, why) = (desk.book.clone(), chunk.to_vec(), reason.clone());
            let dropping = which.clone();
            let dropping = move || dropping.iter().try_for_each(|(_, position)| drop_letter(&book, *position, &why));
            spawn_blocking(dropping).await.map_err(Error::from)??;
            desk.order(|done| Order::Skip { which, done }).await?;
        }
        let deliveries = resent.deliveries;
        self.record(Deed::WebhookLettersDropped { channel, what, deliveries, reason }, asker).await?;
        Ok(resent)
    }

    /// What is settled of what is asked for, in order.
    fn settled(&self, channel: Channel, asked: &Asked, live: Live) -> Result<Vec<Which>, Refused> {
        let (desk, journal) = (self.desk(channel), &self.inner.journal);
        let mut which = Vec::new();
        let last = asked.to.unwrap_or(u64::MAX).min(journal.head());
        let mut after = asked.from.unwrap_or(1).saturating_sub(1);
        loop {
            let records = match asked.account {
                Some(account) => journal.history_after(Stream::Account(account), after, READ_RECORDS)?,
                None => journal.read_after(after, READ_RECORDS)?,
            };
            for record in records.iter().take_while(|record| record.position <= last) {
                let Some(delivery) = desk.form.delivery(record).filter(|_| asked.covers(record)) else { continue };
                let (state, _) = desk.standing(delivery.account, delivery.position, live)?;
                let is_settled = !matches!(state, State::Pending | State::Waiting);
                if is_settled && asked.state.is_none_or(|wanted| wanted == state) {
                    if which.len() == REDELIVERIES {
                        let words = format!("must be narrower: more than {REDELIVERIES} deliveries are in it");
                        return Err(Refused::Field { field: "to", words });
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
pub(super) fn drop_letter(book: &Book, position: u64, reason: &str) -> Result<(), Refused> {
    if let Some(mut trail) = book.trail(position)? {
        trail.set(State::Dropped, clock::now());
        trail.reason = Some(reason.to_owned());
        book.put_trail(position, &trail)?;
    }
    Ok(book.remove_letter(position)?)
}

impl Resent {
    fn of(which: &[Which], dry_run: bool) -> Resent {
        let accounts: BTreeSet<_> = which.iter().map(|(account, _)| account).collect();
        Resent {
            deliveries: which.len() as u64,
            accounts: accounts.len() as u64,
            first: which.first().map(|(_, position)| position.to_string()),
            last: which.last().map(|(_, position)| position.to_string()),
            dry_run,
        }
    }
}

/// What is asked for, in words.
fn words(asked: &Asked) -> String {
    let Asked { account, state, since, until, from, to } = asked;
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
fn positions(which: &[Which]) -> String {
    const SHOWN: usize = 10;
    let first: Vec<String> = which.iter().take(SHOWN).map(|(_, position)| position.to_string()).collect();
    let more = if which.len() > SHOWN { format!(" and {} more", which.len() - SHOWN) } else { String::new() };
    format!("{}{more}", first.join(", "))
}
