//! Routing of `/api/v1`, with authentication, deadline, trace and log line.

use std::time::{Duration, Instant};

use bytes::Buf;
use futures_util::Stream;
use tokio::time::timeout;
use warp::http::{HeaderMap, Method};
use warp::path::Tail;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::endpoint_list::ApiEndpoint;
use super::request_context::RequestContext;
use super::{
    account_orders, account_secrets, accounts, api_keys, events, gateways, log_proofs, maintenance, master_key,
    overview, webhooks,
};
use crate::access::AuthContext;
use crate::api::{ApiState, Call, Problem, run_to_completion};
use crate::http::authentication;
use crate::http::contract_requests::Query;
use crate::http::in_process::InProcessAuth;
use crate::http::request_body::{MemoryBudget, RequestBody, drain_unread, read_body};
use crate::http::request_id::{IncomingRequestId, RequestIdGenerator, X_REQUEST_ID};
use crate::http::request_trace::RequestTrace;
use crate::http::revocation::abort_when_key_ends;
use crate::http::server::PeerAddress;
use crate::journal::RequestId;
use crate::limits::{BULK_ACTION_BYTES, WEBHOOK_REQUEST_BYTES};

/// All routes below `/api/v1`.
pub fn routes(
    state: ApiState,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let ids = std::sync::Arc::new(RequestIdGenerator::default());
    let memory_budget = MemoryBudget::new();
    warp::path("api")
        .and(warp::path("v1"))
        .and(warp::path::tail())
        .and(warp::method())
        .and(warp::query::<Query>())
        .and(warp::header::headers_cloned())
        .and(
            warp::ext::optional::<PeerAddress>()
                .and(warp::ext::optional())
                .map(|peer, admitted| RequestSource { peer, in_process: admitted }),
        )
        .and(warp::body::stream())
        .then(move |tail: Tail, method: Method, query: Query, headers: HeaderMap, who: RequestSource, body| {
            let (state, ids, memory_budget) = (state.clone(), ids.clone(), memory_budget.clone());
            let IncomingRequestId { id, header } = ids.read_or_generate(&headers);
            let traced =
                RequestTrace::start(&method, &ApiEndpoint::documented_path(&method, tail.as_str()), &headers, id);
            traced.run(async move {
                let started = Instant::now();
                // A console page makes several requests, and logs its own line.
                let is_page = matches!(who, RequestSource { peer: Some(_), in_process: Some(_) });
                let request = ApiRequestHead {
                    method: &method,
                    path: tail.as_str(),
                    query: &query,
                    headers: &headers,
                    source: who,
                    id,
                    memory_budget: &memory_budget,
                };
                let mut body = Box::pin(body);
                let answered = authenticate_and_handle(&state, request, &mut body).await;
                let mut response = answered.unwrap_or_else(|problem| {
                    drain_unread(&headers, body);
                    problem.respond()
                });
                if !is_page {
                    tracing::info!(
                        method = method.as_str(),
                        path = format_args!("/api/v1/{}", tail.as_str()),
                        status = response.status().as_u16(),
                        micros = started.elapsed().as_micros() as u64,
                        request = %id,
                        x_request_id = ?header,
                        "answered"
                    );
                }
                response.headers_mut().insert(X_REQUEST_ID, header);
                response
            })
        })
}

/// A request without its body.
struct ApiRequestHead<'r> {
    method: &'r Method,
    path: &'r str,
    query: &'r Query,
    headers: &'r HeaderMap,
    source: RequestSource,
    id: RequestId,
    memory_budget: &'r MemoryBudget,
}

/// Where a request comes from.
struct RequestSource {
    /// `None` for the command line on a data directory.
    peer: Option<PeerAddress>,
    /// The requester, already authenticated, if the request comes from this process.
    in_process: Option<InProcessAuth>,
}

async fn authenticate_and_handle<B: Buf>(
    state: &ApiState,
    request: ApiRequestHead<'_>,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    // No deadline here: the throttle delays a rejected key on purpose, and it still gets its own error.
    let auth = match &request.source {
        RequestSource { in_process: Some(InProcessAuth(auth)), .. } => auth.clone(),
        RequestSource { in_process: None, peer: Some(PeerAddress(peer)) } => {
            authentication::authenticate(state.authenticator(), request.headers, peer.ip()).await?
        }
        RequestSource { in_process: None, peer: None } => AuthContext::OWNER,
    };
    let limit = state.request_timeout();
    let limit = if ApiEndpoint::has_no_deadline(request.method, request.path) { Duration::MAX } else { limit };
    timeout(limit, handle(state, request, auth, body)).await.unwrap_or_else(|_| Err(Problem::timed_out(limit)))
}

async fn handle<B: Buf>(
    state: &ApiState,
    request: ApiRequestHead<'_>,
    auth: AuthContext,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let ApiRequestHead { method, path, query, headers, source: RequestSource { peer, .. }, id, memory_budget } =
        request;
    let segments: Vec<&str> = path.split('/').collect();
    let route = ApiEndpoint::find(method.as_str(), &segments)?;
    let from = peer.map_or_else(|| "command line".to_owned(), |PeerAddress(peer)| peer.to_string());
    auth.require(route.permission)?;
    let call = Call::new(state, route.operation(), route.selection(&segments, query)?, auth, id, from)?;
    let requester = call.requester().clone();
    let context = RequestContext { call, path: path.to_owned(), query: query.clone(), headers: headers.clone() };
    let answered = dispatch(state, method, &segments, context, memory_budget, body).await?;
    Ok(abort_when_key_ends(answered, requester))
}

async fn dispatch<B: Buf>(
    state: &ApiState,
    method: &Method,
    segments: &[&str],
    context: RequestContext,
    memory_budget: &MemoryBudget,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    match *segments {
        ["accounts"] => accounts::list_accounts(state, &context).await,
        ["accounts", order] if method == Method::POST => {
            let body = read_authorized_body(memory_budget, &context, &mut body, BULK_ACTION_BYTES).await?;
            let (state, order) = (state.clone(), order.to_owned());
            run_to_completion(async move { account_orders::order_accounts(&state, &order, &context, &body).await })
                .await
        }
        ["accounts", number] => accounts::show_account(state, number, &context).await,
        ["accounts", number, "events"] => accounts::show_history(state, number, &context).await,
        ["accounts", number, "diff"] => accounts::diff_account(state, number, &context).await,
        ["accounts", number, "secrets"] => {
            let body = read_authorized_body(memory_budget, &context, &mut body, WEBHOOK_REQUEST_BYTES).await?;
            account_secrets::erase_secrets(state, number, &context, &body).await
        }
        ["events"] => events::list_events(state, &context).await,
        ["acts"] => events::list_acts(state, &context).await,
        ["log", "checkpoint"] => log_proofs::show_checkpoint(state, &context).await,
        ["log", "public-key"] => log_proofs::show_public_key(state, &context).await,
        ["log", "proof", "inclusion"] => log_proofs::prove_inclusion(state, &context).await,
        ["log", "proof", "consistency"] => log_proofs::prove_consistency(state, &context).await,
        ["log", "proof", "account", number] => log_proofs::prove_account(state, number, &context).await,
        ["gateways"] => gateways::list_gateways(state, &context).await,
        ["overview"] => overview::show_overview(state, &context).await,
        ["settings"] => overview::list_settings(state, &context).await,
        ["projections"] => maintenance::show_projections(state, &context).await,
        ["projections", name, "rebuild"] => maintenance::rebuild_projection(state, name, &context).await,
        ["verify"] => maintenance::verify_journal(state, &context).await,
        ["replay"] => maintenance::replay_journal(state, &context).await,
        ["export"] => maintenance::export_events(state, &context).await,
        ["backup"] => maintenance::create_backup(state, &context).await,
        _ => {
            let body = read_authorized_body(memory_budget, &context, &mut body, WEBHOOK_REQUEST_BYTES).await?;
            let segments: Vec<String> = segments.iter().map(|segment| (*segment).to_owned()).collect();
            let (state, method) = (state.clone(), method.clone());
            run_to_completion(async move { dispatch_change(&state, &method, &segments, &context, &body).await }).await
        }
    }
}

/// Requests with a small body.
async fn dispatch_change(
    state: &ApiState,
    method: &Method,
    segments: &[String],
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["webhooks", ..] => webhooks::handle(state, method.as_str(), context, body).await,
        ["keys"] if method == Method::POST => api_keys::create_key(state, context, body).await,
        ["keys"] => api_keys::list_keys(state, context).await,
        ["keys", key] => api_keys::revoke_key(state, key, context).await,
        ["vault", "rotate"] => master_key::rotate_master_key(state, context, body).await,
        ["vault", ..] => master_key::show_master_key(state, context).await,
        ["gateways", name, "reconcile"] => gateways::reconcile_gateway(state, name, context, body).await,
        _ => Err(Problem::not_found("nothing has this path")),
    }
}

/// Reads the body, then checks the permission again, because a slow client's key may have ended.
async fn read_authorized_body<B: Buf>(
    memory_budget: &MemoryBudget,
    context: &RequestContext,
    body: &mut (impl Stream<Item = Result<B, warp::Error>> + Unpin),
    most: usize,
) -> Result<RequestBody, Problem> {
    let body = read_body(&context.headers, body, most, memory_budget).await?;
    context.call.authorize()?;
    Ok(body)
}
