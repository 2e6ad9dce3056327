//! Ten million accounts: imported, loaded at a start, listed; and their memory.

use std::fs::File;

use crate::bench::{RoundResult, Scale};
use crate::cost::{self, Cost};
use crate::http::{INSERT, numbers, parse_and_write};
use crate::query::{QUERY, static_body};
use crate::service::{ServiceProcess, batch_body, client_runtime};
use crate::{fixture, wide_store, wire};

/// The largest allowed batch.
const BATCH: usize = 10_000;
/// Batches whose bodies are built and held at once; the floor truncates its plain file before each lot.
const LOT: usize = 20;
/// How often the list is requested.
const QUERIES: usize = 3;

/// Imports accounts in the largest batches, restarts the service, requests the list, and measures its memory.
pub fn accounts(scale: &Scale) -> Vec<RoundResult> {
    let all: Vec<u64> = numbers(scale.units(10_000_000)).collect();
    let units = all.len() as u64;
    let (directory, runtime) = (fixture::temp_directory(), client_runtime());
    let data = directory.path().join("data");
    let mut rounds = Vec::new();

    let empty = ServiceProcess::start(&data, &[]);
    let before = empty.resident();
    let (mut subject, mut floor) = (Cost::NOTHING, Cost::NOTHING);
    for (number, lot) in all.chunks(BATCH * LOT).enumerate() {
        let bodies: Vec<String> = lot.chunks(BATCH).map(|chunk| batch_body(chunk.iter().copied())).collect();
        let inserts = bodies.iter().map(|body| wire::post(INSERT, body)).collect();
        let cpu = empty.cpu();
        let cost = runtime.block_on(wire::send(empty.address, vec![inserts]));
        subject = subject + cost.with_process(empty.cpu() - cpu);
        let mut file = File::create(directory.path().join("plain")).unwrap();
        floor = floor + cost::measure(|| bodies.iter().for_each(|body| parse_and_write(body, &mut file)));
        if number % 10 == 9 {
            let rate = lot.len() as f64 / cost.time.as_secs_f64();
            println!("    {} accounts: {rate:.0} accounts/s", (number + 1) * BATCH * LOT);
        }
    }
    println!("    resident {} MiB after the import", empty.resident() >> 20);
    drop(empty);
    rounds.push(RoundResult { part: "", units, subject, floor });

    rounds.extend(wide_store::start_on(&data, units, ["/start", "/start/cached"]));
    println!("    {} MiB of disk", fixture::store(&directory).disk_bytes().unwrap() >> 20);

    let full = ServiceProcess::start(&data, &[]);
    let retired = full.resident();
    println!(
        "    resident {} MiB, {} bytes per retired account",
        retired >> 20,
        retired.saturating_sub(before) / units
    );
    let address = static_body(200, wire::fetch(full.address, "", QUERY).1);
    for _ in 0..scale.repeat(QUERIES) {
        let ask = |address| runtime.block_on(wire::send(address, vec![vec![wire::get(QUERY)]]));
        let cpu = full.cpu();
        let subject = ask(full.address).with_process(full.cpu() - cpu);
        println!("    the list in {:.2} s", subject.time.as_secs_f64());
        rounds.push(RoundResult { part: "/query", units, subject, floor: ask(address) });
    }
    println!("    resident {} MiB after the list was asked for", full.resident() >> 20);
    rounds
}
