//! What the task of a channel reads of the journal: what follows, what follows of one account, what is sent again.

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Error;
use super::delivery::{Delivery, PayloadBuilder};
use super::delivery_store::DeliveryStore;
use super::lane::LaneChange;
use super::retry_schedule::Moment;
use crate::domain::AccountNumber;
use crate::journal::{self, Journal, StreamId};
use crate::limits::READ_RECORDS;

/// What was read of the journal in one go.
pub(super) struct DeliveryBatch {
    pub(super) deliveries: Vec<Delivery>,
    /// The position up to which it was read.
    pub(super) position: u64,
}

/// A task that ends with whoever started it.
pub(super) struct AbortOnDrop<T>(pub(super) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads the journal after `position` and goes on as it grows, no faster than the batches are taken.
pub(super) async fn read_batches(
    journal: Journal,
    form: PayloadBuilder,
    mut position: u64,
    batches: mpsc::Sender<Result<DeliveryBatch, journal::Error>>,
) {
    let mut head = journal.subscribe_head();
    loop {
        let after = position;
        // The journal lives as long as this handle on it.
        if head.wait_for(|head| *head > after).await.is_err() {
            return;
        }
        let reading = journal.clone();
        let batch = spawn_blocking(move || {
            let records = reading.read_after(after, READ_RECORDS)?;
            let deliveries = records.iter().filter_map(|record| form.build_delivery(record)).collect();
            Ok(DeliveryBatch { deliveries, position: records.last().map_or(after, |last| last.position) })
        });
        let Ok(batch) = batch.await else { return };
        if let Ok(batch) = &batch {
            position = batch.position;
        }
        if batches.send(batch).await.is_err() {
            return;
        }
    }
}

/// What the channel tells of one account after a position, up to `read`, of at most `most` events; and whether that is
/// all.
pub(super) fn read_account_deliveries(
    journal: &Journal,
    form: PayloadBuilder,
    account: AccountNumber,
    mut after: u64,
    most: usize,
    read: u64,
) -> Result<(Vec<Delivery>, bool), Error> {
    // A page of events may hold none that this channel tells.
    loop {
        let records = journal.history_after(StreamId::Account(account), after, most)?;
        let deliveries = records.iter().take_while(|record| record.position <= read);
        let deliveries: Vec<Delivery> = deliveries.filter_map(|record| form.build_delivery(record)).collect();
        match records.last() {
            Some(last) if records.len() == most && last.position < read => {
                if !deliveries.is_empty() {
                    return Ok((deliveries, false));
                }
                after = last.position;
            }
            Some(_) | None => return Ok((deliveries, true)),
        }
    }
}

/// What is to be sent again of an account first, and how often it has failed.
pub(super) fn read_first_redelivery(
    journal: &Journal,
    form: PayloadBuilder,
    book: &DeliveryStore,
    account: AccountNumber,
    now: Moment,
) -> Result<Option<(Delivery, u32)>, Error> {
    while let Some((position, failed)) = book.first_redelivery(account)? {
        match journal.read_at(position)?.and_then(|record| form.build_delivery(&record)) {
            Some(delivery) => return Ok(Some((delivery, failed))),
            // The journal was put back to an earlier backup.
            None => book.apply_change(&LaneChange::RemoveRedelivery { account, position }, now)?,
        }
    }
    Ok(None)
}
