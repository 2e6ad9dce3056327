//! The service is killed at random moments under load, again and again. Everything that was answered is in the journal,
//! in order, provable, and delivered.
//!
//! `MUSTER_CRASH_SEED` repeats a run's choices, `MUSTER_CRASH_KILLS` asks for more kills than the usual 30.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use muster::domain::{AccountNumber, Channel, Notification};
use muster::journal::{JournalRecord, RequestId};
use serde_json::{Value, json};

use crate::service_process::{
    ReceivedDelivery, ServiceProcess, WebhookReceiver, number, random_choices, read_all_records, temp_directory,
};
use crate::testkit::fixture::{open_journal, open_store};
use crate::testkit::requests::{LIST, ONLINE, PHONE, RECYCLE, accounts, list, phone};

/// Concurrent callers, each with accounts of its own.
const CALLERS: u64 = 16;
/// Accounts of one caller.
const ACCOUNTS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost() {
    let kills = number("MUSTER_CRASH_KILLS").unwrap_or(30);
    let mut random = random_choices("MUSTER_CRASH_SEED");
    let data = temp_directory();
    let receiver = WebhookReceiver::start_failing(|attempt| attempt % 17 == 3).await;
    let waits = ["20ms"; 50].join(",");
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_WEBHOOKS__RETRY_WAITS", waits.as_str()),
        ("MUSTER_SIMULATOR__DELAY_MS", "5"),
        ("MUSTER_ACTORS__COMING_TIMEOUT", "500ms"),
        ("MUSTER_ACTORS__MAX_ACTIVE", "64"),
        ("MUSTER_STORE__CHECKPOINT_EVERY", "1000"),
    ];
    let answered = Mutex::new(AnsweredCommands::default());
    for kill in 0..kills {
        let muster = ServiceProcess::start(data.path(), &settings);
        let alive = Duration::from_millis(random.u64(1..400));
        let seeds: Vec<u64> = (0..CALLERS).map(|_| random.u64(..)).collect();
        let calling = async {
            let callers = seeds.iter().zip(0..).map(|(seed, index)| run_caller(&muster, &answered, index, *seed));
            futures_util::future::join_all(callers).await;
        };
        let killing = async {
            tokio::time::sleep(alive).await;
            crate::service_process::send_signal(muster.pid(), "KILL");
        };
        tokio::join!(calling, killing);
        let log = muster.kill();
        assert!(!log.contains("panicked"), "kill {kill}: {log}");
        check_journal(data.path(), &answered.lock().unwrap());
    }
    let muster = ServiceProcess::start(data.path(), &settings);
    let listed = muster.get(LIST).await.json();
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let answered = answered.into_inner().unwrap();
    let mut events = check_journal(data.path(), &answered);
    check_list(&listed, &events);
    // Work that a start resumes makes events of its own, so it takes some starts until everything is delivered.
    for _ in 0..10 {
        let received = receiver.deliveries().clone();
        if missing_deliveries(&events, &received).is_empty() {
            break;
        }
        let muster = ServiceProcess::start(data.path(), &settings);
        receiver.wait_until("everything", |received| missing_deliveries(&events, received).is_empty()).await;
        assert_eq!(muster.stop("TERM").0.code(), Some(0));
        events = check_journal(data.path(), &answered);
    }
    let received = receiver.deliveries().clone();
    check_deliveries(&events, &received);
    let count = answered.requests.len() + answered.tasks.len();
    println!("{kills} kills, {count} answered commands, {} events, {} webhook attempts", events.len(), received.len());
    assert!(count as u64 > kills, "the load did nothing");
}

/// The responses that callers received.
#[derive(Default)]
struct AnsweredCommands {
    /// Requests that must have left an event, with the account.
    requests: HashSet<(RequestId, AccountNumber)>,
    /// Task ids that were returned.
    tasks: HashMap<u32, AccountNumber>,
}

/// One caller: one request after the other, until the service is gone.
async fn run_caller(muster: &ServiceProcess, answered: &Mutex<AnsweredCommands>, index: u64, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    // By account: whether the last answered request asked for online.
    let mut asked_online: HashMap<u64, bool> = HashMap::new();
    loop {
        let suffix = index * 100 + random.u64(0..ACCOUNTS) + 1_000;
        let account = account(suffix);
        let request = RequestId(random.u128(1..));
        let register = random.u8(0..8) == 0;
        let online = !asked_online.get(&suffix).copied().unwrap_or(false);
        let (path, body) = match (register, online) {
            (true, _) => (PHONE, phone(account).to_string()),
            (false, true) => (ONLINE, accounts([account])),
            (false, false) => (RECYCLE, list([account.to_string()])),
        };
        let Ok(answer) = muster.try_post(path, body, &request.to_string()).await else { return };
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut answered = answered.lock().unwrap();
        if register {
            let task = answer.json()["data"].as_u64().unwrap();
            let before = answered.tasks.insert(u32::try_from(task).unwrap(), account);
            assert_eq!(before, None, "task {task} was given out twice");
            continue;
        }
        // A request for the opposite of the last answered one must leave an event: the simulator changes no account of
        // these numbers by itself. Nothing is known for the first request after a start.
        if asked_online.insert(suffix, online).is_some() {
            answered.requests.insert((request, account));
        }
    }
}

fn account(suffix: u64) -> AccountNumber {
    AccountNumber::from_stored(861_821_700_000 + suffix).unwrap()
}

/// Opens the journal as a start would, and compares it with the responses.
fn check_journal(data: &Path, answered: &AnsweredCommands) -> Vec<JournalRecord> {
    let journal = open_journal(open_store(data));
    let report = journal.verify().unwrap();
    let records = read_all_records(&journal);
    assert_eq!(report.events, records.len() as u64);
    let mut heads: HashMap<AccountNumber, (u64, u64)> = HashMap::new();
    for (record, position) in records.iter().zip(1..) {
        let (previous, version) = heads.insert(account_of(record), (position, record.version)).unwrap_or_default();
        assert_eq!((record.position, record.previous, record.version), (position, previous, version + 1));
    }
    let requests: HashSet<_> = records.iter().map(|record| (record.origin.request, account_of(record))).collect();
    let lost: Vec<_> = answered.requests.difference(&requests).collect();
    assert!(lost.is_empty(), "{} answered requests left no event: {lost:?}", lost.len());
    let tasks: HashMap<u32, AccountNumber> = records.iter().filter_map(task_of).collect();
    for (task, account) in &answered.tasks {
        assert_eq!(tasks.get(task), Some(account), "task {task} was answered and is lost");
    }
    records
}

/// The journal of this test contains only events of accounts.
fn account_of(record: &JournalRecord) -> AccountNumber {
    record.account_event().unwrap().0
}

fn notice_of(record: &JournalRecord) -> Option<Notification<'_>> {
    Notification::for_event(record.account_event().unwrap().1)
}

fn task_of(record: &JournalRecord) -> Option<(u32, AccountNumber)> {
    let (account, muster::domain::Event::RegistrationRequested { task, .. }) = record.account_event()? else {
        return None;
    };
    Some((task.get(), account))
}

/// The account list has every account, in the order of their first events.
fn check_list(listed: &Value, events: &[JournalRecord]) {
    let listed: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|row| row["whatsApp"].as_str().unwrap()).collect();
    let first = events.iter().filter(|record| record.version == 1).map(|record| account_of(record).to_string());
    assert_eq!(listed, first.collect::<Vec<_>>());
}

/// The position and the channel in the id of a delivery.
fn delivery_position(delivery: &ReceivedDelivery) -> (u64, &str) {
    let mut parts = delivery.id.rsplit('_');
    (parts.next().unwrap().parse().unwrap(), parts.next().unwrap())
}

/// The expected deliveries: the channel of each position.
fn expected_channels(events: &[JournalRecord]) -> BTreeMap<u64, Channel> {
    let notice = |record: &JournalRecord| Some((record.position, notice_of(record)?.channel()));
    events.iter().filter_map(notice).collect()
}

fn missing_deliveries(events: &[JournalRecord], received: &[ReceivedDelivery]) -> Vec<u64> {
    let received: HashSet<u64> =
        received.iter().filter(|it| it.was_accepted).map(|it| delivery_position(it).0).collect();
    expected_channels(events).into_keys().filter(|position| !received.contains(position)).collect()
}

/// Every expected delivery arrived, and none before its account's earlier ones were accepted. An event has the same id
/// and body each time.
fn check_deliveries(events: &[JournalRecord], received: &[ReceivedDelivery]) {
    assert_eq!(missing_deliveries(events, received), Vec::<u64>::new());
    let to_tell = expected_channels(events);
    let mut lanes: HashMap<(AccountNumber, Channel), Vec<u64>> = HashMap::new();
    for (position, channel) in &to_tell {
        lanes.entry((account_of(&events[*position as usize - 1]), *channel)).or_default().push(*position);
    }
    let mut accepted = HashSet::new();
    let mut bodies = HashMap::new();
    for delivery in received {
        let (position, channel_name) = delivery_position(delivery);
        let channel = to_tell[&position];
        let record = &events[position as usize - 1];
        assert_eq!(channel_name, channel.short_name());
        assert_eq!(delivery.path, channel.default_path());
        let same = bodies.entry(position).or_insert_with(|| (delivery.id.clone(), delivery.body.clone()));
        assert_eq!((&same.0, &same.1), (&delivery.id, &delivery.body));
        check_body(record, &delivery.body);
        let before = lanes[&(account_of(record), channel)].iter().take_while(|it| **it < position);
        let early: Vec<_> = before.filter(|it| !accepted.contains(*it)).collect();
        assert!(early.is_empty(), "position {position} was told before {early:?} of the same account");
        if delivery.was_accepted {
            accepted.insert(position);
        }
    }
}

fn check_body(record: &JournalRecord, body: &Value) {
    let account = account_of(record).to_string();
    let expected = match notice_of(record).unwrap() {
        Notification::Status { status, online_status, reason, instance_code } => json!({"whatsApp": account,
            "status": status.code(), "onlineStatus": online_status.code(), "reason": reason,
            "instanceCode": instance_code}),
        Notification::Registration { successful, .. } => json!({"phone": account, "status": u8::from(successful)}),
    };
    assert_eq!(*body, expected);
}
