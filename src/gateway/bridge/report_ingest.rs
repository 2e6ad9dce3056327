//! Ingests batches of reports. Batches of one stream are processed in order. The reports of a batch run in order within
//! an account and concurrently across accounts. The batch is answered once all of it is durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, watch};

use super::reports::{BatchResult, EnumName, IgnoredReport, ReceivedReport, ReportBatch, ReportContent};
use super::stream_offsets::{IgnoredReportRow, StreamOffset, StreamOffsets};
use crate::actors::{self, CommandSuccess, ReportSender};
use crate::clock::Moments;
use crate::domain::{Command, GatewayKind};
use crate::gateway::ignored_report::IgnoreReason;
use crate::gateway::provider::StoreSync;
use crate::limits::REPORT_BATCHES_IN_FLIGHT;
use crate::metrics::{BridgeReport, Metrics};
use crate::projections::Roster;
use crate::store;

/// Ingests batches of reports.
pub(super) struct ReportIngester {
    pub(super) offsets: StreamOffsets,
    sync_store: StoreSync,
    reports: ReportSender,
    roster: Roster,
    /// One lock per stream with a batch under way.
    stream_locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    batch_permits: Semaphore,
    /// The number of streams that began. A new stream means that the gateway lost its memory, perhaps sessions too.
    streams_started: watch::Sender<u64>,
    /// The time from the creation of the last ingested report to its ingestion.
    report_lag: Mutex<Option<Duration>>,
    metrics: Metrics,
    now: Moments,
}

/// Why a batch is not ingested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    /// Reports before this batch are missing.
    #[error("reports before this batch are missing; send from sequence {expected} on, or start a new stream at 1")]
    Gap {
        /// The sequence that must come next.
        expected: u64,
    },
    /// Too many batches are under way.
    #[error("{REPORT_BATCHES_IN_FLIGHT} batches are being processed; send this one again shortly")]
    Busy,
    /// The accounts did not execute the reports.
    #[error("some reports could not be processed: {0}; send the batch again")]
    Accounts(#[from] actors::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The store could not confirm that the decisions are durable.
    #[error("processed reports may not be durable: {0}; send the batch again")]
    NotDurable(String),
}

impl ReportIngester {
    pub(super) fn new(
        offsets: StreamOffsets,
        sync_store: StoreSync,
        reports: ReportSender,
        roster: Roster,
        metrics: Metrics,
        now: Moments,
    ) -> ReportIngester {
        let (stream_locks, batch_permits) = (Mutex::default(), Semaphore::new(REPORT_BATCHES_IN_FLIGHT));
        let (streams_started, report_lag) = (watch::Sender::new(0), Mutex::default());
        ReportIngester {
            offsets,
            sync_store,
            reports,
            roster,
            stream_locks,
            batch_permits,
            streams_started,
            report_lag,
            metrics,
            now,
        }
    }

    /// The number of streams that began.
    pub(super) fn streams_started(&self) -> watch::Receiver<u64> {
        self.streams_started.subscribe()
    }

    /// The time from the creation of the last ingested report to its ingestion. `None` before the first.
    pub(super) fn report_lag(&self) -> Option<Duration> {
        *self.report_lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ingests a batch. All of it is durable when this returns. After an error some reports may have been executed. If the
    /// batch comes again, those are ignored as `does_not_fit`, or are duplicates if the offset was set.
    pub(super) async fn ingest(&self, batch: &ReportBatch) -> Result<BatchResult, IngestError> {
        let _permit = self.batch_permits.try_acquire().map_err(|_| IngestError::Busy)?;
        let stream_lock = self.lock().entry(batch.stream.clone()).or_default().clone();
        let held = stream_lock.lock().await;
        let result = self.ingest_in_order(batch).await;
        drop(held);
        let mut streams = self.lock();
        // Two references, this one and the map's: no other batch waits.
        if Arc::strong_count(&stream_lock) == 2 {
            streams.remove(&batch.stream);
        }
        result
    }

    async fn ingest_in_order(&self, ReportBatch { stream, reports }: &ReportBatch) -> Result<BatchResult, IngestError> {
        let last = self.offsets.last_sequence(stream);
        let new = new_reports(last.unwrap_or(0), reports)?;
        let duplicates = (reports.len() - new.len()) as u64;
        self.count(BridgeReport::Duplicate, duplicates);
        let mut result = BatchResult {
            stream: stream.clone(),
            acknowledged: last.unwrap_or(0),
            recorded: 0,
            duplicates,
            ignored: Vec::new(),
        };
        let Some(newest) = new.last() else { return Ok(result) };
        // `join_all` first polls the futures in order, so the reports of one account keep their order.
        let outcomes = join_all(new.iter().map(|received| self.decide_report(received))).await;
        let outcomes: Vec<Option<IgnoreReason>> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let at = (self.now)().wall;
        for (received, outcome) in new.iter().zip(outcomes) {
            let Some(why) = outcome else {
                result.recorded += 1;
                continue;
            };
            let ReceivedReport { sequence, made_at, content } = received;
            let (sequence, made_at, stream) = (*sequence, *made_at, stream.clone());
            let (account, kind) = match content {
                ReportContent::Known { account, kind, .. } => (Some(*account), EnumName::Known(*kind)),
                ReportContent::Unknown { account, kind } => (*account, EnumName::Unknown(kind.clone())),
            };
            result.ignored.push(IgnoredReport { sequence, why });
            self.offsets.record_ignored(&IgnoredReportRow { at, made_at, account, sequence, kind, why, stream })?;
        }
        // The offset is stored after the events, which are durable already.
        result.acknowledged = newest.sequence;
        self.offsets.set_offset(stream, StreamOffset { last_sequence: newest.sequence, at })?;
        (self.sync_store)().await.map_err(IngestError::NotDurable)?;
        *self.report_lag.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.now)().wall.since(newest.made_at));
        self.count(BridgeReport::Recorded, result.recorded);
        result.ignored.iter().for_each(|ignored| self.count(ignored.why.into(), 1));
        if last.is_none() {
            tracing::info!(stream, "a gateway started a report stream");
            self.streams_started.send_modify(|count| *count += 1);
        }
        Ok(result)
    }

    /// Executes a report. Returns why it is ignored, if it is.
    async fn decide_report(&self, received: &ReceivedReport) -> Result<Option<IgnoreReason>, actors::Error> {
        let (account, report) = match &received.content {
            ReportContent::Known { account, report, .. } => (*account, report.clone()),
            ReportContent::Unknown { .. } => return Ok(Some(IgnoreReason::UnknownType)),
        };
        match self.roster.gateway_of(account) {
            None => return Ok(Some(IgnoreReason::UnknownAccount)),
            Some(gateway) if gateway != GatewayKind::Bridge => return Ok(Some(IgnoreReason::OtherGateway)),
            Some(_) => {}
        }
        match self.reports.execute(GatewayKind::Bridge, account, Command::Report(report)).await? {
            Ok(CommandSuccess::Recorded) => Ok(None),
            // The domain rules reject no report.
            Ok(CommandSuccess::Unchanged) | Err(_) => Ok(Some(IgnoreReason::DoesNotFit)),
        }
    }

    fn count(&self, outcome: BridgeReport, many: u64) {
        self.metrics.bridge_reports.with(outcome).inc_by(many);
    }

    // The map is consistent between any two statements.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.stream_locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reports of a batch with a sequence after `last`.
fn new_reports(last: u64, reports: &[ReceivedReport]) -> Result<&[ReceivedReport], IngestError> {
    let known = reports.partition_point(|received| received.sequence <= last);
    let new = &reports[known..];
    match new.first() {
        // Sequences within a batch have no gap.
        Some(first) if first.sequence - last > 1 => Err(IngestError::Gap { expected: last + 1 }),
        Some(_) | None => Ok(new),
    }
}

impl From<IgnoreReason> for BridgeReport {
    fn from(why: IgnoreReason) -> BridgeReport {
        match why {
            IgnoreReason::UnknownAccount => BridgeReport::UnknownAccount,
            IgnoreReason::OtherGateway => BridgeReport::OtherGateway,
            IgnoreReason::DoesNotFit => BridgeReport::DoesNotFit,
            IgnoreReason::UnknownType => BridgeReport::UnknownType,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn new_reports_of_a_batch() {
        let received = |sequence| ReceivedReport {
            sequence,
            made_at: Timestamp(0),
            content: ReportContent::Unknown { account: None, kind: "paired".to_owned() },
        };
        for (last, batch, expected) in [
            (0, 1..=3, Ok(vec![1, 2, 3])),
            (0, 2..=3, Err(1)),
            (2, 1..=3, Ok(vec![3])),
            (3, 1..=3, Ok(vec![])),
            (9, 1..=3, Ok(vec![])),
            (4, 5..=5, Ok(vec![5])),
            (4, 6..=9, Err(5)),
            (u64::MAX, u64::MAX..=u64::MAX, Ok(vec![])),
            (u64::MAX - 1, u64::MAX..=u64::MAX, Ok(vec![u64::MAX])),
        ] {
            let reports: Vec<ReceivedReport> = batch.map(received).collect();
            let new = match new_reports(last, &reports) {
                Ok(new) => Ok(new.iter().map(|it| it.sequence).collect()),
                Err(IngestError::Gap { expected }) => Err(expected),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(new, expected, "{reports:?} after {last}");
        }
    }
}
