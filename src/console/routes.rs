//! Paths of pages, and what all pages share: permission, time limit, log line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::layout::{self, PageResponse};
use super::page_request::{ConsolePageRequest, PageError, parse_fields};
use super::{
    Console, account, accounts, administration, assets, deliveries, events, gateways, history, maintenance, overview,
    proof, sign_in, webhooks,
};
use crate::access::AuthError;
use crate::api::run_to_completion;
use crate::http::{ConsoleResponse, IncomingRequestId, PeerAddress, RequestTrace, X_REQUEST_ID, authenticate_page};
use crate::journal::RequestId;
use crate::limits::{BODY_TIMEOUT, PAGE_FORM_BYTES};

/// First segments of the console's paths. All other paths belong to the API.
const PAGE_ROOTS: [&str; 13] = [
    "",
    "accounts",
    "acts",
    "assets",
    "events",
    "gateways",
    "keys",
    "log",
    "projections",
    "settings",
    "sign-in",
    "sign-out",
    "webhooks",
];

/// All pages.
pub(super) fn page_routes(
    console: Console,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path::full()
        .and_then(|path: FullPath| async move {
            let first = path.as_str().split('/').nth(1).unwrap_or_default();
            if PAGE_ROOTS.contains(&first) { Ok(path.as_str().to_owned()) } else { Err(warp::reject::not_found()) }
        })
        .and(warp::method())
        .and(warp::query::raw().or_else(|_| async { Ok::<_, Rejection>((String::new(),)) }))
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<PeerAddress>())
        .and(warp::body::stream())
        .then(move |path, method, query: String, headers, peer: Option<PeerAddress>, body| {
            let console = console.clone();
            // Only requests of tests come without a connection.
            let peer = peer.map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |PeerAddress(peer)| peer);
            async move {
                let mut response = handle(console, PageRequestHead { path, method, query, headers, peer }, body).await;
                response.extensions_mut().insert(ConsoleResponse);
                response
            }
        })
}

/// A request without its body.
struct PageRequestHead {
    path: String,
    method: Method,
    query: String,
    headers: HeaderMap,
    peer: SocketAddr,
}

async fn handle<B: Buf>(
    console: Console,
    request: PageRequestHead,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Response {
    let begun = Instant::now();
    if let Some(name) = request.path.strip_prefix("/assets/") {
        return assets::handle(name, &request.headers);
    }
    let IncomingRequestId { id, header } = console.inner.ids.read_or_generate(&request.headers);
    let (method, path) = (request.method.clone(), request.path.clone());
    // The first segment stands for the page, because ids in a path would make too many spans.
    let page = format!("/{}", path.split('/').nth(1).unwrap_or_default());
    let trace = RequestTrace::start(&method, &page, &request.headers, id);
    let mut response = trace.run(authenticate_and_handle(console, request, id, body)).await;
    let (status, micros) = (response.status().as_u16(), begun.elapsed().as_micros() as u64);
    tracing::info!(%method, path, status, micros, request = %id, x_request_id = ?header, "answered");
    response.headers_mut().insert(X_REQUEST_ID, header);
    response
}

async fn authenticate_and_handle<B: Buf>(
    console: Console,
    request: PageRequestHead,
    id: RequestId,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Response {
    let PageRequestHead { path, method, query, headers, peer } = request;
    // A script asks for part of a page or for a stream, not for a whole page.
    let is_stream = headers.get("accept").is_some_and(|accept| accept == "text/event-stream");
    let is_part = is_stream || headers.contains_key("hx-request");
    let changes = match method {
        Method::GET | Method::HEAD => false,
        Method::POST => true,
        _ => {
            let error =
                PageError { status: StatusCode::METHOD_NOT_ALLOWED, message: "Pages support GET and POST.".to_owned() };
            let mut response = layout::error_page(&error, None);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            return response;
        }
    };
    let form = match timeout(BODY_TIMEOUT, read_form(body)).await {
        Ok(Ok(form)) => form,
        Ok(Err(error)) => return layout::error_page(&error, None),
        Err(_) => {
            return layout::error_page(
                &PageError {
                    status: StatusCode::REQUEST_TIMEOUT,
                    message: "The form did not arrive in time; send it again.".to_owned(),
                },
                None,
            );
        }
    };
    let (form, query) = (parse_fields(&form), parse_fields(query.as_bytes()));
    if path == "/sign-in" {
        return sign_in::sign_in(&console, &headers, peer.ip(), &query, &form, changes).await;
    }
    let auth =
        match authenticate_page(console.inner.api.authenticator(), &headers, peer.ip(), console.inner.is_tls, changes)
            .await
        {
            Ok(auth) => auth,
            Err(AuthError::MissingKey | AuthError::SignedOut) if !changes => {
                return sign_in::redirect_to_sign_in(&path, &query, is_part);
            }
            Err(denied) => return layout::auth_error_page(denied),
        };
    if path == "/sign-out" {
        return sign_in::sign_out(&console, &headers, changes);
    }
    let limit = console.inner.api.request_timeout();
    let request = Arc::new(ConsolePageRequest { console, auth, peer, id, path, query, headers, form });
    let answered = timeout(limit, answer(&request, changes)).await;
    let late = || {
        let words = format!("No response within {limit:?}; the request may still complete. Check before you retry.");
        Err(PageError { status: StatusCode::SERVICE_UNAVAILABLE, message: words })
    };
    match answered.unwrap_or_else(|_| late()) {
        Ok(answer) => layout::respond(answer, &request),
        Err(error) => layout::error_page(&error, Some(&request)),
    }
}

/// Answers a request. A submitted form is carried out completely even if the browser disconnects.
async fn answer(request: &Arc<ConsolePageRequest>, changes: bool) -> Result<PageResponse, PageError> {
    if !changes {
        return dispatch(request, changes).await;
    }
    let request = request.clone();
    run_to_completion(async move { Ok(dispatch(&request, changes).await) }).await?
}

/// Renders the page of a path, or carries out the form submitted to it.
async fn dispatch(request: &ConsolePageRequest, changes: bool) -> Result<PageResponse, PageError> {
    let segments: Vec<&str> = request.path.split('/').skip(1).collect();
    match (changes, &segments[..]) {
        (false, [""]) => overview::page(request).await,
        (false, ["accounts"]) => accounts::page(request).await,
        (false, ["accounts", "export"]) => accounts::export(request),
        (true, ["accounts"]) => accounts::submit_order(request).await,
        (false, ["accounts", number]) => account::page(request, number).await,
        (false, ["accounts", number, "verify"]) => proof::page(request, number).await,
        (false, ["accounts", number, "bundle"]) => proof::download_bundle(request, number).await,
        (false, ["accounts", number, "events", version]) => history::event_page(request, number, version).await,
        (false, ["events"]) => events::page(request).await,
        (false, ["events", "live"]) => events::live_stream(request),
        (false, ["webhooks"]) => webhooks::page(request).await,
        (false, ["webhooks", channel]) => webhooks::channel_page(request, channel).await,
        (true, ["webhooks", channel]) => webhooks::submit_action(request, channel).await,
        (false, ["webhooks", channel, "deliveries", position]) => deliveries::page(request, channel, position).await,
        (true, ["webhooks", channel, "deliveries", position]) => deliveries::resend(request, channel, position).await,
        (false, ["gateways"]) => gateways::page(request).await,
        (true, ["gateways"]) => gateways::submit_reconcile(request).await,
        (false, ["projections"]) => maintenance::projections_page(request).await,
        (true, ["projections"]) => maintenance::submit_rebuild(request).await,
        (false, ["log"]) => maintenance::log_page(request).await,
        (false, ["keys"]) => administration::keys_page(request).await,
        (true, ["keys"]) => administration::submit_key_form(request).await,
        (false, ["settings"]) => administration::settings_page(request).await,
        (false, ["acts"]) => administration::audit_log_page(request).await,
        _ => Err(PageError::not_found()),
    }
}

/// Reads the body of a form.
async fn read_form<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> Result<Vec<u8>, PageError> {
    let mut whole = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| PageError::bad_request("The form arrived incomplete; send it again."))?;
        if whole.len() + piece.remaining() > PAGE_FORM_BYTES {
            let words = format!("The form has more than {PAGE_FORM_BYTES} bytes; select fewer accounts.");
            return Err(PageError { status: StatusCode::PAYLOAD_TOO_LARGE, message: words });
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            whole.extend_from_slice(chunk);
            let length = chunk.len();
            piece.advance(length);
        }
    }
    Ok(whole)
}
