//! What a channel with a cursor does when it is asked.

use super::Error;
use super::lane::Note;
use super::line::{End, Line};
use super::order::{Live, Order, told};
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
                    match self.lanes.wake(account, position, now) {
                        Some(notes) => self.write(&notes)?,
                        None => {
                            self.channel.book.put_again(account, position, 0, Timestamp(0))?;
                            self.lanes.again(account);
                        }
                    }
                }
                self.is_dirty = true;
                told(done, ());
            }
            Order::Skip { which, done } => {
                for (account, position) in which {
                    let mut notes = self.lanes.skip(account, position, self.now());
                    // It may be dropped while it is to be sent again.
                    notes.push(Note::SentAgain { account, position });
                    self.write(&notes)?;
                }
                told(done, ());
            }
            Order::Look { done } => told(
                done,
                Live {
                    has_receiver: self.channel.receiver.is_some(),
                    cursor: Some(self.lanes.cursor()),
                    counts: self.lanes.counts(),
                    in_flight: self.attempts.len(),
                    breaker: self.breaker.state(),
                    rates: self.breaker.rates(self.now()),
                },
            ),
        }
        Ok(None)
    }
}
