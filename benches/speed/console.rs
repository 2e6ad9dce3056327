//! Console pages with many accounts: the time to load each.

use std::time::Duration;

use crate::http::{INSERT, numbers};
use crate::service::{InProcessService, batch_body, client_runtime};
use crate::wire;

/// The pages that grow with the accounts, and the page of one account.
const PAGES: [&str; 8] = [
    "/",
    "/accounts",
    "/accounts?status=2",
    "/accounts?prefix=44",
    "/accounts?cursor=900000",
    "/accounts/861821700007",
    "/events",
    "/webhooks/sync?state=dead",
];
/// How often each is loaded.
const TIMES: usize = 21;

/// Prints the time of each page with this many accounts, one request after the other.
pub fn pages(accounts: u64) {
    let service = InProcessService::start(|_| {});
    let runtime = client_runtime();
    let all: Vec<u64> = numbers(accounts).collect();
    let inserts = all.chunks(10_000).map(|chunk| wire::post(INSERT, &batch_body(chunk.iter().copied()))).collect();
    runtime.block_on(wire::send(service.address, vec![inserts]));
    println!("\npages: the console with {accounts} accounts, {TIMES} requests a page");
    for page in PAGES {
        let ask = || runtime.block_on(wire::send(service.address, vec![vec![wire::get(page)]])).time;
        let mut times: Vec<Duration> = (0..TIMES).map(|_| ask()).collect();
        times.sort_unstable();
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!(
            "    median {:>7.1} ms   most {:>7.1} ms   {page}",
            millis(times[TIMES / 2]),
            millis(times[TIMES - 1])
        );
    }
}
