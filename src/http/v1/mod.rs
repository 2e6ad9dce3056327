//! `/api/v1`: for auditors and operators. Real HTTP statuses, errors as problems (RFC 9457).
//!
//! | file | what it knows |
//! |---|---|
//! | `routes` | paths and methods to answers |
//! | `parameters` | what stands in the URL, checked |
//! | `problem` | errors as others read them |
//! | `accounts` | accounts, their state, their history |
//! | `events` | all facts: pages, streams, the live tail |
//! | `log` | checkpoints and proofs |
//! | `upkeep` | projections, verification, replay, export, backup |
//! | `streams` | bodies that are made while they are sent |

mod accounts;
mod events;
mod log;
mod parameters;
mod problem;
mod routes;
mod streams;
mod upkeep;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use routes::routes;

use crate::audit::Audit;
use crate::limits::LIVE_READERS;

/// What the answers are made from. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    audit: Audit,
    /// Places for readers of the live tail.
    readers: Arc<Semaphore>,
    /// Held by what reads everything: one at a time.
    reading: Arc<Semaphore>,
    rebuild: Rebuild,
    /// Ends what would go on for ever.
    stop: CancellationToken,
}

/// The rebuild of the roster: the one that runs, and the last one.
#[derive(Default)]
struct Rebuild {
    is_running: AtomicBool,
    position: AtomicU64,
    last: Mutex<Option<Rebuilt>>,
}

/// How a rebuild ended.
#[derive(Clone, serde::Serialize)]
struct Rebuilt {
    at: String,
    events: String,
    differences: u64,
}

impl Desk {
    /// Over `audit`; what would go on for ever ends with `stop`.
    pub fn new(audit: Audit, stop: CancellationToken) -> Desk {
        let readers = Arc::new(Semaphore::new(LIVE_READERS));
        let (reading, rebuild) = (Arc::new(Semaphore::new(1)), Rebuild::default());
        Desk { inner: Arc::new(Inner { audit, readers, reading, rebuild, stop }) }
    }

    fn audit(&self) -> &Audit {
        &self.inner.audit
    }
}
