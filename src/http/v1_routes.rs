//! Routing of `/api/v1`, with authentication, deadline, trace and log line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;
use futures_util::Stream;
use tokio::time::timeout;
use warp::http::{HeaderMap, Method};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::authentication;
use super::contract_requests::Query;
use super::endpoint::{BodyLimit, Endpoint, Handler};
use super::endpoint_registry::{NoEndpoint, find_endpoint};
use super::request_body::{MemoryBudget, RequestBody, drain_unread, read_body};
use super::request_id::{IncomingRequestId, RequestIdGenerator, X_REQUEST_ID};
use super::request_trace::RequestTrace;
use super::revocation::abort_when_key_ends;
use super::server::PeerAddress;
use super::v1_request::V1Request;
use crate::access::AuthContext;
use crate::api::run_to_completion;
use crate::api::{Access, AccountScope, AccountSelection, ApiState, Call, Problem, TimeLimit, parse_account};
use crate::journal::RequestId;

/// All routes below `/api/v1`.
pub fn v1_routes(
    state: ApiState,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let ids = Arc::new(RequestIdGenerator::default());
    let memory_budget = MemoryBudget::new();
    warp::path("api")
        .and(warp::path("v1"))
        .and(warp::path::full())
        .and(warp::method())
        .and(warp::query::<Query>())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<PeerAddress>())
        .and(warp::body::stream())
        .then(
            move |path: FullPath, method: Method, query: Query, headers: HeaderMap, peer: Option<PeerAddress>, body| {
                // Only requests of tests come without a connection.
                let peer = peer.map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |PeerAddress(peer)| peer);
                let (state, memory_budget) = (state.clone(), memory_budget.clone());
                let IncomingRequestId { id, header } = ids.read_or_generate(&headers);
                let endpoint = find_endpoint(&method, path.as_str());
                let documented_path = endpoint.as_ref().map_or("", |endpoint| endpoint.path);
                let traced = RequestTrace::start(&method, documented_path, &headers, id);
                traced.run(async move {
                    let started = Instant::now();
                    let request = ApiRequestHead { endpoint, path: path.as_str(), query, headers: &headers, peer, id };
                    let mut body = Box::pin(body);
                    let answered = authenticate_and_handle(&state, request, &memory_budget, &mut body).await;
                    let mut response = answered.unwrap_or_else(|problem| {
                        drain_unread(&headers, body);
                        problem.respond()
                    });
                    tracing::info!(
                        method = method.as_str(),
                        path = path.as_str(),
                        status = response.status().as_u16(),
                        micros = started.elapsed().as_micros() as u64,
                        request = %id,
                        x_request_id = ?header,
                        "answered"
                    );
                    response.headers_mut().insert(X_REQUEST_ID, header);
                    response
                })
            },
        )
}

/// A request without its body.
struct ApiRequestHead<'r> {
    endpoint: Result<&'static Endpoint, NoEndpoint>,
    path: &'r str,
    query: Query,
    headers: &'r HeaderMap,
    peer: SocketAddr,
    id: RequestId,
}

async fn authenticate_and_handle<B: Buf>(
    state: &ApiState,
    request: ApiRequestHead<'_>,
    memory_budget: &MemoryBudget,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    // No deadline here: the throttle delays a rejected key on purpose, and it still gets its own error.
    let auth = authentication::authenticate(state.authenticator(), request.headers, request.peer.ip()).await?;
    let limit = match &request.endpoint {
        Ok(Endpoint { operation, .. }) if operation.time_limit == TimeLimit::None => Duration::MAX,
        Ok(_) | Err(_) => state.request_timeout(),
    };
    let handled = timeout(limit, handle(state, request, auth, memory_budget, body));
    handled.await.unwrap_or_else(|_| Err(Problem::timed_out(limit)))
}

async fn handle<B: Buf>(
    state: &ApiState,
    request: ApiRequestHead<'_>,
    auth: AuthContext,
    memory_budget: &MemoryBudget,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let ApiRequestHead { endpoint, path, query, headers, peer, id } = request;
    let endpoint = endpoint?;
    if let Access::Permission(permission) = endpoint.operation.access {
        auth.require(permission)?;
    }
    let path_parameters = endpoint.path_parameters(path);
    let selection = selected_accounts(endpoint.operation.accounts, &path_parameters, &query)?;
    let call = Call::new(state, endpoint.operation, selection, auth, id, peer.to_string())?;
    let requester = call.requester().clone();
    let body = match endpoint.body {
        BodyLimit::Unread => RequestBody::default(),
        BodyLimit::Bytes(most) => {
            let body = read_body(headers, &mut body, most, memory_budget).await?;
            // A slow client's key may have ended meanwhile.
            call.authorize()?;
            body
        }
    };
    let Handler::V1(handler) = endpoint.handler;
    let handled = handler(state.clone(), V1Request { call, path_parameters, query, headers: headers.clone(), body });
    let response = match endpoint.body {
        BodyLimit::Unread => handled.await?,
        BodyLimit::Bytes(_) => run_to_completion(handled).await?,
    };
    Ok(abort_when_key_ends(response, requester))
}

/// The accounts that a request selects.
fn selected_accounts(
    scope: AccountScope,
    path_parameters: &[(&str, String)],
    query: &Query,
) -> Result<AccountSelection, Problem> {
    match scope {
        AccountScope::None | AccountScope::SelfChecked | AccountScope::All => Ok(AccountSelection::All),
        AccountScope::One => {
            let number = path_parameters.iter().find(|(name, _)| *name == "account").map_or("", |(_, number)| number);
            Ok(AccountSelection::One(parse_account("account", number)?))
        }
        AccountScope::Filtered => {
            let find = |name| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            let account = find("account").and_then(|number| number.parse().ok()).map(AccountSelection::One);
            let prefix = || find("prefix").map(|prefix| AccountSelection::Prefix(prefix.to_owned()));
            Ok(account.or_else(prefix).unwrap_or(AccountSelection::All))
        }
    }
}

impl From<NoEndpoint> for Problem {
    fn from(none: NoEndpoint) -> Problem {
        match none {
            NoEndpoint::UnknownPath => Problem::no_such_path(),
            NoEndpoint::MethodNotAllowed { allow } => Problem::method_not_allowed(&allow),
        }
    }
}
