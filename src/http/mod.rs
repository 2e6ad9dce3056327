//! The HTTP API and its server.
//!
//! The contract is the API document that defines the six documented calls. A dialect is how one of the APIs authenticates
//! requests and words errors.
//!
//! | file | what it knows |
//! |---|---|
//! | `endpoint` | an endpoint: route, operation, handler, its part of the OpenAPI document |
//! | `endpoint_registry` | the list of all endpoints; finds the endpoint of a request |
//! | `middleware` | what all requests share: id, trace, caller, deadline, log line |
//! | `request_head` | the head of a request |
//! | `routed_request` | a request with its endpoint |
//! | `contract_endpoints` | the six documented calls |
//! | `contract_docs` | what the documented calls share in the OpenAPI document |
//! | `contract_dialect` | how the documented calls authenticate, and how their errors become envelopes |
//! | `contract_request` | a request of the contract, as its handler gets it |
//! | `contract_parsing` | parses and validates bodies and queries of the contract. Pure |
//! | `numbering_plan` | which phone a caller of submitPhone probably meant. Pure |
//! | `contract_handlers` | handlers of the contract's POST endpoints |
//! | `query_whatsapp_status` | queryWhatsAppStatus: entity tags, gzip |
//! | `idempotency_key` | `Idempotency-Key`: a repeated request is executed once |
//! | `contract_envelope` | turns outcomes and errors into responses |
//! | `contract_error` | errors of the contract's endpoints, with code and message |
//! | `health_endpoints` | health, and the metrics in text format |
//! | `v1` | the endpoints of `/api/v1`, for auditors and operators |
//! | `v1_dialect` | how `/api/v1` authenticates, and how its errors become problems |
//! | `v1_idempotency` | `Idempotency-Key` at `/api/v1` |
//! | `v1_request` | a request of `/api/v1`, as its handler gets it |
//! | `bridge_endpoints` | `/gateway/v1`: gateways send reports and fetch commands |
//! | `bridge_dialect` | how `/gateway/v1` authenticates, and how it responds to errors |
//! | `bridge_request` | a gateway's request, as its handler gets it |
//! | `bridge_response` | responses to gateways |
//! | `meta_webhook` | Meta's webhook |
//! | `meta_dialect` | how Meta's webhook authenticates and responds |
//! | `meta_request` | a request from Meta, as its handler gets it |
//! | `operation_doc` | builder of one operation of the OpenAPI document |
//! | `order_reason` | `X-Muster-Reason`: why a caller gives an order |
//! | `parameter_schemas` | schemas of parameters, with their bounds |
//! | `openapi` | the OpenAPI document and Swagger UI |
//! | `body_type` | the media types of bodies |
//! | `request_body` | reading a body: content type, size, deadline |
//! | `validation_error` | parsing JSON, and the sentence that names the invalid field |
//! | `label_entries` | the object `labels` of a request, as sent |
//! | `json_values` | JSON values of requests, strictly typed |
//! | `json_objects` | JSON objects of the contract's requests, with the fields as sent |
//! | `account_fields` | one account of batchInsert or batchOnline, with the fields as sent |
//! | `authentication` | authentication of a request by its headers |
//! | `request_trace` | the trace that a request belongs to |
//! | `request_id` | the id of a request in response, log and journal |
//! | `request_origin` | where a request comes from: the caller's address, scheme and host, also behind a trusted proxy |
//! | `forwarded` | `Forwarded` and `X-Forwarded-*` of reverse proxies. Pure |
//! | `base_path` | the path prefix under which a reverse proxy serves Muster |
//! | `request_metrics` | counts and times requests |
//! | `server` | connections: accept, time out, drain at shutdown |
//! | `server_socket` | the socket of a connection: a reset where a normal close would make an incomplete response look complete |
//! | `half_close` | clients that close their sending half after a request |
//! | `kept_response` | keeps a value until a response is sent |
//! | `revocation` | aborts long responses when the reader's key ends |
//! | `connection_limit` | the limit on open connections, in total and per address |
//! | `tls` | TLS: the server certificate, the CAs of accepted clients, the reload of their files |
//! | `fuzz` | fuzz targets: parsers and whole requests. Only for tests and fuzzing |

mod account_fields;
mod authentication;
mod base_path;
mod body_type;
mod bridge_dialect;
mod bridge_endpoints;
mod bridge_request;
mod bridge_response;
mod connection_limit;
mod contract_dialect;
mod contract_docs;
mod contract_endpoints;
mod contract_envelope;
mod contract_error;
mod contract_handlers;
mod contract_parsing;
mod contract_request;
mod endpoint;
mod endpoint_registry;
mod forwarded;
mod half_close;
mod health_endpoints;
mod idempotency_key;
mod json_objects;
mod json_values;
mod kept_response;
mod label_entries;
mod meta_dialect;
mod meta_request;
mod meta_webhook;
mod middleware;
mod numbering_plan;
mod openapi;
mod operation_doc;
mod order_reason;
mod parameter_schemas;
mod query_whatsapp_status;
mod request_body;
mod request_head;
mod request_id;
mod request_metrics;
mod request_origin;
mod request_trace;
mod revocation;
mod routed_request;
mod server;
mod server_socket;
mod tls;
mod v1;
mod v1_dialect;
mod v1_idempotency;
mod v1_request;
mod validation_error;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

pub use authentication::{authenticate_page, is_same_origin, session_cookie, session_from_cookie};
pub use endpoint::Endpoint;
pub use endpoint_registry::{endpoints, is_endpoint_path};
pub use forwarded::ForwardedError;
pub(crate) use middleware::log_answered;
pub use middleware::{Dialect, IncomingBody, ResponseDeadline, serve_dialect};
pub use openapi::render_openapi;
pub use request_head::RequestHead;
pub use request_id::RequestIdGenerator;
pub use request_metrics::ConsoleResponse;
pub use request_origin::RequestOrigin;
pub use revocation::abort_when_key_ends;
pub use routed_request::RoutedRequest;
pub use tls::{Error as TlsError, TlsReloader};
pub use v1::{
    CSV_LINES, JSON, JSON_LINES, LineFormat, bytes_response, event_stream_response, last_event_id, lines_response,
};
pub use v1_dialect::v1_routes;

use crate::access::Authenticator;
use crate::api::{ApiState, ServiceHandles};
use crate::config;
use crate::gateway::{Bridge, CloudApi};
use crate::idempotency::IdempotencyRecords;
use crate::journal::Journal;
use crate::metrics::Metrics;
use base_path::BasePath;
use bridge_dialect::BridgeDialect;
use bridge_request::BridgeState;
use connection_limit::ConnectionLimit;
use contract_dialect::ContractDialect;
use meta_dialect::MetaDialect;
use request_body::MemoryBudget;
use request_metrics::with_metrics;
use request_origin::OriginReader;

/// State shared by the endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<ApiInner>,
}

struct ApiInner {
    state: ApiState,
    service: ServiceHandles,
    settings: config::HttpSettings,
    is_ready: Arc<AtomicBool>,
    memory_budget: MemoryBudget,
}

impl Api {
    /// Creates the API. `/readyz` reports `is_ready`.
    pub fn new(
        state: ApiState,
        service: ServiceHandles,
        settings: config::HttpSettings,
        is_ready: Arc<AtomicBool>,
    ) -> Api {
        let memory_budget = MemoryBudget::new();
        Api { inner: Arc::new(ApiInner { state, service, settings, is_ready, memory_budget }) }
    }

    fn state(&self) -> &ApiState {
        &self.inner.state
    }

    fn service(&self) -> &ServiceHandles {
        &self.inner.service
    }

    fn authenticator(&self) -> &Authenticator {
        self.state().authenticator()
    }

    fn idempotency(&self) -> &IdempotencyRecords {
        &self.service().idempotency
    }

    fn cloud_api(&self) -> Option<&CloudApi> {
        self.service().gateways.find()
    }

    fn journal(&self) -> &Journal {
        self.state().audit().journal()
    }

    fn metrics(&self) -> &Metrics {
        self.journal().metrics()
    }

    fn settings(&self) -> &config::HttpSettings {
        &self.inner.settings
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready.load(Ordering::Relaxed)
    }

    fn memory_budget(&self) -> &MemoryBudget {
        &self.inner.memory_budget
    }
}

/// Serves the API and `pages` on `listener` until `stop`, over TLS if `tls` is given. Pages take precedence over the contract's
/// endpoints.
/// At `stop` it accepts no more connections, lets running requests finish for at most
/// [`DRAIN_TIMEOUT`](crate::limits::DRAIN_TIMEOUT), and returns.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    pages: BoxedFilter<(Response,)>,
    tls: Option<TlsReloader>,
    stop: CancellationToken,
) {
    let &config::HttpSettings { max_connections, max_connections_per_address, .. } = api.settings();
    let metrics = api.metrics().clone();
    let connection_limit = ConnectionLimit::new(max_connections, max_connections_per_address).with_metrics(&metrics);
    let bridge = BridgeDialect(BridgeState {
        bridge: api.service().gateways.find::<Bridge>().cloned(),
        authenticator: api.authenticator().clone(),
        memory_budget: api.memory_budget().clone(),
        stop: stop.clone(),
    });
    let trusted_proxies = api.settings().trusted_proxies.as_deref().unwrap_or_default();
    let base_path = BasePath::new(api.settings().base_path.as_deref());
    let origins = OriginReader::new(trusted_proxies, tls.is_some()).with_base_path(base_path.clone());
    let tls = tls.map(|tls| tls.watch(stop.clone()));
    let bridge = warp::path("gateway").and(warp::path("v1")).and(serve_dialect(bridge));
    let meta = warp::path!("gateway" / "cloud-api" / "webhook").and(serve_dialect(MetaDialect(api.clone())));
    let routes =
        v1_routes(api.state().clone()).or(openapi::routes(base_path)).unify().or(bridge).unify().or(meta).unify();
    let routes = routes.or(pages).unify().or(serve_dialect(ContractDialect(api))).unify();
    let service = with_metrics(TowerToHyperService::new(warp::service(routes)), metrics);
    server::run(listener, service, connection_limit, origins, tls, stop).await;
}

/// Serves any routes as [`serve`] does, without TLS and without a limit per address.
pub async fn serve_routes<F>(listener: TcpListener, routes: F, max_connections: usize, stop: CancellationToken)
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let connection_limit = ConnectionLimit::new(max_connections, max_connections);
    let (service, origins) = (TowerToHyperService::new(warp::service(routes)), OriginReader::new(&[], false));
    server::run(listener, service, connection_limit, origins, None, stop).await;
}
