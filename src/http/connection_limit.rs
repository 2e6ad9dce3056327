//! Limit on open connections, in total and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::access::client_address;
use crate::limits::CROWDED_LOG_INTERVAL;
use crate::metrics::Metrics;

/// Limits open connections, in total and per address.
pub(super) struct ConnectionLimit {
    max_total: usize,
    max_per_address: usize,
    permits: Arc<Semaphore>,
    open: OpenByAddress,
    /// When the total limit was last logged.
    full_logged_at: Option<Instant>,
    /// When a refused connection was last logged.
    refused_logged_at: Option<Instant>,
    /// Connections refused since then.
    refused_since_log: u64,
    metrics: Metrics,
}

/// Open connections of each address. Addresses without one have no entry.
type OpenByAddress = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The permit for one open connection. Dropping it allows another connection.
pub(super) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    open: OpenByAddress,
    metrics: Metrics,
}

impl ConnectionLimit {
    /// Allows `max_total` connections, and `max_per_address` from one address.
    pub(super) fn new(max_total: usize, max_per_address: usize) -> ConnectionLimit {
        let max_total = max_total.clamp(1, Semaphore::MAX_PERMITS);
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

    /// Reports to `metrics`.
    pub(super) fn with_metrics(self, metrics: &Metrics) -> ConnectionLimit {
        ConnectionLimit { metrics: metrics.clone(), ..self }
    }

    /// Number of open connections.
    pub(super) fn open_connections(&self) -> usize {
        self.max_total - self.permits.available_permits()
    }

    /// Waits for the permit for the next connection, from any address. `None` only if the semaphore is closed, which does not
    /// happen.
    pub(super) async fn acquire(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Some(permit);
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
                "the connection limit is reached, and new connections wait; check the busiest address, or raise \
                 http.max_connections"
            );
        }
        self.permits.clone().acquire_owned().await.ok()
    }

    /// Assigns the permit to a connection from `from`. If that address has too many, the error returns the permit.
    pub(super) fn admit(
        &mut self,
        permit: OwnedSemaphorePermit,
        from: IpAddr,
    ) -> Result<ConnectionPermit, OwnedSemaphorePermit> {
        let address = client_address(from);
        let mut counts = lock_counts(&self.open);
        let open = counts.entry(address).or_default();
        if *open < self.max_per_address {
            *open += 1;
            self.metrics.connections.inc();
            return Ok(ConnectionPermit {
                _permit: permit,
                address,
                open: self.open.clone(),
                metrics: self.metrics.clone(),
            });
        }
        let open = *open;
        drop(counts);
        self.refused_since_log += 1;
        self.metrics.connections_refused.inc();
        if is_log_due(&mut self.refused_logged_at) {
            let refused = std::mem::take(&mut self.refused_since_log);
            tracing::warn!(%from, open, refused, "closing new connections from an address that has too many; raise \
                http.max_connections_per_address if many clients share it, such as behind a proxy");
        }
        Err(permit)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.metrics.connections.dec();
        let mut counts = lock_counts(&self.open);
        if let Some(open) = counts.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Locks the map. Ignores poisoning, because the map is consistent after every statement.
fn lock_counts(counts: &OpenByAddress) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the log interval has passed; if so, restarts it.
fn is_log_due(last_logged: &mut Option<Instant>) -> bool {
    let is_due = last_logged.is_none_or(|last_logged| last_logged.elapsed() >= CROWDED_LOG_INTERVAL);
    if is_due {
        *last_logged = Some(Instant::now());
    }
    is_due
}
