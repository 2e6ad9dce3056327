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

pub fn round(deliveries: u64) -> Round {
    let accounts = 1_000.min(deliveries);
    let deliveries = deliveries / accounts * accounts;
    let mut receiver = receive(deliveries);
    let url = format!("http://{}/callback/gsTask/syncWhatsAppStatus", receiver.address);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let subject = runtime.block_on(deliver(deliveries, accounts, &mut receiver));
    let bodies = std::mem::take(&mut *receiver.bodies.lock().unwrap());
    assert_eq!(bodies.len() as u64, deliveries);
    let floor = runtime.block_on(post_plainly(&url, bodies));
    Round { units: deliveries, subject, floor }
}

/// Events that are to be told are appended; the time is until the last one was told.
async fn deliver(deliveries: u64, accounts: u64, receiver: &mut Receiver) -> Duration {
    let directory = house::directory();
    let store = house::store(&directory);
    let journal = Journal::open(store.clone(), Box::new(|_| {})).unwrap();
    let base_url = Some(format!("http://{}", receiver.address));
    let settings = Config { base_url, ..Settings::default().webhooks };
    let stop = CancellationToken::new();
    let vault = Vault::open(store.clone(), &Settings::default().vault).unwrap();
    let webhooks = Webhooks::start(&store, &journal, &vault, Guard::on_this_machine(), &settings, &stop).unwrap();
    let begin = Instant::now();
    tokio::task::spawn_blocking(move || house::append(&journal, accounts, deliveries)).await.unwrap();
    receiver.all.recv().await.unwrap();
    let took = begin.elapsed();
    stop.cancel();
    webhooks.drain().await;
    took
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
