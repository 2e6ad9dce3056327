//! Places for connections: so many in all, and so many for each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::access::client_address;
use crate::limits::CROWDED_LOG_INTERVAL;
use crate::metrics::Metrics;

/// The places.
pub(super) struct ConnectionLimit {
    max_total: usize,
    max_per_address: usize,
    permits: Arc<Semaphore>,
    open: OpenByAddress,
    /// What the log was told last of, and when.
    full_logged_at: Option<Instant>,
    refused_logged_at: Option<Instant>,
    /// Connections that were closed since.
    refused_since_log: u64,
    metrics: Metrics,
}

/// How many places each address has; none that has none.
type OpenByAddress = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A place that is taken; free again when it is dropped.
pub(super) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    open: OpenByAddress,
    metrics: Metrics,
}

impl ConnectionLimit {
    /// So many places, and so many of them for one address.
    pub(super) fn new(most: usize, max_per_address: usize) -> ConnectionLimit {
        let max_total = most.clamp(1, Semaphore::MAX_PERMITS);
        let (permits, open) = (Arc::new(Semaphore::new(max_total)), OpenByAddress::default());
        let metrics = Metrics::default();
        ConnectionLimit {
            max_total,
            max_per_address,
            permits,
            open,
            full_logged_at: None,
            refused_logged_at: None,
            refused_since_log: 0,
            metrics,
        }
    }

    /// The same places, which report to these instruments.
    pub(super) fn with_metrics(self, metrics: &Metrics) -> ConnectionLimit {
        ConnectionLimit { metrics: metrics.clone(), ..self }
    }

    /// How many are taken.
    pub(super) fn open_connections(&self) -> usize {
        self.max_total - self.permits.available_permits()
    }

    /// A place for the next connection, once there is one, whoever comes. None never comes as long as the semaphore is
    /// open, which it always is.
    pub(super) async fn acquire(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.permits.clone().try_acquire_owned() {
            return Some(place);
        }
        if is_log_due(&mut self.full_logged_at) {
            let busiest =
                lock_counts(&self.open).iter().max_by_key(|(_, open)| **open).map(|(address, open)| (*address, *open));
            let (address, of_it) = busiest.unzip();
            let address = address.map(|address| address.to_string());
            tracing::warn!(
                open = self.max_total,
                busiest = address,
                of_it,
                "all places for connections are taken: further ones wait; \
                look at who holds so many, or raise http.max_connections"
            );
        }
        self.permits.clone().acquire_owned().await.ok()
    }

    /// The place for a connection of this address, if it may have one more; else the place is free for the next.
    pub(super) fn admit(
        &mut self,
        place: OwnedSemaphorePermit,
        from: IpAddr,
    ) -> Result<ConnectionPermit, OwnedSemaphorePermit> {
        let address = client_address(from);
        let mut taken = lock_counts(&self.open);
        let open = taken.entry(address).or_default();
        if *open < self.max_per_address {
            *open += 1;
            self.metrics.connections.inc();
            return Ok(ConnectionPermit {
                _permit: place,
                address,
                open: self.open.clone(),
                metrics: self.metrics.clone(),
            });
        }
        let open = *open;
        drop(taken);
        self.refused_since_log += 1;
        self.metrics.connections_refused.inc();
        if is_log_due(&mut self.refused_logged_at) {
            let refused = std::mem::take(&mut self.refused_since_log);
            tracing::warn!(%from, open, refused, "connections are closed because their address has too many; \
                raise http.max_connections_per_address if many clients share it, as behind a proxy");
        }
        Err(place)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.metrics.connections.dec();
        let mut taken = lock_counts(&self.open);
        if let Some(open) = taken.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// What is in it is whole between any two lines.
fn lock_counts(taken: &OpenByAddress) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the log may be told again.
fn is_log_due(told: &mut Option<Instant>) -> bool {
    let is_due = told.is_none_or(|told| told.elapsed() >= CROWDED_LOG_INTERVAL);
    if is_due {
        *told = Some(Instant::now());
    }
    is_due
}
