//! Why a call did not do what it should, and when it is worth another try.

use std::time::Duration;

use super::answer::Refused;
use super::brake::{Over, Wish};
use super::table::{self, Verdict};
use crate::limits::{GRAPH_AGAIN, GRAPH_AGAIN_MAX, GRAPH_TRIES};

/// Why a call did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was not made: nothing happened.
    #[error("{why}")]
    NotMade {
        /// Why not.
        why: String,
        /// For how long it would not be made, as far as that is known.
        wait: Duration,
    },
    /// It was not made, because nobody took a connection: nothing happened.
    #[error("Meta cannot be reached: {why}")]
    Unreachable {
        /// What came instead.
        why: String,
    },
    /// It was made, and nobody knows what came of it.
    #[error("Meta did not answer: {why}")]
    Unanswered {
        /// What came instead.
        why: String,
    },
    /// Meta says no.
    #[error("{}", table::sentence(.0))]
    Refused(Refused),
    /// Nobody waits for it any more.
    #[error("it is not wanted any more")]
    Over,
}

impl From<Over> for Failure {
    fn from(_: Over) -> Failure {
        Failure::Over
    }
}

impl Failure {
    /// What is done about it, if Meta said something.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match self {
            Failure::Refused(refused) => Some(table::judged(refused).0),
            Failure::NotMade { .. } | Failure::Unreachable { .. } | Failure::Unanswered { .. } | Failure::Over => None,
        }
    }

    /// How long to wait before the call is made again that failed so after `tries` of it; none if never.
    pub(super) fn again_after(&self, tries: u32) -> Option<Duration> {
        let longer = GRAPH_AGAIN.saturating_mul(1 << tries.min(16)).min(GRAPH_AGAIN_MAX);
        let passing = (tries < GRAPH_TRIES).then_some(longer);
        match self {
            Failure::NotMade { wait, .. } => Some(longer.max(*wait)),
            Failure::Unreachable { .. } => Some(longer),
            Failure::Unanswered { .. } => passing,
            Failure::Over => None,
            Failure::Refused(refused) => match table::judged(refused).0 {
                Verdict::Again => passing,
                // The brake holds until it may.
                Verdict::Rate | Verdict::Token => Some(longer),
                Verdict::After(wait) => Some(wait),
                Verdict::Permanent
                | Verdict::Banned
                | Verdict::Budget
                | Verdict::Incomplete
                | Verdict::NotRegistered
                | Verdict::Listed
                | Verdict::NotThere
                | Verdict::CodeRefused => None,
            },
        }
    }
}

impl Failure {
    /// Waits before the next try of a call, which is the `tries`-th; the failure itself where no other may help in time.
    pub(super) async fn waited(self, wish: &Wish, tries: &mut u32) -> Result<(), Failure> {
        *tries += 1;
        match self.again_after(*tries).filter(|wait| wish.has(*wait)) {
            Some(wait) => Ok(wish.pause(wait).await?),
            None => Err(self),
        }
    }
}

/// Whether an error says that Meta is away, and not only that it says no.
pub(super) fn is_away(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable { .. } | Failure::Unanswered { .. } => true,
        Failure::Refused(_) => failure.verdict() == Some(Verdict::Again),
        Failure::NotMade { .. } | Failure::Over => false,
    }
}
