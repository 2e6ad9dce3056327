//! Paths to pages, and what every page has in common: who may see it, how long it takes, its line in the log.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Buf;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::frame::{self, Answer};
use super::visit::{Trouble, Visit, fields};
use super::{
    Console, account, accounts, administration, assets, deliveries, events, gateways, history, overview, proof,
    session, upkeep, webhooks,
};
use crate::access::Denied;
use crate::http::{Identified, OfConsole, Peer, X_REQUEST_ID, enter_page};
use crate::limits::{BODY_TIMEOUT, PAGE_FORM_BYTES};

/// The first words of the paths at which there are pages; everything else is the API's.
const PAGES: [&str; 13] = [
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
pub(super) fn filter(
    console: Console,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path::full()
        .and_then(|path: FullPath| async move {
            let first = path.as_str().split('/').nth(1).unwrap_or_default();
            if PAGES.contains(&first) { Ok(path.as_str().to_owned()) } else { Err(warp::reject::not_found()) }
        })
        .and(warp::method())
        .and(warp::query::raw().or_else(|_| async { Ok::<_, Rejection>((String::new(),)) }))
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::body::stream())
        .then(move |path, method, query: String, headers, peer: Option<Peer>, body| {
            let console = console.clone();
            // Requests that no connection brings are those of tests.
            let peer = peer.map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |Peer(peer)| peer);
            async move {
                let mut response = answer(console, Request { path, method, query, headers, peer }, body).await;
                response.extensions_mut().insert(OfConsole);
                response
            }
        })
}

/// A request but for its body.
struct Request {
    path: String,
    method: Method,
    query: String,
    headers: HeaderMap,
    peer: SocketAddr,
}

async fn answer<B: Buf>(
    console: Console,
    request: Request,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Response {
    let begun = Instant::now();
    if let Some(name) = request.path.strip_prefix("/assets/") {
        return assets::answer(name, &request.headers);
    }
    let Identified { id, header } = console.inner.ids.identify(&request.headers);
    let (method, path) = (request.method.clone(), request.path.clone());
    let name = header.to_str().unwrap_or_default().to_owned();
    let mut response = enter_and_answer(console, request, name, body).await;
    let (status, micros) = (response.status().as_u16(), begun.elapsed().as_micros() as u64);
    tracing::info!(%method, path, status, micros, request = %id, x_request_id = ?header, "answered");
    response.headers_mut().insert(X_REQUEST_ID, header);
    response
}

async fn enter_and_answer<B: Buf>(
    console: Console,
    request: Request,
    id: String,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Response {
    let Request { path, method, query, headers, peer } = request;
    // What a script asks for is no whole page, and a stream is none either.
    let is_stream = headers.get("accept").is_some_and(|accept| accept == "text/event-stream");
    let is_part = is_stream || headers.contains_key("hx-request");
    let changes = match method {
        Method::GET | Method::HEAD => false,
        Method::POST => true,
        _ => {
            let trouble =
                Trouble { status: StatusCode::METHOD_NOT_ALLOWED, words: "Pages take GET and POST.".to_owned() };
            let mut response = frame::trouble(&trouble, None);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            return response;
        }
    };
    let form = match timeout(BODY_TIMEOUT, read(body)).await {
        Ok(Ok(form)) => form,
        Ok(Err(trouble)) => return frame::trouble(&trouble, None),
        Err(_) => {
            return frame::trouble(
                &Trouble { status: StatusCode::REQUEST_TIMEOUT, words: "The form came too slowly.".to_owned() },
                None,
            );
        }
    };
    let (form, query) = (fields(&form), fields(query.as_bytes()));
    let door = console.inner.door.clone();
    if path == "/sign-in" {
        return session::sign_in(&console, &headers, peer.ip(), &query, &form, changes).await;
    }
    let pass = match enter_page(&door, &headers, peer.ip(), console.inner.is_tls, changes).await {
        Ok(pass) => pass,
        Err(Denied::Missing | Denied::SignedOut) if !changes => return session::ask(&path, &query, is_part),
        Err(denied) => return frame::refused(denied),
    };
    if path == "/sign-out" {
        return session::sign_out(&console, &headers, changes);
    }
    let limit = console.inner.request_timeout;
    let visit = Visit { console, pass, peer, id, path, query, headers, form };
    let answered = timeout(limit, page(&visit, changes)).await;
    let late = || {
        let words = format!("There was no answer within {limit:?}; what was asked may have been done, or be done yet.");
        Err(Trouble { status: StatusCode::SERVICE_UNAVAILABLE, words })
    };
    match answered.unwrap_or_else(|_| late()) {
        Ok(answer) => frame::respond(answer, &visit),
        Err(trouble) => frame::trouble(&trouble, Some(&visit)),
    }
}

/// The page that a path names, or what a form at it asks for.
async fn page(visit: &Visit, changes: bool) -> Result<Answer, Trouble> {
    let segments: Vec<&str> = visit.path.split('/').skip(1).collect();
    match (changes, &segments[..]) {
        (false, [""]) => overview::page(visit).await,
        (false, ["accounts"]) => accounts::page(visit).await,
        (false, ["accounts", "export"]) => accounts::export(visit).await,
        (true, ["accounts"]) => accounts::order(visit).await,
        (false, ["accounts", number]) => account::page(visit, number).await,
        (false, ["accounts", number, "verify"]) => proof::page(visit, number).await,
        (false, ["accounts", number, "bundle"]) => proof::download(visit, number).await,
        (false, ["accounts", number, "events", version]) => history::event(visit, number, version).await,
        (false, ["events"]) => events::page(visit).await,
        (false, ["events", "live"]) => events::live(visit).await,
        (false, ["webhooks"]) => webhooks::page(visit).await,
        (false, ["webhooks", channel]) => webhooks::channel(visit, channel).await,
        (true, ["webhooks", channel]) => webhooks::act(visit, channel).await,
        (false, ["webhooks", channel, "deliveries", position]) => deliveries::page(visit, channel, position).await,
        (true, ["webhooks", channel, "deliveries", position]) => deliveries::resend(visit, channel, position).await,
        (false, ["gateways"]) => gateways::page(visit).await,
        (true, ["gateways"]) => gateways::reconcile(visit).await,
        (false, ["projections"]) => upkeep::projections(visit).await,
        (true, ["projections"]) => upkeep::rebuild(visit).await,
        (false, ["log"]) => upkeep::log(visit).await,
        (false, ["keys"]) => administration::keys(visit).await,
        (true, ["keys"]) => administration::change_keys(visit).await,
        (false, ["settings"]) => administration::settings(visit).await,
        (false, ["acts"]) => administration::acts(visit).await,
        _ => Err(Trouble::no_page()),
    }
}

/// The form that a body has, as it came.
async fn read<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> Result<Vec<u8>, Trouble> {
    let mut whole = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| Trouble::wrong("The form did not come whole."))?;
        if whole.len() + piece.remaining() > PAGE_FORM_BYTES {
            let words = format!("The form has more than {PAGE_FORM_BYTES} bytes; select fewer accounts.");
            return Err(Trouble { status: StatusCode::PAYLOAD_TOO_LARGE, words });
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
