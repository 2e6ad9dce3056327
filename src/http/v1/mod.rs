//! `/api/v1`: for auditors and operators. Real HTTP statuses, errors as problems (RFC 9457).
//!
//! | file | what it knows |
//! |---|---|
//! | `table` | paths, methods, and what a key must be for |
//! | `routes` | requests to answers |
//! | `context` | what a handler knows of its request, and whether it may go on |
//! | `parameters` | what stands in the URL, checked |
//! | `form` | the form in which an answer is wanted |
//! | `problem` | errors as others read them |
//! | `accounts` | accounts, their state, their history |
//! | `events` | all facts: pages, streams, the live tail; administrative acts |
//! | `log` | checkpoints and proofs |
//! | `webhooks` | the webhooks: receivers, secrets, deliveries, dead letters |
//! | `keys` | the API keys |
//! | `orders` | accounts are brought online, or recycled, by an operator |
//! | `gateways` | the ways to WhatsApp, their sessions |
//! | `overview` | how everything is, in one answer; the settings |
//! | `secrets` | secrets are erased |
//! | `vault` | the master key: how it is, its rotation |
//! | `upkeep` | projections, verification, replay, export, backup |
//! | `streams` | bodies that are made while they are sent |

pub(super) mod accounts;
mod context;
pub(super) mod events;
mod form;
pub(super) mod gateways;
pub(super) mod keys;
mod log;
pub(super) mod orders;
pub(super) mod overview;
mod parameters;
pub(super) mod problem;
mod routes;
pub(super) mod secrets;
mod streams;
mod table;
pub(super) mod upkeep;
pub(super) mod vault;
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

pub use routes::routes;
pub use table::{ROUTES, Route};

use super::body::Room;
use crate::access::Door;
use crate::actors::Accounts;
use crate::audit::Audit;
use crate::config;
use crate::domain::GatewayKind;
use crate::gateway::Gateways;
use crate::limits::{LIVE_READERS, STREAMS};
use crate::vault::Vault;
use crate::webhooks::Webhooks;
use problem::Problem;

/// What the answers are made from. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    audit: Audit,
    /// None where no service runs.
    webhooks: Option<Webhooks>,
    /// None where no service runs.
    running: Option<Running>,
    /// Who may come in.
    door: Door,
    /// Room for bodies.
    room: Room,
    /// Places for readers of the live tail.
    readers: Arc<Semaphore>,
    /// Places for answers that are made while they are sent.
    streams: Arc<Semaphore>,
    /// Held by what reads everything: one at a time.
    reading: Arc<Semaphore>,
    rebuild: Rebuild,
    /// From a request's head to its answer's head, where work does not take as long as the journal.
    request_timeout: Duration,
    /// Ends what would go on for ever.
    stop: CancellationToken,
}

/// What only a running service has, beside the webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Running {
    /// The accounts, which commands are for.
    pub accounts: Accounts,
    /// What follows from what happens to them.
    pub rules: config::Accounts,
    /// What seals secrets.
    pub vault: Vault,
    /// The ways to WhatsApp.
    pub gateways: Gateways,
    /// Which of them serves accounts that no rule names.
    pub default_gateway: GatewayKind,
    /// The settings that it works with, as they are shown.
    pub settings: Arc<[config::Row]>,
}

/// The rebuild of the roster: the one that runs, and the last one.
#[derive(Default)]
struct Rebuild {
    is_running: AtomicBool,
    position: AtomicU64,
    last: Mutex<Option<Rebuilt>>,
}

/// How a rebuild ended.
#[derive(Clone, Serialize, ToSchema)]
struct Rebuilt {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// How many events were folded.
    events: String,
    /// Accounts that were listed otherwise before.
    differences: u64,
}

/// What is answered where the work on an answer has panicked.
pub(super) fn broken(error: &tokio::task::JoinError) -> Response {
    Problem::work(error).respond()
}

impl Desk {
    /// Over `audit`, and the webhooks and what else the service has if one runs; what would go on for ever ends with `stop`.
    pub fn new(
        audit: Audit,
        webhooks: Option<Webhooks>,
        running: Option<Running>,
        door: Door,
        request_timeout: Duration,
        stop: CancellationToken,
    ) -> Desk {
        let (readers, streams) = (Arc::new(Semaphore::new(LIVE_READERS)), Arc::new(Semaphore::new(STREAMS)));
        let (reading, rebuild) = (Arc::new(Semaphore::new(1)), Rebuild::default());
        let room = Room::new();
        Desk {
            inner: Arc::new(Inner {
                audit,
                webhooks,
                running,
                door,
                room,
                readers,
                streams,
                reading,
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

    fn running(&self) -> Result<&Running, Problem> {
        let words = "this is done by a running service, and none runs here; ask one with --server";
        self.inner.running.as_ref().ok_or_else(|| Problem::new(StatusCode::CONFLICT, words))
    }

    fn audit(&self) -> &Audit {
        &self.inner.audit
    }
}
