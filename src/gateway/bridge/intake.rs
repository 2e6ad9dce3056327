//! Reports come in: each batch of a stream behind the one before, its reports decided in the order of each account and side
//! by side across accounts, and answered once all of it is durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{Semaphore, watch};

use super::marks::{Ignored, Mark, Marks};
use super::reports::{Arrived, Batch, Content, IgnoredReport, Taken, Why, Word};
use crate::actors::{self, Effect, Reports};
use crate::clock::Moments;
use crate::domain::{Command, GatewayKind};
use crate::limits::REPORTS_UNDER_WAY;
use crate::metrics::{BridgeReport, Metrics};
use crate::projections::Roster;
use crate::store;

/// Makes what was put into the store's tables durable; shares a commit with whoever else waits for one. An error is in
/// words.
pub type Settle = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What takes reports in.
pub(super) struct Intake {
    pub(super) marks: Marks,
    settle: Settle,
    reports: Reports,
    roster: Roster,
    /// Held by whoever takes in a batch of the stream; only of streams that have one under way.
    streams: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    under_way: Semaphore,
    /// How many streams were begun: a gateway has lost its memory, and may have lost sessions with it.
    begun: watch::Sender<u64>,
    /// From the making of the report that was taken in last to its taking in.
    lag: Mutex<Option<Duration>>,
    metrics: Metrics,
    now: Moments,
}

/// Why a batch is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// Reports are missing before it.
    #[error("reports are missing before this batch; send from sequence {expected} on, or begin a new stream at 1")]
    Gap {
        /// The sequence that is to come next.
        expected: u64,
    },
    /// Too much is under way.
    #[error("{REPORTS_UNDER_WAY} batches are under way; send this one again shortly")]
    Busy,
    /// The accounts could not be asked.
    #[error("the reports could not be decided, or not all of them: {0}; send the batch again")]
    Accounts(#[from] actors::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was decided may not be durable.
    #[error("what was decided may not be durable: {0}; send the batch again")]
    NotDurable(String),
}

impl Intake {
    pub(super) fn new(
        marks: Marks,
        settle: Settle,
        reports: Reports,
        roster: Roster,
        metrics: Metrics,
        now: Moments,
    ) -> Intake {
        let (streams, under_way) = (Mutex::default(), Semaphore::new(REPORTS_UNDER_WAY));
        let (begun, lag) = (watch::Sender::new(0), Mutex::default());
        Intake { marks, settle, reports, roster, streams, under_way, begun, lag, metrics, now }
    }

    /// How many streams were begun; it changes with each.
    pub(super) fn begun(&self) -> watch::Receiver<u64> {
        self.begun.subscribe()
    }

    /// From the making of the report that was taken in last to its taking in; none before the first.
    pub(super) fn lag(&self) -> Option<Duration> {
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch in. All of it is durable when it returns; after an error none of it counts as taken in, though some of
    /// it may have been decided: what comes again then does not fit any more.
    pub(super) async fn take(&self, batch: &Batch) -> Result<Taken, NotTaken> {
        let _place = self.under_way.try_acquire().map_err(|_| NotTaken::Busy)?;
        let turn = self.lock().entry(batch.stream.clone()).or_default().clone();
        let held = turn.lock().await;
        let taken = self.take_in_turn(batch).await;
        drop(held);
        let mut streams = self.lock();
        // This one and the map's: nobody waits.
        if Arc::strong_count(&turn) == 2 {
            streams.remove(&batch.stream);
        }
        taken
    }

    async fn take_in_turn(&self, Batch { stream, reports }: &Batch) -> Result<Taken, NotTaken> {
        let last = self.marks.last(stream);
        let new = news(last.unwrap_or(0), reports)?;
        let duplicates = (reports.len() - new.len()) as u64;
        self.count(BridgeReport::Duplicate, duplicates);
        let mut taken = Taken {
            stream: stream.clone(),
            acknowledged: last.unwrap_or(0),
            recorded: 0,
            duplicates,
            ignored: Vec::new(),
        };
        let Some(newest) = new.last() else { return Ok(taken) };
        // In the order in which they are polled first, so those of one account as they stand here.
        let outcomes = join_all(new.iter().map(|arrived| self.decide(arrived))).await;
        let outcomes: Vec<Option<Why>> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let at = (self.now)().wall;
        for (arrived, outcome) in new.iter().zip(outcomes) {
            let Some(why) = outcome else {
                taken.recorded += 1;
                continue;
            };
            let Arrived { sequence, at: made_at, content } = arrived;
            let (sequence, made_at, stream) = (*sequence, *made_at, stream.clone());
            let (account, kind) = match content {
                Content::Known { account, kind, .. } => (Some(*account), Word::Known(*kind)),
                Content::Unknown { account, kind } => (*account, Word::Unknown(kind.clone())),
            };
            taken.ignored.push(IgnoredReport { sequence, why });
            self.marks.keep(&Ignored { at, made_at, account, sequence, kind, why, stream })?;
        }
        // Behind the events, which are durable by now.
        taken.acknowledged = newest.sequence;
        self.marks.set(stream, Mark { last: newest.sequence, at })?;
        (self.settle)().await.map_err(NotTaken::NotDurable)?;
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.now)().wall.since(newest.at));
        self.count(BridgeReport::Recorded, taken.recorded);
        taken.ignored.iter().for_each(|ignored| self.count(ignored.why.into(), 1));
        if last.is_none() {
            tracing::info!(stream, "a gateway has begun a stream of reports");
            self.begun.send_modify(|begun| *begun += 1);
        }
        Ok(taken)
    }

    /// Decides a report; says why it is ignored if it is.
    async fn decide(&self, arrived: &Arrived) -> Result<Option<Why>, actors::Error> {
        let (account, report) = match &arrived.content {
            Content::Known { account, report, .. } => (*account, report.clone()),
            Content::Unknown { .. } => return Ok(Some(Why::UnknownType)),
        };
        match self.roster.gateway_of(account) {
            None => return Ok(Some(Why::UnknownAccount)),
            Some(GatewayKind::Simulator | GatewayKind::CloudApi) => return Ok(Some(Why::OtherGateway)),
            Some(GatewayKind::Bridge) => {}
        }
        match self.reports.settle(GatewayKind::Bridge, account, Command::Report(report)).await? {
            Ok(Effect::Happened) => Ok(None),
            // The rules refuse no report.
            Ok(Effect::Nothing) | Err(_) => Ok(Some(Why::DoesNotFit)),
        }
    }

    fn count(&self, outcome: BridgeReport, many: u64) {
        self.metrics.bridge_reports.at(outcome).inc_by(many);
    }

    /// What is in it is whole between any two lines.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of a batch's reports that are not there yet, where all up to `last` are.
fn news(last: u64, reports: &[Arrived]) -> Result<&[Arrived], NotTaken> {
    let known = reports.partition_point(|arrived| arrived.sequence <= last);
    let new = &reports[known..];
    match new.first() {
        // A batch has no gap in itself.
        Some(first) if first.sequence - last > 1 => Err(NotTaken::Gap { expected: last + 1 }),
        Some(_) | None => Ok(new),
    }
}

impl From<Why> for BridgeReport {
    fn from(why: Why) -> BridgeReport {
        match why {
            Why::UnknownAccount => BridgeReport::UnknownAccount,
            Why::OtherGateway => BridgeReport::OtherGateway,
            Why::DoesNotFit => BridgeReport::DoesNotFit,
            Why::UnknownType => BridgeReport::UnknownType,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn what_is_new_in_a_batch() {
        let arrived = |sequence| Arrived {
            sequence,
            at: Timestamp(0),
            content: Content::Unknown { account: None, kind: "paired".to_owned() },
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
            let reports: Vec<Arrived> = batch.map(arrived).collect();
            let new = match news(last, &reports) {
                Ok(new) => Ok(new.iter().map(|it| it.sequence).collect()),
                Err(NotTaken::Gap { expected }) => Err(expected),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(new, expected, "{reports:?} after {last}");
        }
    }
}
