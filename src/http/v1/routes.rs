//! Requests to answers.

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

/// All that is under `/api/v1`.
pub fn routes(desk: ApiState) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
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
            let (desk, ids) = (desk.clone(), ids.clone());
            let IncomingRequestId { id, header } = ids.read_or_generate(&headers);
            let traced =
                RequestTrace::start(&method, &ApiEndpoint::documented_path(&method, tail.as_str()), &headers, id);
            traced.run(async move {
                let begun = Instant::now();
                // A page asks for several things at once, and has a line of its own in the log.
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
                let answered = authenticate_and_handle(&desk, request, &mut body).await;
                let mut response = answered.unwrap_or_else(|problem| {
                    drain_unread(&headers, body);
                    problem.respond()
                });
                if !is_page {
                    tracing::info!(
                        method = method.as_str(),
                        path = format_args!("/api/v1/{}", tail.as_str()),
                        status = response.status().as_u16(),
                        micros = begun.elapsed().as_micros() as u64,
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

/// A request but for its body.
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
    /// None where the data directory is asked, and no service.
    peer: Option<PeerAddress>,
    /// Whoever was let in before, if this process asks for somebody.
    in_process: Option<InProcessAuth>,
}

async fn authenticate_and_handle<B: Buf>(
    desk: &ApiState,
    request: ApiRequestHead<'_>,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    // However long a refused key waits, it is told so.
    let pass = match &request.source {
        RequestSource { in_process: Some(InProcessAuth(pass)), .. } => pass.clone(),
        RequestSource { in_process: None, peer: Some(PeerAddress(peer)) } => {
            authentication::authenticate(&desk.inner.authenticator, request.headers, peer.ip()).await?
        }
        RequestSource { in_process: None, peer: None } => AuthContext::OWNER,
    };
    let limit = desk.inner.request_timeout;
    let limit = if ApiEndpoint::has_no_deadline(request.method, request.path) { Duration::MAX } else { limit };
    timeout(limit, handle(desk, request, pass, body)).await.unwrap_or_else(|_| Err(Problem::timed_out(limit)))
}

async fn handle<B: Buf>(
    desk: &ApiState,
    request: ApiRequestHead<'_>,
    pass: AuthContext,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let ApiRequestHead { method, path, query, headers, source: RequestSource { peer, .. }, id } = request;
    let segments: Vec<&str> = path.split('/').collect();
    let route = ApiEndpoint::find(method.as_str(), &segments)?;
    let from = peer.map_or_else(|| "command line".to_owned(), |PeerAddress(peer)| peer.to_string());
    let requester = Requester::new(desk.inner.authenticator.keys().clone(), pass, route.permission, id, from);
    let context = RequestContext { endpoint: route, path: path.to_owned(), query: query.clone(), requester };
    context.check_permission(context.requester.initial_context())?;
    let answered = dispatch(desk, method, headers, &segments, &context, body).await?;
    if route.is_read_only() {
        // It may have taken long, and is for nobody whose key has ended meanwhile.
        context.authorize()?;
    }
    Ok(abort_when_key_ends(answered, context.requester))
}

async fn dispatch<B: Buf>(
    desk: &ApiState,
    method: &Method,
    headers: &HeaderMap,
    segments: &[&str],
    context: &RequestContext,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let query = &context.query;
    match *segments {
        ["webhooks", ..] => {
            let body = read_authorized_body(desk, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (desk, method, context) = (desk.clone(), method.clone(), context.clone());
            run_to_completion(async move { webhooks::handle(&desk, method.as_str(), &context, &body).await }).await
        }
        ["keys", ..] => {
            let body = read_authorized_body(desk, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (desk, method, context) = (desk.clone(), method.clone(), context.clone());
            run_to_completion(async move { api_keys::handle(&desk, method.as_str(), &context, &body).await }).await
        }
        ["accounts"] => {
            let form = ResponseFormat::negotiate(
                &[ResponseFormat::JsonPage, ResponseFormat::NdJson, ResponseFormat::Csv],
                headers,
            );
            run_blocking(desk, query, move |desk, query| accounts::list_accounts(desk, query, form)).await
        }
        ["accounts", order] if method == Method::POST => {
            let body = read_authorized_body(desk, headers, &mut body, BULK_ACTION_BYTES, context).await?;
            let (desk, order, context) = (desk.clone(), order.to_owned(), context.clone());
            run_to_completion(async move { account_orders::handle(&desk, &order, &context, &body).await }).await
        }
        ["accounts", number] => {
            let number = number.to_owned();
            run_blocking(desk, query, move |desk, query| accounts::show_account(desk, &number, query)).await
        }
        ["accounts", number, "events"] => {
            let (number, form) = (
                number.to_owned(),
                ResponseFormat::negotiate(&[ResponseFormat::JsonPage, ResponseFormat::NdJson], headers),
            );
            run_blocking(desk, query, move |desk, query| accounts::show_history(desk, &number, query, form)).await
        }
        ["accounts", number, "diff"] => {
            let number = number.to_owned();
            run_blocking(desk, query, move |desk, query| accounts::diff_account(desk, &number, query)).await
        }
        ["accounts", number, "secrets"] => {
            let body = read_authorized_body(desk, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            account_secrets::erase_secrets(desk, number, context, &body).await
        }
        ["events"] => {
            let headers = headers.clone();
            run_blocking(desk, query, move |desk, query| events::list_events(desk, query, &headers)).await
        }
        ["acts"] => run_blocking(desk, query, events::list_audit_log).await,
        ["log", "checkpoint"] => run_blocking(desk, query, log_proofs::show_checkpoint).await,
        ["log", "public-key"] => log_proofs::show_public_key(desk, query),
        ["log", "proof", "inclusion"] => run_blocking(desk, query, log_proofs::prove_inclusion).await,
        ["log", "proof", "consistency"] => run_blocking(desk, query, log_proofs::prove_consistency).await,
        ["log", "proof", "account", number] => {
            let number = number.to_owned();
            run_blocking(desk, query, move |desk, query| log_proofs::prove_account(desk, &number, query)).await
        }
        ["vault", ..] => {
            let body = read_authorized_body(desk, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (desk, method, context) = (desk.clone(), method.clone(), context.clone());
            run_to_completion(async move { master_key::handle(&desk, method.as_str(), &context, &body).await }).await
        }
        ["gateways"] => gateways::list_gateways(desk, query),
        ["gateways", name, "reconcile"] => {
            let body = read_authorized_body(desk, headers, &mut body, WEBHOOK_REQUEST_BYTES, context).await?;
            let (desk, name, context) = (desk.clone(), name.to_owned(), context.clone());
            run_to_completion(async move { gateways::reconcile_gateway(&desk, &name, &context, &body).await }).await
        }
        ["overview"] => overview::show_overview(desk, query).await,
        ["settings"] => overview::list_settings(desk, query),
        ["projections"] => run_blocking(desk, query, maintenance::show_projections).await,
        ["projections", name, "rebuild"] => maintenance::rebuild_projection(desk, name, context),
        ["verify"] => maintenance::verify_journal(desk, query).await,
        ["replay"] => maintenance::replay_journal(desk, query).await,
        ["export"] => maintenance::export_events(desk, query),
        ["backup"] => maintenance::create_backup(desk, context),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "nothing has this path")),
    }
}

/// The body, if whoever sends it may still ask for this: they may have taken their time.
async fn read_authorized_body<B: Buf>(
    desk: &ApiState,
    headers: &HeaderMap,
    body: &mut (impl Stream<Item = Result<B, warp::Error>> + Unpin),
    most: usize,
    context: &RequestContext,
) -> Result<RequestBody, Problem> {
    let body = read_body(headers, body, most, &desk.inner.memory_budget).await?;
    context.authorize()?;
    Ok(body)
}

/// A change goes on to its end though its caller has gone: what is remembered is what is done.
async fn run_to_completion(
    change: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    tokio::spawn(change.in_current_span()).await.map_err(|error| Problem::task_failed(&error))?
}

/// What reads the journal does so on a thread for blocking work.
async fn run_blocking(
    desk: &ApiState,
    query: &Query,
    work: impl FnOnce(&ApiState, &Query) -> Result<Response, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let (desk, query) = (desk.clone(), query.clone());
    let done = tokio::task::spawn_blocking(move || work(&desk, &query));
    done.await.map_err(|error| Problem::task_failed(&error))?
}
