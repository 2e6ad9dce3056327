//! Deliveries, beside the same client posting the same bodies to the same receiver.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use muster::client::AddressGuard;
use muster::config::{Settings, WebhookSettings as Config};
use muster::limits::{WEBHOOK_CONNECT_TIMEOUT, WEBHOOKS_IN_FLIGHT};
use muster::projections::Roster;
use muster::vault::Vault;
use muster::webhooks::Webhooks;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use warp::Filter;

use crate::bench::RoundResult;
use crate::cost::{Cost, CostMeter};
use crate::service::{ServiceProcess, client_runtime, serve_floor};
use crate::{fixture, wire};

/// A receiver that answers success, and keeps the bodies of the first run.
struct CountingReceiver {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    all: mpsc::UnboundedReceiver<()>,
}

/// Events that are delivered as they are appended. The time is from the first append to the last delivery.
pub fn round(deliveries: u64) -> RoundResult {
    let mut receiver = start_receiver(deliveries);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let subject = runtime.block_on(async {
        let directory = fixture::temp_directory();
        let store = fixture::store(&directory);
        let journal = fixture::open_journal(store.clone());
        let settings = Config { base_url: Some(receiver.base_url()), ..Settings::default().webhooks };
        let vault = Vault::open(store.clone(), &Settings::default().vault).unwrap();
        let (guard, stop) = (AddressGuard::allow_private(), CancellationToken::new());
        let webhooks =
            Webhooks::start(&store, &journal, &Roster::open(&store), &vault, guard, &settings, &stop).unwrap();
        let meter = CostMeter::start();
        let accounts = 1_000.min(deliveries);
        spawn_blocking(move || fixture::append(&journal, accounts, deliveries)).await.unwrap();
        receiver.all.recv().await.unwrap();
        let cost = meter.stop();
        stop.cancel();
        webhooks.drain().await;
        cost
    });
    RoundResult { part: "", units: deliveries, subject, floor: receiver.measure_floor(deliveries) }
}

/// Waiting events, ten per account, until their channel is resumed. The time is from the resume to the last delivery.
/// The service has its own process, so that its memory can be measured.
pub fn backlog(deliveries: u64) -> RoundResult {
    let deliveries = deliveries.next_multiple_of(10);
    let mut receiver = start_receiver(deliveries);
    let directory = fixture::temp_directory();
    let data = directory.path().join("data");

    let start = || ServiceProcess::start(&data, &[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base_url())]);
    let runtime = client_runtime();
    let order = |service: &ServiceProcess, order: &str, body: &str| {
        let request = wire::post(&format!("/api/v1/webhooks/sync/{order}"), body);
        runtime.block_on(wire::send(service.address, vec![vec![request]]));
    };
    // A channel delivers events from its first start on.
    order(&start(), "pause", r#"{"reason":"to see how a backlog drains"}"#);
    let journal = fixture::open_journal(fixture::store(&directory));
    fixture::append_these(&journal, deliveries / 10, deliveries, &fixture::at_rest());
    drop(journal);
    let service = start();
    let before = service.resident();
    service.reset_peak();
    let (cpu, meter) = (service.cpu(), CostMeter::start());
    order(&service, "resume", "");
    receiver.all.blocking_recv().unwrap();
    let subject = meter.stop().with_process(service.cpu() - cpu);
    let (peak, mib) = (service.peak(), |bytes: u64| bytes as f64 / f64::from(1 << 20));
    let growth = mib(peak.saturating_sub(before));
    println!(
        "    memory of the service: {:.0} MiB before, {:.0} MiB at the peak, growth {growth:.0} MiB",
        mib(before),
        mib(peak)
    );
    drop(service);
    RoundResult { part: "", units: deliveries, subject, floor: receiver.measure_floor(deliveries) }
}

impl CountingReceiver {
    fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Posts the same bodies again, with the same client and as many concurrent requests as a channel.
    fn measure_floor(&self, deliveries: u64) -> Cost {
        let bodies = std::mem::take(&mut *self.bodies.lock().unwrap());
        assert_eq!(bodies.len() as u64, deliveries);
        let url = format!("{}/callback/gsTask/syncWhatsAppStatus", self.base_url());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(post_plainly(&url, bodies))
    }
}

async fn post_plainly(url: &str, bodies: Vec<Bytes>) -> Cost {
    let client = muster::client::streaming_client_builder(WEBHOOK_CONNECT_TIMEOUT).build().unwrap();
    let meter = CostMeter::start();
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
    meter.stop()
}

fn start_receiver(expected: u64) -> CountingReceiver {
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
    CountingReceiver { address: serve_floor(route), bodies, all }
}
