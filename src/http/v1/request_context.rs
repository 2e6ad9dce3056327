//! The context of a request for its handler, without the body. A handler that changes something calls `authorize` right
//! before it does so.

use super::endpoint_list::ApiEndpoint;
use super::problem::Problem;
use crate::access::{AuthContext, Authorization, Requester};
use crate::http::contract_requests::Query;

/// An authenticated request. Cheap to clone.
#[derive(Clone)]
pub(super) struct RequestContext {
    pub(super) endpoint: &'static ApiEndpoint,
    /// The path below `/api/v1/`.
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) requester: Requester,
}

impl RequestContext {
    /// Checks that `auth` permits this request.
    pub(super) fn check_permission(&self, auth: &AuthContext) -> Result<(), Problem> {
        let segments: Vec<&str> = self.path.split('/').collect();
        self.endpoint.check_permission(auth, &segments, &self.query)
    }

    /// Checks that the key is still valid and permits this request.
    pub(super) fn authorize(&self) -> Result<Authorization, Problem> {
        let authorized = self.requester.authorize()?;
        self.check_permission(authorized.context()).map(|()| authorized)
    }
}
