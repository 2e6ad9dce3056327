//! Honest clients: each sends a request every few milliseconds on a kept connection, and is answered.

use std::cell::Cell;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::service_process::client;

/// Concurrent clients, each with one account.
const CALLERS: u64 = 8;
/// The account of the first client. The last four digits choose no special outcome of the simulator.
const FIRST: u64 = 861_821_701_000;
/// The interval between requests of one client.
const EVERY: Duration = Duration::from_millis(20);
/// How long the calm and every attack are measured: over 1,000 responses, so that the 99th percentile is no accident.
const LOOK: Duration = Duration::from_secs(3);
/// The same in a short run, whose numbers mean nothing.
const SHORT_LOOK: Duration = Duration::from_millis(300);

/// The clients, with their key. They run on this thread.
pub struct HonestClients {
    base: String,
    key: String,
    look: Duration,
    runtime: Runtime,
}

/// The latencies of their requests.
pub struct LatencyStats {
    answers: usize,
    pub p99: Duration,
}

impl Display for LatencyStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "p99 {:.1} ms of {}", self.p99.as_secs_f64() * 1e3, self.answers)
    }
}

impl HonestClients {
    pub fn new(base: &str, key: &str, is_short: bool) -> HonestClients {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let look = if is_short { SHORT_LOOK } else { LOOK };
        let honest = HonestClients { base: base.to_owned(), key: key.to_owned(), look, runtime };
        // The first requests create the accounts.
        honest.measure_alone();
        honest
    }

    /// Measures them while nothing else happens.
    pub fn measure_alone(&self) -> LatencyStats {
        self.measure_beside(async {}).1
    }

    /// Measures them while `something` runs; returns its result, too.
    pub fn measure_beside<T>(&self, something: impl Future<Output = T>) -> (T, LatencyStats) {
        let is_over = Cell::new(false);
        let callers = join_all((0..CALLERS).map(|caller| self.run_client(FIRST + caller, &is_over)));
        let until = async {
            let (came, ()) = tokio::join!(something, sleep(self.look));
            is_over.set(true);
            came
        };
        let (times, came) = self.run(async { tokio::join!(callers, until) });
        let mut times = times.concat();
        times.sort_unstable();
        (came, LatencyStats { answers: times.len(), p99: times[times.len() * 99 / 100] })
    }

    /// Runs a future on their thread.
    pub fn run<T>(&self, something: impl Future<Output = T>) -> T {
        self.runtime.block_on(something)
    }

    /// One client: alternately it changes its account's content, which is durable before the response, and reads its
    /// status. Returns the latency of each request.
    async fn run_client(&self, account: u64, is_over: &Cell<bool>) -> Vec<Duration> {
        let (client, mut times, mut turn) = (client(), Vec::new(), interval(EVERY));
        // A delayed client does not catch up.
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (HonestClients { base, key, .. }, name) = (self, account.to_string());
        while !is_over.get() {
            turn.tick().await;
            let request = if times.len() % 2 == 0 {
                let body = json!({"whatsAppList": [{
                    "whatsApp": name, "whatsappType": 1, "override": true, "accountId": times.len().to_string(),
                    "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "",
                }]});
                let path = "/group-dispatch-api/whatsapp/batchOnline";
                client.post(format!("{base}{path}")).header("content-type", "application/json").body(body.to_string())
            } else {
                client.get(format!("{base}/group-dispatch-api/whatsapp/queryWhatsAppStatus?whatsApp={name}"))
            };
            let asked = Instant::now();
            let answer = request.bearer_auth(key).send().await.expect("an honest caller is answered");
            let status = answer.status().as_u16();
            let text = answer.text().await.expect("an honest caller is answered whole");
            times.push(asked.elapsed());
            assert_eq!(status, 200, "{text}");
        }
        times
    }
}
