//! A client of `/api/v1` inside this process, for console pages and for the command line on a data directory.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyDataStream;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::Request;
use warp::reply::Response;

use super::server::PeerAddress;
use super::v1_routes::v1_routes;
use crate::access::{ApiKeys, AuthContext, Authenticator};
use crate::api::{ApiState, Problem};
use crate::audit::Audit;
use crate::limits::REQUESTS_PER_SECOND;

/// A client of `/api/v1` inside this process. Cheap to clone.
#[derive(Clone)]
pub struct InProcessClient {
    routes: BoxedFilter<(Response,)>,
}

/// A request inside this process.
pub struct InProcessRequest<'r> {
    /// The authenticated requester.
    pub auth: AuthContext,
    /// Remote address of the requester; `None` for the command line.
    pub peer: Option<SocketAddr>,
    /// The HTTP method.
    pub method: &'r str,
    /// The path below `/api/v1/`, with its query.
    pub path: &'r str,
    /// The request headers.
    pub headers: &'r [(&'r str, &'r str)],
    /// The body: JSON, or empty.
    pub body: String,
}

/// A response, for modules that do not use warp.
pub struct InProcessResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body, as a stream.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>,
}

/// A requester that is already authenticated; travels as a request extension.
#[derive(Clone)]
pub(super) struct InProcessAuth(pub(super) AuthContext);

impl InProcessClient {
    /// Creates a client of `state`.
    pub fn new(state: ApiState) -> InProcessClient {
        InProcessClient { routes: v1_routes(state).boxed() }
    }

    /// Creates a client of a data directory where no service runs. Its requests have no deadline.
    pub fn offline(audit: Audit, keys: ApiKeys) -> InProcessClient {
        let authenticator = Authenticator::new(keys, REQUESTS_PER_SECOND);
        InProcessClient::new(ApiState::new(audit, None, None, authenticator, Duration::MAX, CancellationToken::new()))
    }

    /// Sends a request. The response is the same as over HTTP.
    pub async fn send(&self, parts: InProcessRequest<'_>) -> Result<Response, warp::http::Error> {
        let InProcessRequest { auth, peer, method, path, headers, body } = parts;
        let mut request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.header("content-type", "application/json").body(body)?;
        request.extensions_mut().insert(InProcessAuth(auth));
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddress(peer));
        }
        let routes = TowerToHyperService::new(warp::service(self.routes.clone()));
        // warp tracks one request per task, and the calling task may be serving one already: so a task of its own. It also
        // completes a change whose requester has disconnected.
        let answering = tokio::spawn(async move {
            let Ok(response) = routes.call(request).await;
            response
        });
        Ok(answering.await.unwrap_or_else(|error| Problem::task_failed(&error).respond()))
    }
}

impl From<Response> for InProcessResponse {
    fn from(response: Response) -> InProcessResponse {
        let status = response.status().as_u16();
        InProcessResponse { status, body: Box::pin(BodyDataStream::new(response.into_body())) }
    }
}
