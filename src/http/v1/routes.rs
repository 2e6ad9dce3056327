//! Routing of `/api/v1`, with authentication, deadline, trace and log line.

use std::time::{Duration, Instant};

use bytes::Buf;
use futures_util::Stream;
use tokio::time::timeout;
use tracing::Instrument;
use warp::http::{HeaderMap, Method, StatusCode};
use warp::path::Tail;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::endpoint_list::ApiEndpoint;
use super::problem::Problem;
use super::request_context::RequestContext;
use super::response_format::ResponseFormat;
use super::{
    ApiState, account_orders, account_secrets, accounts, api_keys, events, gateways, log_proofs, maintenance,
    master_key, overview, webhooks,
};
use crate::access::{AuthContext, Requester};
use crate::http::authentication;
use crate::http::contract_requests::Query;
use crate::http::in_process::InProcessAuth;
use crate::http::request_body::{RequestBody, drain_unread, read_body};
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
            let (state, ids) = (state.clone(), ids.clone());
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
            authentication::authenticate(&state.inner.authenticator, request.headers, peer.ip()).await?
        }
        RequestSource { in_process: None, peer: None } => AuthContext::OWNER,
    };
    let limit = state.inner.request_timeout;
    let limit = if ApiEndpoint::has_no_deadline(request.method, request.path) { Duration::MAX } else { limit };
    timeout(limit, handle(state, request, auth, body)).await.unwrap_or_else(|_| Err(Problem::timed_out(limit)))
}

async fn handle<B: Buf>(
    state: &ApiState,
    request: ApiRequestHead<'_>,
    auth: AuthContext,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let ApiRequestHead { method, path, query, headers, source: RequestSource { peer, .. }, id } = request;
    let segments: Vec<&str> = path.split('/').collect();
    let route = ApiEndpoint::find(method.as_str(), &segments)?;
    let from = peer.map_or_else(|| "command line".to_owned(), |PeerAddress(peer)| peer.to_string());
    let requester = Requester::new(state.inner.authenticator.keys().clone(), auth, route.permission, id, from);
    let context = RequestContext { endpoint: route, path: path.to_owned(), query: query.clone(), requester };
    context.check_permission(context.requester.initial_context())?;
    let answered = dispatch(state, method, headers, &segments, &context, body).await?;
    if route.is_read_only() {
        // Reading may have taken long; the key may have ended meanwhile.
        context.authorize()?;
    }
    Ok(abort_when_key_ends(answered, context.requester))
}

async fn dispatch<B: Buf>(
    state: &ApiState,
    method: &Method,
    headers: &HeaderMap,
    segments: &[&str],
    context: &RequestContext,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let query = &context.query;
    match *segments {
        ["webhooks", ..] => {
            let body = read_authorized_body(state, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (state, method, context) = (state.clone(), method.clone(), context.clone());
            run_to_completion(async move { webhooks::handle(&state, method.as_str(), &context, &body).await }).await
        }
        ["keys", ..] => {
            let body = read_authorized_body(state, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (state, method, context) = (state.clone(), method.clone(), context.clone());
            run_to_completion(async move { api_keys::handle(&state, method.as_str(), &context, &body).await }).await
        }
        ["accounts"] => {
            let form = ResponseFormat::negotiate(
                &[ResponseFormat::JsonPage, ResponseFormat::NdJson, ResponseFormat::Csv],
                headers,
            );
            run_blocking(state, query, move |state, query| accounts::list_accounts(state, query, form)).await
        }
        ["accounts", order] if method == Method::POST => {
            let body = read_authorized_body(state, headers, &mut body, BULK_ACTION_BYTES, context).await?;
            let (state, order, context) = (state.clone(), order.to_owned(), context.clone());
            run_to_completion(async move { account_orders::handle(&state, &order, &context, &body).await }).await
        }
        ["accounts", number] => {
            let number = number.to_owned();
            run_blocking(state, query, move |state, query| accounts::show_account(state, &number, query)).await
        }
        ["accounts", number, "events"] => {
            let (number, form) = (
                number.to_owned(),
                ResponseFormat::negotiate(&[ResponseFormat::JsonPage, ResponseFormat::NdJson], headers),
            );
            run_blocking(state, query, move |state, query| accounts::show_history(state, &number, query, form)).await
        }
        ["accounts", number, "diff"] => {
            let number = number.to_owned();
            run_blocking(state, query, move |state, query| accounts::diff_account(state, &number, query)).await
        }
        ["accounts", number, "secrets"] => {
            let body = read_authorized_body(state, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            account_secrets::erase_secrets(state, number, context, &body).await
        }
        ["events"] => {
            let headers = headers.clone();
            run_blocking(state, query, move |state, query| events::list_events(state, query, &headers)).await
        }
        ["acts"] => run_blocking(state, query, events::list_audit_log).await,
        ["log", "checkpoint"] => run_blocking(state, query, log_proofs::show_checkpoint).await,
        ["log", "public-key"] => log_proofs::show_public_key(state, query),
        ["log", "proof", "inclusion"] => run_blocking(state, query, log_proofs::prove_inclusion).await,
        ["log", "proof", "consistency"] => run_blocking(state, query, log_proofs::prove_consistency).await,
        ["log", "proof", "account", number] => {
            let number = number.to_owned();
            run_blocking(state, query, move |state, query| log_proofs::prove_account(state, &number, query)).await
        }
        ["vault", ..] => {
            let body = read_authorized_body(state, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (state, method, context) = (state.clone(), method.clone(), context.clone());
            run_to_completion(async move { master_key::handle(&state, method.as_str(), &context, &body).await }).await
        }
        ["gateways"] => gateways::list_gateways(state, query),
        ["gateways", name, "reconcile"] => {
            let body = read_authorized_body(state, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (state, name, context) = (state.clone(), name.to_owned(), context.clone());
            run_to_completion(async move { gateways::reconcile_gateway(&state, &name, &context, &body).await }).await
        }
        ["overview"] => overview::show_overview(state, query).await,
        ["settings"] => overview::list_settings(state, query),
        ["projections"] => run_blocking(state, query, maintenance::show_projections).await,
        ["projections", name, "rebuild"] => maintenance::rebuild_projection(state, name, context),
        ["verify"] => maintenance::verify_journal(state, query).await,
        ["replay"] => maintenance::replay_journal(state, query).await,
        ["export"] => maintenance::export_events(state, query),
        ["backup"] => maintenance::create_backup(state, context),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "nothing has this path")),
    }
}

/// Reads the body, then checks the permission again, because a slow client's key may have ended.
async fn read_authorized_body<B: Buf>(
    state: &ApiState,
    headers: &HeaderMap,
    body: &mut (impl Stream<Item = Result<B, warp::Error>> + Unpin),
    most: usize,
    context: &RequestContext,
) -> Result<RequestBody, Problem> {
    let body = read_body(headers, body, most, &state.inner.memory_budget).await?;
    context.authorize()?;
    Ok(body)
}

/// Runs a change in its own task, so that it completes even if the caller disconnects. Record and effect stay equal.
async fn run_to_completion(
    change: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    tokio::spawn(change.in_current_span()).await.map_err(|error| Problem::task_failed(&error))?
}

/// Runs requests that read the journal on a blocking thread.
async fn run_blocking(
    state: &ApiState,
    query: &Query,
    work: impl FnOnce(&ApiState, &Query) -> Result<Response, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let (state, query) = (state.clone(), query.clone());
    let done = tokio::task::spawn_blocking(move || work(&state, &query));
    done.await.map_err(|error| Problem::task_failed(&error))?
}
