//! Who comes in. Whoever shows keys that are none is answered later and later.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::{Instant, sleep};

use super::{Denied, Keys, Pass};
use crate::clock;
use crate::limits::{FAILED_KEY_WAIT, FAILED_KEY_WAIT_MAX, FAILED_KEYS_ADDRESSES, FAILED_KEYS_FORGOTTEN};

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    keys: Keys,
    failed: Arc<DashMap<IpAddr, Failed>>,
}

/// Keys from one address that were none.
#[derive(Clone, Copy)]
struct Failed {
    count: u32,
    last: Instant,
}

impl Door {
    /// The way in for those who have one of the keys.
    pub fn new(keys: Keys) -> Door {
        Door { keys, failed: Arc::default() }
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Lets somebody in who shows this key. Others never wait for those who guess.
    pub async fn enter(&self, shown: Option<&str>, from: Option<IpAddr>) -> Result<Pass, Denied> {
        let pass = self.keys.pass(shown, clock::now());
        if let (Err(denied), Some(from), Some(_)) = (&pass, from, shown) {
            let (count, wait) = self.failed(from);
            tracing::warn!(%from, count, %denied, "an API key was refused");
            sleep(wait).await;
        }
        pass
    }

    /// One more key from this address that is none: how many there were of late, and how long the answer waits.
    fn failed(&self, from: IpAddr) -> (u32, Duration) {
        let now = Instant::now();
        let is_recent = |failed: &Failed| now - failed.last < FAILED_KEYS_FORGOTTEN;
        if self.failed.len() >= FAILED_KEYS_ADDRESSES {
            self.failed.retain(|_, failed| is_recent(failed));
        }
        if self.failed.len() >= FAILED_KEYS_ADDRESSES {
            // Nobody has so many addresses by chance.
            return (0, FAILED_KEY_WAIT_MAX);
        }
        let mut failed = self.failed.entry(from).or_insert(Failed { count: 0, last: now });
        failed.count = if is_recent(&failed) { failed.count.saturating_add(1) } else { 1 };
        failed.last = now;
        (failed.count, FAILED_KEY_WAIT.saturating_mul(failed.count).min(FAILED_KEY_WAIT_MAX))
    }
}
