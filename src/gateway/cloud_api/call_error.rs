//! Errors of the setup and of calls to the Graph, and when to retry a call.

use std::time::Duration;

use super::meta_codes::{self, GraphError, GraphErrorClass};
use super::throttle::{Cancellation, WorkDeadline};
use crate::client::TlsSetupError;
use crate::limits::{GRAPH_ATTEMPTS_MAX, GRAPH_RETRY_WAIT, GRAPH_RETRY_WAIT_MAX};
use crate::store;

/// Why the Cloud API cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloudApiSetupError {
    /// A setting is missing or malformed.
    #[error("gateway.cloud_api.{0} is missing or invalid")]
    Setting(&'static str),
    /// The HTTP client cannot be built.
    #[error("the HTTP client for Meta's Graph API cannot be created: {0}")]
    Client(TlsSetupError),
    /// The store failed.
    #[error("the kept ids of Meta's numbers cannot be read: {0}")]
    Store(#[from] store::Error),
}

/// Why a call to the Graph failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum GraphCallError {
    /// The call was not made, so nothing happened.
    #[error("{why}")]
    NotSent {
        /// The reason.
        why: String,
        /// The time until calls are made again; zero if it is unknown.
        wait: Duration,
    },
    /// No connection was established, so nothing happened.
    #[error("Meta cannot be reached: {why}")]
    Unreachable {
        /// The network error.
        why: String,
    },
    /// The call was sent, but its outcome is unknown.
    #[error("Meta did not answer: {why}")]
    NoAnswer {
        /// What came instead of a response.
        why: String,
    },
    /// Meta refused the call.
    #[error("{}", meta_codes::error_message(.0))]
    Graph(GraphError),
    /// The work was cancelled.
    #[error("the account's state no longer needs it")]
    Cancelled,
}

impl From<Cancellation> for GraphCallError {
    fn from(_: Cancellation) -> GraphCallError {
        GraphCallError::Cancelled
    }
}

impl GraphCallError {
    /// The class of Meta's error. `None` if Meta did not respond.
    pub(super) fn error_class(&self) -> Option<GraphErrorClass> {
        match self {
            GraphCallError::Graph(refused) => Some(meta_codes::classify(refused).0),
            GraphCallError::NotSent { .. }
            | GraphCallError::Unreachable { .. }
            | GraphCallError::NoAnswer { .. }
            | GraphCallError::Cancelled => None,
        }
    }

    /// How long to wait after `tries` failed attempts before the next one. `None` if the call must not be
    /// retried.
    pub(super) fn retry_delay(&self, tries: u32) -> Option<Duration> {
        let backoff = GRAPH_RETRY_WAIT.saturating_mul(1 << tries.min(16)).min(GRAPH_RETRY_WAIT_MAX);
        let limited_backoff = (tries < GRAPH_ATTEMPTS_MAX).then_some(backoff);
        match self {
            GraphCallError::NotSent { wait, .. } => Some(backoff.max(*wait)),
            GraphCallError::Unreachable { .. } => Some(backoff),
            GraphCallError::NoAnswer { .. } => limited_backoff,
            GraphCallError::Cancelled => None,
            GraphCallError::Graph(refused) => match meta_codes::classify(refused).0 {
                GraphErrorClass::Transient => limited_backoff,
                // The throttle holds the next attempt until calls are allowed.
                GraphErrorClass::RateLimited | GraphErrorClass::TokenRejected => Some(backoff),
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
    /// Counts a failed attempt and waits before the next one. Returns the error if no other attempt can succeed in time.
    pub(super) async fn wait_before_retry(self, work: &WorkDeadline, tries: &mut u32) -> Result<(), GraphCallError> {
        *tries += 1;
        match self.retry_delay(*tries).filter(|wait| work.has_time_for(*wait)) {
            Some(wait) => Ok(work.sleep(wait).await?),
            None => Err(self),
        }
    }
}

/// Whether an error means that Meta is away, rather than that it refused the call.
pub(super) fn is_unavailable(failure: &GraphCallError) -> bool {
    match failure {
        GraphCallError::Unreachable { .. } | GraphCallError::NoAnswer { .. } => true,
        GraphCallError::Graph(_) => failure.error_class() == Some(GraphErrorClass::Transient),
        GraphCallError::NotSent { .. } | GraphCallError::Cancelled => false,
    }
}
