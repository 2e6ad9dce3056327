//! `/api/v1`, for auditors and operators. It uses real HTTP statuses, and problem details (RFC 9457) for errors.
//!
//! | file | what it knows |
//! |---|---|
//! | `endpoint_list` | paths, methods, required permissions |
//! | `routes` | routing of requests, with authentication, deadline and log line |
//! | `request_context` | context of a request for its handler, with the permission check |
//! | `query_parameters` | parses and validates path and query parameters |
//! | `response_format` | content negotiation by `Accept` |
//! | `problem` | errors as problem details |
//! | `accounts` | accounts, their state, their history |
//! | `events` | events: pages, streams, the live tail; the audit log |
//! | `log_proofs` | checkpoints and proofs |
//! | `webhooks` | webhooks: receivers, secrets, deliveries, dead letters |
//! | `api_keys` | API keys |
//! | `account_orders` | an operator's orders to bring accounts online or recycle them |
//! | `gateways` | gateways, their health, reconciliation |
//! | `overview` | the state of the service in one response; the settings |
//! | `account_secrets` | erasure of an account's secrets |
//! | `master_key` | the master key: status and rotation |
//! | `maintenance` | projections, verification, replay, export, backup |
//! | `response_body` | streamed response bodies |

pub(super) mod account_orders;
pub(super) mod account_secrets;
pub(super) mod accounts;
pub(super) mod api_keys;
mod endpoint_list;
pub(super) mod events;
pub(super) mod gateways;
mod log_proofs;
pub(super) mod maintenance;
pub(super) mod master_key;
pub(super) mod overview;
pub(super) mod problem;
mod query_parameters;
mod request_context;
mod response_body;
mod response_format;
mod routes;
// The code that utoipa derives for optional fields has unnecessary qualifications.
#[allow(unused_qualifications)]
pub(super) mod webhooks;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

pub use endpoint_list::{API_ENDPOINTS, ApiEndpoint};
pub use routes::routes;

use super::request_body::MemoryBudget;
use crate::access::Authenticator;
use crate::actors::Accounts;
use crate::audit::Audit;
use crate::config;
use crate::domain::GatewayKind;
use crate::gateway::GatewayRegistry;
use crate::limits::{LIVE_TAIL_READERS, STREAMED_RESPONSES};
use crate::vault::Vault;
use crate::webhooks::Webhooks;
use problem::Problem;

/// State shared by the endpoints of `/api/v1`. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    inner: Arc<ApiStateInner>,
}

struct ApiStateInner {
    audit: Audit,
    /// `None` without a running service.
    webhooks: Option<Webhooks>,
    /// `None` without a running service.
    service: Option<ServiceHandles>,
    authenticator: Authenticator,
    memory_budget: MemoryBudget,
    /// Limits concurrent readers of the live tail.
    live_reader_permits: Arc<Semaphore>,
    /// Limits concurrent streamed responses.
    stream_permits: Arc<Semaphore>,
    /// Allows one reader of the whole journal at a time.
    full_scan_permit: Arc<Semaphore>,
    rebuild: RebuildState,
    /// From the request head to the response head. Endpoints that read the whole journal have no deadline.
    request_timeout: Duration,
    /// Ends streams that have no end of their own.
    stop: CancellationToken,
}

/// Parts that only a running service has, except the webhooks. Cheap to clone.
#[derive(Clone)]
pub struct ServiceHandles {
    /// Executes commands on accounts.
    pub accounts: Accounts,
    /// The settings of accounts.
    pub rules: config::AccountSettings,
    /// Seals secrets.
    pub vault: Vault,
    /// The gateways.
    pub gateways: GatewayRegistry,
    /// The gateway of accounts that no rule names.
    pub default_gateway: GatewayKind,
    /// All settings in effect, as displayed.
    pub settings: Arc<[config::SettingRow]>,
}

/// The running rebuild of the roster, and the result of the last one.
#[derive(Default)]
struct RebuildState {
    is_running: AtomicBool,
    position: AtomicU64,
    last: Mutex<Option<RebuildResult>>,
}

/// How a rebuild ended.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Rebuilt)]
struct RebuildResult {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// How many events were folded.
    events: String,
    /// Accounts that were listed otherwise before.
    differences: u64,
}

/// The response when the task of a request panicked.
pub(super) fn task_failure_response(error: &tokio::task::JoinError) -> Response {
    Problem::task_failed(error).respond()
}

impl ApiState {
    /// Creates the state. `webhooks` and `service` are `None` without a running service. `stop` ends endless streams.
    pub fn new(
        audit: Audit,
        webhooks: Option<Webhooks>,
        running: Option<ServiceHandles>,
        authenticator: Authenticator,
        request_timeout: Duration,
        stop: CancellationToken,
    ) -> ApiState {
        let (readers, streams) =
            (Arc::new(Semaphore::new(LIVE_TAIL_READERS)), Arc::new(Semaphore::new(STREAMED_RESPONSES)));
        let (reading, rebuild) = (Arc::new(Semaphore::new(1)), RebuildState::default());
        let memory_budget = MemoryBudget::new();
        ApiState {
            inner: Arc::new(ApiStateInner {
                audit,
                webhooks,
                service: running,
                authenticator,
                memory_budget,
                live_reader_permits: readers,
                stream_permits: streams,
                full_scan_permit: reading,
                rebuild,
                request_timeout,
                stop,
            }),
        }
    }

    fn webhooks(&self) -> Result<&Webhooks, Problem> {
        let words = "webhooks are sent by a running service, and none runs here; ask one with --server";
        self.inner.webhooks.as_ref().ok_or_else(|| Problem::new(StatusCode::CONFLICT, words))
    }

    fn service(&self) -> Result<&ServiceHandles, Problem> {
        let words = "this is done by a running service, and none runs here; ask one with --server";
        self.inner.service.as_ref().ok_or_else(|| Problem::new(StatusCode::CONFLICT, words))
    }

    fn audit(&self) -> &Audit {
        &self.inner.audit
    }
}
