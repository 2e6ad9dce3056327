//! What all requests share: id, trace, caller, deadline, log line. Each API differs in its [`Dialect`].

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::{Stream, TryStreamExt};
use tokio::time::timeout;
use warp::http::{HeaderMap, Method};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::contract_parsing::Query;
use super::endpoint_registry::{EndpointMatch, find_endpoint};
use super::forwarded::ForwardedError;
use super::half_close::SendingHalf;
use super::request_body::drain_unread;
use super::request_head::RequestHead;
use super::request_id::{RequestIdGenerator, X_REQUEST_ID};
use super::request_origin::RequestOrigin;
use super::request_trace::RequestTrace;
use super::routed_request::RoutedRequest;
use crate::access::AuthContext;
use crate::api::TimeLimit;

/// The body of a request, while it arrives.
pub type IncomingBody = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// The time limit of a request, and the error for a request that exceeds it.
pub type ResponseDeadline<Error> = (Duration, fn(Duration) -> Error);

/// Logs that a request was answered, with the module that says it as the target: operators filter the log by modules.
macro_rules! log_answered {
    ($request:expr, $response:expr, $started:expr) => {
        tracing::info!(
            method = $request.method.as_str(),
            path = $request.path,
            status = $response.status().as_u16(),
            micros = $started.elapsed().as_micros() as u64,
            request = %$request.id.id,
            x_request_id = ?$request.id.header,
            "answered"
        )
    };
}

pub(crate) use log_answered;

/// One of the APIs: how it authenticates, calls handlers, and words errors.
pub trait Dialect: Clone + Send + Sync + 'static {
    /// Why a request failed.
    type Error: Send;

    /// Whether its requests belong to a trace.
    const IS_TRACED: bool = true;

    /// The route of the request in a trace: the endpoint's path, or empty if the path is unknown. Ids are placeholders in
    /// it, because each id would otherwise be a separate route.
    fn trace_route(request: &RoutedRequest) -> &str {
        request.endpoint_of_path().map_or("", |endpoint| endpoint.path)
    }

    /// Whether a client that closes its sending half gets its answer. If not, the end of the client's half ends the request.
    const ANSWERS_HALF_CLOSED: bool = true;

    /// Authenticates the requester, and counts the request against the rate limit.
    fn authenticate(&self, request: &RoutedRequest) -> impl Future<Output = Result<AuthContext, Self::Error>> + Send;

    /// Calls the handler of the request's endpoint.
    fn handle(
        &self,
        request: &RoutedRequest,
        auth: AuthContext,
        body: &mut IncomingBody,
    ) -> impl Future<Output = Result<Response, Self::Error>> + Send;

    /// The error for a request whose caller is unknown, because a trusted proxy sent unusable headers.
    fn convert_forwarded_error(error: ForwardedError) -> Self::Error;

    /// The deadline of the response head; `None` for no deadline.
    fn deadline(&self) -> Option<ResponseDeadline<Self::Error>>;

    /// The response to a request that failed.
    fn render_error(&self, request: &RoutedRequest, error: Self::Error) -> Response;

    /// Whether the rest of the body is read after this error, so that the client sees the response.
    fn drains_body(_: &Self::Error) -> bool {
        true
    }

    /// Logs that the request was answered.
    fn log(request: &RoutedRequest, response: &Response, started: Instant) {
        log_answered!(request, response, started);
    }
}

/// Serves every request that reaches this filter with one dialect.
pub fn serve_dialect<D: Dialect>(
    dialect: D,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let ids = Arc::new(RequestIdGenerator::default());
    warp::path::full()
        .and(warp::method())
        // Every query parses as a list of pairs, so this rejects nothing.
        .and(warp::query::<Query>())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<RequestOrigin>())
        .and(warp::ext::optional::<ForwardedError>())
        .and(release_sending_half::<D>())
        .map(
            move |path: FullPath,
                  method: Method,
                  query,
                  raw_query,
                  headers: HeaderMap,
                  origin: Option<RequestOrigin>,
                  forwarded_error| {
                let path = path.as_str().to_owned();
                // Only tests send requests without a connection.
                let origin = origin.unwrap_or(RequestOrigin::LOCAL);
                let (endpoint, path_parameters) = match find_endpoint(&method, &path) {
                    Ok(EndpointMatch { endpoint, path_parameters }) => (Ok(endpoint), path_parameters),
                    Err(reason) => (Err(reason), Vec::new()),
                };
                let id = ids.read_or_generate(&headers);
                let head = RequestHead { method, path, path_parameters, query, raw_query, headers, origin, id };
                RoutedRequest { endpoint, forwarded_error, head: Arc::new(head) }
            },
        )
        .and(warp::body::stream())
        .then(move |request, body| serve(dialect.clone(), request, incoming_body(body)))
}

/// Passes on the end of the client's half, if the dialect says so.
fn release_sending_half<D: Dialect>() -> impl Filter<Extract = (), Error = Infallible> + Clone {
    warp::ext::optional::<SendingHalf>()
        .map(|half: Option<SendingHalf>| {
            if let Some(half) = half.filter(|_| !D::ANSWERS_HALF_CLOSED) {
                half.release();
            }
        })
        .untuple_one()
}

fn incoming_body<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> IncomingBody {
    Box::pin(body.map_ok(|mut piece: B| piece.copy_to_bytes(piece.remaining())))
}

async fn serve<D: Dialect>(dialect: D, request: RoutedRequest, body: IncomingBody) -> Response {
    if !D::IS_TRACED {
        return answer_and_log(dialect, request, body).await;
    }
    let trace = RequestTrace::start(&request.method, D::trace_route(&request), &request.headers, request.id.id);
    trace.run(answer_and_log(dialect, request, body)).await
}

async fn answer_and_log<D: Dialect>(dialect: D, request: RoutedRequest, mut body: IncomingBody) -> Response {
    let started = Instant::now();
    let mut response = match answer(&dialect, &request, &mut body).await {
        Ok(response) => response,
        Err(error) => {
            if D::drains_body(&error) {
                drain_unread(&request.headers, body);
            }
            dialect.render_error(&request, error)
        }
    };
    D::log(&request, &response, started);
    response.headers_mut().insert(X_REQUEST_ID, request.id.header.clone());
    response
}

/// Authenticates, then calls the handler within the deadline.
pub(super) async fn answer<D: Dialect>(
    dialect: &D,
    request: &RoutedRequest,
    body: &mut IncomingBody,
) -> Result<Response, D::Error> {
    if let Some(error) = request.forwarded_error {
        return Err(D::convert_forwarded_error(error));
    }
    // Authentication has no deadline: the authenticator delays rejected keys on purpose, and they must get their own error.
    let auth = dialect.authenticate(request).await?;
    let response = dialect.handle(request, auth, body);
    match dialect.deadline().filter(|_| is_limited(request)) {
        // A command that its actor has received still completes, as when a caller disconnects.
        Some((limit, timed_out)) => timeout(limit, response).await.unwrap_or_else(|_| Err(timed_out(limit))),
        None => response.await,
    }
}

/// Whether the deadline holds for the request. A request without an endpoint needs none: it is answered at once.
fn is_limited(request: &RoutedRequest) -> bool {
    request.endpoint.as_ref().is_ok_and(|endpoint| endpoint.operation.time_limit == TimeLimit::RequestTimeout)
}
