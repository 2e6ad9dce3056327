//! A request of `/api/v1`, as its handler gets it.

use std::sync::Arc;

use super::request_body::RequestBody;
use super::request_head::RequestHead;
use crate::api::{Call, Parameters, Problem, parse_account, parse_event_id};
use crate::audit::EventFilter;
use crate::domain::{AccountNumber, EventId};

/// A request whose requester has the permission for the call.
pub(super) struct V1Request {
    pub(super) call: Call,
    pub(super) head: Arc<RequestHead>,
    /// Empty if the endpoint reads no body.
    pub(super) body: RequestBody,
}

impl V1Request {
    /// The query parameters. Only `known` ones are allowed, each at most once.
    pub(super) fn parameters(&self, known: &[&str]) -> Result<Parameters<'_>, Problem> {
        Parameters::from_query(&self.head.query, known)
    }

    /// The query parameters of a list of events: those of its filter, and `more`.
    pub(super) fn filter_parameters(&self, more: &[&str]) -> Result<Parameters<'_>, Problem> {
        self.parameters(&[more, &EventFilter::PARAMETERS].concat())
    }

    /// The account in the path.
    pub(super) fn account(&self) -> Result<AccountNumber, Problem> {
        parse_account("account", self.head.path_parameter("account"))
    }

    /// The id of an event, which is `position` in the path.
    pub(super) fn event_id(&self) -> Result<EventId, Problem> {
        parse_event_id("position", self.head.path_parameter("position"))
    }
}
