//! Which API keys have expired. A key that was once seen as expired stays expired, even if the clock is set back, and
//! across restarts.
//!
//! | key | value |
//! |---|---|
//! | number of the API key (8, big endian) | 1 (the format), when it was seen (8, little endian) |

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
            let (key, _) = entry?;
            if let Some(id) = key.as_array() {
                seen.insert(u64::from_be_bytes(*id));
            }
        }
        Ok(Expiry { store: store.clone(), seen })
    }

    /// Whether the key has expired at `now`, or was seen as expired before.
    pub(super) fn has_expired(&self, grant: &Grant, now: Timestamp) -> bool {
        if grant.expires_at.is_none() {
            return false;
        }
        if self.seen.contains(&grant.id) {
            return true;
        }
        let is_over = grant.is_expired(now);
        if is_over && self.seen.insert(grant.id) {
            let row = [&[FORMAT][..], &now.0.to_le_bytes()].concat();
            // Ignored: a store that cannot write has failed for good, which ends the service.
            let _failed = self.store.put(Table::ExpiredKeys, &grant.id.to_be_bytes(), &row);
        }
        is_over
    }
}
