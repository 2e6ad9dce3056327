//! The history of every account is delivered: complete, in order, under stable ids, signed, whatever the receiver does
//! and however often the service is killed.
//!
//! `MUSTER_DELIVERY_SEED` repeats a run's choices, `MUSTER_DELIVERY_KILLS` asks for more kills than the usual 20.

mod expected_deliveries;
mod faulty_receiver;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use futures_util::future::join_all;
use muster::domain::{Channel, OnlineStatus};
use muster::limits::{CURSOR_SAVE_INTERVAL, WEBHOOKS_IN_FLIGHT};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::expected_deliveries::{check_attempts, check_deliveries, check_registrations, read_journal};
use self::faulty_receiver::{DEADLINE, FaultyReceiver, ReceiverMode, SECRET};
use crate::service_process::{ServiceProcess, TEST_TIMEOUT, WebhookReceiver, number, random_choices, temp_directory};
use crate::testkit::requests::{self, CODE, LIST, ONLINE, PHONE, RECYCLE, accounts, list};

const SYNC: &str = "/api/v1/webhooks/sync";
const REGISTER: &str = "/api/v1/webhooks/register";
/// Concurrent callers, each with accounts of its own.
const CALLERS: u64 = 8;
/// Accounts of one caller.
const ACCOUNTS: u64 = 250;
/// The first account of the first caller. The simulator's outcomes depend on the last four digits, and these choose a
/// plain success.
const FIRST: u64 = 21_000;
/// Accounts with special outcomes: pairing fails, the network fails, banned, dropped.
const FATES: [u64; 4] = [30_001, 30_002, 30_003, 30_006];
/// Accounts that no code can be sent to: their registration fails at once.
const UNREGISTERED: [u64; 4] = [40_005, 50_005, 60_005, 70_005];

/// Outcomes of an attempt.
const OUTCOMES: [&str; 7] = ["code", "no_code", "reset", "status", "timeout", "tls", "too_long"];
/// The HTTP statuses of failed attempts. A redirect is not followed.
const STATUSES: [u64; 3] = [302, 500, 503];

/// What operators see of all attempts.
#[derive(Default)]
struct AttemptSummary {
    /// The number of attempts by outcome.
    outcomes: BTreeMap<String, usize>,
    statuses: BTreeSet<u64>,
    /// The accepted attempts, by id and attempt number.
    taken: HashSet<(String, u64)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_history_is_delivered() {
    let kills = number("MUSTER_DELIVERY_KILLS").unwrap_or(20);
    let mut random = random_choices("MUSTER_DELIVERY_SEED");
    let (sync, register) = (FaultyReceiver::start(random.u64(..)).await, WebhookReceiver::start().await);
    let fixture = DeliveryFixture { data: temp_directory(), sync, register };
    fixture.set_secret().await;
    let online: Vec<Vec<bool>> = vec![vec![false; ACCOUNTS as usize]; CALLERS as usize];
    let mut callers: Vec<(fastrand::Rng, Vec<bool>)> = online.into_iter().map(|it| (random.fork(), it)).collect();
    for kill in 0..kills {
        let muster = fixture.start().await;
        let alive = Duration::from_millis(random.u64(50..400));
        let calling = join_all(
            callers.iter_mut().zip(0..).map(|((random, online), caller)| call(&muster, caller, random, online)),
        );
        let killing = async {
            sleep(alive).await;
            crate::service_process::send_signal(muster.pid(), "KILL");
        };
        tokio::join!(calling, killing);
        let log = muster.kill();
        assert!(!log.contains("panicked"), "kill {kill}: {log}");
    }
    let muster = fixture.start().await;
    move_all(&muster, true).await;
    wait_until_delivered(&muster).await;
    let muster = fixture.check_pause(muster).await;
    let muster = fixture.check_hanging(muster).await;
    fixture.check_tls_failure(&muster).await;
    let AttemptSummary { outcomes, statuses, taken } = summarize_attempts(&muster).await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let records = read_journal(fixture.data.path());
    let received = fixture.sync.log().attempts.clone();
    let events = check_deliveries(&records, &received);
    check_attempts(&received, &taken);
    let registrations = check_registrations(&records, &fixture.register);
    let wrong = fixture.sync.log().wrong.clone();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let accounts: HashSet<_> = records.iter().filter_map(|record| Some(record.account_event()?.0)).collect();
    let (accounts, attempts, kills) = (accounts.len(), received.len(), kills + 1);
    println!("{accounts} accounts, {events} events told in {attempts} attempts, {kills} kills");
    println!("{registrations} outcomes of registrations");
    println!("the receiver: {:?}", fixture.sync.log().did);
    println!("the sender: {outcomes:?}");
    let missing: Vec<_> = OUTCOMES.iter().filter(|outcome| !outcomes.contains_key(**outcome)).collect();
    assert!(missing.is_empty(), "nothing came to {missing:?}");
    assert_eq!(statuses, BTreeSet::from(STATUSES));
    assert_eq!(outcomes.get("network"), None, "this receiver fails in no way that has no name");
}

/// The data directory, and the two receivers.
struct DeliveryFixture {
    data: tempfile::TempDir,
    sync: FaultyReceiver,
    register: WebhookReceiver,
}

impl DeliveryFixture {
    async fn start(&self) -> ServiceProcess {
        self.start_with(DEADLINE).await
    }

    async fn start_with(&self, deadline: Duration) -> ServiceProcess {
        self.sync.prepare_start().await;
        // Failures are many and retries quick. The last retries are slower, so that no delivery dies on a busy machine.
        let waits = [["20ms"; 60].join(","), ["500ms"; 40].join(",")].join(",");
        let timeout = format!("{}ms", deadline.as_millis());
        let sync = format!("http://{}{}", self.sync.address, Channel::SyncStatus.default_path());
        let register = format!("{}{}", self.register.base, Channel::RegisterStatus.default_path());
        ServiceProcess::start(
            self.data.path(),
            &[
                ("MUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__URL", &sync),
                ("MUSTER_WEBHOOKS__CHANNEL_REGISTER_STATUS__URL", &register),
                ("MUSTER_WEBHOOKS__RETRY_WAITS", &waits),
                ("MUSTER_WEBHOOKS__TIMEOUT", &timeout),
                ("MUSTER_SIMULATOR__DELAY_MS", "5"),
            ],
        )
    }

    async fn set_secret(&self) {
        let muster = self.start().await;
        put(&muster, "secret", json!({"secret": SECRET})).await;
        muster.kill();
    }

    /// A failed registration is delivered on the other channel. By then this channel has had time, too.
    async fn wait_on_other_channel(&self, muster: &ServiceProcess, suffix: u64) {
        submit_phone(muster, suffix).await.unwrap();
        let account = account(suffix);
        self.register
            .wait_until("a registration", |received| received.iter().any(|it| it.body["phone"] == account))
            .await;
    }

    /// While the channel is paused nothing arrives, not even after a kill. Then everything arrives, and almost nothing
    /// that was accepted before is sent again.
    async fn check_pause(&self, muster: ServiceProcess) -> ServiceProcess {
        move_all(&muster, false).await;
        let shown = post(&muster, "pause", json!({"reason": "maintenance"})).await;
        assert_eq!(shown["inFlight"], 0, "attempts were under way when the pause was answered: {shown:#}");
        // An attempt that the sender has just given up may still be on its way to the log.
        sleep(Duration::from_millis(50)).await;
        let before = self.sync.count();
        let taken = self.sync.accepted_ids();
        move_all(&muster, true).await;
        online(&muster, &FATES).await.unwrap();
        self.wait_on_other_channel(&muster, UNREGISTERED[0]).await;
        assert_eq!(self.sync.count(), before, "something arrived while the channel was paused");
        // No signal says when the cursor has been saved.
        sleep(2 * CURSOR_SAVE_INTERVAL).await;
        muster.kill();
        let muster = self.start().await;
        self.wait_on_other_channel(&muster, UNREGISTERED[1]).await;
        assert_eq!(self.sync.count(), before, "something arrived after a kill while the channel was paused");
        let shown = muster.get(SYNC).await.json();
        assert_eq!(
            (&shown["state"], &shown["paused"]["reason"]),
            (&json!("paused"), &json!("maintenance")),
            "{shown:#}"
        );
        self.sync.accept_for_now();
        post(&muster, "resume", json!({})).await;
        wait_until_delivered(&muster).await;
        assert!(self.sync.count() >= before + 2 * (CALLERS * ACCOUNTS) as usize);
        let again = self.sync.log().attempts[before..].iter().filter(|it| taken.contains(&it.id)).count();
        // On a busy machine a few may have come too late.
        assert!(again * 100 <= taken.len(), "{again} of {} came again after the kill", taken.len());
        muster
    }

    /// While every attempt of one channel hangs, the other channel delivers as ever.
    async fn check_hanging(&self, muster: ServiceProcess) -> ServiceProcess {
        assert_eq!(muster.stop("TERM").0.code(), Some(0));
        let muster = self.start_with(10 * TEST_TIMEOUT).await;
        self.sync.set_mode(ReceiverMode::Hanging);
        let (taken, hanging) = (self.sync.accepted_ids().len(), self.sync.count() + WEBHOOKS_IN_FLIGHT);
        let others: Vec<u64> = (FIRST + ACCOUNTS..FIRST + 2 * ACCOUNTS).collect();
        recycle(&muster, &others).await.unwrap();
        wait_until("as many attempts as there may be", async || self.sync.count() >= hanging).await;
        self.wait_on_other_channel(&muster, UNREGISTERED[3]).await;
        assert_eq!((self.sync.accepted_ids().len(), self.sync.count()), (taken, hanging), "the receiver did not hang");
        self.sync.set_mode(ReceiverMode::Kind);
        wait_until_delivered(&muster).await;
        assert_eq!(muster.stop("TERM").0.code(), Some(0));
        self.start().await
    }

    /// One delivery meets a receiver without TLS, and arrives once the right receiver is back.
    async fn check_tls_failure(&self, muster: &ServiceProcess) {
        put(muster, "url", json!({"url": format!("https://{}/tls", self.sync.address)})).await;
        recycle(muster, &[FIRST]).await.unwrap();
        let path = format!("{SYNC}/deliveries?account={}", account(FIRST));
        wait_until("an attempt without TLS", async || {
            let found = muster.get(&path).await.json();
            attempts(&found).any(|attempt| attempt["outcome"] == "tls")
        })
        .await;
        let request = muster.client().delete(muster.url(&format!("{SYNC}/url")));
        assert_eq!(muster.send(request).await.unwrap().status, 200);
        self.wait_on_other_channel(muster, UNREGISTERED[2]).await;
        wait_until_delivered(muster).await;
    }
}

/// One caller: batches of random accounts, each moved to the opposite status, until the service is gone.
async fn call(muster: &ServiceProcess, caller: u64, random: &mut fastrand::Rng, is_online: &mut [bool]) {
    loop {
        let start = random.u64(0..ACCOUNTS);
        let some: Vec<u64> = (0..random.u64(1..40)).map(|it| (start + it) % ACCOUNTS).collect();
        let (offs, ons): (Vec<u64>, Vec<u64>) = some.into_iter().partition(|it| is_online[*it as usize]);
        let suffixes = |some: &[u64]| some.iter().map(|it| FIRST + caller * ACCOUNTS + it).collect::<Vec<_>>();
        for (some, to_online) in [(offs, false), (ons, true)] {
            if some.is_empty() {
                continue;
            }
            let suffixes = suffixes(&some);
            let asked = if to_online { online(muster, &suffixes).await } else { recycle(muster, &suffixes).await };
            let Ok(()) = asked else { return };
            some.iter().for_each(|it| is_online[*it as usize] = to_online);
        }
        if random.u8(0..4) == 0 {
            let suffix = FIRST + caller * ACCOUNTS + random.u64(0..ACCOUNTS);
            let code = if random.bool() { "123456" } else { "654321" };
            let Ok(()) = register(muster, suffix, code).await else { return };
        }
    }
}

/// Brings every account online, or takes all offline, by all callers.
async fn move_all(muster: &ServiceProcess, to_online: bool) {
    let asking = (0..CALLERS).map(|caller| async move {
        let first = FIRST + caller * ACCOUNTS;
        let suffixes: Vec<u64> = (first..first + ACCOUNTS).collect();
        if to_online { online(muster, &suffixes).await } else { recycle(muster, &suffixes).await }
    });
    join_all(asking).await.into_iter().for_each(|asked| asked.unwrap());
}

async fn online(muster: &ServiceProcess, suffixes: &[u64]) -> Result<(), reqwest::Error> {
    ask(muster, ONLINE, accounts(suffixes.iter().map(|suffix| account(*suffix)))).await
}

async fn recycle(muster: &ServiceProcess, suffixes: &[u64]) -> Result<(), reqwest::Error> {
    ask(muster, RECYCLE, list(suffixes.iter().map(|suffix| account(*suffix)))).await
}

async fn submit_phone(muster: &ServiceProcess, suffix: u64) -> Result<(), reqwest::Error> {
    let answer = muster.try_post(PHONE, requests::phone(account(suffix)).to_string(), "").await?;
    assert_eq!(answer.status, 200, "{}", answer.text);
    Ok(())
}

/// Registers a number with a right or a wrong code.
async fn register(muster: &ServiceProcess, suffix: u64, code: &str) -> Result<(), reqwest::Error> {
    submit_phone(muster, suffix).await?;
    let answer = muster.try_post(CODE, requests::code(account(suffix), code).to_string(), "").await?;
    assert_eq!(answer.status, 200, "{}", answer.text);
    Ok(())
}

async fn ask(muster: &ServiceProcess, path: &str, body: String) -> Result<(), reqwest::Error> {
    let answer = muster.try_post(path, body, "").await?;
    // Individual failures do not matter here.
    assert!(answer.status < 500, "{}", answer.text);
    Ok(())
}

async fn post(muster: &ServiceProcess, what: &str, body: Value) -> Value {
    let answer = muster.post(&format!("{SYNC}/{what}"), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn put(muster: &ServiceProcess, what: &str, body: Value) {
    let request = muster.client().put(muster.url(&format!("{SYNC}/{what}"))).body(body.to_string());
    let answer = muster.send(request.header("content-type", "application/json")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn account(suffix: u64) -> String {
    (861_821_700_000 + suffix).to_string()
}

/// Waits until no account is in transition, and everything is delivered.
async fn wait_until_delivered(muster: &ServiceProcess) {
    let coming = [OnlineStatus::OnlineComing, OnlineStatus::OfflineComing].map(|it| json!(it.code()));
    wait_until("an end of all transitions", async || {
        let listed = muster.get(LIST).await.json();
        let mut rows = listed["data"].as_array().unwrap().iter();
        rows.all(|row| row["onlineStatus"].is_number() && !coming.contains(&row["onlineStatus"]))
    })
    .await;
    wait_until("an end of all deliveries", async || {
        let shown = [muster.get(SYNC).await.json(), muster.get(REGISTER).await.json()];
        shown.iter().all(|shown| {
            let is_zero = |pointer: &str| shown.pointer(pointer).unwrap() == 0;
            assert_eq!(shown["blocked"], 0, "{shown:#}");
            // On a slow machine attempts time out and the circuit breaker opens; it has to close again.
            ["/lag/events", "/inFlight", "/waiting"].into_iter().all(is_zero) && shown["breaker"]["state"] == "closed"
        })
    })
    .await;
}

async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < TEST_TIMEOUT, "{what} did not come");
        sleep(Duration::from_millis(20)).await;
    }
}

fn attempts(page: &Value) -> impl Iterator<Item = &Value> {
    page["deliveries"].as_array().unwrap().iter().flat_map(|it| it["attempts"].as_array().unwrap())
}

/// By the attempt log, every delivery was accepted in the end.
async fn summarize_attempts(muster: &ServiceProcess) -> AttemptSummary {
    let (mut seen, mut cursor) = (AttemptSummary::default(), String::new());
    loop {
        let page = muster.get(&format!("{SYNC}/deliveries?limit=1000{cursor}")).await.json();
        for delivery in page["deliveries"].as_array().unwrap() {
            let attempts = delivery["attempts"].as_array().unwrap();
            let is_taken = attempts.last().is_some_and(|last| last["outcome"] == "ok");
            assert!(is_taken && delivery["state"] == "delivered", "not delivered: {delivery:#}");
            for attempt in attempts {
                let outcome = attempt["outcome"].as_str().unwrap();
                *seen.outcomes.entry(outcome.to_owned()).or_default() += 1;
                match outcome {
                    "ok" => {
                        let id = delivery["id"].as_str().unwrap().to_owned();
                        seen.taken.insert((id, attempt["attempt"].as_u64().unwrap()));
                    }
                    "status" => drop(seen.statuses.insert(attempt["status"].as_u64().unwrap())),
                    _ => {}
                }
            }
        }
        let Some(next) = page["next"].as_str() else { return seen };
        cursor = format!("&cursor={next}");
    }
}
