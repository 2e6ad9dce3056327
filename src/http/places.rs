//! Places for connections: so many in all, and so many for each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::access::one_client;
use crate::limits::CROWDED_AGAIN;
use crate::metrics::Metrics;

/// The places.
pub(super) struct Places {
    most: usize,
    most_of_one: usize,
    free: Arc<Semaphore>,
    taken: Taken,
    /// What the log was told last of, and when.
    told_all_taken: Option<Instant>,
    told_refused: Option<Instant>,
    /// Connections that were closed since.
    refused: u64,
    metrics: Metrics,
}

/// How many places each address has; none that has none.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A place that is taken; free again when it is dropped.
pub(super) struct Place {
    _of_all: OwnedSemaphorePermit,
    address: IpAddr,
    taken: Taken,
    metrics: Metrics,
}

impl Places {
    /// So many places, and so many of them for one address.
    pub(super) fn new(most: usize, most_of_one: usize) -> Places {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let (free, taken) = (Arc::new(Semaphore::new(most)), Taken::default());
        let metrics = Metrics::default();
        Places { most, most_of_one, free, taken, told_all_taken: None, told_refused: None, refused: 0, metrics }
    }

    /// The same places, which report to these instruments.
    pub(super) fn measured_by(self, metrics: &Metrics) -> Places {
        Places { metrics: metrics.clone(), ..self }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.most - self.free.available_permits()
    }

    /// A place for the next connection, once there is one, whoever comes. None never comes as long as the semaphore is
    /// open, which it always is.
    pub(super) async fn free(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            return Some(place);
        }
        if is_due(&mut self.told_all_taken) {
            let busiest =
                lock(&self.taken).iter().max_by_key(|(_, open)| **open).map(|(address, open)| (*address, *open));
            let (address, of_it) = busiest.unzip();
            let address = address.map(|address| address.to_string());
            tracing::warn!(
                open = self.most,
                busiest = address,
                of_it,
                "all places for connections are taken: further ones wait; \
                look at who holds so many, or raise http.max_connections"
            );
        }
        self.free.clone().acquire_owned().await.ok()
    }

    /// The place for a connection of this address, if it may have one more; else the place is free for the next.
    pub(super) fn take(&mut self, place: OwnedSemaphorePermit, from: IpAddr) -> Result<Place, OwnedSemaphorePermit> {
        let address = one_client(from);
        let mut taken = lock(&self.taken);
        let open = taken.entry(address).or_default();
        if *open < self.most_of_one {
            *open += 1;
            self.metrics.connections.inc();
            return Ok(Place { _of_all: place, address, taken: self.taken.clone(), metrics: self.metrics.clone() });
        }
        let open = *open;
        drop(taken);
        self.refused += 1;
        self.metrics.connections_refused.inc();
        if is_due(&mut self.told_refused) {
            let refused = std::mem::take(&mut self.refused);
            tracing::warn!(%from, open, refused, "connections are closed because their address has too many; \
                raise http.max_connections_per_address if many clients share it, as behind a proxy");
        }
        Err(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
        let mut taken = lock(&self.taken);
        if let Some(open) = taken.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// What is in it is whole between any two lines.
fn lock(taken: &Taken) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the log may be told again.
fn is_due(told: &mut Option<Instant>) -> bool {
    let is_due = told.is_none_or(|told| told.elapsed() >= CROWDED_AGAIN);
    if is_due {
        *told = Some(Instant::now());
    }
    is_due
}
