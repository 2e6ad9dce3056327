//! Attacks by form: requests that can be read in two ways, or values that a later reader misreads.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use warp::Filter;
use warp::http::{HeaderMap, Response};

use crate::AttackTarget;
use crate::overload::{get, post};
use crate::service_process::TEST_TIMEOUT;
use crate::wire::{LAST, loopback_address, send, statuses};

/// The prefix of accounts in smuggled requests; no such account may ever exist.
pub const NEVER: &str = "86999";
/// The account of the attack by line ends.
const WRITTEN: &str = "861821726239";

/// A receiver that records its requests with all headers.
pub struct HeaderRecorder {
    pub url: String,
    received: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    arrived: Arc<Notify>,
}

impl HeaderRecorder {
    pub async fn start() -> HeaderRecorder {
        let (received, arrived) = (Arc::<Mutex<Vec<(HeaderMap, Value)>>>::default(), Arc::<Notify>::default());
        let (taking, telling) = (received.clone(), arrived.clone());
        let route = warp::header::headers_cloned().and(warp::body::bytes()).map(move |headers, body: bytes::Bytes| {
            taking.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap()));
            telling.notify_waiters();
            Response::new(r#"{"data":"","code":200,"message":"success"}"#)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sync", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(route).incoming(listener).run());
        HeaderRecorder { url, received, arrived }
    }

    /// The header names of all deliveries about an account, once there is one.
    async fn headers_about(&self, account: &str) -> Vec<String> {
        let hearing = async {
            loop {
                let arrived = self.arrived.notified();
                let about =
                    |(headers, body): &(HeaderMap, Value)| (body["whatsApp"] == account).then(|| headers.clone());
                let headers: Vec<HeaderMap> = self.received.lock().unwrap().iter().filter_map(about).collect();
                if !headers.is_empty() {
                    return headers.iter().flat_map(HeaderMap::keys).map(ToString::to_string).collect();
                }
                arrived.await;
            }
        };
        timeout(TEST_TIMEOUT, hearing).await.expect("the receiver is told")
    }
}

/// The number of responses of each status.
fn counted(answers: impl IntoIterator<Item = u16>) -> String {
    let mut counts = BTreeMap::<u16, usize>::new();
    answers.into_iter().for_each(|status| *counts.entry(status).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(status, count)| format!("{count} times {status}")).collect();
    counts.join(", ")
}

/// A body that imports an account that must never exist.
fn import(last: usize) -> String {
    let account = format!("{NEVER}{last:07}");
    let entry = json!({
        "whatsApp": account, "whatsappType": 1, "accountId": account, "publicKey": "", "privateKey": "",
        "msgPublicKey": "", "msgPrivateKey": "",
    });
    // Blanks, so that a reader that ends another body within them finds enough bytes.
    json!({"whatsAppList": [entry]}).to_string() + &" ".repeat(2_000)
}

pub async fn header_bombs(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let begin = "GET /group-dispatch-api/whatsapp/queryWhatsAppStatus HTTP/1.1\r\nhost: localhost\r\n";
    let long = "a".repeat(8 * 1024 * 1024);
    let bombs = [
        format!("{begin}x-bomb: {long}\r\n\r\n"),
        format!("{begin}{long}: x\r\n\r\n"),
        format!("{begin}{long}"),
        format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        format!("{long} / HTTP/1.1\r\n\r\n"),
        format!("{begin}{}\r\n", "x-bomb: x\r\n".repeat(100_000)),
        format!("{begin}{}\r\n", "x: \r\n".repeat(1_000)),
        format!("{begin}cookie: {}\r\n\r\n", "a=b; ".repeat(1_000_000)),
        format!("{begin}authorization: Bearer {long}\r\n\r\n"),
        format!("{begin}x-request-id: {long}\r\n\r\n"),
        format!("{begin}accept-encoding: {}\r\n\r\n", "gzip;q=0.1, ".repeat(500_000)),
    ];
    let mut came = Vec::new();
    let times = target.scale(20);
    for _ in 0..times {
        let strangers = bombs.iter().enumerate();
        let strangers =
            strangers.map(|(number, bomb)| send(&target.address, loopback_address(number), bomb.as_bytes()));
        let answers = join_all(strangers).await;
        came.extend(answers.iter().flat_map(|answer| statuses(answer)));
    }
    assert!(came.iter().all(|status| [400, 401, 414, 431].contains(status)), "{}", counted(came));
    format!("{} of {} connections heard why: {}", came.len(), times * bombs.len(), counted(came))
}

pub async fn compressed_bombs(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    // A gigabyte of blanks in a compressed megabyte, twice; a tenth of that in a short run.
    let blanks = vec![b' '; 1024 * 1024];
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    (0..target.scale(1024)).for_each(|_| bomb.write_all(&blanks).unwrap());
    let mut twice = GzEncoder::new(Vec::new(), Compression::best());
    twice.write_all(&bomb.finish().unwrap()).unwrap();
    let bomb = twice.finish().unwrap();
    let mut came = Vec::new();
    for how in [
        "content-encoding: gzip\r\n",
        "content-encoding: gzip, gzip\r\n",
        "content-encoding: deflate\r\n",
        "content-encoding: br\r\n",
        "content-encoding: zstd\r\n",
        "content-encoding: identity, gzip\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "",
    ] {
        let length =
            if how.starts_with("transfer") { String::new() } else { format!("content-length: {}\r\n", bomb.len()) };
        let head = format!("{}{LAST}{how}{length}\r\n", post("batchInsert", Some(&target.stolen_key)));
        let request = [head.as_bytes(), &bomb].concat();
        let strangers = (0..target.scale(16)).map(|number| send(&target.address, loopback_address(number), &request));
        let answers = join_all(strangers).await;
        came.extend(answers.iter().flat_map(|answer| statuses(answer)));
    }
    assert!(came.iter().all(|status| [400, 415].contains(status)), "{}", counted(came));
    format!("nothing is decompressed: {}", counted(came))
}

/// One of two readers would see the second request; the service must reject it, or see what every reader sees.
pub async fn smuggling(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let hidden = |last: usize| {
        let body = import(last);
        format!("{}{LAST}content-length: {}\r\n\r\n{body}", post("batchInsert", Some(&target.stolen_key)), body.len())
    };
    // Each hides a request behind what one of two readers takes for the end of the body.
    let shapes = [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        "content-length: 0\r\ncontent-length: 900\r\n\r\n",
        "content-length: 900\r\ncontent-length: 0\r\n\r\n",
        "content-length: 0, 900\r\n\r\n",
        "content-length: +0\r\n\r\n",
        "content-length: -1\r\n\r\n",
        "content-length: 0x0\r\n\r\n",
        "content-length : 0\r\n\r\n",
        " content-length: 0\r\n\r\n",
        "content-length:\r\n 0\r\n\r\n",
        "content-length: 99999999999999999999999\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding: identity\r\ncontent-length: 0\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding:\u{b}chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0;\n\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "transfer-encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
        "x: y\rcontent-length: 0\r\n\r\n",
        "x: y\0\r\ncontent-length: 0\r\n\r\n",
    ];
    let answers = shapes.iter().enumerate().map(|(last, shape)| {
        // Shapes without a body for either reader use a path that does not exist.
        let request = format!("{}{shape}{}", post("batchRecycles", Some(&target.stolen_key)), hidden(last));
        async move { (last, send(&target.address, loopback_address(last), request.as_bytes()).await) }
    });
    let mut came = Vec::new();
    for (last, answer) in join_all(answers).await {
        let these = statuses(&answer);
        assert!(!these.contains(&200), "{:?} lets a request in behind it: {answer}", shapes[last]);
        came.extend(these);
    }
    format!("{} shapes, no second request: {}", shapes.len(), counted(came))
}

/// With a key of role caller nothing may be read under `/api/v1`, under any spelling of the path.
pub async fn paths(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let names = [
        "/api/v1/accounts",
        "//api/v1/accounts",
        "/api//v1/accounts",
        "/api/v1//accounts",
        "/api/v1/accounts/",
        "/./api/v1/accounts",
        "/healthz/../api/v1/accounts",
        "/healthz/%2e%2e/api/v1/accounts",
        "/healthz%2f..%2fapi/v1/accounts",
        "/group-dispatch-api/..;/api/v1/accounts",
        "/%61pi/v1/accounts",
        "/api/v1/%61ccounts",
        "/api/v1/accounts;/healthz",
        "/api/v1/accounts%00",
        "/api/v1/accounts%20",
        "/API/V1/accounts",
        "/api\\v1\\accounts",
        "/api/v1/accounts?/../../healthz",
        "http://localhost/api/v1/accounts",
        "http://elsewhere.example/api/v1/accounts",
        "https://localhost:1/api/v1/keys",
        "/api/v1/keys",
        "/api/v1/accounts/861821726232/../../../healthz",
        "/api/v1/webhooks/sync/%2e%2e/%2e%2e/accounts",
    ];
    let answers = join_all(names.iter().enumerate().map(|(number, name)| async move {
        (
            name,
            send(&target.address, loopback_address(number), get(name, Some(&target.stolen_key), LAST).as_bytes()).await,
        )
    }));
    let mut came = Vec::new();
    for (name, answer) in answers.await {
        let these = statuses(&answer);
        assert!(these.iter().all(|status| [400, 401, 403, 404].contains(status)), "{name}: {answer}");
        came.extend(these);
    }
    format!("{} names, nothing read: {}", names.len(), counted(came))
}

pub async fn line_ends(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let evil = "x\r\nx-evil: 1\r\n\r\nHTTP/1.1 200 OK\r\n\u{2028}\u{202e}";
    let entry = json!({
        "whatsApp": WRITTEN, "whatsappType": 1, "override": true, "name": evil, "avatar": evil, "accountId": evil,
        "publicKey": evil, "privateKey": evil, "msgPublicKey": evil, "msgPrivateKey": evil, "nextKeyId": evil,
        "registrationId": evil, evil: evil,
    });
    let request = |endpoint: &str, body: &str| {
        let head = post(endpoint, Some(&target.stolen_key));
        let asks =
            format!("{head}{LAST}x-request-id: a\\r\\nx-evil: 1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let address = target.address.clone();
        async move { send(&address, loopback_address(0), asks.as_bytes()).await }
    };
    let taken = request("batchOnline", &json!({"whatsAppList": [entry]}).to_string()).await;
    let refused = request("batchOnline", &json!({"whatsAppList": [{"whatsApp": evil, evil: 1}]}).to_string()).await;
    for (answer, status) in [(&taken, [200]), (&refused, [400])] {
        assert_eq!(statuses(answer), status, "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("x-evil")), "{answer}");
        assert!(!body.contains(['\r', '\n']), "{answer:?}");
    }
    let headers = target.receiver.headers_about(WRITTEN).await;
    assert!(!headers.iter().any(|name| name == "x-evil"), "{headers:?}");
    "none reached a header, of answers or of webhooks".to_owned()
}
