//! A request of `/api/v1` for its handler.

use warp::http::HeaderMap;

use super::contract_requests::Query;
use super::request_body::RequestBody;
use crate::api::{Call, Parameters, Problem, parse_account};
use crate::domain::AccountNumber;

/// A request whose requester may make its call.
pub(super) struct V1Request {
    pub(super) call: Call,
    /// The segments of the path at the placeholders, by name.
    pub(super) path_parameters: Vec<(&'static str, String)>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    /// Empty if the endpoint reads no body.
    pub(super) body: RequestBody,
}

impl V1Request {
    /// The query parameters. There may be only `known` ones, each once.
    pub(super) fn parameters(&self, known: &[&str]) -> Result<Parameters<'_>, Problem> {
        Parameters::from_query(&self.query, known)
    }

    /// The segment of the path at a placeholder.
    pub(super) fn path_parameter(&self, name: &str) -> &str {
        self.path_parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, segment)| segment)
    }

    /// The account in the path.
    pub(super) fn account(&self) -> Result<AccountNumber, Problem> {
        parse_account("account", self.path_parameter("account"))
    }

    /// The position in the path.
    pub(super) fn position(&self) -> Result<u64, Problem> {
        let text = self.path_parameter("position");
        text.parse()
            .map_err(|_| Problem::invalid_parameter("position", format_args!("must be a whole number, not {text:?}")))
    }
}
