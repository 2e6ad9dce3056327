//! `/api/v1`: for auditors and operators. Real HTTP statuses, errors as problems (RFC 9457).
//!
//! | file | what it knows |
//! |---|---|
//! | `endpoint_list` | paths, methods, and what a key must be for |
//! | `routes` | requests to answers |
//! | `request_context` | what a handler knows of its request, and whether it may go on |
//! | `query_parameters` | what stands in the URL, checked |
//! | `response_format` | the form in which an answer is wanted |
//! | `problem` | errors as others read them |
//! | `accounts` | accounts, their state, their history |
//! | `events` | all facts: pages, streams, the live tail; administrative acts |
//! | `log_proofs` | checkpoints and proofs |
//! | `webhooks` | the webhooks: receivers, secrets, deliveries, dead letters |
//! | `api_keys` | the API keys |
//! | `account_orders` | accounts are brought online, or recycled, by an operator |
//! | `gateways` | the ways to WhatsApp, their sessions |
//! | `overview` | how everything is, in one answer; the settings |
//! | `account_secrets` | secrets are erased |
//! | `master_key` | the master key: how it is, its rotation |
//! | `maintenance` | projections, verification, replay, export, backup |
//! | `response_body` | bodies that are made while they are sent |

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
// What utoipa derives of optional fields names more than it must.
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

/// What the answers are made from. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    inner: Arc<ApiStateInner>,
}

struct ApiStateInner {
    audit: Audit,
    /// None where no service runs.
    webhooks: Option<Webhooks>,
    /// None where no service runs.
    service: Option<ServiceHandles>,
    /// Who may come in.
    authenticator: Authenticator,
    /// Room for bodies.
    memory_budget: MemoryBudget,
    /// Places for readers of the live tail.
    live_reader_permits: Arc<Semaphore>,
    /// Places for answers that are made while they are sent.
    stream_permits: Arc<Semaphore>,
    /// Held by what reads everything: one at a time.
    full_scan_permit: Arc<Semaphore>,
    rebuild: RebuildState,
    /// From a request's head to its answer's head, where work does not take as long as the journal.
    request_timeout: Duration,
    /// Ends what would go on for ever.
    stop: CancellationToken,
}

/// What only a running service has, beside the webhooks. Cheap to clone.
#[derive(Clone)]
pub struct ServiceHandles {
    /// The accounts, which commands are for.
    pub accounts: Accounts,
    /// What follows from what happens to them.
    pub rules: config::AccountSettings,
    /// What seals secrets.
    pub vault: Vault,
    /// The ways to WhatsApp.
    pub gateways: GatewayRegistry,
    /// Which of them serves accounts that no rule names.
    pub default_gateway: GatewayKind,
    /// The settings that it works with, as they are shown.
    pub settings: Arc<[config::SettingRow]>,
}

/// The rebuild of the roster: the one that runs, and the last one.
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

/// What is answered where the work on an answer has panicked.
pub(super) fn task_failure_response(error: &tokio::task::JoinError) -> Response {
    Problem::task_failed(error).respond()
}

impl ApiState {
    /// Over `audit`, and the webhooks and what else the service has if one runs; what would go on for ever ends with `stop`.
    pub fn new(
        audit: Audit,
        webhooks: Option<Webhooks>,
        running: Option<ServiceHandles>,
        door: Authenticator,
        request_timeout: Duration,
        stop: CancellationToken,
    ) -> ApiState {
        let (readers, streams) =
            (Arc::new(Semaphore::new(LIVE_TAIL_READERS)), Arc::new(Semaphore::new(STREAMED_RESPONSES)));
        let (reading, rebuild) = (Arc::new(Semaphore::new(1)), RebuildState::default());
        let room = MemoryBudget::new();
        ApiState {
            inner: Arc::new(ApiStateInner {
                audit,
                webhooks,
                service: running,
                authenticator: door,
                memory_budget: room,
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
