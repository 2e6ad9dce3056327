//! Reads deliveries from the journal: the next ones of all accounts, the next ones of one account, and redeliveries.

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

/// One read of the journal.
pub(super) struct DeliveryBatch {
    pub(super) deliveries: Vec<Delivery>,
    /// The position up to which the journal was read.
    pub(super) position: u64,
}

/// A task that is aborted when this is dropped.
pub(super) struct AbortOnDrop<T>(pub(super) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads the journal after `position` and follows it as it grows, no faster than the batches are received.
pub(super) async fn read_batches(
    journal: Journal,
    payloads: PayloadBuilder,
    mut position: u64,
    batches: mpsc::Sender<Result<DeliveryBatch, journal::Error>>,
) {
    let mut head = journal.subscribe_head();
    loop {
        let after = position;
        // This cannot fail while `journal` lives.
        if head.wait_for(|head| *head > after).await.is_err() {
            return;
        }
        let (reading, payloads) = (journal.clone(), payloads.clone());
        let batch = spawn_blocking(move || {
            let records = reading.read_after(after, READ_RECORDS)?;
            let built = records.iter().filter_map(|record| payloads.build_delivery(record).transpose());
            let deliveries = built.collect::<Result<_, _>>()?;
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

/// Reads the deliveries of one account after the position `after`, up to the position `read`. Reads pages of `most`
/// events until a page has deliveries. Returns them, and whether they are all.
pub(super) fn read_account_deliveries(
    journal: &Journal,
    payloads: &PayloadBuilder,
    account: AccountNumber,
    mut after: u64,
    most: usize,
    read: u64,
) -> Result<(Vec<Delivery>, bool), Error> {
    // A page of events may contain no delivery of this channel.
    loop {
        let records = journal.history_after(StreamId::Account(account), after, most)?;
        let deliveries = records.iter().take_while(|record| record.position <= read);
        let built = deliveries.filter_map(|record| payloads.build_delivery(record).transpose());
        let deliveries: Vec<Delivery> = built.collect::<Result<_, _>>()?;
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

/// The first redelivery of an account, and its number of failed attempts.
pub(super) fn read_first_redelivery(
    journal: &Journal,
    payloads: &PayloadBuilder,
    store: &DeliveryStore,
    account: AccountNumber,
    now: Moment,
) -> Result<Option<(Delivery, u32)>, Error> {
    while let Some((position, failed)) = store.first_redelivery(account)? {
        let record = journal.read_at(position)?;
        match record.map(|record| payloads.build_delivery(&record)).transpose()?.flatten() {
            Some(delivery) => return Ok(Some((delivery, failed))),
            // The event is missing: the journal was restored from an earlier backup.
            None => store.apply_change(&LaneChange::RemoveRedelivery { account, position }, now)?,
        }
    }
    Ok(None)
}
