//! Speed, beside a floor: the least time of any program with the same task, on the same machine in the same run.
//!
//! Machines differ and are noisy, but ratios hold. Each round measures the subject and its floor one after the other.
//! The closing line `ratio <id> <value>` is the median of floor time over subject time: 1 is as fast as the floor.
//!
//! Beside the rates is the cost of a unit of work: CPU time of all processes that took part, clients included, and
//! allocations of this process. `-` means that another process did the work; its allocations are not counted.
//!
//! `cargo bench --bench speed -- ID` runs one bench, `-- wide` all below `wide/`, `-- --list` names all. Without an id
//! all run except the long ones. `MUSTER_BENCH_SHORT=1` runs each bench once and briefly, including the long ones, to
//! see that it works; its numbers mean nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic)]

mod append;
mod audit;
mod bench;
mod bridge;
mod bulk;
mod console;
mod cost;
mod fixture;
mod http;
mod memory;
mod query;
mod replay;
mod selection;
mod service;
mod ten_million;
#[path = "../../tests/testkit/mod.rs"]
mod testkit;
mod webhooks;
mod wide_store;
mod wire;

use bench::{Bench, Scale};
use selection::Selection;

/// The allocator of the program, so that subject and floor use the same one. It counts allocations.
#[global_allocator]
static ALLOCATOR: alloc_tracker::Allocator<mimalloc::MiMalloc> = alloc_tracker::Allocator::new(mimalloc::MiMalloc);

const BENCHES: &[Bench] = &[
    Bench {
        id: "append/1",
        what: "one appender, each event durable before the next; floor: the same blocks to a plain file, fdatasync each",
        unit: "events",
        rounds: 7,
        is_long: false,
        run: |scale| vec![append::round(1, scale.units(2_000))],
    },
    Bench {
        id: "append/256",
        what: "256 appenders, each event durable before its appender's next; floor: the same blocks to a plain file, fdatasync each",
        unit: "events",
        rounds: 7,
        is_long: false,
        run: |scale| vec![append::round(256, scale.units(200_000))],
    },
    Bench {
        id: "replay",
        what: "all events decoded and folded; floor: the same blocks read from sled, each byte hashed once (SHA-256)",
        unit: "events",
        rounds: 7,
        is_long: false,
        run: |scale| vec![replay::round(scale.units(500_000))],
    },
    Bench {
        id: "http/online/64",
        what: "64 connections bring one account online a request, durable; floor: warp parses the same body and answers",
        unit: "requests",
        rounds: 5,
        is_long: false,
        run: |scale| vec![http::online(64, scale.units(20_000))],
    },
    Bench {
        id: "http/online/key",
        what: "the same with an API key in each request; floor: the same without",
        unit: "requests",
        rounds: 5,
        is_long: false,
        run: |scale| vec![http::online_with_key(64, scale.units(20_000))],
    },
    Bench {
        id: "http/online/once",
        what: "the same with a fresh Idempotency-Key in each request; floor: the same without",
        unit: "requests",
        rounds: 5,
        is_long: false,
        run: |scale| vec![http::online_idempotent(64, scale.units(20_000))],
    },
    Bench {
        id: "bridge",
        what: "one gateway reports 100 accounts a batch, each batch durable before its answer; floor: that of http/online/64",
        unit: "reports",
        rounds: 5,
        is_long: false,
        run: |scale| vec![bridge::reports(scale.units(20_000))],
    },
    Bench {
        id: "import/1000",
        what: "1,000 new accounts a request; floor: serde_json parses the same body, a plain file takes it, fdatasync each",
        unit: "accounts",
        rounds: 5,
        is_long: false,
        run: |scale| vec![http::import(1_000, scale.units(100))],
    },
    Bench {
        id: "query/100k",
        what: "the list of 100,000 accounts, 4 connections; floor: warp sends one static body of that size",
        unit: "answers",
        rounds: 5,
        is_long: false,
        run: |scale| vec![query::unchanged(scale.units(100_000))],
    },
    Bench {
        id: "webhooks",
        what: "deliveries to a receiver; floor: the same client posts the same bodies to it, 64 at once",
        unit: "deliveries",
        rounds: 5,
        is_long: false,
        run: |scale| vec![webhooks::round(scale.units(50_000))],
    },
    Bench {
        id: "webhooks/backlog",
        what: "deliveries that wait, ten of each account, to a receiver; floor: the same client posts the same bodies, 64 at once",
        unit: "deliveries",
        rounds: 3,
        is_long: false,
        run: |scale| vec![webhooks::backlog(scale.units(200_000))],
    },
    Bench {
        id: "verify",
        what: "every record, chain, root and rule checked; floor: the same blocks read from sled, each byte hashed once (SHA-256)",
        unit: "events",
        rounds: 5,
        is_long: false,
        run: |scale| vec![audit::verify(scale.units(500_000))],
    },
    Bench {
        id: "export/ndjson",
        what: "everything as CloudEvents, with its proof; floor: the same lines made from memory",
        unit: "events",
        rounds: 5,
        is_long: false,
        run: |scale| vec![audit::export(scale.units(300_000))],
    },
    Bench {
        id: "query/1m",
        what: "the list of a million accounts, plain and gzip, unchanged and after a change, and 304; floor: warp sends one static body of that size",
        unit: "answers",
        rounds: 1,
        is_long: true,
        run: query::million,
    },
    Bench {
        id: "wide/replay",
        what: "all events of a million accounts decoded and folded; floor: the same blocks read from sled, each byte hashed once (SHA-256)",
        unit: "events",
        rounds: 3,
        is_long: true,
        run: wide_store::replay,
    },
    Bench {
        id: "wide/verify",
        what: "all events of a million accounts checked; floor: the same blocks read from sled, each byte hashed once (SHA-256)",
        unit: "events",
        rounds: 3,
        is_long: true,
        run: wide_store::verify,
    },
    Bench {
        id: "wide/start",
        what: "a start with a million accounts, without cache/ and with it; floor: the store opened, its blocks or its cache/ read, each byte hashed once (SHA-256)",
        unit: "events",
        rounds: 3,
        is_long: true,
        run: wide_store::start,
    },
    Bench {
        id: "bulk/online",
        what: "a million accounts recovered from the disk, brought online and recycled, 10,000 a batch, five rounds; floor: serde_json parses the same bodies, a plain file takes the same blocks, fdatasync a batch",
        unit: "accounts",
        rounds: 1,
        is_long: true,
        run: bulk::online,
    },
    Bench {
        id: "many",
        what: "ten million accounts imported, started with, and listed; floors: those of import/1000, wide/start and query/100k",
        unit: "accounts",
        rounds: 1,
        is_long: true,
        run: ten_million::accounts,
    },
];

/// A figure without a floor, printed.
struct Measurement {
    id: &'static str,
    what: &'static str,
    print: fn(&Scale),
}

const FIGURES: &[Measurement] = &[
    Measurement {
        id: "memory",
        what: "resident bytes of an account, retired and active",
        print: |scale| memory::report(scale.units(1_000_000), scale.units(50_000)),
    },
    Measurement {
        id: "activation",
        what: "how long an account of 10,000 events takes to wake",
        print: |scale| audit::print_activation(scale.units(10_000)),
    },
    Measurement {
        id: "first-page",
        what: "how long the first page of a history takes among 5 million events",
        print: |scale| audit::print_first_page(scale.units(5_000_000)),
    },
    Measurement {
        id: "pages",
        what: "how long each page of the console takes with a million accounts",
        print: |scale| console::pages(scale.units(1_000_000)),
    },
    Measurement {
        id: "replay-memory",
        what: "memory of a replay of 10 million events",
        print: |scale| audit::print_replay_memory(scale.units(10_000_000)),
    },
];

fn main() {
    let selection = Selection::from_arguments();
    let is_short = std::env::var_os("MUSTER_BENCH_SHORT").is_some();
    let scale = Scale::new(is_short);
    let benches =
        selection.select(BENCHES, |bench| bench.id, |bench| bench.is_long && !is_short && !selection.is_list());
    let figures = selection.select(FIGURES, |figure| figure.id, |_| false);
    if selection.is_list() {
        for Bench { id, what, is_long, .. } in benches {
            println!("{id}: {what}{}", if *is_long { " (long: runs only when named)" } else { "" });
        }
        figures.iter().for_each(|Measurement { id, what, .. }| println!("{id}: {what}"));
        return;
    }
    let closing: String = benches.iter().map(|bench| bench.measure(&scale)).collect();
    figures.iter().for_each(|figure| (figure.print)(&scale));
    print!("\n{closing}");
}
