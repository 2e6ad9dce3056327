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

use super::context::Context;
use super::form::Form;
use super::problem::Problem;
use super::table::Route;
use super::{Desk, accounts, events, gateways, keys, log, orders, overview, secrets, upkeep, vault, webhooks};
use crate::access::{Pass, Requester};
use crate::http::body::{Body, linger, read};
use crate::http::cut::cut_with_key;
use crate::http::request_id::{Identified, RequestIds, X_REQUEST_ID};
use crate::http::requests::Query;
use crate::http::server::Peer;
use crate::http::traced::Traced;
use crate::http::visitor;
use crate::http::within::Admitted;
use crate::journal::RequestId;
use crate::limits::{ACCOUNTS_ORDER_BYTES, ORDER_BYTES};

/// All that is under `/api/v1`.
pub fn routes(desk: Desk) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let ids = std::sync::Arc::new(RequestIds::default());
    warp::path("api")
        .and(warp::path("v1"))
        .and(warp::path::tail())
        .and(warp::method())
        .and(warp::query::<Query>())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>().and(warp::ext::optional()).map(|peer, admitted| Who { peer, admitted }))
        .and(warp::body::stream())
        .then(move |tail: Tail, method: Method, query: Query, headers: HeaderMap, who: Who, body| {
            let (desk, ids) = (desk.clone(), ids.clone());
            let Identified { id, header } = ids.identify(&headers);
            let traced = Traced::begin(&method, &Route::documented(&method, tail.as_str()), &headers, id);
            traced.answer(async move {
                let begun = Instant::now();
                // A page asks for several things at once, and has a line of its own in the log.
                let is_page = matches!(who, Who { peer: Some(_), admitted: Some(_) });
                let request =
                    Request { method: &method, path: tail.as_str(), query: &query, headers: &headers, who, id };
                let mut body = Box::pin(body);
                let answered = enter_and_answer(&desk, request, &mut body).await;
                let mut response = answered.unwrap_or_else(|problem| {
                    linger(&headers, body);
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
struct Request<'r> {
    method: &'r Method,
    path: &'r str,
    query: &'r Query,
    headers: &'r HeaderMap,
    who: Who,
    id: RequestId,
}

/// Where a request comes from.
struct Who {
    /// None where the data directory is asked, and no service.
    peer: Option<Peer>,
    /// Whoever was let in before, if this process asks for somebody.
    admitted: Option<Admitted>,
}

async fn enter_and_answer<B: Buf>(
    desk: &Desk,
    request: Request<'_>,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    // However long a refused key waits, it is told so.
    let pass = match &request.who {
        Who { admitted: Some(Admitted(pass)), .. } => pass.clone(),
        Who { admitted: None, peer: Some(Peer(peer)) } => {
            visitor::enter(&desk.inner.door, request.headers, peer.ip()).await?
        }
        Who { admitted: None, peer: None } => Pass::OWNER,
    };
    let limit = desk.inner.request_timeout;
    let limit = if Route::takes_long(request.method, request.path) { Duration::MAX } else { limit };
    timeout(limit, answer(desk, request, pass, body)).await.unwrap_or_else(|_| Err(Problem::late(limit)))
}

async fn answer<B: Buf>(
    desk: &Desk,
    request: Request<'_>,
    pass: Pass,
    body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let Request { method, path, query, headers, who: Who { peer, .. }, id } = request;
    let segments: Vec<&str> = path.split('/').collect();
    let route = Route::of(method.as_str(), &segments)?;
    let from = peer.map_or_else(|| "command line".to_owned(), |Peer(peer)| peer.to_string());
    let requester = Requester::new(desk.inner.door.keys().clone(), pass, route.need, id, from);
    let context = Context { route, path: path.to_owned(), query: query.clone(), requester };
    context.admit(context.requester.admitted())?;
    let answered = carry_out(desk, method, headers, &segments, &context, body).await?;
    if route.only_reads() {
        // It may have taken long, and is for nobody whose key has ended meanwhile.
        context.authorize()?;
    }
    Ok(cut_with_key(answered, context.requester))
}

async fn carry_out<B: Buf>(
    desk: &Desk,
    method: &Method,
    headers: &HeaderMap,
    segments: &[&str],
    context: &Context,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Problem> {
    let query = &context.query;
    match *segments {
        ["webhooks", ..] => {
            let body = whole(desk, headers, &mut body, ORDER_BYTES, context).await?;
            let (desk, method, context) = (desk.clone(), method.clone(), context.clone());
            to_its_end(async move { webhooks::answer(&desk, method.as_str(), &context, &body).await }).await
        }
        ["keys", ..] => {
            let body = whole(desk, headers, &mut body, ORDER_BYTES, context).await?;
            let (desk, method, context) = (desk.clone(), method.clone(), context.clone());
            to_its_end(async move { keys::answer(&desk, method.as_str(), &context, &body).await }).await
        }
        ["accounts"] => {
            let form = Form::among(&[Form::Page, Form::Lines, Form::Csv], headers);
            reading(desk, query, move |desk, query| accounts::list(desk, query, form)).await
        }
        ["accounts", order] if method == Method::POST => {
            let body = whole(desk, headers, &mut body, ACCOUNTS_ORDER_BYTES, context).await?;
            let (desk, order, context) = (desk.clone(), order.to_owned(), context.clone());
            to_its_end(async move { orders::answer(&desk, &order, &context, &body).await }).await
        }
        ["accounts", number] => {
            let number = number.to_owned();
            reading(desk, query, move |desk, query| accounts::state(desk, &number, query)).await
        }
        ["accounts", number, "events"] => {
            let (number, form) = (number.to_owned(), Form::among(&[Form::Page, Form::Lines], headers));
            reading(desk, query, move |desk, query| accounts::history(desk, &number, query, form)).await
        }
        ["accounts", number, "diff"] => {
            let number = number.to_owned();
            reading(desk, query, move |desk, query| accounts::diff(desk, &number, query)).await
        }
        ["accounts", number, "secrets"] => {
            let body = whole(desk, headers, &mut body, ORDER_BYTES, context).await?;
            secrets::erase(desk, number, context, &body).await
        }
        ["events"] => {
            let headers = headers.clone();
            reading(desk, query, move |desk, query| events::list(desk, query, &headers)).await
        }
        ["acts"] => reading(desk, query, events::acts).await,
        ["log", "checkpoint"] => reading(desk, query, log::checkpoint).await,
        ["log", "public-key"] => log::public_key(desk, query),
        ["log", "proof", "inclusion"] => reading(desk, query, log::inclusion).await,
        ["log", "proof", "consistency"] => reading(desk, query, log::consistency).await,
        ["log", "proof", "account", number] => {
            let number = number.to_owned();
            reading(desk, query, move |desk, query| log::bundle(desk, &number, query)).await
        }
        ["vault", ..] => {
            let body = whole(desk, headers, &mut body, ORDER_BYTES, context).await?;
            let (desk, method, context) = (desk.clone(), method.clone(), context.clone());
            to_its_end(async move { vault::answer(&desk, method.as_str(), &context, &body).await }).await
        }
        ["gateways"] => gateways::list(desk, query),
        ["gateways", name, "reconcile"] => {
            let body = whole(desk, headers, &mut body, ORDER_BYTES, context).await?;
            let (desk, name, context) = (desk.clone(), name.to_owned(), context.clone());
            to_its_end(async move { gateways::reconcile(&desk, &name, &context, &body).await }).await
        }
        ["overview"] => overview::overview(desk, query).await,
        ["settings"] => overview::settings(desk, query),
        ["projections"] => reading(desk, query, upkeep::projections).await,
        ["projections", name, "rebuild"] => upkeep::rebuild(desk, name, context),
        ["verify"] => upkeep::verify(desk, query).await,
        ["replay"] => upkeep::replay(desk, query).await,
        ["export"] => upkeep::export(desk, query),
        ["backup"] => upkeep::backup(desk, context),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "nothing has this path")),
    }
}

/// The body, if whoever sends it may still ask for this: they may have taken their time.
async fn whole<B: Buf>(
    desk: &Desk,
    headers: &HeaderMap,
    body: &mut (impl Stream<Item = Result<B, warp::Error>> + Unpin),
    most: usize,
    context: &Context,
) -> Result<Body, Problem> {
    let body = read(headers, body, most, &desk.inner.room).await?;
    context.authorize()?;
    Ok(body)
}

/// A change goes on to its end though its caller has gone: what is remembered is what is done.
async fn to_its_end(
    change: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    tokio::spawn(change.in_current_span()).await.map_err(|error| Problem::work(&error))?
}

/// What reads the journal does so on a thread for blocking work.
async fn reading(
    desk: &Desk,
    query: &Query,
    work: impl FnOnce(&Desk, &Query) -> Result<Response, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let (desk, query) = (desk.clone(), query.clone());
    let done = tokio::task::spawn_blocking(move || work(&desk, &query));
    done.await.map_err(|error| Problem::work(&error))?
}
