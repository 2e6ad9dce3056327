//! Deliveries, beside the same client posting the same bodies to the same receiver.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use muster::client::Guard;
use muster::config::{Settings, Webhooks as Config};
use muster::journal::Journal;
use muster::limits::WEBHOOKS_IN_FLIGHT;
use muster::store::Table;
use muster::vault::Vault;
use muster::webhooks::Webhooks;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warp::Filter;

use crate::service::serve_floor;
use crate::{Round, house};

/// A receiver that answers success, and remembers the bodies of the first run.
struct Receiver {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    all: mpsc::UnboundedReceiver<()>,
}

/// Events that are told as they are appended.
pub fn round(deliveries: u64) -> Round {
    measure(1_000, deliveries, false)
}

/// Events that wait, ten of each account, until the receiver is there.
pub fn backlog(deliveries: u64) -> Round {
    measure((deliveries / 10).max(1), deliveries, true)
}

fn measure(accounts: u64, deliveries: u64, is_backlog: bool) -> Round {
    let accounts = accounts.min(deliveries);
    let deliveries = deliveries / accounts * accounts;
    let mut receiver = receive(deliveries);
    let url = format!("http://{}/callback/gsTask/syncWhatsAppStatus", receiver.address);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let subject = runtime.block_on(deliver(deliveries, accounts, is_backlog, &mut receiver));
    let bodies = std::mem::take(&mut *receiver.bodies.lock().unwrap());
    assert_eq!(bodies.len() as u64, deliveries);
    let floor = runtime.block_on(post_plainly(&url, bodies));
    Round { units: deliveries, subject, floor }
}

/// Events that are to be told are appended; the time is until the last one was told, of a backlog from the start of the
/// webhooks.
async fn deliver(deliveries: u64, accounts: u64, is_backlog: bool, receiver: &mut Receiver) -> Duration {
    let directory = house::directory();
    let store = house::store(&directory);
    let journal = Journal::open(store.clone(), Box::new(|_| {})).unwrap();
    let base_url = Some(format!("http://{}", receiver.address));
    let settings = Config { base_url, ..Settings::default().webhooks };
    let vault = Vault::open(store.clone(), &Settings::default().vault).unwrap();
    let guard = Guard::on_this_machine();
    let start =
        |stop: &CancellationToken| Webhooks::start(&store, &journal, &vault, guard.clone(), &settings, stop).unwrap();
    let stop = CancellationToken::new();
    let appending = journal.clone();
    let append = move || house::append(&appending, accounts, deliveries);
    // A channel is told what happens from its first start; of the backlog, that was before all this.
    store.put(Table::Cursors, b"sync", &0_u64.to_le_bytes()).unwrap();
    let (webhooks, before, begin);
    if is_backlog {
        tokio::task::spawn_blocking(append).await.unwrap();
        (before, begin) = (resident(), Instant::now());
        webhooks = start(&stop);
    } else {
        webhooks = start(&stop);
        (before, begin) = (resident(), Instant::now());
        tokio::task::spawn_blocking(append).await.unwrap();
    }
    let peak = watch_peak(stop.clone());
    receiver.all.recv().await.unwrap();
    let took = begin.elapsed();
    stop.cancel();
    webhooks.drain().await;
    if is_backlog {
        let peak = peak.await.unwrap();
        println!("    memory: {before} KiB before, {peak} KiB at the peak, the receiver's bodies included");
    }
    took
}

/// The memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The most memory this process has until it is told to stop.
fn watch_peak(stop: CancellationToken) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        let mut peak = resident();
        while stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(20))).await.is_some() {
            peak = peak.max(resident());
        }
        peak
    })
}

/// The same client, as many requests at once as a channel has, and nothing else.
async fn post_plainly(url: &str, bodies: Vec<Bytes>) -> Duration {
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
    let begin = Instant::now();
    let share = bodies.len().div_ceil(WEBHOOKS_IN_FLIGHT);
    let tasks = bodies.chunks(share).map(|bodies| {
        let (client, url, bodies) = (client.clone(), url.to_owned(), bodies.to_vec());
        tokio::spawn(async move {
            for body in bodies {
                let request = client.post(&url).header("content-type", "application/json").body(body);
                let answer = request.send().await.unwrap().bytes().await.unwrap();
                assert!(answer.starts_with(b"{"));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    begin.elapsed()
}

fn receive(expected: u64) -> Receiver {
    let (done, all) = mpsc::unbounded_channel();
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let (taking, count) = (bodies.clone(), Arc::new(AtomicU64::new(0)));
    let route = warp::post().and(warp::path::full()).and(warp::body::bytes()).map(move |_, body: Bytes| {
        taking.lock().unwrap().push(body);
        if count.fetch_add(1, Ordering::Relaxed) + 1 == expected {
            done.send(()).unwrap();
        }
        warp::reply::with_header(r#"{"data":"","code":200,"message":"success"}"#, "content-type", "application/json")
    });
    Receiver { address: serve_floor(route), bodies, all }
}
