//! The HTTP API of the contract, and the accept loop under it.
//!
//! | file | what it knows |
//! |---|---|
//! | `endpoint` | the endpoints: methods, and the type of their `data` |
//! | `routes` | paths to endpoints (warp), and what every request has in common |
//! | `body` | reading a body: form, size, deadline |
//! | `fault` | reading JSON, and the sentence that names the field at fault |
//! | `json` | the values in it, strictly typed |
//! | `fields` | the objects in it, with their fields as they were sent |
//! | `requests` | bodies and queries into what is asked, checked whole. Pure |
//! | `handlers` | what is asked into commands, and their outcomes |
//! | `once` | `Idempotency-Key`: a request that is sent again is carried out once |
//! | `cloud_api` | what Meta sends |
//! | `list` | queryWhatsAppStatus: entity tags, gzip |
//! | `envelope` | outcomes and errors into answers |
//! | `error` | why a request is not carried out, with code and sentence |
//! | `v1` | `/api/v1`, for auditors and operators |
//! | `openapi` | the description of it all, and the pages that show it |
//! | `within` | `/api/v1`, asked in this process |
//! | `visitor` | who is asking, by the headers |
//! | `traced` | the trace that a request belongs to |
//! | `request_id` | the id that a request has in answers, log and journal |
//! | `metrics` | `/metrics`: what is measured, as text |
//! | `measured` | requests, counted and timed |
//! | `server` | connections: accept, time out, drain |
//! | `bridge` | `/gateway/v1`: reports come in, commands are fetched |
//! | `cut` | answers that break off with the key of whoever reads them |
//! | `places` | how many there may be, in all and of one address |
//! | `tls` | the certificate that is shown, and whose clients are taken |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod body;
mod bridge;
mod cloud_api;
mod cut;
mod endpoint;
mod envelope;
mod error;
mod fault;
mod fields;
mod handlers;
mod json;
mod list;
mod measured;
mod metrics;
mod once;
mod openapi;
mod places;
mod request_id;
mod requests;
mod routes;
mod server;
mod tls;
mod traced;
mod v1;
mod visitor;
mod within;

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

pub use measured::OfConsole;
pub use openapi::document;
pub use request_id::{Identified, RequestIds, X_REQUEST_ID};
pub use server::Peer;
pub use tls::{Error as TlsError, Tls};
pub use v1::{Desk, ROUTES, Route, Running, routes as audit_routes};
pub use visitor::{enter_page, is_own_page, session_cookie, shown_session};
pub use within::{Asked, Here, Within};

use crate::access::{Door, Keys};
use crate::actors::Accounts;
use crate::answers::Answers;
use crate::audit::Audit;
use crate::config;
use crate::domain::GatewayKind;
use crate::gateway::{Bridge, CloudApi, Gateways};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::projections::Roster;
use crate::vault::Vault;
use crate::webhooks::Webhooks;
use body::Room;
use measured::measured;
use places::Places;

/// What the endpoints work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

/// The rooms behind the API.
pub struct Behind {
    /// The accounts, which commands are for.
    pub accounts: Accounts,
    /// How they are.
    pub roster: Roster,
    /// What seals secrets.
    pub vault: Vault,
    /// What is kept for those who ask again.
    pub answers: Answers,
    /// The journal, as others read it.
    pub audit: Audit,
    /// What is told to receivers.
    pub webhooks: Webhooks,
    /// Where gateways report to; none if the bridge is not set up.
    pub bridge: Option<Bridge>,
    /// Who may come in.
    pub keys: Keys,
    /// Meta's Cloud API, if it is set up.
    pub cloud_api: Option<CloudApi>,
    /// The ways to WhatsApp.
    pub gateways: Gateways,
    /// Which of them serves accounts that no rule names.
    pub default_gateway: GatewayKind,
    /// The settings of all of them, as they are shown.
    pub settings: Arc<[config::Row]>,
}

struct Inner {
    behind: Behind,
    settings: config::Http,
    rules: config::Accounts,
    is_ready: Arc<AtomicBool>,
    request_ids: RequestIds,
    room: Room,
    door: Door,
}

impl Api {
    /// The API over what is behind it. `/readyz` says what `is_ready` says.
    pub fn new(behind: Behind, settings: config::Http, rules: config::Accounts, is_ready: Arc<AtomicBool>) -> Api {
        let (request_ids, room, door) =
            (RequestIds::default(), Room::new(), Door::new(behind.keys.clone(), settings.requests_per_second));
        Api { inner: Arc::new(Inner { behind, settings, rules, is_ready, request_ids, room, door }) }
    }

    /// What `/api/v1` is answered from; what would go on for ever ends with `stop`.
    pub fn desk(&self, stop: CancellationToken) -> Desk {
        let Behind { audit, webhooks, accounts, vault, gateways, default_gateway, settings, .. } = &self.inner.behind;
        let running = Running {
            accounts: accounts.clone(),
            rules: self.rules().clone(),
            vault: vault.clone(),
            gateways: gateways.clone(),
            default_gateway: *default_gateway,
            settings: settings.clone(),
        };
        let request_timeout = self.settings().request_timeout;
        Desk::new(audit.clone(), Some(webhooks.clone()), Some(running), self.door().clone(), request_timeout, stop)
    }

    /// The way in.
    pub fn door(&self) -> &Door {
        &self.inner.door
    }

    fn accounts(&self) -> &Accounts {
        &self.inner.behind.accounts
    }

    fn roster(&self) -> &Roster {
        &self.inner.behind.roster
    }

    fn vault(&self) -> &Vault {
        &self.inner.behind.vault
    }

    fn gateways(&self) -> &Gateways {
        &self.inner.behind.gateways
    }

    fn answers(&self) -> &Answers {
        &self.inner.behind.answers
    }

    fn cloud_api(&self) -> Option<&CloudApi> {
        self.inner.behind.cloud_api.as_ref()
    }

    fn journal(&self) -> &Journal {
        self.inner.behind.audit.journal()
    }

    fn webhooks(&self) -> &Webhooks {
        &self.inner.behind.webhooks
    }

    fn metrics(&self) -> &Metrics {
        self.journal().metrics()
    }

    fn settings(&self) -> &config::Http {
        &self.inner.settings
    }

    fn rules(&self) -> &config::Accounts {
        &self.inner.rules
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready.load(Ordering::Relaxed)
    }

    fn room(&self) -> &Room {
        &self.inner.room
    }

    fn request_ids(&self) -> &RequestIds {
        &self.inner.request_ids
    }
}

/// Serves the API and `pages` on `listener`, over TLS if there is any, until `stop`; then takes no more connections, lets
/// requests under way finish for at most [`DRAIN`](crate::limits::DRAIN), and returns. What no page is at is the API's.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    desk: Desk,
    pages: BoxedFilter<(Response,)>,
    tls: Option<Tls>,
    stop: CancellationToken,
) {
    let &config::Http { max_connections, max_connections_per_address, .. } = api.settings();
    let metrics = api.metrics().clone();
    let places = Places::new(max_connections, max_connections_per_address).measured_by(&metrics);
    let counter = bridge::Counter {
        bridge: api.inner.behind.bridge.clone(),
        door: api.door().clone(),
        room: api.room().clone(),
        is_tls: tls.is_some(),
        stop: stop.clone(),
    };
    let tls = tls.map(|tls| tls.follow(stop.clone()));
    let gateways = bridge::routes(counter).or(cloud_api::routes(api.clone())).unify();
    let routes = v1::routes(desk).or(openapi::routes()).unify().or(gateways).unify();
    let routes = routes.or(pages).unify().or(routes::routes(api)).unify();
    let service = measured(TowerToHyperService::new(warp::service(routes)), metrics);
    server::run(listener, service, places, tls, stop).await;
}

/// Serves any routes as [`serve`] serves the API, without TLS, and as many connections of one address as of all.
pub async fn serve_routes<F>(listener: TcpListener, routes: F, max_connections: usize, stop: CancellationToken)
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let places = Places::new(max_connections, max_connections);
    server::run(listener, TowerToHyperService::new(warp::service(routes)), places, None, stop).await;
}
