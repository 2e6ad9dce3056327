//! Every parser of bytes that come from outside, under bytes that nobody should send. It is no part of the product: only
//! its own tests and `cargo fuzz` (`tests/fuzz`) compile it.
//!
//! What a parser must keep to is in its own room, in `fuzz.rs` there, which panics if it does not. This is the one list of
//! them. `tests` changes valid bytes at random; `cargo fuzz` looks for bytes that reach further.

#[cfg(test)]
mod tests;

use crate::gateway::{bridge, cloud_api};
use crate::{access, answers, audit, config, http, journal, projections, receiver, store, traces, vault, webhooks};

/// A parser, and what it is tried with.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its room, and what it reads.
    pub name: &'static str,
    /// Its part of all cases, next to the parts of the others: less where a case takes long.
    pub share: u64,
    /// Valid bytes, and some that are nearly so.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads any bytes, and panics if what comes of them is not as it must be. The sentence, if they are refused with one.
    pub run: fn(&[u8]) -> Option<String>,
    /// Bytes of memory that it may take beside what its input is worth.
    pub memory: u64,
}

/// Of a parser alone, and what is asked about its result.
const MEMORY: u64 = 256 * 1024;
/// Of one that makes a store: sled takes buffers as large as its segments.
const MEMORY_OF_A_STORE: u64 = 64 * 1024 * 1024;

/// All of them.
pub const TARGETS: [Target; 39] = [
    target("http/import", 100, http::fuzz::accounts, http::fuzz::import),
    target("http/recycle", 100, http::fuzz::lists, http::fuzz::recycle),
    target("http/register", 100, http::fuzz::phones, http::fuzz::register),
    target("http/code", 100, http::fuzz::codes, http::fuzz::code),
    target("http/headers", 100, http::fuzz::heads, http::fuzz::headers),
    with_a_store(target("http/requests", 20, http::fuzz::requests, http::fuzz::request)),
    target("journal/record", 100, journal::fuzz::records, journal::fuzz::record),
    target("journal/block", 60, journal::fuzz::blocks, journal::fuzz::block),
    target("journal/checkpoint", 60, journal::fuzz::checkpoints, journal::fuzz::checkpoint),
    target("journal/snapshot", 100, journal::fuzz::snapshots, journal::fuzz::snapshot),
    target("journal/proof", 60, journal::fuzz::proofs, journal::fuzz::proof),
    target("projections/roster", 30, projections::fuzz::rosters, projections::fuzz::roster),
    target("webhooks/rows", 100, webhooks::fuzz::stored_rows, webhooks::fuzz::rows),
    target("webhooks/trail", 100, webhooks::fuzz::trails, webhooks::fuzz::trail),
    target("webhooks/taken", 60, webhooks::fuzz::taken_rows, webhooks::fuzz::taken),
    target("webhooks/answer", 100, webhooks::fuzz::answers, webhooks::fuzz::answer),
    target("webhooks/secrets", 60, webhooks::fuzz::secrets, webhooks::fuzz::secret),
    target("receiver/webhook", 60, receiver::fuzz::webhooks, receiver::fuzz::webhook),
    target("audit/note", 20, audit::fuzz::notes, audit::fuzz::note),
    target("audit/bundle", 10, audit::fuzz::bundles, audit::fuzz::bundle),
    target("audit/export", 20, audit::fuzz::exports, audit::fuzz::export),
    target("audit/frames", 40, audit::fuzz::backups, audit::fuzz::frames),
    with_a_store(target("audit/backup", 1, audit::fuzz::backups, audit::fuzz::backup)),
    target("audit/time", 100, audit::fuzz::times, audit::fuzz::time),
    target("access/key", 100, access::fuzz::keys, access::fuzz::key),
    target("access/token", 60, access::fuzz::tokens, access::fuzz::token),
    target("answers/row", 60, answers::fuzz::rows, answers::fuzz::row),
    target("vault/sealed", 60, vault::fuzz::sealed_values, vault::fuzz::sealed),
    target("vault/master_key", 40, vault::fuzz::master_keys, vault::fuzz::master_key),
    target("config/settings", 20, config::fuzz::givens, config::fuzz::given),
    target("traces/context", 60, traces::fuzz::contexts, traces::fuzz::context),
    target("gateway/meta_answer", 60, cloud_api::fuzz::answers, cloud_api::fuzz::answer),
    target("gateway/meta_usage", 60, cloud_api::fuzz::usages, cloud_api::fuzz::usage),
    target("gateway/meta_webhook", 60, cloud_api::fuzz::webhooks, cloud_api::fuzz::webhook),
    target("gateway/reports", 60, bridge::fuzz::reports, bridge::fuzz::batch),
    target("gateway/answers", 60, bridge::fuzz::answers, bridge::fuzz::answer),
    target("gateway/signature", 60, bridge::fuzz::signatures, bridge::fuzz::signature),
    target("gateway/rows", 60, bridge::fuzz::stored, bridge::fuzz::row),
    target("store/marker", 40, store::fuzz::markers, store::fuzz::marker),
];

const fn target(
    name: &'static str,
    share: u64,
    seeds: fn() -> Vec<Vec<u8>>,
    run: fn(&[u8]) -> Option<String>,
) -> Target {
    Target { name, share, seeds, run, memory: MEMORY }
}

const fn with_a_store(target: Target) -> Target {
    Target { memory: MEMORY_OF_A_STORE, ..target }
}

impl Target {
    /// The targets whose names begin so.
    pub fn named(beginning: &str) -> impl Iterator<Item = &'static Target> {
        const { &TARGETS }.iter().filter(move |target| target.name.starts_with(beginning))
    }

    /// Tries some bytes. A sentence for people must not move their cursor.
    pub fn try_with(&self, bytes: &[u8]) {
        let refused = (self.run)(bytes).unwrap_or_default();
        assert!(!refused.contains(char::is_control), "a refusal has control characters: {refused:?}");
    }
}
