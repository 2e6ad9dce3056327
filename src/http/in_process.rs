//! `/api/v1`, asked in this process: by the command line, which has the data directory, and by pages, for who reads them.

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
use super::v1::{self, ApiState};
use crate::access::{ApiKeys, AuthContext, Authenticator};
use crate::audit::Audit;
use crate::limits::REQUESTS_PER_SECOND;

/// `/api/v1`, for this process. Cheap to clone.
#[derive(Clone)]
pub struct InProcessClient {
    routes: BoxedFilter<(Response,)>,
}

/// A request.
pub struct InProcessRequest<'r> {
    /// For whom.
    pub auth: AuthContext,
    /// Where they are; none at the command line.
    pub peer: Option<SocketAddr>,
    /// The method of HTTP.
    pub method: &'r str,
    /// The path under `/api/v1/`, with its query.
    pub path: &'r str,
    /// The headers that the answer depends on.
    pub headers: &'r [(&'r str, &'r str)],
    /// The body; JSON if there is one.
    pub body: String,
}

/// An answer, as rooms have it that do not know warp.
pub struct InProcessResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body, as it comes.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>,
}

/// Somebody who was let in already.
#[derive(Clone)]
pub(super) struct InProcessAuth(pub(super) AuthContext);

impl InProcessClient {
    /// Answers from `desk`.
    pub fn new(desk: ApiState) -> InProcessClient {
        InProcessClient { routes: v1::routes(desk).boxed() }
    }

    /// Answers from what is in a data directory, where no service runs. Whoever waits at the command line waits as long as
    /// it takes.
    pub fn offline(audit: Audit, keys: ApiKeys) -> InProcessClient {
        let door = Authenticator::new(keys, REQUESTS_PER_SECOND);
        InProcessClient::new(ApiState::new(audit, None, None, door, Duration::MAX, CancellationToken::new()))
    }

    /// Answers a request, as the service would answer it.
    pub async fn send(&self, asked: InProcessRequest<'_>) -> Result<Response, warp::http::Error> {
        let InProcessRequest { auth: pass, peer, method, path, headers, body } = asked;
        let mut request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.header("content-type", "application/json").body(body)?;
        request.extensions_mut().insert(InProcessAuth(pass));
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddress(peer));
        }
        let routes = TowerToHyperService::new(warp::service(self.routes.clone()));
        // A task of its own: warp knows of one request in each, and whoever asks may be answering one. A change goes on to
        // its end though whoever asked has gone.
        let answering = tokio::spawn(async move {
            let Ok(response) = routes.call(request).await;
            response
        });
        Ok(answering.await.unwrap_or_else(|error| v1::task_failure_response(&error)))
    }
}

impl From<Response> for InProcessResponse {
    fn from(response: Response) -> InProcessResponse {
        let status = response.status().as_u16();
        InProcessResponse { status, body: Box::pin(BodyDataStream::new(response.into_body())) }
    }
}
