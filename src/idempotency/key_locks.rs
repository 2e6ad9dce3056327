//! Locks, so that requests with the same `Idempotency-Key` run one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::idempotency_record::KeyScope;

/// A lock for each scope with a request that is in flight or waits. [`begin`](super::IdempotencyRecords::begin) limits
/// their number.
#[derive(Default)]
pub(super) struct KeyLocks {
    locks: Mutex<HashMap<KeyScope, Arc<tokio::sync::Mutex<()>>>>,
}

/// The lock of a scope, held by its request in flight.
pub(super) struct KeyLock {
    locks: Arc<KeyLocks>,
    scope: KeyScope,
    /// `None` while waiting.
    held: Option<OwnedMutexGuard<()>>,
}

impl KeyLocks {
    /// Waits until no other request of this scope is in flight. First come, first served.
    pub(super) async fn lock(self: &Arc<KeyLocks>, scope: KeyScope) -> KeyLock {
        let mutex = self.lock_map().entry(scope).or_default().clone();
        // Built before the wait, so that a cancelled wait cleans up as well.
        let mut lock = KeyLock { locks: self.clone(), scope, held: None };
        lock.held = Some(mutex.lock_owned().await);
        lock
    }

    fn lock_map(&self) -> MutexGuard<'_, HashMap<KeyScope, Arc<tokio::sync::Mutex<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock_map().len()
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        self.held = None;
        let mut locks = self.locks.lock_map();
        // Each other holder or waiter has a clone. Clones are made only while the map is locked, as it is here.
        if locks.get(&self.scope).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.scope);
        }
    }
}
