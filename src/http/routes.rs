//! Paths to endpoints, and what every request has in common: its id, its answer's envelope, its line in the log.

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

use super::cut::cut_with_key;
use super::endpoint::Endpoint;
use super::envelope::{Answer, Reply, respond};
use super::error::Error;
use super::handlers::{Call, Post};
use super::request_id::{Identified, X_REQUEST_ID};
use super::requests::{Import, Query};
use super::server::Peer;
use super::traced::Traced;
use super::{Api, body, handlers, list, metrics, once, visitor};
use crate::access::{Denied, Pass, Requester};

/// All that the API answers.
pub(super) fn routes(
    api: Api,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    endpoint()
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        // A list of pairs is what any query can be read as, so this refuses none.
        .and(warp::query::<Query>())
        .and(warp::ext::optional::<Peer>())
        .map(|endpoint, method, path, headers, query, peer| Request { endpoint, method, path, headers, query, peer })
        .and(warp::body::stream())
        .then(move |request, body| answer(api.clone(), request, body))
}

/// A request but for its body.
struct Request {
    endpoint: Endpoint,
    method: Method,
    path: FullPath,
    headers: HeaderMap,
    query: Query,
    peer: Option<Peer>,
}

/// The endpoint that the path names. It is found before the method is looked at, so that a wrong method is answered
/// with the endpoint's own type of `data` and its `Allow`.
fn endpoint() -> impl Filter<Extract = (Endpoint,), Error = Infallible> + Clone + Send + Sync + 'static {
    let whatsapp = leaf("batchOnline", Endpoint::BatchOnline)
        .or(leaf("queryWhatsAppStatus", Endpoint::QueryWhatsAppStatus))
        .unify()
        .or(leaf("batchInsert", Endpoint::BatchInsert))
        .unify()
        .or(leaf("batchRecycle", Endpoint::BatchRecycle))
        .unify();
    let register =
        leaf("submitPhone", Endpoint::SubmitPhone).or(leaf("submitVerifyCode", Endpoint::SubmitVerifyCode)).unify();
    let contract = warp::path("group-dispatch-api")
        .and(warp::path("whatsapp").and(whatsapp).or(warp::path("register").and(register)).unify());
    contract
        .or(leaf("healthz", Endpoint::Health))
        .unify()
        .or(leaf("readyz", Endpoint::Ready))
        .unify()
        .or(leaf("metrics", Endpoint::Metrics))
        .unify()
        .or(warp::any().map(|| Endpoint::Unknown))
        .unify()
}

fn leaf(
    name: &'static str,
    endpoint: Endpoint,
) -> impl Filter<Extract = (Endpoint,), Error = Rejection> + Copy + Send + Sync + 'static {
    warp::path(name).and(warp::path::end()).map(move || endpoint)
}

async fn answer<S, B>(api: Api, request: Request, body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin + Send + 'static,
    B: Buf + Send,
{
    let identified = api.request_ids().identify(&request.headers);
    let traced = Traced::begin(&request.method, request.endpoint.path(), &request.headers, identified.id);
    traced.answer(answer_identified(api, request, identified, body)).await
}

async fn answer_identified<S, B>(api: Api, request: Request, identified: Identified, mut body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin + Send + 'static,
    B: Buf + Send,
{
    let begun = Instant::now();
    let Identified { id, header } = identified;
    let limit = api.settings().request_timeout;
    let result = match admit(&api, &request).await {
        Ok(pass) => {
            let from = request.peer.map_or_else(String::new, |Peer(peer)| peer.to_string());
            let caller = Requester::new(api.door().keys().clone(), pass, request.endpoint.need(), id, from);
            let answered = timeout(limit, dispatch(&api, &request, &mut body, caller));
            // Commands that are in their accounts' mailboxes by then go on to their end, as where a caller hangs up.
            answered.await.unwrap_or(Err(Error::Late { limit }))
        }
        // However long a refused key waits, it is told so.
        Err(denied) => Err(denied.into()),
    };
    if let Err(error) = &result {
        if error.code() == 500 {
            let cause = error as &dyn std::error::Error;
            tracing::error!(request = %id, x_request_id = ?header, error = cause, "a request failed inside");
        }
        // Who was too slow once is not waited for again.
        if !matches!(error, Error::SlowBody) {
            body::linger(&request.headers, body);
        }
    }
    let mut response = respond(request.endpoint, result, api.settings().always_200);
    tracing::info!(
        method = request.method.as_str(),
        path = request.path.as_str(),
        status = response.status().as_u16(),
        micros = begun.elapsed().as_micros() as u64,
        request = %id,
        x_request_id = ?header,
        "answered"
    );
    response.headers_mut().insert(X_REQUEST_ID, header);
    response
}

/// Whoever asks, if they may. Whether the service runs may be asked by anybody.
async fn admit(api: &Api, request: &Request) -> Result<Pass, Denied> {
    // Requests that no connection brings are those of tests.
    let from = request.peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |Peer(peer)| peer.ip());
    let pass = match request.endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Unknown => return Ok(Pass::ANONYMOUS),
        Endpoint::Metrics => {
            let pass = visitor::enter(api.door(), &request.headers, from).await?;
            pass.needs_all().map(|()| pass)?
        }
        Endpoint::BatchInsert
        | Endpoint::QueryWhatsAppStatus
        | Endpoint::BatchOnline
        | Endpoint::BatchRecycle
        | Endpoint::SubmitPhone
        | Endpoint::SubmitVerifyCode => visitor::enter_documented(api.door(), &request.headers, from).await?,
    };
    pass.needs(request.endpoint.need()).map(|()| pass)
}

async fn dispatch<S, B>(api: &Api, request: &Request, body: &mut S, caller: Requester) -> Result<Reply, Error>
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin,
    B: Buf,
{
    let Request { endpoint, method, headers, query, .. } = request;
    if *endpoint == Endpoint::Unknown {
        return Err(Error::NoSuchPath);
    }
    if !endpoint.takes(method) {
        return Err(Error::Method(*endpoint));
    }
    let post = match endpoint {
        Endpoint::BatchInsert => Post::Import(Import::Insert),
        Endpoint::BatchOnline => Post::Import(Import::Online),
        Endpoint::BatchRecycle => Post::Recycle,
        Endpoint::SubmitPhone => Post::Phone,
        Endpoint::SubmitVerifyCode => Post::Code,
        Endpoint::QueryWhatsAppStatus => {
            let list = list::answer(api, query, headers, caller.authorize()?.pass()).await?;
            return Ok(Reply::Made(cut_with_key(list, caller)));
        }
        Endpoint::Metrics => return metrics::answer(api).await.map(Reply::Made),
        Endpoint::Ready if !api.is_ready() => return Err(Error::NotReady),
        Endpoint::Health | Endpoint::Ready => return Ok(Reply::Answer(Answer::Success)),
        Endpoint::Unknown => return Err(Error::NoSuchPath),
    };
    let key = once::key(headers)?;
    let body = body::read(headers, body, api.settings().max_body_bytes, api.room()).await?;
    let call = Call { endpoint: *endpoint, post, query: query.clone(), body, caller };
    match key {
        Some(key) => once::answer(api, key, call).await,
        None => handlers::carry_out(api, call).await.map(Reply::Answer),
    }
}
