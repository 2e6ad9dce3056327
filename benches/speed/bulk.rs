//! All accounts online and offline again, batch after batch: does it stay as fast and as small?

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::bench::{RoundResult, Scale};
use crate::cost::{self, Cost, CostMeter};
use crate::http::{ImportBody, ONLINE};
use crate::service::{ServiceProcess, batch_body, client_runtime};
use crate::{fixture, wire};

/// The path of batchRecycle.
pub const RECYCLE: &str = "/group-dispatch-api/whatsapp/batchRecycle";
/// How often all accounts are brought online and recycled.
const ROUNDS: usize = 5;
/// The largest allowed batch.
const BATCH: usize = 10_000;

/// The polling interval.
const POLL: Duration = Duration::from_millis(2);

/// The time limit of a batch.
const PATIENCE: Duration = Duration::from_secs(300);

/// A body of batchRecycle, parsed without validation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct RecycleBody {
    whats_app_list: Vec<String>,
}

/// Brings all accounts of the wide store online and recycles them, a batch at a time, five times. Between its turns an
/// account's actor retires, so that the account is recovered from the disk. The floor parses the same bodies, and
/// writes the bytes of the blocks to a plain file, one fdatasync a batch.
pub fn online(scale: &Scale) -> Vec<RoundResult> {
    let wide = scale.wide();
    let batches: Vec<&[u64]> = wide.numbers.chunks(BATCH.min(wide.numbers.len().div_ceil(2))).collect();
    let known = blocks_of(&wide.open()).count();
    // A batch comes online when the simulator reports it.
    let service = ServiceProcess::start(&wide.data(), &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    println!("    resident {} MiB at the start", service.resident() >> 20);
    let mut subjects = Vec::new();
    for number in 1..=ROUNDS {
        let cost = batches.iter().map(|batch| run_batch(&service, batch)).fold(Cost::NOTHING, |sum, it| sum + it);
        println!(
            "    round {number}: {:.0} accounts/s, resident {} MiB",
            wide.numbers.len() as f64 / cost.time.as_secs_f64(),
            service.resident() >> 20
        );
        subjects.push(cost);
    }
    drop(service);

    let store = wide.open();
    let a_batch = (blocks_of(&store).count() - known) / (ROUNDS * batches.len());
    let mut blocks = blocks_of(&store).skip(known);
    let directory = fixture::temp_directory();
    let mut round = |subject| {
        let mut file = File::create(directory.path().join("plain")).unwrap();
        let mut floor = Cost::NOTHING;
        for numbers in &batches {
            let bytes: Vec<Vec<u8>> = blocks.by_ref().take(a_batch).collect();
            let (online, recycle) = (batch_body(numbers.iter().copied()), recycle_body(numbers));
            floor = floor
                + cost::measure(|| {
                    black_box(serde_json::from_str::<ImportBody>(&online).unwrap());
                    black_box(serde_json::from_str::<RecycleBody>(&recycle).unwrap());
                    bytes.iter().for_each(|block| file.write_all(block).unwrap());
                    file.sync_data().unwrap();
                });
        }
        RoundResult { part: "", units: wide.numbers.len() as u64, subject, floor }
    };
    subjects.into_iter().map(&mut round).collect()
}

fn blocks_of(store: &muster::store::Store) -> impl Iterator<Item = Vec<u8>> + use<> {
    store.blocks_from(0).map(|block| block.unwrap().1.to_vec())
}

/// Brings one batch online, waits for it, recycles it, and waits until it is offline. The requests are built before the
/// measurement.
fn run_batch(service: &ServiceProcess, numbers: &[u64]) -> Cost {
    let runtime = client_runtime();
    let online = wire::post(ONLINE, &batch_body(numbers.iter().copied()));
    let recycle = wire::post(RECYCLE, &recycle_body(numbers));
    let (cpu, meter) = (service.cpu(), CostMeter::start());
    for (request, settled) in [(online, numbers.len()), (recycle, 0)] {
        runtime.block_on(wire::send(service.address, vec![vec![request]]));
        let deadline = Instant::now() + PATIENCE;
        while states(service.address) != [0, settled, 0] {
            assert!(Instant::now() < deadline, "a batch is not where it was sent: {:?}", states(service.address));
            sleep(POLL);
        }
    }
    meter.stop().with_process(service.cpu() - cpu)
}

/// The number of accounts that are online-coming, online and offline-coming.
fn states(address: SocketAddr) -> [usize; 3] {
    let metrics = String::from_utf8(wire::fetch(address, "", "/metrics").1).unwrap();
    ["online_coming", "online", "offline_coming"].map(|state| {
        let name = format!("muster_accounts{{state=\"{state}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    })
}

/// A body of batchRecycle.
pub fn recycle_body(numbers: &[u64]) -> String {
    let quoted: Vec<String> = numbers.iter().map(|number| format!("\"{number}\"")).collect();
    format!(r#"{{"whatsAppList":[{}]}}"#, quoted.join(","))
}
