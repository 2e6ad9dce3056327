//! What a handler knows of its request but for the body. What changes anything asks it for leave, right before it does.

use super::problem::Problem;
use super::table::Route;
use crate::access::{Authorized, Pass, Requester};
use crate::http::requests::Query;

/// A request that was let in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) route: &'static Route,
    /// Under `/api/v1/`.
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) requester: Requester,
}

impl Context {
    /// Lets nobody through whose pass is not enough for this request.
    pub(super) fn admit(&self, pass: &Pass) -> Result<(), Problem> {
        let segments: Vec<&str> = self.path.split('/').collect();
        self.route.admit(pass, &segments, &self.query)
    }

    /// Leave to do what the request asks for, if its key is still enough.
    pub(super) fn authorize(&self) -> Result<Authorized, Problem> {
        let authorized = self.requester.authorize()?;
        self.admit(authorized.pass()).map(|()| authorized)
    }
}
