//! How fast it is, beside a floor: the least that anything doing the same could do on the same machine in the same run.
//!
//! Machines differ and are noisy, ratios hold: each round measures the subject and its floor one after the other, and
//! the closing line `ratio <id> <value>` is the median of the rounds' ratios, floor time over subject time. 1 is as
//! fast as the floor.
//!
//! `cargo bench` runs everything, `cargo bench -- append` what begins so. `MUSTER_BENCH_SHORT=1` runs each bench once
//! and briefly, to see that it works; its numbers say nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic)]

mod append;
mod audit;
mod bridge;
mod console;
mod house;
mod http;
mod memory;
mod replay;
mod service;
mod webhooks;
mod wire;

use std::time::Duration;

/// The allocator of the program, so that it and its floors are measured with the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One bench: its id, what is measured, and one round of it.
struct Bench {
    id: &'static str,
    what: &'static str,
    /// The unit of work, as in "events".
    unit: &'static str,
    rounds: usize,
    run: fn(&Scale) -> Round,
}

/// What one round measured.
struct Round {
    /// Units of work done by each of the two.
    units: u64,
    subject: Duration,
    floor: Duration,
}

/// How much work a round does.
struct Scale {
    is_short: bool,
}

const BENCHES: &[Bench] = &[
    Bench {
        id: "append/1",
        what: "one appender, each event durable before the next; floor: the same blocks to a plain file, fdatasync each",
        unit: "events",
        rounds: 7,
        run: |scale| append::round(1, scale.of(2_000)),
    },
    Bench {
        id: "append/256",
        what: "256 appenders, each event durable before its appender's next; floor: the same blocks to a plain file, fdatasync each",
        unit: "events",
        rounds: 7,
        run: |scale| append::round(256, scale.of(200_000)),
    },
    Bench {
        id: "replay",
        what: "all events decoded and folded; floor: the same blocks read from sled, each byte hashed once (SHA-256)",
        unit: "events",
        rounds: 7,
        run: |scale| replay::round(scale.of(500_000)),
    },
    Bench {
        id: "http/online/64",
        what: "64 connections bring one account online a request, durable; floor: warp parses the same body and answers",
        unit: "requests",
        rounds: 5,
        run: |scale| http::online(64, scale.of(20_000)),
    },
    Bench {
        id: "http/online/key",
        what: "the same with an API key in each request; floor: the same without",
        unit: "requests",
        rounds: 5,
        run: |scale| http::online_with_key(64, scale.of(20_000)),
    },
    Bench {
        id: "http/online/once",
        what: "the same with a fresh Idempotency-Key in each request; floor: the same without",
        unit: "requests",
        rounds: 5,
        run: |scale| http::online_once(64, scale.of(20_000)),
    },
    Bench {
        id: "bridge",
        what: "one gateway reports 100 accounts a batch, each batch durable before its answer; floor: that of http/online/64",
        unit: "reports",
        rounds: 5,
        run: |scale| bridge::reports(scale.of(20_000)),
    },
    Bench {
        id: "import/1000",
        what: "1,000 new accounts a request; floor: serde_json parses the same body, a plain file takes it, fdatasync each",
        unit: "accounts",
        rounds: 5,
        run: |scale| http::import(1_000, scale.of(100)),
    },
    Bench {
        id: "query/100k",
        what: "the list of 100,000 accounts, 4 connections; floor: warp sends one static body of that size",
        unit: "answers",
        rounds: 5,
        run: |scale| http::query(scale.of(100_000), 4, 25),
    },
    Bench {
        id: "webhooks",
        what: "deliveries to a receiver; floor: the same client posts the same bodies to it, 64 at once",
        unit: "deliveries",
        rounds: 5,
        run: |scale| webhooks::round(scale.of(50_000)),
    },
    Bench {
        id: "webhooks/backlog",
        what: "deliveries that wait, ten of each account, to a receiver; floor: the same client posts the same bodies, 64 at once",
        unit: "deliveries",
        rounds: 3,
        run: |scale| webhooks::backlog(scale.of(200_000)),
    },
    Bench {
        id: "verify",
        what: "every record, chain, root and rule checked; floor: the same blocks read from sled, each byte hashed once (SHA-256)",
        unit: "events",
        rounds: 5,
        run: |scale| audit::verify(scale.of(500_000)),
    },
    Bench {
        id: "export/ndjson",
        what: "everything as CloudEvents, with its proof; floor: the same lines made from memory",
        unit: "events",
        rounds: 5,
        run: |scale| audit::export(scale.of(300_000)),
    },
];

/// A figure without a floor, printed.
struct Figure {
    id: &'static str,
    print: fn(&Scale),
}

const FIGURES: &[Figure] = &[
    Figure { id: "activation", print: |_| audit::activation(10_000) },
    Figure { id: "first-page", print: |scale| audit::first_page(scale.of(5_000_000)) },
    Figure { id: "pages", print: |scale| console::pages(scale.of(1_000_000)) },
    Figure { id: "replay-memory", print: |scale| audit::replay_memory(scale.of(10_000_000)) },
];

fn main() {
    let scale = Scale { is_short: std::env::var_os("MUSTER_BENCH_SHORT").is_some() };
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut closing = String::new();
    for bench in
        BENCHES.iter().filter(|bench| wanted.as_ref().is_none_or(|wanted| bench.id.starts_with(wanted.as_str())))
    {
        let ratio = bench.measure(&scale);
        closing += &format!("ratio {} {ratio:.2}\n", bench.id);
    }
    if wanted.as_deref().is_none_or(|wanted| "memory".starts_with(wanted)) {
        memory::report(scale.of(1_000_000).max(50_000), scale.of(50_000));
    }
    for Figure { id, print } in FIGURES {
        if wanted.as_deref().is_none_or(|wanted| id.starts_with(wanted)) {
            print(&scale);
        }
    }
    print!("\n{closing}");
}

impl Bench {
    fn measure(&self, scale: &Scale) -> f64 {
        println!("\n{}: {}", self.id, self.what);
        let rounds = if scale.is_short { 1 } else { self.rounds };
        let rounds: Vec<Round> = (0..rounds).map(|_| (self.run)(scale)).collect();
        let rate =
            |time: fn(&Round) -> Duration| median(rounds.iter().map(|it| it.units as f64 / time(it).as_secs_f64()));
        let ratios = || rounds.iter().map(|it| it.floor.as_secs_f64() / it.subject.as_secs_f64());
        let (subject, floor) = (rate(|it| it.subject), rate(|it| it.floor));
        let (least, most) = (ratios().fold(f64::MAX, f64::min), ratios().fold(0.0, f64::max));
        println!("    subject {subject:>12.0} {unit}/s   floor {floor:>12.0} {unit}/s", unit = self.unit);
        println!("    ratios of {} rounds from {least:.2} to {most:.2}", rounds.len());
        median(ratios())
    }
}

impl Scale {
    /// `full` units of work, or a hundredth in a short run.
    fn of(&self, full: u64) -> u64 {
        if self.is_short { (full / 100).max(1) } else { full }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
