//! Every account's story arrives: whole, in order, under stable ids, signed, whatever the receiver does and however
//! often the service is killed.
//!
//! `MUSTER_DELIVERY_SEED` repeats a run's choices, `MUSTER_DELIVERY_KILLS` asks for more kills than the usual 20.

mod receiver;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use muster::config::Settings;
use muster::domain::{AccountNumber, Channel, Notice, OnlineStatus};
use muster::journal::{Journal, Recorded};
use muster::limits::READ_RECORDS;
use muster::store::Store;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::receiver::{DEADLINE, Faulty, SECRET, Told};
use crate::muster::{Muster, PATIENCE, Receiver, directory};

const SYNC: &str = "/api/v1/webhooks/sync";
/// Callers at the same time, each with accounts of its own.
const CALLERS: u64 = 8;
/// Accounts of one caller.
const ACCOUNTS: u64 = 250;
/// The first account of the first caller. None has a fate: those are told by the last four digits.
const FIRST: u64 = 21_000;
/// Accounts with fates: pairing fails; banned.
const FATES: [u64; 2] = [30_001, 30_003];
/// Accounts that no code can be sent to: their registration fails, which is told at once.
const UNREGISTERED: [u64; 3] = [40_005, 50_005, 60_005];

/// What an attempt can come to.
const OUTCOMES: [&str; 7] = ["code", "no_code", "reset", "status", "timeout", "tls", "too_long"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_arrives() {
    let setting = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = setting("MUSTER_DELIVERY_SEED").unwrap_or_else(|| fastrand::u64(..));
    let kills = setting("MUSTER_DELIVERY_KILLS").unwrap_or(20);
    println!("MUSTER_DELIVERY_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (sync, register) = (Faulty::start(random.u64(..)).await, Receiver::start().await);
    let here = Here { data: directory(), sync, register };
    here.set_secret().await;
    let online: Vec<Vec<bool>> = vec![vec![false; ACCOUNTS as usize]; CALLERS as usize];
    let mut callers: Vec<(fastrand::Rng, Vec<bool>)> = online.into_iter().map(|it| (random.fork(), it)).collect();
    for kill in 0..kills {
        let muster = here.start();
        let alive = Duration::from_millis(random.u64(50..400));
        let calling = join_all(
            callers.iter_mut().zip(0..).map(|((random, online), caller)| call(&muster, caller, random, online)),
        );
        let killing = async {
            sleep(alive).await;
            crate::muster::send_signal(muster.pid(), "KILL");
        };
        tokio::join!(calling, killing);
        let log = muster.kill();
        assert!(!log.contains("panicked"), "kill {kill}: {log}");
    }
    let muster = here.start();
    everyone(&muster, true).await;
    settle(&muster).await;
    let muster = here.pause(muster).await;
    here.no_tls(&muster).await;
    let outcomes = check_deliveries(&muster).await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let records = read_journal(here.data.path());
    let told = here.sync.log().told.clone();
    let events = check_told(&records, &told);
    check_registrations(&records, &here.register);
    let wrong = here.sync.log().wrong.clone();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let accounts: HashSet<_> = records.iter().filter_map(|record| Some(record.event()?.0)).collect();
    println!("{} accounts, {events} events told in {} attempts, {} kills", accounts.len(), told.len(), kills + 1);
    println!("the receiver: {:?}", here.sync.log().did);
    println!("the sender: {outcomes:?}");
    let missing: Vec<_> = OUTCOMES.iter().filter(|outcome| !outcomes.contains_key(**outcome)).collect();
    assert!(missing.is_empty(), "nothing came to {missing:?}");
    assert_eq!(outcomes.get("network"), None, "this receiver fails in no way that has no name");
}

/// The data directory, and who is told.
struct Here {
    data: tempfile::TempDir,
    sync: Faulty,
    register: Receiver,
}

impl Here {
    fn start(&self) -> Muster {
        self.sync.calm();
        // Failures are many and waits short; the last ones are longer, so that no delivery dies on a busy machine.
        let waits = [["20ms"; 60].join(","), ["500ms"; 40].join(",")].join(",");
        let timeout = format!("{}ms", DEADLINE.as_millis());
        let sync = format!("http://{}{}", self.sync.address, Channel::SyncStatus.default_path());
        let register = format!("{}{}", self.register.base, Channel::RegisterStatus.default_path());
        Muster::start(
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
        let muster = self.start();
        put(&muster, "secret", json!({"secret": SECRET})).await;
        muster.kill();
    }

    /// A registration that fails is told on the other channel: by then, this channel had its time too.
    async fn signal(&self, muster: &Muster, suffix: u64) {
        let phone = (1_821_700_000 + suffix).to_string();
        let body = json!({"phone": phone, "verifyType": 0, "accountType": 1, "areaCode": "+86", "countryCode": "CN"});
        let answer = muster.post("/group-dispatch-api/register/submitPhone", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let account = account(suffix);
        self.register.until("a registration", |told| told.iter().any(|it| it.body["phone"] == account)).await;
    }

    /// While the channel is paused nothing arrives, also not after a kill; then everything does.
    async fn pause(&self, muster: Muster) -> Muster {
        everyone(&muster, false).await;
        post(&muster, "pause", json!({"reason": "maintenance"})).await;
        // What the sender gave up just before may still be on its way to the log.
        sleep(Duration::from_millis(50)).await;
        let before = self.sync.count();
        everyone(&muster, true).await;
        online(&muster, &FATES).await.unwrap();
        self.signal(&muster, UNREGISTERED[0]).await;
        assert_eq!(self.sync.count(), before, "something arrived while the channel was paused");
        muster.kill();
        let muster = self.start();
        self.signal(&muster, UNREGISTERED[1]).await;
        assert_eq!(self.sync.count(), before, "something arrived after a kill while the channel was paused");
        let shown = muster.get(SYNC).await.json();
        assert_eq!(
            (&shown["state"], &shown["paused"]["reason"]),
            (&json!("paused"), &json!("maintenance")),
            "{shown:#}"
        );
        self.sync.calm();
        post(&muster, "resume", json!({})).await;
        settle(&muster).await;
        assert!(self.sync.count() >= before + 2 * (CALLERS * ACCOUNTS) as usize);
        muster
    }

    /// One delivery meets a receiver without TLS, and arrives when the receiver is the right one again.
    async fn no_tls(&self, muster: &Muster) {
        put(muster, "url", json!({"url": format!("https://{}/tls", self.sync.address)})).await;
        recycle(muster, &[FIRST]).await.unwrap();
        let path = format!("{SYNC}/deliveries?account={}", account(FIRST));
        until("an attempt without TLS", async || {
            let found = muster.get(&path).await.json();
            attempts(&found).any(|attempt| attempt["outcome"] == "tls")
        })
        .await;
        let request = muster.client().delete(muster.url(&format!("{SYNC}/url")));
        assert_eq!(muster.send(request).await.unwrap().status, 200);
        self.signal(muster, UNREGISTERED[2]).await;
        settle(muster).await;
    }
}

/// One caller: batches of random accounts, each to where it is not, until the service is gone.
async fn call(muster: &Muster, caller: u64, random: &mut fastrand::Rng, is_online: &mut [bool]) {
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
    }
}

/// Brings every account online, or takes all of them offline, by all callers.
async fn everyone(muster: &Muster, to_online: bool) {
    let asking = (0..CALLERS).map(|caller| async move {
        let first = FIRST + caller * ACCOUNTS;
        let suffixes: Vec<u64> = (first..first + ACCOUNTS).collect();
        if to_online { online(muster, &suffixes).await } else { recycle(muster, &suffixes).await }
    });
    join_all(asking).await.into_iter().for_each(|asked| asked.unwrap());
}

async fn online(muster: &Muster, suffixes: &[u64]) -> Result<(), reqwest::Error> {
    let content = |suffix: &u64| {
        json!({"whatsApp": account(*suffix), "override": false, "publicKey": "", "privateKey": "",
            "msgPublicKey": "", "msgPrivateKey": ""})
    };
    ask(muster, "batchOnline", suffixes.iter().map(content).collect()).await
}

async fn recycle(muster: &Muster, suffixes: &[u64]) -> Result<(), reqwest::Error> {
    ask(muster, "batchRecycle", suffixes.iter().map(|suffix| json!(account(*suffix))).collect()).await
}

async fn ask(muster: &Muster, what: &str, list: Vec<Value>) -> Result<(), reqwest::Error> {
    let body = json!({"whatsAppList": list}).to_string();
    let answer = muster.try_post(&format!("/group-dispatch-api/whatsapp/{what}"), body, "").await?;
    // Which of them cannot take it is of no matter here.
    assert!(answer.status < 500, "{}", answer.text);
    Ok(())
}

async fn post(muster: &Muster, what: &str, body: Value) {
    let answer = muster.post(&format!("{SYNC}/{what}"), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn put(muster: &Muster, what: &str, body: Value) {
    let request = muster.client().put(muster.url(&format!("{SYNC}/{what}"))).body(body.to_string());
    let answer = muster.send(request.header("content-type", "application/json")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn account(suffix: u64) -> String {
    (861_821_700_000 + suffix).to_string()
}

/// Waits until no account is on its way, and all that happened was told.
async fn settle(muster: &Muster) {
    let coming = [OnlineStatus::OnlineComing, OnlineStatus::OfflineComing].map(|it| json!(it.code()));
    until("an end of all transitions", async || {
        let listed = muster.get("/group-dispatch-api/whatsapp/queryWhatsAppStatus").await.json();
        let mut rows = listed["data"].as_array().unwrap().iter();
        rows.all(|row| row["onlineStatus"].is_number() && !coming.contains(&row["onlineStatus"]))
    })
    .await;
    until("an end of all deliveries", async || {
        let shown = muster.get(SYNC).await.json();
        let is_zero = |pointer: &str| shown.pointer(pointer).unwrap() == 0;
        assert_eq!((&shown["blocked"], &shown["breaker"]["state"]), (&json!(0), &json!("closed")), "{shown:#}");
        ["/lag/events", "/inFlight", "/waiting"].into_iter().all(is_zero)
    })
    .await;
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come");
        sleep(Duration::from_millis(20)).await;
    }
}

fn attempts(page: &Value) -> impl Iterator<Item = &Value> {
    page["deliveries"].as_array().unwrap().iter().flat_map(|it| it["attempts"].as_array().unwrap())
}

/// By what operators see, every delivery was taken in the end. Returns how often an attempt came to what.
async fn check_deliveries(muster: &Muster) -> BTreeMap<String, usize> {
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = muster.get(&format!("{SYNC}/deliveries?limit=1000{cursor}")).await.json();
        for delivery in page["deliveries"].as_array().unwrap() {
            let last = delivery["attempts"].as_array().unwrap().last();
            let is_taken = delivery["state"] == "delivered" && last.is_some_and(|last| last["outcome"] == "ok");
            assert!(is_taken, "not delivered: {delivery:#}");
        }
        for attempt in attempts(&page) {
            *outcomes.entry(attempt["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let Some(next) = page["next"].as_str() else { return outcomes };
        cursor = format!("&cursor={next}");
    }
}

fn read_journal(data: &Path) -> Vec<Recorded> {
    let store = Store::open(data, &Settings::default().store).unwrap();
    let journal = Journal::open(store, Box::new(|_| {})).unwrap();
    journal.verify().unwrap();
    let mut records: Vec<Recorded> = Vec::new();
    loop {
        let after = records.last().map_or(0, |last| last.position);
        let more = journal.read_after(after, READ_RECORDS).unwrap();
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}

/// What was told is what happened: each event at least once, an account's in their order, each under one id and in the
/// same words. Returns how many events that is.
fn check_told(records: &[Recorded], told: &[Told]) -> usize {
    let mut stories: BTreeMap<AccountNumber, Vec<(u64, String)>> = BTreeMap::new();
    for (account, version, body) in records.iter().filter_map(body_of) {
        stories.entry(account).or_default().push((version, body));
    }
    let mut places: HashMap<&str, (AccountNumber, u64)> = HashMap::new();
    let mut ids: HashMap<(AccountNumber, u64), &str> = HashMap::new();
    let mut accepted: BTreeMap<AccountNumber, Vec<(u64, String)>> = BTreeMap::new();
    for Told { id, version, body, was_accepted, .. } in told {
        let whose: Value = serde_json::from_str(body).unwrap();
        let account = whose["whatsApp"].as_str().unwrap().parse::<u64>().unwrap();
        let account = AccountNumber::from_stored(account).unwrap();
        let place = (account, *version);
        assert_eq!(*places.entry(id).or_insert(place), place, "an id of two events");
        assert_eq!(*ids.entry(place).or_insert(id), id, "an event of two ids");
        let story = &stories[&account];
        let event = (*version, body.clone());
        assert!(story.contains(&event), "{id} told {event:?} of {account}, which did not happen");
        let heard = accepted.entry(account).or_default();
        // An event that was told and comes again changes nothing; one that is new must be the next.
        if !heard.contains(&event) {
            assert_eq!(story[heard.len()], event, "{id}: out of order for {account}, which was told {heard:?}");
            if *was_accepted {
                heard.push(event);
            }
        }
    }
    for (account, story) in &stories {
        let heard = accepted.get(account).map_or(0, Vec::len);
        assert_eq!(heard, story.len(), "of {account} was never told: {:?}", &story[heard..]);
    }
    stories.values().map(Vec::len).sum()
}

/// What the channel is to be told of a record: of whom, in which version, in which words. What operators did, and what
/// the other channel tells, is nothing to it.
fn body_of(record: &Recorded) -> Option<(AccountNumber, u64, String)> {
    let (account, event) = record.event()?;
    let Notice::Status { status, online_status, reason, instance_code } = Notice::of(event)? else { return None };
    let body = json!({"whatsApp": account.to_string(), "status": status.code(), "onlineStatus": online_status.code(),
        "reason": reason, "instanceCode": instance_code});
    Some((account, record.version, body.to_string()))
}

/// The other channel is no worse for it.
fn check_registrations(records: &[Recorded], register: &Receiver) {
    let mut happened = 0;
    for (account, event) in records.iter().filter_map(Recorded::event) {
        if let Some(Notice::Registration { successful }) = Notice::of(event) {
            let told = register.told_about(&account.to_string());
            assert_eq!(told, [format!("register {}", u8::from(successful))]);
            happened += 1;
        }
    }
    assert_eq!(happened, UNREGISTERED.len());
}
