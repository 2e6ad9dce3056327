//! Routes of the contract, and the steps common to all requests: id, authentication, deadline, envelope, log line.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Instant;

use bytes::Buf;
use futures_util::Stream;
use tokio::time::timeout;
use warp::http::{HeaderMap, Method};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::account_fields::ImportKind;
use super::contract_endpoints::ContractEndpoint;
use super::contract_handlers::{ContractCall, ContractOperation};
use super::contract_requests::Query;
use super::envelope::{CallOutcome, EndpointResponse, respond};
use super::error::Error;
use super::request_id::{IncomingRequestId, X_REQUEST_ID};
use super::request_trace::RequestTrace;
use super::revocation::abort_when_key_ends;
use super::server::PeerAddress;
use super::{
    Api, authentication, contract_handlers, idempotency_key, metrics_endpoint, query_whatsapp_status, request_body,
};
use crate::access::{AuthContext, AuthError, Requester};

/// All paths of the contract, health and metrics; unknown paths get the contract's 404.
pub(super) fn routes(
    api: Api,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    match_endpoint()
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        // Every query parses as a list of pairs, so this rejects nothing.
        .and(warp::query::<Query>())
        .and(warp::ext::optional::<PeerAddress>())
        .map(|endpoint, method, path, headers, query, peer| ContractRequestHead {
            endpoint,
            method,
            path,
            headers,
            query,
            peer,
        })
        .and(warp::body::stream())
        .then(move |request, body| handle(api.clone(), request, body))
}

/// A request without its body.
struct ContractRequestHead {
    endpoint: ContractEndpoint,
    method: Method,
    path: FullPath,
    headers: HeaderMap,
    query: Query,
    peer: Option<PeerAddress>,
}

/// Finds the endpoint by path only. Then a wrong method gets the endpoint's `Allow` header and its type of `data`.
fn match_endpoint() -> impl Filter<Extract = (ContractEndpoint,), Error = Infallible> + Clone + Send + Sync + 'static {
    let whatsapp = match_path_end("batchOnline", ContractEndpoint::BatchOnline)
        .or(match_path_end("queryWhatsAppStatus", ContractEndpoint::QueryWhatsAppStatus))
        .unify()
        .or(match_path_end("batchInsert", ContractEndpoint::BatchInsert))
        .unify()
        .or(match_path_end("batchRecycle", ContractEndpoint::BatchRecycle))
        .unify();
    let register = match_path_end("submitPhone", ContractEndpoint::SubmitPhone)
        .or(match_path_end("submitVerifyCode", ContractEndpoint::SubmitVerifyCode))
        .unify();
    let contract = warp::path("group-dispatch-api")
        .and(warp::path("whatsapp").and(whatsapp).or(warp::path("register").and(register)).unify());
    contract
        .or(match_path_end("healthz", ContractEndpoint::Health))
        .unify()
        .or(match_path_end("readyz", ContractEndpoint::Ready))
        .unify()
        .or(match_path_end("metrics", ContractEndpoint::Metrics))
        .unify()
        .or(warp::any().map(|| ContractEndpoint::Unknown))
        .unify()
}

fn match_path_end(
    name: &'static str,
    endpoint: ContractEndpoint,
) -> impl Filter<Extract = (ContractEndpoint,), Error = Rejection> + Copy + Send + Sync + 'static {
    warp::path(name).and(warp::path::end()).map(move || endpoint)
}

async fn handle<S, B>(api: Api, request: ContractRequestHead, body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin + Send + 'static,
    B: Buf + Send,
{
    let identified = api.request_ids().read_or_generate(&request.headers);
    let traced = RequestTrace::start(&request.method, request.endpoint.path(), &request.headers, identified.id);
    traced.run(handle_with_id(api, request, identified, body)).await
}

async fn handle_with_id<S, B>(
    api: Api,
    request: ContractRequestHead,
    identified: IncomingRequestId,
    mut body: S,
) -> Response
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin + Send + 'static,
    B: Buf + Send,
{
    let started = Instant::now();
    let IncomingRequestId { id, header } = identified;
    let limit = api.settings().request_timeout;
    let result = match authorize(&api, &request).await {
        Ok(auth) => {
            let from = request.peer.map_or_else(String::new, |PeerAddress(peer)| peer.to_string());
            let caller =
                Requester::new(api.authenticator().keys().clone(), auth, request.endpoint.permission(), id, from);
            let answered = timeout(limit, dispatch(&api, &request, &mut body, caller));
            // Commands that are already in a mailbox still complete, as when a caller disconnects.
            answered.await.unwrap_or(Err(Error::Timeout { limit }))
        }
        // No deadline here: the throttle delays a rejected key on purpose, and it still gets its own error.
        Err(denied) => Err(denied.into()),
    };
    if let Err(error) = &result {
        if error.code() == 500 {
            let cause = error as &dyn std::error::Error;
            tracing::error!(request = %id, x_request_id = ?header, error = cause, "a request failed inside");
        }
        // A client that was too slow gets no more time.
        if !matches!(error, Error::SlowBody) {
            request_body::drain_unread(&request.headers, body);
        }
    }
    let mut response = respond(request.endpoint, result, api.settings().always_200);
    tracing::info!(
        method = request.method.as_str(),
        path = request.path.as_str(),
        status = response.status().as_u16(),
        micros = started.elapsed().as_micros() as u64,
        request = %id,
        x_request_id = ?header,
        "answered"
    );
    response.headers_mut().insert(X_REQUEST_ID, header);
    response
}

/// Authenticates the caller and checks its permission. Health endpoints are open to anyone.
async fn authorize(api: &Api, request: &ContractRequestHead) -> Result<AuthContext, AuthError> {
    // Only requests of tests have no peer address.
    let from = request.peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |PeerAddress(peer)| peer.ip());
    let auth = match request.endpoint {
        ContractEndpoint::Health | ContractEndpoint::Ready | ContractEndpoint::Unknown => {
            return Ok(AuthContext::ANONYMOUS);
        }
        ContractEndpoint::Metrics => {
            let auth = authentication::authenticate(api.authenticator(), &request.headers, from).await?;
            auth.require_all_accounts().map(|()| auth)?
        }
        ContractEndpoint::BatchInsert
        | ContractEndpoint::QueryWhatsAppStatus
        | ContractEndpoint::BatchOnline
        | ContractEndpoint::BatchRecycle
        | ContractEndpoint::SubmitPhone
        | ContractEndpoint::SubmitVerifyCode => {
            authentication::authenticate_contract(api.authenticator(), &request.headers, from).await?
        }
    };
    auth.require(request.endpoint.permission()).map(|()| auth)
}

async fn dispatch<S, B>(
    api: &Api,
    request: &ContractRequestHead,
    body: &mut S,
    caller: Requester,
) -> Result<EndpointResponse, Error>
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin,
    B: Buf,
{
    let ContractRequestHead { endpoint, method, headers, query, .. } = request;
    if *endpoint == ContractEndpoint::Unknown {
        return Err(Error::NoSuchPath);
    }
    if !endpoint.accepts_method(method) {
        return Err(Error::MethodNotAllowed(*endpoint));
    }
    let post = match endpoint {
        ContractEndpoint::BatchInsert => ContractOperation::Import(ImportKind::Insert),
        ContractEndpoint::BatchOnline => ContractOperation::Import(ImportKind::Online),
        ContractEndpoint::BatchRecycle => ContractOperation::Recycle,
        ContractEndpoint::SubmitPhone => ContractOperation::SubmitPhone,
        ContractEndpoint::SubmitVerifyCode => ContractOperation::SubmitVerifyCode,
        ContractEndpoint::QueryWhatsAppStatus => {
            let list = query_whatsapp_status::handle(api, query, headers, caller.authorize()?.context()).await?;
            return Ok(EndpointResponse::Raw(abort_when_key_ends(list, caller)));
        }
        ContractEndpoint::Metrics => return metrics_endpoint::handle(api).await.map(EndpointResponse::Raw),
        ContractEndpoint::Ready if !api.is_ready() => return Err(Error::NotReady),
        ContractEndpoint::Health | ContractEndpoint::Ready => {
            return Ok(EndpointResponse::Outcome(CallOutcome::Success));
        }
        ContractEndpoint::Unknown => return Err(Error::NoSuchPath),
    };
    let key = idempotency_key::from_headers(headers)?;
    let body = request_body::read_body(headers, body, api.settings().max_body_bytes, api.memory_budget()).await?;
    let call = ContractCall { endpoint: *endpoint, operation: post, query: query.clone(), body, requester: caller };
    match key {
        Some(key) => idempotency_key::handle_with_key(api, key, call).await,
        None => contract_handlers::execute_call(api, call).await.map(EndpointResponse::Outcome),
    }
}
