//! The service and the reference gateway, killed at random moments, again and again: the shown state becomes the true
//! one.
//!
//! `MUSTER_BRIDGE_SEED` repeats a run's choices, `MUSTER_BRIDGE_KILLS` asks for more kills than the usual 8 each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster::domain::{AccountNumber, Event};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::gateway_check::{PythonGateway, SECRET, free_address};
use crate::service_process::{
    ServiceProcess, muster_command, number, random_choices, read_all_records, temp_directory,
};
use crate::testkit::fixture::{open_journal, open_store};
use crate::testkit::requests;

/// Accounts that go online and offline. Their last four digits choose no special outcome of the simulator.
const ACCOUNTS: std::ops::Range<u64> = 861_821_727_100..861_821_727_124;
/// How long both have to agree once the kills are over.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both processes, with the commands that start them.
struct ServiceAndGateway {
    place: PathBuf,
    listen: String,
    commands: String,
    pull: bool,
    muster: Option<ServiceProcess>,
    gateway: Option<PythonGateway>,
}

impl ServiceAndGateway {
    fn start(place: &Path, pull: bool) -> ServiceAndGateway {
        let (listen, commands) = (free_address(), free_address());
        let mut pair =
            ServiceAndGateway { place: place.to_owned(), listen, commands, pull, muster: None, gateway: None };
        pair.start_muster();
        pair.start_gateway();
        pair
    }

    fn start_muster(&mut self) {
        let (data, url) = (self.place.join("data"), format!("http://{}", self.commands));
        let mut settings = vec![
            ("MUSTER_GATEWAY__DEFAULT", "bridge"),
            ("MUSTER_GATEWAY__BRIDGE__SECRET", SECRET),
            ("MUSTER_GATEWAY__RECONCILE_EVERY", "1s"),
            ("MUSTER_GATEWAY__BRIDGE__LEASE", "1s"),
            ("MUSTER_ACTORS__COMING_TIMEOUT", "5s"),
        ];
        if !self.pull {
            settings.push(("MUSTER_GATEWAY__BRIDGE__URL", &url));
        }
        let arguments = ["serve", "--listen", &self.listen, "--data-dir", data.to_str().unwrap()];
        self.muster = Some(ServiceProcess::spawn(&mut muster_command(&arguments, &settings)));
    }

    fn start_gateway(&mut self) {
        let (state, url) = (self.place.join("bridge.json"), format!("http://{}", self.listen));
        let state = state.to_str().unwrap();
        let mut arguments = vec!["--listen", &self.commands, "--muster", &url, "--state", state, "--delay", "0.02"];
        arguments.extend(self.pull.then_some("--pull"));
        self.gateway = Some(PythonGateway::start("reference.py", &arguments, &self.place));
    }

    fn muster(&self) -> &ServiceProcess {
        self.muster.as_ref().unwrap()
    }

    /// Kills one of them, and starts it again.
    fn kill_and_restart(&mut self, muster: bool) {
        if muster {
            let log = self.muster.take().unwrap().kill();
            assert!(!log.contains("panicked"), "{log}");
            self.start_muster();
        } else {
            drop(self.gateway.take());
            self.start_gateway();
        }
    }

    /// Sends a request; `None` if it was not answered.
    async fn post(&self, call: &str, body: &Value) -> Option<Value> {
        let answer = self.muster().try_post(&format!("/group-dispatch-api/{call}"), body.to_string(), "").await.ok()?;
        (answer.status < 300).then(|| answer.json())
    }

    async fn request_presence(&self, account: u64, online: bool) -> Option<Value> {
        if online {
            self.post("whatsapp/batchOnline", &json!({"whatsAppList": [requests::account(account)]})).await
        } else {
            self.post("whatsapp/batchRecycle", &json!({"whatsAppList": [account.to_string()]})).await
        }
    }

    /// The online status of each account as the API shows it.
    async fn account_states(&self) -> BTreeMap<u64, u64> {
        let list = self.muster().get(requests::LIST).await.json();
        let row = |row: &Value| Some((row["whatsApp"].as_str()?.parse().ok()?, row["onlineStatus"].as_u64()?));
        list["data"].as_array().unwrap().iter().filter_map(row).collect()
    }

    /// The history of a number, for the message of a failed test.
    async fn history(&self, phone: &str) -> String {
        let history = self.muster().get(&format!("/api/v1/accounts/86{phone}/events")).await.json();
        let line =
            |event: &Value| format!("{} {} {} {}\n", event["time"], event["type"], event["origin"], event["data"]);
        history["events"].as_array().unwrap().iter().map(line).collect()
    }

    /// The accounts that the gateway has online, from the file that it writes after each change. A gateway killed
    /// before has no file.
    fn gateway_sessions(&self) -> Vec<u64> {
        let path = self.place.join("bridge.json");
        if !path.exists() {
            return Vec::new();
        }
        let state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        state["sessions"].as_object().unwrap().keys().map(|account| account.parse().unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shown_state_becomes_true_by_push() {
    run_scenario(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shown_state_becomes_true_by_pull() {
    run_scenario(true).await;
}

async fn run_scenario(pull: bool) {
    let mut random = random_choices("MUSTER_BRIDGE_SEED");
    let place = temp_directory();
    let mut pair = ServiceAndGateway::start(place.path(), pull);
    let mut tasks = Vec::new();
    for kill in 0..number("MUSTER_BRIDGE_KILLS").unwrap_or(8) {
        let (alive, muster) = (Duration::from_millis(random.u64(1..300)), random.bool());
        let mut choices = random.fork();
        // The last four digits choose no special outcome.
        let phone = format!("182172{:05}", 61_000 + kill);
        let calling = async {
            let mut task = None;
            loop {
                pair.request_presence(choices.u64(ACCOUNTS), choices.bool()).await;
                if task.is_none() {
                    let register = json!({"phone": phone, "verifyType": 0, "accountType": 2, "areaCode": "+86", "countryCode": "CN"});
                    task =
                        pair.post("register/submitPhone", &register).await.and_then(|answer| answer["data"].as_u64());
                    tasks.extend(task.map(|task| (task, phone.clone())));
                }
            }
        };
        tokio::select! {
            () = calling => {}
            () = sleep(alive) => {}
        }
        pair.kill_and_restart(muster);
    }
    // The last request of each account. It is repeated if it is not answered, or fails in time.
    let targets: BTreeMap<u64, bool> = ACCOUNTS.map(|account| (account, random.bool())).collect();
    let begun = Instant::now();
    loop {
        let (shown, sessions) = (pair.account_states().await, pair.gateway_sessions());
        let is_true = |(account, online): (&u64, &bool)| {
            let is_shown = shown.get(account) == Some(&if *online { 2 } else { 4 });
            // The gateway does not know a number that was never brought online.
            let is_unheard_of = !online && !shown.contains_key(account);
            (is_shown || is_unheard_of) && sessions.contains(account) == *online
        };
        let late: Vec<(&u64, &bool)> = targets.iter().filter(|target| !is_true(*target)).collect();
        if late.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{late:?} are shown as {shown:?}, and the gateway has {sessions:?}");
        for (account, online) in late {
            pair.request_presence(*account, *online).await;
        }
        sleep(Duration::from_millis(200)).await;
    }
    for (_, phone) in &tasks {
        let code = json!({"phone": phone, "verifyCode": "123456", "areaCode": "+86"});
        if pair.post("register/submitVerifyCode", &code).await.is_none() {
            panic!("{}", pair.history(phone).await);
        }
    }
    let outcomes = outcomes_of(&mut pair, &tasks).await;
    for (task, phone) in &tasks {
        let account: u64 = format!("86{phone}").parse().unwrap();
        assert_eq!(outcomes.get(&account), Some(&vec!["registered"]), "task {task} of {account}");
    }
    let (_, _) = (pair.gateway.take(), pair.muster.take());
}

/// The outcomes of registrations, once each task has one; codes sent are counted too.
async fn outcomes_of(pair: &mut ServiceAndGateway, tasks: &[(u64, String)]) -> BTreeMap<u64, Vec<&'static str>> {
    let begun = Instant::now();
    loop {
        let text = pair.muster().get("/api/v1/events?type=registered&limit=1000").await.json();
        if text["events"].as_array().is_some_and(|events| events.len() >= tasks.len()) {
            break;
        }
        if begun.elapsed() > PATIENCE {
            for (_, phone) in tasks {
                println!("{}", pair.history(phone).await);
            }
            panic!("{} numbers were to be registered: {text}", tasks.len());
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(pair.muster.take().unwrap().stop("TERM").0.code(), Some(0));
    let journal = open_journal(open_store(&pair.place.join("data")));
    journal.verify().unwrap();
    let (mut outcomes, mut sent): (BTreeMap<u64, Vec<&'static str>>, BTreeMap<AccountNumber, u32>) = Default::default();
    for record in read_all_records(&journal) {
        match record.account_event() {
            Some((account, Event::Registered)) => outcomes.entry(account.get()).or_default().push("registered"),
            Some((account, Event::RegistrationFailed { .. })) => {
                outcomes.entry(account.get()).or_default().push("failed");
            }
            Some((account, Event::CodeSent)) => *sent.entry(account).or_default() += 1,
            Some(_) | None => {}
        }
    }
    assert!(sent.values().all(|times| *times == 1), "one code for each: {sent:?}");
    outcomes
}
