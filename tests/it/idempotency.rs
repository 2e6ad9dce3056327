//! `Idempotency-Key`: a repeated request gets the stored response and is carried out once, even if the client hangs up
//! or the process is killed.
//!
//! `MUSTER_ONCE_SEED` repeats a run's choices, `MUSTER_ONCE_KILLS` asks for more kills than the usual 12.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use muster::domain::Event;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::access::create_key;
use crate::service_process::{
    ServiceProcess, ServiceResponse, list_files, number, random_choices, read_all_records, run_muster, temp_directory,
};
use crate::testkit::fixture::{open_journal, open_store};
use crate::testkit::requests::{self, CODE, INSERT, LIST, ONLINE, PHONE, RECYCLE, accounts};

fn request(muster: &ServiceProcess, path: &str, key: &str, body: &str) -> reqwest::RequestBuilder {
    let request = muster.client().post(muster.url(path)).header("content-type", "application/json");
    request.header("idempotency-key", key).body(body.to_owned())
}

async fn post(muster: &ServiceProcess, path: &str, key: &str, body: &str) -> ServiceResponse {
    muster.send(request(muster, path, key, body)).await.unwrap()
}

/// Requests a code for this phone of calling code 86.
fn phone(phone: u64) -> String {
    requests::phone(format!("86{phone}")).to_string()
}

fn code(phone: u64, code: &str) -> String {
    requests::code(format!("86{phone}"), code).to_string()
}

/// The number of events of this type.
async fn count(muster: &ServiceProcess, of: &str) -> usize {
    let page = muster.get(&format!("/api/v1/events?type={of}&limit=1000")).await.json();
    page["events"].as_array().unwrap().len()
}

/// Asserts that it is the same response, marked as a stored one.
#[track_caller]
fn assert_repeats(first: &ServiceResponse, again: &ServiceResponse) {
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(first.header("content-type"), again.header("content-type"));
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
}

#[tokio::test]
async fn a_repeated_request_gets_the_stored_response() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    let both = r#"{"whatsAppList":["8618211111","8618219999"]}"#;
    let calls = [
        (INSERT, accounts(["8618211111"])),
        (ONLINE, accounts(["8618211111"])),
        (&format!("{RECYCLE}?details=true"), both.to_owned()),
        (PHONE, phone(18_212_222)),
        (CODE, code(18_212_222, "654321")),
        (CODE, code(18_213_333, "654321")),
    ];
    let mut given = Vec::new();
    for ((path, body), key) in calls.iter().zip(1..) {
        given.push(post(&muster, path, &format!("key {key}").replace(' ', "-"), body).await);
    }
    assert_eq!(given.iter().map(|it| it.status).collect::<Vec<_>>(), [200, 200, 207, 200, 200, 404]);
    // The accounts have changed since.
    assert_eq!(muster.post(ONLINE, accounts(["8618211111", "8618219999"])).await.status, 200);
    assert_eq!(muster.post(PHONE, phone(18_212_222)).await.json()["data"], 2);
    assert_eq!(muster.post(PHONE, phone(18_213_333)).await.json()["data"], 3);
    let asked = ["online_requested", "recycle_requested", "registration_requested", "code_submitted"];
    let events = async |muster: &ServiceProcess| join_all(asked.map(|of| count(muster, of))).await;
    let before = events(&muster).await;
    assert_eq!(before, [3, 1, 3, 1]);
    let all_again = async |muster: &ServiceProcess| {
        for (((path, body), first), key) in calls.iter().zip(&given).zip(1..) {
            assert_repeats(first, &post(muster, path, &format!("key-{key}"), body).await);
        }
    };
    all_again(&muster).await;
    muster.kill();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_HTTP__ALWAYS_200", "true")]);
    let repeated = post(&muster, CODE, "key-6", &code(18_213_333, "654321")).await;
    assert_eq!((repeated.status, &repeated.text), (200, &given[5].text), "as every answer of code 404 now");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = ServiceProcess::start(data.path(), &[]);
    all_again(&muster).await;
    assert_eq!(events(&muster).await, before);
    // A restored backup has the records too.
    let copy = temp_directory();
    let (file, to) = (copy.path().join("backup"), copy.path().join("data"));
    let (file, to) = (file.to_str().unwrap(), to.to_str().unwrap());
    assert_eq!(run_muster(&["backup", file, "--server", &muster.url("")], &[]).0, Some(0));
    assert_eq!(run_muster(&["restore", file, "--data-dir", to], &[]).0, Some(0));
    std::fs::create_dir_all(format!("{to}/keys")).unwrap();
    std::fs::copy(data.path().join("keys/master.key"), format!("{to}/keys/master.key")).unwrap();
    let restored = ServiceProcess::start(Path::new(to), &[]);
    all_again(&restored).await;
    let other = post(&restored, PHONE, "key-4", &phone(18_214_444)).await;
    assert_eq!(other.status, 422, "its key of fingerprints came along");
}

/// Responses to operators may hold secrets, and some are streamed.
#[tokio::test]
async fn an_operators_request_is_carried_out_once() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let admin = create_key(&["--name", "n", "--role", "admin", "--server", &muster.url("")], &[]);
    let import = request(&muster, INSERT, "zero", &accounts(["8618211111"])).bearer_auth(&admin);
    assert_eq!(muster.send(import).await.unwrap().status, 200);
    let send = async |muster: &ServiceProcess, method: Method, path: &str, key: &str, body: &str| {
        let request = muster.client().request(method, muster.url(&format!("/api/v1/{path}"))).bearer_auth(&admin);
        let request = request.header("idempotency-key", key).header("content-type", "application/json");
        muster.send(request.body(body.to_owned())).await.unwrap()
    };
    let create = async |muster: &ServiceProcess, name: &str| {
        let body = json!({"name": name, "role": "caller"}).to_string();
        send(muster, Method::POST, "keys", "one", &body).await
    };
    let created = create(&muster, "back end").await;
    assert_eq!(created.status, 200, "{}", created.text);
    assert_repeats(&created, &create(&muster, "back end").await);
    assert_eq!(create(&muster, "another").await.status, 422);
    let order = r#"{"accounts":["8618211111"],"reason":"maintenance"}"#;
    let refused = send(&muster, Method::POST, "accounts/recycle", "two", order).await;
    assert_repeats(&refused, &send(&muster, Method::POST, "accounts/recycle", "two", order).await);
    let backup = send(&muster, Method::POST, "backup", "three", "").await;
    assert_eq!((backup.status, backup.header("content-type")), (200, "application/octet-stream"));
    let again = send(&muster, Method::POST, "backup", "three", "").await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(again.text.contains("acts?requestid="), "{}", again.text);
    let malformed = send(&muster, Method::POST, "webhooks/sync/pause", "four", "[]").await;
    let paused = send(&muster, Method::POST, "webhooks/sync/pause", "four", r#"{"reason":"maintenance"}"#).await;
    assert_eq!((malformed.status, paused.status), (400, 200), "nothing was done, so the key is free: {}", paused.text);
    muster.kill();

    let muster = ServiceProcess::start(data.path(), &[]);
    assert_repeats(&created, &create(&muster, "back end").await);
    let id = created.json()["id"].to_string();
    let revoke = async |muster: &ServiceProcess| {
        send(muster, Method::DELETE, &format!("keys/{id}"), "five", r#"{"reason":"done"}"#).await
    };
    let revoked = revoke(&muster).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    assert_repeats(&revoked, &revoke(&muster).await);
    let erased = send(&muster, Method::DELETE, "accounts/8618211111/secrets", "six", r#"{"reason":"asked to"}"#).await;
    let sealed = create(&muster, "back end").await;
    assert_eq!((erased.status, sealed.status), (200, 409), "{}", erased.text);
    assert!(sealed.text.contains("can no longer be opened"), "{}", sealed.text);
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let secret = created.json()["key"].as_str().unwrap().to_owned();
    for file in list_files(data.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", file.display());
    }
}

/// A rejection makes no event, so nothing else forces its response to the disk.
#[tokio::test]
async fn a_response_survives_an_immediate_kill() {
    let data = temp_directory();
    for number in 18_212_000..18_212_004 {
        let (key, code) = (number.to_string(), code(number, "123456"));
        let muster = ServiceProcess::start(data.path(), &[]);
        let first = post(&muster, CODE, &key, &code).await;
        muster.kill();
        assert_eq!(first.status, 404);
        let muster = ServiceProcess::start(data.path(), &[]);
        assert_eq!(post(&muster, PHONE, &key, &phone(number)).await.status, 200);
        assert_repeats(&first, &post(&muster, CODE, &key, &code).await);
    }
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_caller() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let first = post(&muster, PHONE, "k", &phone(18_212_222)).await;
    let other = post(&muster, PHONE, "k", &phone(18_212_223)).await;
    let words = "this Idempotency-Key was used for a request with another body or query; repeat that request \
                 unchanged, or use another key";
    assert_eq!((other.status, other.json()), (422, json!({"data": 0, "code": 422, "message": words})));
    assert_repeats(&first, &post(&muster, PHONE, "k", &phone(18_212_222)).await);
    // The same key with another endpoint or another caller is independent.
    let one = accounts(["8618211111"]);
    let inserted = post(&muster, INSERT, "k", &one).await;
    assert_eq!((inserted.status, inserted.header("idempotency-replayed")), (200, ""));
    assert_eq!(post(&muster, &format!("{INSERT}?details=true"), "k", &one).await.status, 422);
    assert_repeats(&inserted, &post(&muster, &format!("{INSERT}?details=false"), "k", &one).await);
    let server = muster.url("");
    let create = |role: &str, key: &[(&str, &str)]| {
        let (code, stdout, _) =
            run_muster(&["keys", "create", "-o", "json", "--name", "n", "--role", role, "--server", &server], key);
        assert_eq!(code, Some(0));
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["key"].as_str().unwrap().to_owned()
    };
    let admin = create("admin", &[]);
    let caller = create("caller", &[("MUSTER_API_KEY", &admin)]);
    for (key, task) in [(&admin, 2), (&caller, 3), (&admin, 2), (&caller, 3)] {
        let answer = muster.send(request(&muster, PHONE, "k", &phone(18_212_222)).bearer_auth(key)).await.unwrap();
        assert_eq!(answer.json()["data"], task, "{}", answer.text);
    }
    assert_eq!(post(&muster, PHONE, "k", &phone(18_212_222)).await.status, 401, "who has no key learns nothing");
}

#[tokio::test]
async fn what_was_not_done_leaves_its_key_free() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let good = phone(18_212_222);
    for (path, bad) in [(PHONE, "{}"), (PHONE, "["), (&*format!("{ONLINE}?details=maybe"), "{}")] {
        assert_eq!(post(&muster, path, "k", bad).await.status, 400);
    }
    let xml = muster.client().post(muster.url(PHONE)).header("content-type", "text/xml").header("idempotency-key", "k");
    assert_eq!(muster.send(xml.body("<a/>")).await.unwrap().status, 415);
    let first = post(&muster, PHONE, "k", &good).await;
    assert_eq!((first.json()["data"].as_u64(), first.header("idempotency-replayed")), (Some(1), ""));
    // Faults of the header itself.
    let long = "k".repeat(256);
    for key in ["", "a key", "a\tkey", &long] {
        let answer = post(&muster, PHONE, key, &good).await;
        let words = "Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID";
        assert_eq!(answer.json(), json!({"data": 0, "code": 400, "message": words}), "{key:?}");
    }
    let twice = muster.send(request(&muster, PHONE, "k", &good).header("idempotency-key", "k")).await.unwrap();
    assert_eq!(twice.json()["message"], "Idempotency-Key is given twice in the headers; give it once");
    assert_eq!(post(&muster, PHONE, &long[1..], &good).await.json()["data"], 2);
    let list = muster.client().get(muster.url(LIST)).header("idempotency-key", "a key");
    assert_eq!(muster.send(list).await.unwrap().status, 200, "nothing is done twice by asking");
    assert_eq!(count(&muster, "registration_requested").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_concurrent_requests_are_one() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    for round in 0..20 {
        let (key, body) = (format!("key-{round}"), phone(18_212_222));
        let answers = join_all((0..10).map(|_| post(&muster, PHONE, &key, &body))).await;
        let texts: BTreeSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        assert_eq!(
            texts.into_iter().collect::<Vec<_>>(),
            [format!(r#"{{"data":{},"code":200,"message":"success"}}"#, round + 1)]
        );
        assert_eq!(answers.iter().filter(|it| it.header("idempotency-replayed").is_empty()).count(), 1);
    }
    assert_eq!(count(&muster, "registration_requested").await, 20);
}

/// A request continues though its client hangs up, and its response is kept for the next try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_finds_its_answer() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let (body, host) = (accounts(8_618_210_000_u64..8_618_216_000), muster.url("").replace("http://", ""));
    let length = body.len();
    let head = format!(
        "POST {INSERT}?details=true HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut caller = tokio::net::TcpStream::connect(&host).await.unwrap();
    caller.write_all(head.as_bytes()).await.unwrap();
    caller.write_all(body.as_bytes()).await.unwrap();
    // Some accounts are imported, the others are under way.
    crate::audit::events(&muster, 1).await;
    drop(caller);
    let answer = post(&muster, &format!("{INSERT}?details=true"), "k", &body).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (200, "true"), "{}", answer.text);
    assert_eq!(answer.json()["results"].as_array().unwrap().len(), 6_000, "in several parts, and whole");
}

/// A caller that repeats each request until it is answered: a registration, then a wrong code, and so on.
#[derive(Default)]
struct RetryingCaller {
    /// The responses so far: registration and code in turn.
    answers: Vec<String>,
    /// How many were stored responses, to requests whose first response was lost.
    repeated: usize,
}

const CALLERS: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_execute_no_request_twice() {
    let kills = number("MUSTER_ONCE_KILLS").unwrap_or(12);
    let mut random = random_choices("MUSTER_ONCE_SEED");
    let data = temp_directory();
    let settings = [("MUSTER_SIMULATOR__DELAY_MS", "1")];
    let callers: Vec<Mutex<RetryingCaller>> = (0..CALLERS).map(|_| Mutex::default()).collect();
    for _ in 0..kills {
        let muster = ServiceProcess::start(data.path(), &settings);
        let alive = Duration::from_millis(random.u64(1..300));
        let killing = async {
            tokio::time::sleep(alive).await;
            crate::service_process::send_signal(muster.pid(), "KILL");
        };
        let calling = join_all(
            callers.iter().zip(18_212_000..).map(|(caller, number)| run_caller(&muster, caller, number, usize::MAX)),
        );
        tokio::join!(calling, killing);
        let log = muster.kill();
        assert!(!log.contains("panicked"), "{log}");
    }
    // Every request is answered in the end.
    let muster = ServiceProcess::start(data.path(), &settings);
    let last = |caller: &Mutex<RetryingCaller>| caller.lock().unwrap().answers.len() + 1;
    join_all(
        callers.iter().zip(18_212_000..).map(|(caller, number)| run_caller(&muster, caller, number, last(caller))),
    )
    .await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let journal = open_journal(open_store(data.path()));
    let mut history: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for record in read_all_records(&journal) {
        let (account, event) = record.account_event().unwrap();
        let answer = if let Event::RegistrationRequested { task, .. } = event {
            format!(r#"{{"data":{},"code":200,"message":"success"}}"#, task.get())
        } else if matches!(event, Event::CodeSubmitted { .. }) {
            r#"{"data":"","code":200,"message":"success"}"#.to_owned()
        } else {
            continue;
        };
        history.entry(account.get()).or_default().push(answer);
    }
    let callers: Vec<RetryingCaller> = callers.into_iter().map(|caller| caller.into_inner().unwrap()).collect();
    for (caller, number) in callers.iter().zip(8_618_212_000..) {
        let (happened, answers) = (history.remove(&number).unwrap_or_default(), &caller.answers);
        let count = happened.len().max(answers.len());
        if let Some(at) = (0..count).find(|at| happened.get(*at) != answers.get(*at)) {
            let [happened, answer] = [happened.get(at), answers.get(at)];
            panic!("request {at} of {number} was answered {answer:?}, and this happened: {happened:?}");
        }
    }
    let (answers, repeated) = callers.iter().fold((0, 0), |sum, it| (sum.0 + it.answers.len(), sum.1 + it.repeated));
    println!("{kills} kills, {answers} answered requests, {repeated} of them when they were repeated");
    assert!(answers as u64 > CALLERS, "the load did nothing");
}

/// One caller: one request after the other, each repeated under its key until it is answered. Ends after `until`
/// responses, or with the service.
async fn run_caller(muster: &ServiceProcess, caller: &Mutex<RetryingCaller>, number: u64, until: usize) {
    loop {
        let count = caller.lock().unwrap().answers.len();
        if count >= until {
            return;
        }
        let (path, body) =
            if count.is_multiple_of(2) { (PHONE, phone(number)) } else { (CODE, code(number, "111111")) };
        let Ok(answer) = muster.send(request(muster, path, &format!("{number}-{count}"), &body)).await else { return };
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut caller = caller.lock().unwrap();
        caller.repeated += usize::from(answer.header("idempotency-replayed") == "true");
        caller.answers.push(answer.text);
    }
}
