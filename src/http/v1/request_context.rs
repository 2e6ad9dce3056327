//! What a handler knows of its request but for the body. What changes anything asks it for leave, right before it does.

use super::endpoint_list::ApiEndpoint;
use super::problem::Problem;
use crate::access::{AuthContext, Authorization, Requester};
use crate::http::contract_requests::Query;

/// A request that was let in. Cheap to clone.
#[derive(Clone)]
pub(super) struct RequestContext {
    pub(super) endpoint: &'static ApiEndpoint,
    /// Under `/api/v1/`.
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) requester: Requester,
}

impl RequestContext {
    /// Lets nobody through whose pass is not enough for this request.
    pub(super) fn check_permission(&self, pass: &AuthContext) -> Result<(), Problem> {
        let segments: Vec<&str> = self.path.split('/').collect();
        self.endpoint.check_permission(pass, &segments, &self.query)
    }

    /// Leave to do what the request asks for, if its key is still enough.
    pub(super) fn authorize(&self) -> Result<Authorization, Problem> {
        let authorized = self.requester.authorize()?;
        self.check_permission(authorized.context()).map(|()| authorized)
    }
}
