//! Resident bytes per account, in the real process: retired, and with an active actor.

use crate::bulk::{RECYCLE, recycle_body};
use crate::service::{ServiceProcess, batch_body, client_runtime};
use crate::{fixture, wire};

/// Prints both figures, for `accounts` retired accounts, then with `active` of them having an actor.
pub fn report(accounts: u64, active: u64) {
    let directory = fixture::temp_directory();
    let data = directory.path().join("data");
    let runtime = client_runtime();
    let numbers: Vec<u64> = (861_821_700_000..).take(accounts as usize).collect();
    // The store's cache is small, because this measures accounts.
    let settings = [("MUSTER_STORE__CACHE_BYTES", "1048576"), ("MUSTER_ACTORS__IDLE_AFTER", "1h")];
    let empty = ServiceProcess::start(&data, &settings);
    let before = empty.resident();
    let post = |bodies: Vec<String>, path: &str| bodies.iter().map(|body| wire::post(path, body)).collect::<Vec<_>>();
    let inserts = numbers.chunks(1_000).map(|chunk| batch_body(chunk.iter().copied())).collect();
    let inserts = post(inserts, "/group-dispatch-api/whatsapp/batchInsert");
    runtime.block_on(wire::send(empty.address, vec![inserts]));
    drop(empty);

    let full = ServiceProcess::start(&data, &settings);
    let retired = full.resident();
    // Recycling an offline account changes nothing, and starts its actor.
    let wakes = numbers[..active as usize].chunks(1_000).map(recycle_body).collect();
    runtime.block_on(wire::send(full.address, vec![post(wakes, RECYCLE)]));
    let with_actors = full.resident();
    println!("\nmemory: the process with {accounts} accounts, all retired, and with {active} of them active");
    println!("    resident: empty {before} bytes, retired {retired} bytes, active {with_actors} bytes");
    println!("    {} bytes per retired account", retired.saturating_sub(before) / accounts);
    println!("    {} bytes per active actor", with_actors.saturating_sub(retired) / active);
}
