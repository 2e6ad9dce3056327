//! Requests with the same key, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::idempotency_record::KeyScope;

/// Keys with requests that are under way, or wait for that. Bounded by whoever lets them in.
#[derive(Default)]
pub(super) struct KeyLocks {
    locks: Mutex<HashMap<KeyScope, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held by the one request of a key that is under way.
pub(super) struct KeyLock {
    locks: Arc<KeyLocks>,
    scope: KeyScope,
    /// Until it is dropped.
    held: Option<OwnedMutexGuard<()>>,
}

impl KeyLocks {
    /// Waits until no other request with this key is under way. First come, first served.
    pub(super) async fn lock(self: &Arc<KeyLocks>, scope: KeyScope) -> KeyLock {
        let waiting = self.under_way().entry(scope).or_default().clone();
        // There from the beginning, so that whoever gives up waiting tidies up as well.
        let mut turn = KeyLock { locks: self.clone(), scope, held: None };
        turn.held = Some(waiting.lock_owned().await);
        turn
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<KeyScope, Arc<tokio::sync::Mutex<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.under_way().len()
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        self.held = None;
        let mut under_way = self.locks.under_way();
        // Whoever else has it, or waits for it, has a handle, and none is made without this lock.
        if under_way.get(&self.scope).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            under_way.remove(&self.scope);
        }
    }
}
