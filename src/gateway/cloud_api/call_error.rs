//! Why a call did not do what it should, and when it is worth another try.

use std::time::Duration;

use super::graph_response::GraphError;
use super::meta_codes::{self, GraphErrorClass};
use super::throttle::{Cancellation, WorkDeadline};
use crate::limits::{GRAPH_ATTEMPTS_MAX, GRAPH_RETRY_WAIT, GRAPH_RETRY_WAIT_MAX};

/// Why a call did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum GraphCallError {
    /// It was not made: nothing happened.
    #[error("{why}")]
    NotSent {
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
    NoAnswer {
        /// What came instead.
        why: String,
    },
    /// Meta says no.
    #[error("{}", meta_codes::error_message(.0))]
    Graph(GraphError),
    /// Nobody waits for it any more.
    #[error("it is not wanted any more")]
    Cancelled,
}

impl From<Cancellation> for GraphCallError {
    fn from(_: Cancellation) -> GraphCallError {
        GraphCallError::Cancelled
    }
}

impl GraphCallError {
    /// What is done about it, if Meta said something.
    pub(super) fn error_class(&self) -> Option<GraphErrorClass> {
        match self {
            GraphCallError::Graph(refused) => Some(meta_codes::classify(refused).0),
            GraphCallError::NotSent { .. }
            | GraphCallError::Unreachable { .. }
            | GraphCallError::NoAnswer { .. }
            | GraphCallError::Cancelled => None,
        }
    }

    /// How long to wait before the call is made again that failed so after `tries` of it; none if never.
    pub(super) fn retry_delay(&self, tries: u32) -> Option<Duration> {
        let longer = GRAPH_RETRY_WAIT.saturating_mul(1 << tries.min(16)).min(GRAPH_RETRY_WAIT_MAX);
        let passing = (tries < GRAPH_ATTEMPTS_MAX).then_some(longer);
        match self {
            GraphCallError::NotSent { wait, .. } => Some(longer.max(*wait)),
            GraphCallError::Unreachable { .. } => Some(longer),
            GraphCallError::NoAnswer { .. } => passing,
            GraphCallError::Cancelled => None,
            GraphCallError::Graph(refused) => match meta_codes::classify(refused).0 {
                GraphErrorClass::Transient => passing,
                // The brake holds until it may.
                GraphErrorClass::RateLimited | GraphErrorClass::TokenRejected => Some(longer),
                GraphErrorClass::RetryAfter(wait) => Some(wait),
                GraphErrorClass::Permanent
                | GraphErrorClass::Banned
                | GraphErrorClass::CallsUsedUp
                | GraphErrorClass::DeregistrationIncomplete
                | GraphErrorClass::NotRegistered
                | GraphErrorClass::AlreadyListed
                | GraphErrorClass::NotFound
                | GraphErrorClass::CodeRefused => None,
            },
        }
    }
}

impl GraphCallError {
    /// Waits before the next try of a call, which is the `tries`-th; the failure itself where no other may help in time.
    pub(super) async fn wait_before_retry(self, wish: &WorkDeadline, tries: &mut u32) -> Result<(), GraphCallError> {
        *tries += 1;
        match self.retry_delay(*tries).filter(|wait| wish.has_time_for(*wait)) {
            Some(wait) => Ok(wish.sleep(wait).await?),
            None => Err(self),
        }
    }
}

/// Whether an error says that Meta is away, and not only that it says no.
pub(super) fn is_unavailable(failure: &GraphCallError) -> bool {
    match failure {
        GraphCallError::Unreachable { .. } | GraphCallError::NoAnswer { .. } => true,
        GraphCallError::Graph(_) => failure.error_class() == Some(GraphErrorClass::Transient),
        GraphCallError::NotSent { .. } | GraphCallError::Cancelled => false,
    }
}
