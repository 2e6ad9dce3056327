//! Detects repeated and late webhooks. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::received_headers::ReceivedHeaders;
use crate::limits::RECEIVER_REMEMBERED;

/// The position of a webhook relative to the webhooks that were accepted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SequenceStatus {
    /// Not seen before, and in order.
    New,
    /// A webhook with this id was accepted before.
    Duplicate,
    /// A later version of the account was already accepted on the same path. Each channel has its own order.
    OutOfOrder {
        /// The latest accepted version.
        after: u64,
    },
}

/// Remembers the newest [`RECEIVER_REMEMBERED`] webhook ids, and the latest versions of as many accounts. Stores hashes,
/// because ids may be long.
#[derive(Default)]
pub(super) struct DuplicateDetector {
    hasher: RandomState,
    ids: RecentMap<()>,
    versions: RecentMap<u64>,
}

/// A map that keeps only the newest keys. Keys are hashes.
#[derive(Default)]
struct RecentMap<V> {
    values: HashMap<u64, V>,
    /// The oldest key first.
    keys: VecDeque<u64>,
}

impl DuplicateDetector {
    /// Classifies a webhook, and remembers it if it `is_accepted`.
    pub(super) fn classify(
        &mut self,
        path: &str,
        headers: &ReceivedHeaders,
        account: &str,
        is_accepted: bool,
    ) -> SequenceStatus {
        let id = headers.get("webhook-id").map(|id| self.hasher.hash_one(id));
        let lane = self.hasher.hash_one((path, account));
        // The test webhook belongs to no event, and has version 0.
        let version = headers.get("x-muster-account-version").and_then(|version| version.parse().ok()).unwrap_or(0);
        let latest = self.versions.values.get(&lane).copied().unwrap_or(0);
        let status = if id.is_some_and(|id| self.ids.values.contains_key(&id)) {
            SequenceStatus::Duplicate
        } else if (1..latest).contains(&version) {
            SequenceStatus::OutOfOrder { after: latest }
        } else {
            SequenceStatus::New
        };
        if is_accepted {
            id.into_iter().for_each(|id| self.ids.insert(id, ()));
            self.versions.insert(lane, latest.max(version));
        }
        status
    }
}

impl<V> RecentMap<V> {
    fn insert(&mut self, key: u64, value: V) {
        if self.values.insert(key, value).is_none() {
            self.keys.push_back(key);
        }
        if self.keys.len() > RECEIVER_REMEMBERED {
            self.keys.pop_front().map(|oldest| self.values.remove(&oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut detector = DuplicateDetector::default();
        let mut status = |id: usize| {
            let header = |name: &str| (name == "webhook-id").then(|| id.to_string());
            detector.classify("/", &ReceivedHeaders::read(header), &id.to_string(), true)
        };
        assert!((0..=RECEIVER_REMEMBERED).all(|id| status(id) == SequenceStatus::New));
        assert_eq!(
            [0, 2, RECEIVER_REMEMBERED].map(status),
            [SequenceStatus::New, SequenceStatus::Duplicate, SequenceStatus::Duplicate]
        );
        assert!(
            [detector.ids.keys.len(), detector.versions.values.len()].iter().all(|held| *held == RECEIVER_REMEMBERED)
        );
    }
}
