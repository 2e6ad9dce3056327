//! A request for its handler, without the body.

use warp::http::HeaderMap;

use super::response_format::ResponseFormat;
use crate::api::{Call, Parameters, Problem};
use crate::http::contract_requests::Query;

/// A request whose requester may make its call. Cheap to clone.
#[derive(Clone)]
pub(super) struct RequestContext {
    pub(super) call: Call,
    /// The path below `/api/v1/`.
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
}

impl RequestContext {
    /// The query parameters. There may be only `known` ones, each once.
    pub(super) fn parameters(&self, known: &[&str]) -> Result<Parameters<'_>, Problem> {
        Parameters::from_query(&self.query, known)
    }

    /// The format of the response, of those that the endpoint offers.
    pub(super) fn format(&self, offered: &[ResponseFormat]) -> ResponseFormat {
        ResponseFormat::negotiate(offered, &self.headers)
    }
}
