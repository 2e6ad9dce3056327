//! Which API keys have expired. A key that was once seen as expired stays expired, even after the clock is set back or
//! the service restarts.
//!
//! | table key | value |
//! |---|---|
//! | number of the API key (8 bytes, big endian) | 1 (the format), when the expiry was first seen (8 bytes, little endian) |
//!
//! Frozen: an expired key must stay expired in existing data directories, whatever the clock says.

use std::sync::Arc;

use dashmap::DashSet;

use crate::domain::{Grant, Timestamp};
use crate::store::{self, Store, Table};

const FORMAT: u8 = 1;

/// The keys that were seen as expired. Cheap to clone.
#[derive(Clone)]
pub(super) struct Expiry {
    store: Store,
    seen: Arc<DashSet<u64>>,
}

impl Expiry {
    /// Loads the expired keys from the store.
    pub(super) fn open(store: &Store) -> Result<Expiry, store::Error> {
        let seen = Arc::new(DashSet::new());
        for entry in store.scan_from(Table::ExpiredKeys, b"") {
            let (table_key, _) = entry?;
            if let Some(id) = table_key.as_array() {
                seen.insert(u64::from_be_bytes(*id));
            }
        }
        Ok(Expiry { store: store.clone(), seen })
    }

    /// Whether the key has expired at `now`, or was seen as expired before. If it has just expired, stores that.
    pub(super) fn has_expired(&self, grant: &Grant, now: Timestamp) -> bool {
        if grant.expires_at.is_none() {
            return false;
        }
        if self.seen.contains(&grant.id) {
            return true;
        }
        let is_expired = grant.is_expired(now);
        if is_expired && self.seen.insert(grant.id) {
            let value = [&[FORMAT][..], &now.0.to_le_bytes()].concat();
            // The error is ignored: a store that cannot write has failed for good, and the service ends.
            let _failed = self.store.put(Table::ExpiredKeys, &grant.id.to_be_bytes(), &value);
        }
        is_expired
    }
}
