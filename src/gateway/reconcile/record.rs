//! What came of the last comparison, for those who look, and the bell for those who want another one.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::domain::Timestamp;
use crate::metrics::Difference;

/// The comparisons of one gateway.
#[derive(Default)]
pub(crate) struct Record {
    asked: Notify,
    state: watch::Sender<State>,
}

#[derive(Clone, Default)]
struct State {
    is_under_way: bool,
    last: Option<Last>,
    failure: Option<Failure>,
}

/// The last comparison that came to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Last {
    /// When it began.
    pub(crate) at: Timestamp,
    /// How long it took, with all that was mended.
    pub(crate) took: Duration,
    /// Sessions that the gateway has.
    pub(crate) sessions: u64,
    /// What differed, and how many accounts; nothing that is 0.
    pub(crate) differences: Vec<(Difference, u64)>,
    /// Accounts with a session at the gateway that it does not serve.
    pub(crate) strangers: u64,
}

/// Why none comes to its end any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// When the first one failed.
    pub(crate) since: Timestamp,
    /// Why the last one did, without secrets.
    pub(crate) why: String,
    /// How many did, one after the other.
    pub(crate) failed: u32,
}

impl Record {
    /// Has another comparison made at once.
    pub(crate) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Returns when one is asked for.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Whether one is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.state.borrow().is_under_way
    }

    /// The last one that came to its end.
    pub(crate) fn last(&self) -> Option<Last> {
        self.state.borrow().last.clone()
    }

    /// Why none does any more, if that is so.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.state.borrow().failure.clone()
    }

    /// One has begun.
    pub(super) fn begins(&self) {
        self.state.send_modify(|state| state.is_under_way = true);
    }

    /// It came to its end. Returns the failure that is over with it.
    pub(super) fn is_done(&self, last: Last) -> Option<Failure> {
        let before = self.state.send_replace(State { is_under_way: false, last: Some(last), failure: None });
        before.failure
    }

    /// It failed. Returns how many did, one after the other.
    pub(super) fn has_failed(&self, at: Timestamp, why: String) -> u32 {
        let (since, before) = self.failure().map_or((at, 0), |failure| (failure.since, failure.failed));
        let failed = before.saturating_add(1);
        self.state.send_modify(|state| {
            state.is_under_way = false;
            state.failure = Some(Failure { since, why, failed });
        });
        failed
    }

    /// Returns once what is known is so.
    #[cfg(test)]
    pub(crate) async fn until(&self, is_so: impl Fn(&Record) -> bool) {
        let mut changed = self.state.subscribe();
        while !is_so(self) {
            changed.changed().await.unwrap();
        }
    }
}
