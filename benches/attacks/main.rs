//! Attacks on the real binary. Whatever attackers do, the service stays up, admits nothing, and answers honest clients
//! correctly and soon. Each attack is compared with the calm just before it.
//!
//! The closing line `ratio attacks/<id> <value>` is the 99th percentile of the calm's latencies over the attack's: 1 is
//! as fast as in the calm. `cargo bench --bench attacks` runs everything, `cargo bench -- attacks/flood` that one, `--
//! --list` names all. With `MUSTER_BENCH_SHORT=1` there are fewer attackers, and numbers mean nothing; responses are
//! checked all the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod honest_clients;
mod malformed_requests;
mod overload;
#[path = "../speed/selection.rs"]
mod selection;
#[allow(dead_code)] // What tests need of it.
#[path = "../../tests/it/service_process.rs"]
mod service_process;
#[path = "../../tests/testkit/mod.rs"]
mod testkit;
mod wire;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use honest_clients::HonestClients;
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use selection::Selection;
use serde_json::{Value, json};
use service_process::{ServiceProcess, run_muster, temp_directory};
use tokio::task::JoinHandle;

/// The least ratio: honest clients wait at most 5 times as long as in the calm.
const GOAL: f64 = 0.2;
/// How often an attack is tried before it counts as slowing others: machines that run this have other work too.
const ROUNDS: usize = 3;
/// Open files of this process: both ends of a connection are on one machine.
const FILES: u64 = 16_000;
/// A rate limit that honest clients stay far below, and floods exceed by far.
const REQUESTS_PER_SECOND: &str = "1000";
/// The same for an unoptimized service, which a flood must exceed, too.
const SHORT_REQUESTS_PER_SECOND: &str = "500";
/// The divisor of the number of attackers in a short run.
const SHORT: usize = 10;
/// The niceness of attackers, so that they leave the processor to the service.
const NICE: i32 = 19;

/// The target of an attack.
struct AttackTarget {
    /// `host:port`.
    address: String,
    /// A key of role caller, as if stolen. Each attack has its own, because a key has a rate limit.
    stolen_key: String,
    /// The receiver of the webhooks.
    receiver: Arc<malformed_requests::HeaderRecorder>,
    is_short: bool,
}

impl AttackTarget {
    /// The number of attackers or requests: `full`, or a part of it in a short run.
    fn scale(&self, full: usize) -> usize {
        if self.is_short { full.div_ceil(SHORT) } else { full }
    }
}

/// An attack.
struct Attack {
    id: &'static str,
    /// What the attackers do.
    what: &'static str,
    /// Runs the attack; returns a description of the outcome.
    make: fn(Arc<AttackTarget>) -> BoxFuture<'static, String>,
}

/// Attacks that mostly wait for the service's time limits. A short run makes them in parallel with the others.
const WAITING: [&str; 4] = ["attacks/slow-heads", "attacks/slow-bodies", "attacks/slow-readers", "attacks/smuggling"];

const ATTACKS: &[Attack] = &[
    Attack {
        id: "attacks/slow-heads",
        what: "2,000 connections, a byte of a head each second",
        make: |target| Box::pin(overload::slow_heads(target)),
    },
    Attack {
        id: "attacks/slow-bodies",
        what: "300 bodies of a megabyte, a byte each second, with a key",
        make: |target| Box::pin(overload::slow_bodies(target)),
    },
    Attack {
        id: "attacks/slow-readers",
        what: "30 callers who ask for 10,000 accounts again and again and take none, with a key",
        make: |target| Box::pin(overload::slow_readers(target)),
    },
    Attack {
        id: "attacks/huge-bodies",
        what: "bodies of 1 GB, announced or in pieces, with a key and without",
        make: |target| Box::pin(overload::huge_bodies(target)),
    },
    Attack {
        id: "attacks/guessed-keys",
        what: "100,000 keys from 10,000 addresses",
        make: |target| Box::pin(overload::guessed_keys(target)),
    },
    Attack {
        id: "attacks/flood",
        what: "64 connections with one key, as fast as they are answered",
        make: |target| Box::pin(overload::flood(target)),
    },
    Attack {
        id: "attacks/pipelining",
        what: "32 connections, 1,000 requests each before an answer is read",
        make: |target| Box::pin(overload::pipelining(target)),
    },
    Attack {
        id: "attacks/header-bombs",
        what: "heads of megabytes, thousands of headers, endless lines",
        make: |target| Box::pin(malformed_requests::header_bombs(target)),
    },
    Attack {
        id: "attacks/compressed-bombs",
        what: "gigabytes in a few kilobytes, with a key",
        make: |target| Box::pin(malformed_requests::compressed_bombs(target)),
    },
    Attack {
        id: "attacks/smuggling",
        what: "a second request behind a body whose length is said in two ways",
        make: |target| Box::pin(malformed_requests::smuggling(target)),
    },
    Attack {
        id: "attacks/paths",
        what: "names that may mean a path of /api/v1, with a key of role caller",
        make: |target| Box::pin(malformed_requests::paths(target)),
    },
    Attack {
        id: "attacks/line-ends",
        what: "line ends in values that reach answers and receivers",
        make: |target| Box::pin(malformed_requests::line_ends(target)),
    },
];

fn main() {
    let is_short = std::env::var_os("MUSTER_BENCH_SHORT").is_some();
    let selection = Selection::from_arguments();
    let attacks = selection.select(ATTACKS, |attack| attack.id, |_| false);
    if selection.is_list() {
        attacks.iter().for_each(|Attack { id, what, .. }| println!("{id}: {what}"));
        return;
    }
    if attacks.is_empty() {
        return;
    }
    raise_open_file_limit();
    let strangers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| {
            nice(NICE).unwrap();
        })
        .build()
        .unwrap();
    let data = temp_directory();
    let [admin, honest] = create_keys(data.path());
    let receiver = Arc::new(strangers.block_on(malformed_requests::HeaderRecorder::start()));
    let rate = if is_short { SHORT_REQUESTS_PER_SECOND } else { REQUESTS_PER_SECOND };
    let settings = [
        ("MUSTER_HTTP__REQUESTS_PER_SECOND", rate),
        ("MUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__URL", &receiver.url.clone()),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    let honest = HonestClients::new(&muster.url(""), &honest, is_short);
    let begin = |attack: &Attack| {
        let stolen = honest.run(create_stolen_key(&muster, &admin, attack.id));
        let address = muster.url("").replace("http://", "");
        strangers.spawn((attack.make)(Arc::new(AttackTarget {
            address,
            stolen_key: stolen,
            receiver: receiver.clone(),
            is_short,
        })))
    };
    let (waiting, at_work): (Vec<_>, Vec<_>) =
        attacks.into_iter().partition(|attack| is_short && WAITING.contains(&attack.id));
    let begun: Vec<_> = waiting.iter().map(|attack| begin(attack)).collect();
    let mut closing: String =
        at_work.iter().map(|attack| attack.measure(&honest, is_short, || begin(attack))).collect();
    for (attack, begun) in waiting.iter().zip(begun) {
        let mut begun = Some(begun);
        closing += &attack.measure(&honest, is_short, || begun.take().unwrap());
    }
    honest.run(assert_nothing_smuggled(&muster, &admin));
    println!("    at the end the service holds {} MiB", resident(muster.pid()));
    let (status, log) = muster.stop("TERM");
    assert!(status.success() && !log.contains("panicked"), "{log}");
    print!("{closing}");
}

impl Attack {
    /// Starts the attack, and compares honest clients beside it with the calm before. Returns the closing line.
    fn measure(&self, honest: &HonestClients, is_short: bool, mut begin: impl FnMut() -> JoinHandle<String>) -> String {
        let Attack { id, what, .. } = self;
        println!("{id}: {what}");
        let mut best = 0.0_f64;
        for _ in 0..if is_short { 1 } else { ROUNDS } {
            let calm = honest.measure_alone();
            let begun = begin();
            let (came, under) = honest.measure_beside(async { begun.await.unwrap() });
            best = best.max(calm.p99.as_secs_f64() / under.p99.as_secs_f64());
            println!("    {came}; honest callers: {under}, in the calm before {calm}");
            if best > GOAL {
                break;
            }
        }
        if best < GOAL && !is_short {
            println!("    honest callers are kept waiting: the goal is {GOAL}");
        }
        format!("ratio {id} {best:.2}\n")
    }
}

/// Creates a key of role caller as an admin.
async fn create_stolen_key(muster: &ServiceProcess, admin: &str, name: &str) -> String {
    let body = json!({"name": name.replace('/', "-"), "role": "caller"}).to_string();
    let request = muster.client().post(muster.url("/api/v1/keys")).header("content-type", "application/json");
    let made = muster.send(request.bearer_auth(admin).body(body)).await.unwrap();
    made.json()["key"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
}

/// Asserts that no smuggled account exists, and that an admin is answered.
async fn assert_nothing_smuggled(muster: &ServiceProcess, admin: &str) {
    let request = muster.client().get(muster.url(&format!("/api/v1/accounts?prefix={}", malformed_requests::NEVER)));
    let accounts = muster.send(request.bearer_auth(admin)).await.unwrap();
    assert_eq!((accounts.status, &accounts.json()["accounts"]), (200, &json!([])), "{accounts:?}");
}

/// Creates the keys of an admin and of an honest client.
fn create_keys(data: &Path) -> [String; 2] {
    let data = data.to_str().unwrap();
    // Creates the directory, and is refused because there is no key.
    let (code, ..) = run_muster(&["serve", "--listen", "0.0.0.0:0", "--data-dir", data], &[]);
    assert_eq!(code, Some(1));
    [("admin", "admin"), ("honest", "caller")].map(|(name, role)| {
        let words = ["keys", "create", "--name", name, "--role", role, "-o", "json", "--data-dir", data];
        let (code, stdout, stderr) = run_muster(&words, &[]);
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()["key"].as_str().unwrap().to_owned()
    })
}

/// Raises the limit of open files as far as needed and allowed.
fn raise_open_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(FILES, |most| most.min(FILES)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// Resident memory of a process, in MiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
