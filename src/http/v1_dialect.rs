//! `/api/v1`: how it authenticates, and how its errors become problems (RFC 9457).

use warp::reply::Response;
use warp::{Filter, Rejection};

use super::contract_error::Error;
use super::endpoint::Handler;
use super::endpoint_registry::{NoEndpoint, suggest_path};
use super::forwarded::ForwardedError;
use super::middleware::{Dialect, IncomingBody, ResponseDeadline, serve_dialect};
use super::request_body::{MemoryBudget, RequestBody, read_body};
use super::revocation::abort_when_key_ends;
use super::routed_request::RoutedRequest;
use super::v1_idempotency::respond_once;
use super::v1_request::V1Request;
use super::{authentication, idempotency_key};
use crate::access::AuthContext;
use crate::api::{
    Access, AccountScope, AccountSelection, ApiState, Call, Effect, Problem, parse_account, run_to_completion,
};
use crate::limits::BODY_BYTES;

/// All routes below `/api/v1`.
pub fn v1_routes(
    state: ApiState,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let dialect = V1Dialect { state, memory_budget: MemoryBudget::new() };
    warp::path("api").and(warp::path("v1")).and(serve_dialect(dialect))
}

/// The dialect of `/api/v1`.
#[derive(Clone)]
struct V1Dialect {
    state: ApiState,
    memory_budget: MemoryBudget,
}

impl Dialect for V1Dialect {
    type Error = Problem;

    async fn authenticate(&self, request: &RoutedRequest) -> Result<AuthContext, Problem> {
        Ok(authentication::authenticate(self.state.authenticator(), request).await?)
    }

    async fn handle(
        &self,
        request: &RoutedRequest,
        auth: AuthContext,
        body: &mut IncomingBody,
    ) -> Result<Response, Problem> {
        let endpoint = request.endpoint.as_ref().map_err(|reason| match reason {
            NoEndpoint::UnknownPath => Problem::no_such_path(&request.origin.base_path, suggest_path(&request.path)),
            NoEndpoint::MethodNotAllowed { allow, .. } => Problem::method_not_allowed(allow),
        })?;
        let Handler::V1(handler) = endpoint.handler else {
            return Err(Problem::no_such_path(&request.origin.base_path, None));
        };
        if let Access::Permission(permission) = endpoint.operation.access {
            auth.require(permission)?;
        }
        let selection = selected_accounts(endpoint.operation.accounts, request)?;
        let (id, from) = (request.id.id, request.origin.to_string());
        let call = Call::new(&self.state, endpoint.operation, selection, auth, id, from)?;
        let requester = call.requester().clone();
        let limit = endpoint.body.bytes(BODY_BYTES);
        let body = match limit {
            None => RequestBody::default(),
            Some(limit) => {
                read_body(&request.headers, body, endpoint.body.media_type(), limit, &self.memory_budget).await?
            }
        };
        if limit.is_some() {
            // The key may have ended while the body arrived.
            call.authorize()?;
        }
        let key = match endpoint.operation.effect {
            Effect::Reads => None,
            Effect::Writes => idempotency_key::from_headers(&request.headers).map_err(Error::from)?,
        };
        let request = V1Request { call, head: request.head.clone(), body };
        let response = match key {
            Some(key) => run_to_completion(respond_once(key, request, handler)).await?,
            None if limit.is_some() => run_to_completion(handler(request)).await?,
            None => handler(request).await?,
        };
        Ok(abort_when_key_ends(response, requester))
    }

    fn convert_forwarded_error(error: ForwardedError) -> Problem {
        Error::from(error).into()
    }

    fn deadline(&self) -> Option<ResponseDeadline<Problem>> {
        Some((self.state.request_timeout(), Problem::timed_out))
    }

    fn render_error(&self, _: &RoutedRequest, problem: Problem) -> Response {
        problem.respond()
    }
}

/// The accounts that a request selects.
fn selected_accounts(scope: AccountScope, request: &RoutedRequest) -> Result<AccountSelection, Problem> {
    match scope {
        AccountScope::None | AccountScope::SelfChecked | AccountScope::All => Ok(AccountSelection::All),
        AccountScope::One => Ok(AccountSelection::One(parse_account("account", request.path_parameter("account"))?)),
        AccountScope::Filtered => {
            let find = |name| request.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            let account = find("account").and_then(|number| number.parse().ok()).map(AccountSelection::One);
            let prefix = || find("prefix").map(|prefix| AccountSelection::Prefix(prefix.to_owned()));
            Ok(account.or_else(prefix).unwrap_or(AccountSelection::All))
        }
    }
}
