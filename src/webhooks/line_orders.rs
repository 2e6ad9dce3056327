//! What a channel with a cursor does when it is asked.

use std::time::Duration;

use super::Error;
use super::breaker;
use super::lane::Note;
use super::line::{End, Line};
use super::order::{Live, Order, told};
use super::waits::Wait;
use crate::domain::Timestamp;

impl Line<'_> {
    /// Obeys; says so if the line ends by it.
    pub(super) fn obey(&mut self, order: Order) -> Result<Option<End>, Error> {
        match order {
            Order::Configure { receiver, is_paused, done } => {
                let is_held = is_paused || receiver.is_none();
                (self.channel.receiver, self.channel.is_paused) = (receiver, is_paused);
                // While it is held nothing may arrive; otherwise the next attempt is made as it is to be.
                if is_held { self.quiet.push(done) } else { told(done, ()) }
            }
            Order::Close { done } => return Ok(Some(End::Closed(done))),
            Order::Again { which, done } => {
                let now = self.now();
                for (account, position) in which {
                    match self.lanes.wake(account, position, now.steady) {
                        Some(notes) => self.write(&notes)?,
                        None => {
                            self.channel.book.put_again(account, position, 0, Wait::NONE)?;
                            self.lanes.again(account);
                        }
                    }
                }
                self.is_dirty = true;
                told(done, ());
            }
            Order::Skip { which, done } => {
                for (account, position) in which {
                    let mut notes = self.lanes.skip(account, position, self.now().steady);
                    // It may be dropped while it is to be sent again.
                    notes.push(Note::SentAgain { account, position });
                    self.write(&notes)?;
                }
                told(done, ());
            }
            Order::Look { done } => told(done, self.look()),
        }
        Ok(None)
    }

    /// How the channel is.
    fn look(&mut self) -> Live {
        let (now, cursor, counts) = (self.now(), self.lanes.cursor(), self.lanes.counts());
        let unread = (cursor < self.channel.journal.head()).then_some(cursor + 1);
        let oldest = counts.oldest.or(unread);
        let is_same = |seen: &(u64, Timestamp)| oldest == Some(seen.0);
        self.oldest = self.oldest.filter(is_same).or_else(|| oldest.map(|position| (position, now.steady)));
        let breaker = match self.breaker.state() {
            breaker::State::Open { until } => breaker::State::Open { until: now.wait_until(until).end },
            state @ (breaker::State::Closed | breaker::State::Probing) => state,
        };
        Live {
            now,
            has_receiver: self.channel.receiver.is_some(),
            cursor: Some(cursor),
            counts,
            oldest_for: self.oldest.map_or(Duration::ZERO, |(_, since)| now.steady.since(since)),
            in_flight: self.attempts.len(),
            breaker,
            rates: self.breaker.rates(now.steady),
        }
    }
}
