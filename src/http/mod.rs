//! The HTTP API of the contract, and the accept loop under it.
//!
//! | file | what it knows |
//! |---|---|
//! | `contract_endpoints` | the endpoints: methods, and the type of their `data` |
//! | `contract_routes` | paths to endpoints (warp), and what every request has in common |
//! | `request_body` | reading a body: form, size, deadline |
//! | `validation_error` | reading JSON, and the sentence that names the field at fault |
//! | `json_values` | the values in it, strictly typed |
//! | `json_objects` | the objects in it, with their fields as they were sent |
//! | `contract_requests` | bodies and queries into what is asked, checked whole. Pure |
//! | `contract_handlers` | what is asked into commands, and their outcomes |
//! | `idempotency_key` | `Idempotency-Key`: a request that is sent again is carried out once |
//! | `meta_webhook` | what Meta sends |
//! | `query_whatsapp_status` | queryWhatsAppStatus: entity tags, gzip |
//! | `envelope` | outcomes and errors into answers |
//! | `error` | why a request is not carried out, with code and sentence |
//! | `v1` | `/api/v1`, for auditors and operators |
//! | `openapi` | the description of it all, and the pages that show it |
//! | `in_process` | `/api/v1`, asked in this process |
//! | `authentication` | who is asking, by the headers |
//! | `request_trace` | the trace that a request belongs to |
//! | `request_id` | the id that a request has in answers, log and journal |
//! | `metrics_endpoint` | `/metrics`: what is measured, as text |
//! | `request_metrics` | requests, counted and timed |
//! | `server` | connections: accept, time out, drain |
//! | `server_socket` | their sockets: reset where a cut answer would look whole |
//! | `bridge_endpoints` | `/gateway/v1`: reports come in, commands are fetched |
//! | `revocation` | answers that break off with the key of whoever reads them |
//! | `connection_limit` | how many there may be, in all and of one address |
//! | `tls` | the certificate that is shown, and whose clients are taken |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod authentication;
mod bridge_endpoints;
mod connection_limit;
mod contract_endpoints;
mod contract_handlers;
mod contract_requests;
mod contract_routes;
mod envelope;
mod error;
mod idempotency_key;
mod in_process;
mod json_objects;
mod json_values;
mod meta_webhook;
mod metrics_endpoint;
mod openapi;
mod query_whatsapp_status;
mod request_body;
mod request_id;
mod request_metrics;
mod request_trace;
mod revocation;
mod server;
mod server_socket;
mod tls;
mod v1;
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
pub use in_process::{InProcessClient, InProcessRequest, InProcessResponse};
pub use openapi::render_openapi;
pub use request_id::{IncomingRequestId, RequestIdGenerator, X_REQUEST_ID};
pub use request_metrics::ConsoleResponse;
pub use server::PeerAddress;
pub use tls::{Error as TlsError, TlsReloader};
pub use v1::{API_ENDPOINTS, ApiEndpoint, ApiState, ServiceHandles, routes as audit_routes};

use crate::access::{ApiKeys, Authenticator};
use crate::actors::Accounts;
use crate::answers::IdempotencyRecords;
use crate::audit::Audit;
use crate::config;
use crate::domain::GatewayKind;
use crate::gateway::{Bridge, CloudApi, GatewayRegistry};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::projections::Roster;
use crate::vault::Vault;
use crate::webhooks::Webhooks;
use connection_limit::ConnectionLimit;
use request_body::MemoryBudget;
use request_metrics::with_metrics;

/// What the endpoints work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<ApiInner>,
}

/// The rooms behind the API.
pub struct ApiDependencies {
    /// The accounts, which commands are for.
    pub accounts: Accounts,
    /// How they are.
    pub roster: Roster,
    /// What seals secrets.
    pub vault: Vault,
    /// What is kept for those who ask again.
    pub idempotency: IdempotencyRecords,
    /// The journal, as others read it.
    pub audit: Audit,
    /// What is told to receivers.
    pub webhooks: Webhooks,
    /// Where gateways report to; none if the bridge is not set up.
    pub bridge: Option<Bridge>,
    /// Who may come in.
    pub keys: ApiKeys,
    /// Meta's Cloud API, if it is set up.
    pub cloud_api: Option<CloudApi>,
    /// The ways to WhatsApp.
    pub gateways: GatewayRegistry,
    /// Which of them serves accounts that no rule names.
    pub default_gateway: GatewayKind,
    /// The settings of all of them, as they are shown.
    pub settings: Arc<[config::SettingRow]>,
}

struct ApiInner {
    dependencies: ApiDependencies,
    settings: config::HttpSettings,
    rules: config::AccountSettings,
    is_ready: Arc<AtomicBool>,
    request_ids: RequestIdGenerator,
    memory_budget: MemoryBudget,
    authenticator: Authenticator,
}

impl Api {
    /// The API over what is behind it. `/readyz` says what `is_ready` says.
    pub fn new(
        behind: ApiDependencies,
        settings: config::HttpSettings,
        rules: config::AccountSettings,
        is_ready: Arc<AtomicBool>,
    ) -> Api {
        let (request_ids, room, door) = (
            RequestIdGenerator::default(),
            MemoryBudget::new(),
            Authenticator::new(behind.keys.clone(), settings.requests_per_second),
        );
        Api {
            inner: Arc::new(ApiInner {
                dependencies: behind,
                settings,
                rules,
                is_ready,
                request_ids,
                memory_budget: room,
                authenticator: door,
            }),
        }
    }

    /// What `/api/v1` is answered from; what would go on for ever ends with `stop`.
    pub fn v1_state(&self, stop: CancellationToken) -> ApiState {
        let ApiDependencies { audit, webhooks, accounts, vault, gateways, default_gateway, settings, .. } =
            &self.inner.dependencies;
        let running = ServiceHandles {
            accounts: accounts.clone(),
            rules: self.rules().clone(),
            vault: vault.clone(),
            gateways: gateways.clone(),
            default_gateway: *default_gateway,
            settings: settings.clone(),
        };
        let request_timeout = self.settings().request_timeout;
        ApiState::new(
            audit.clone(),
            Some(webhooks.clone()),
            Some(running),
            self.authenticator().clone(),
            request_timeout,
            stop,
        )
    }

    /// The way in.
    pub fn authenticator(&self) -> &Authenticator {
        &self.inner.authenticator
    }

    fn accounts(&self) -> &Accounts {
        &self.inner.dependencies.accounts
    }

    fn roster(&self) -> &Roster {
        &self.inner.dependencies.roster
    }

    fn vault(&self) -> &Vault {
        &self.inner.dependencies.vault
    }

    fn gateways(&self) -> &GatewayRegistry {
        &self.inner.dependencies.gateways
    }

    fn idempotency(&self) -> &IdempotencyRecords {
        &self.inner.dependencies.idempotency
    }

    fn cloud_api(&self) -> Option<&CloudApi> {
        self.inner.dependencies.cloud_api.as_ref()
    }

    fn journal(&self) -> &Journal {
        self.inner.dependencies.audit.journal()
    }

    fn webhooks(&self) -> &Webhooks {
        &self.inner.dependencies.webhooks
    }

    fn metrics(&self) -> &Metrics {
        self.journal().metrics()
    }

    fn settings(&self) -> &config::HttpSettings {
        &self.inner.settings
    }

    fn rules(&self) -> &config::AccountSettings {
        &self.inner.rules
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready.load(Ordering::Relaxed)
    }

    fn memory_budget(&self) -> &MemoryBudget {
        &self.inner.memory_budget
    }

    fn request_ids(&self) -> &RequestIdGenerator {
        &self.inner.request_ids
    }
}

/// Serves the API and `pages` on `listener`, over TLS if there is any, until `stop`; then takes no more connections, lets
/// requests under way finish for at most [`DRAIN`](crate::limits::DRAIN), and returns. What no page is at is the API's.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    desk: ApiState,
    pages: BoxedFilter<(Response,)>,
    tls: Option<TlsReloader>,
    stop: CancellationToken,
) {
    let &config::HttpSettings { max_connections, max_connections_per_address, .. } = api.settings();
    let metrics = api.metrics().clone();
    let places = ConnectionLimit::new(max_connections, max_connections_per_address).with_metrics(&metrics);
    let counter = bridge_endpoints::BridgeState {
        bridge: api.inner.dependencies.bridge.clone(),
        authenticator: api.authenticator().clone(),
        memory_budget: api.memory_budget().clone(),
        is_tls: tls.is_some(),
        stop: stop.clone(),
    };
    let tls = tls.map(|tls| tls.watch(stop.clone()));
    let gateways = bridge_endpoints::routes(counter).or(meta_webhook::routes(api.clone())).unify();
    let routes = v1::routes(desk).or(openapi::routes()).unify().or(gateways).unify();
    let routes = routes.or(pages).unify().or(contract_routes::routes(api)).unify();
    let service = with_metrics(TowerToHyperService::new(warp::service(routes)), metrics);
    server::run(listener, service, places, tls, stop).await;
}

/// Serves any routes as [`serve`] serves the API, without TLS, and as many connections of one address as of all.
pub async fn serve_routes<F>(listener: TcpListener, routes: F, max_connections: usize, stop: CancellationToken)
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let places = ConnectionLimit::new(max_connections, max_connections);
    server::run(listener, TowerToHyperService::new(warp::service(routes)), places, None, stop).await;
}
