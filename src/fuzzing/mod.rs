//! Fuzzes every parser of external bytes. Not part of the product: only its own tests and `cargo fuzz` (`tests/fuzz`)
//! compile it.
//!
//! The rules of a parser are in the `fuzz.rs` of its module, which panics if one is broken. This file has the only list
//! of the targets. `tests` changes valid bytes at random. `cargo fuzz` searches for bytes that reach deeper.

#[cfg(test)]
mod tests;

use crate::gateway::{bridge, cloud_api};
use crate::{access, audit, config, http, idempotency, journal, projections, receiver, store, traces, vault, webhooks};

/// A parser and its seeds.
#[derive(Clone, Copy)]
pub struct FuzzTarget {
    /// The name: its module and its input.
    pub name: &'static str,
    /// Its share of all cases, relative to other targets: smaller if a case is slow.
    pub weight: u64,
    /// Valid and almost valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Parses any bytes, and panics if the result breaks a rule. Returns the error message if they are rejected with
    /// one.
    pub check: fn(&[u8]) -> Option<String>,
    /// Bytes of memory that it may use besides the allowance for its input.
    pub memory_limit: u64,
}

/// For a parser alone, and the checks of its result.
const PARSER_MEMORY: u64 = 256 * 1024;
/// For a target that opens a store: sled's buffers have the size of its segments.
const STORE_MEMORY: u64 = 64 * 1024 * 1024;

/// All targets.
pub const TARGETS: [FuzzTarget; 39] = [
    define("http/import", 100, http::fuzz::import_seeds, http::fuzz::check_import),
    define("http/recycle", 100, http::fuzz::recycle_seeds, http::fuzz::check_recycle),
    define("http/register", 100, http::fuzz::submit_phone_seeds, http::fuzz::check_submit_phone),
    define("http/code", 100, http::fuzz::verify_code_seeds, http::fuzz::check_verify_code),
    define("http/headers", 100, http::fuzz::header_seeds, http::fuzz::check_headers),
    with_store(define("http/requests", 20, http::fuzz::requests, http::fuzz::request)),
    define("journal/record", 100, journal::fuzz::record_seeds, journal::fuzz::check_record),
    define("journal/block", 60, journal::fuzz::block_seeds, journal::fuzz::check_block),
    define("journal/checkpoint", 60, journal::fuzz::checkpoint_seeds, journal::fuzz::check_checkpoint),
    define("journal/snapshot", 100, journal::fuzz::snapshot_seeds, journal::fuzz::check_snapshot),
    define("journal/proof", 60, journal::fuzz::proof_seeds, journal::fuzz::check_proof),
    define("projections/roster", 30, projections::fuzz::rosters, projections::fuzz::roster),
    define("webhooks/rows", 100, webhooks::fuzz::stored_rows, webhooks::fuzz::rows),
    define("webhooks/trail", 100, webhooks::fuzz::trails, webhooks::fuzz::trail),
    define("webhooks/taken", 60, webhooks::fuzz::taken_rows, webhooks::fuzz::taken),
    define("webhooks/answer", 100, webhooks::fuzz::answers, webhooks::fuzz::answer),
    define("webhooks/secrets", 60, webhooks::fuzz::secrets, webhooks::fuzz::secret),
    define("receiver/webhook", 60, receiver::fuzz::webhook_seeds, receiver::fuzz::check_webhook),
    define("audit/note", 20, audit::fuzz::note_seeds, audit::fuzz::check_note),
    define("audit/bundle", 10, audit::fuzz::bundle_seeds, audit::fuzz::check_bundle),
    define("audit/export", 20, audit::fuzz::export_seeds, audit::fuzz::check_export),
    define("audit/frames", 40, audit::fuzz::backup_seeds, audit::fuzz::check_frames),
    with_store(define("audit/backup", 1, audit::fuzz::backup_seeds, audit::fuzz::check_backup)),
    define("audit/time", 100, audit::fuzz::time_seeds, audit::fuzz::check_time),
    define("access/key", 100, access::fuzz::keys, access::fuzz::key),
    define("access/token", 60, access::fuzz::tokens, access::fuzz::token),
    define("answers/row", 60, idempotency::fuzz::rows, idempotency::fuzz::row),
    define("vault/sealed", 60, vault::fuzz::sealed_seeds, vault::fuzz::check_sealed),
    define("vault/master_key", 40, vault::fuzz::master_key_seeds, vault::fuzz::check_master_key),
    define("config/settings", 20, config::fuzz::settings_seeds, config::fuzz::check_settings),
    define("traces/context", 60, traces::fuzz::context_seeds, traces::fuzz::check_context),
    define("gateway/meta_answer", 60, cloud_api::fuzz::answers, cloud_api::fuzz::answer),
    define("gateway/meta_usage", 60, cloud_api::fuzz::usages, cloud_api::fuzz::usage),
    define("gateway/meta_webhook", 60, cloud_api::fuzz::webhooks, cloud_api::fuzz::webhook),
    define("gateway/reports", 60, bridge::fuzz::reports, bridge::fuzz::batch),
    define("gateway/answers", 60, bridge::fuzz::answers, bridge::fuzz::answer),
    define("gateway/signature", 60, bridge::fuzz::signatures, bridge::fuzz::signature),
    define("gateway/rows", 60, bridge::fuzz::stored, bridge::fuzz::row),
    define("store/marker", 40, store::fuzz::marker_seeds, store::fuzz::check_marker),
];

const fn define(
    name: &'static str,
    weight: u64,
    seeds: fn() -> Vec<Vec<u8>>,
    check: fn(&[u8]) -> Option<String>,
) -> FuzzTarget {
    FuzzTarget { name, weight, seeds, check, memory_limit: PARSER_MEMORY }
}

const fn with_store(target: FuzzTarget) -> FuzzTarget {
    FuzzTarget { memory_limit: STORE_MEMORY, ..target }
}

impl FuzzTarget {
    /// The targets whose names have this prefix.
    pub fn with_prefix(prefix: &str) -> impl Iterator<Item = &'static FuzzTarget> {
        const { &TARGETS }.iter().filter(move |target| target.name.starts_with(prefix))
    }

    /// Checks an input. Panics also if the error message has control characters, which could move a terminal's cursor.
    pub fn check_input(&self, bytes: &[u8]) {
        let message = (self.check)(bytes).unwrap_or_default();
        assert!(!message.contains(char::is_control), "an error message has control characters: {message:?}");
    }
}
