//! Attacks by load: many, slow or large requests.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use muster::limits::{BODY_BYTES, LINGER_BYTES};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use crate::AttackTarget;
use crate::wire::{KEPT, LAST, connect, limit_connections, loopback_address, send, statuses};

/// The interval between two bytes of a slow attacker.
const DRIP: Duration = Duration::from_secs(1);
/// Concurrent attackers that guess keys.
const GUESSING: usize = 2_000;
/// The number of their addresses, and of the keys that each tries.
const GUESSERS: usize = 10_000;
const GUESSES: usize = 10;
/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(4);
/// Requests that are sent before a response is read.
const PIPELINED: usize = 1_000;
const MEGABYTE: usize = 1024 * 1024;

/// Sends a byte now and then until the service closes; returns its response.
async fn send_slowly(mut stream: TcpStream, head: &[u8]) -> String {
    stream.write_all(head).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut turn = interval(DRIP);
    let mut answer = Vec::new();
    let dripping = async {
        loop {
            turn.tick().await;
            if write.write_all(b"a").await.is_err() {
                // The service has closed; its response is still read.
                std::future::pending::<()>().await;
            }
        }
    };
    let reading = read.read_to_end(&mut answer);
    let over = async {
        tokio::select! { _ended = reading => {}, () = dripping => {} }
    };
    timeout(KEPT, over).await.expect("a slow stranger is cut off");
    String::from_utf8_lossy(&answer).into_owned()
}

pub async fn slow_heads(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let begun = Instant::now();
    let strangers = (0..limit_connections(target.scale(2_000))).map(|_| async {
        let stream = connect(&target.address, loopback_address(0)).await;
        send_slowly(stream, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await
    });
    let answers = join_all(strangers).await;
    assert!(answers.iter().flat_map(|answer| statuses(answer)).all(|status| status == 408), "{:?}", answers[0]);
    format!("all cut off within {:.0} s", begun.elapsed().as_secs_f64())
}

pub async fn slow_bodies(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let begun = Instant::now();
    let head = format!("{}content-length: {MEGABYTE}\r\n\r\n", post("batchInsert", Some(&target.stolen_key)));
    let strangers = (0..target.scale(300)).map(|number| {
        let head = head.as_bytes();
        async move { send_slowly(connect(&target.address, loopback_address(number)).await, head).await }
    });
    let answers = join_all(strangers).await;
    assert!(answers.iter().all(|answer| statuses(answer) == [400]), "{:?}", answers[0]);
    format!("all cut off within {:.0} s, with 400", begun.elapsed().as_secs_f64())
}

/// They request a long list again and again, and never read the responses.
pub async fn slow_readers(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let accounts = (0..10_000).map(|last| {
        let number = format!("8618218{last:05}");
        json!({"whatsApp": number, "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "", "accountId": ""})
    });
    let body = json!({"whatsAppList": accounts.collect::<Vec<_>>()}).to_string();
    let head = format!("{}{LAST}content-length: {}\r\n\r\n", post("batchInsert", Some(&target.stolen_key)), body.len());
    let imported = send(&target.address, loopback_address(0), (head + &body).as_bytes()).await;
    assert_eq!(statuses(&imported), [200], "{imported}");
    let begun = Instant::now();
    let request = get("/group-dispatch-api/whatsapp/queryWhatsAppStatus", Some(&target.stolen_key), "").repeat(1_000);
    let strangers = (0..30).map(|number| {
        let request = &request;
        async move {
            let mut stream = connect(&target.address, loopback_address(number)).await;
            // A write fails once the service has cut the connection.
            let sending = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
            timeout(KEPT, sending).await.expect("who takes no answer is cut off");
        }
    });
    join_all(strangers).await;
    format!("all cut off within {:.0} s", begun.elapsed().as_secs_f64())
}

pub async fn huge_bodies(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let gigabyte = 1024 * MEGABYTE;
    let mut came = String::new();
    for (key, refused) in [(None, 401), (Some(&*target.stolen_key), 413)] {
        let announced = format!("{}content-length: {gigabyte}\r\n\r\n", post("batchInsert", key));
        let in_pieces = format!("{}transfer-encoding: chunked\r\n\r\n", post("batchInsert", key));
        let strangers = (0..16).map(|number| {
            let head = if number % 2 == 0 { &announced } else { &in_pieces };
            send_body(target, number, head.as_bytes(), number % 2 == 1, gigabyte)
        });
        let poured = join_all(strangers).await;
        assert!(poured.iter().all(|(_, status)| status.is_empty() || *status == [refused]), "{poured:?}");
        let answered = poured.iter().filter(|(_, status)| !status.is_empty()).count();
        let most = poured.iter().map(|(bytes, _)| *bytes).max().unwrap();
        // Bytes in the operating system's buffers, which grow with the speed of arrival, count as sent.
        assert!(most < BODY_BYTES + LINGER_BYTES + 64 * MEGABYTE, "{most} bytes of a body were taken");
        write!(came, "{answered} of 16 read {refused}, at most {} MiB of each were taken; ", most / MEGABYTE).unwrap();
    }
    came.trim_end_matches("; ").to_owned()
}

/// Sends a body as long as it is accepted; returns the bytes sent, and the status of the response if one came.
async fn send_body(
    target: &AttackTarget,
    number: usize,
    head: &[u8],
    is_in_pieces: bool,
    bytes: usize,
) -> (usize, Vec<u16>) {
    let mut stream = connect(&target.address, loopback_address(number)).await;
    stream.write_all(head).await.unwrap();
    let (mut read, mut write) = stream.split();
    let piece = if is_in_pieces {
        [format!("{MEGABYTE:x}\r\n").as_bytes(), &vec![b' '; MEGABYTE], b"\r\n"].concat()
    } else {
        vec![b' '; MEGABYTE]
    };
    let (mut sent, mut answer) = (0, Vec::new());
    let pouring = async {
        while sent < bytes && write.write_all(&piece).await.is_ok() {
            sent += MEGABYTE;
        }
    };
    let reading = async {
        let _reset = read.read_to_end(&mut answer).await;
    };
    timeout(KEPT, async { tokio::join!(pouring, reading) }).await.expect("a huge body is not waited for");
    (sent, statuses(&String::from_utf8_lossy(&answer)))
}

/// Each attacker tries a key, and another when the service has rejected it.
pub async fn guessed_keys(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let begun = Instant::now();
    let guessers = target.scale(GUESSERS);
    let guesses = stream::iter(0..guessers).map(|number| async move {
        let request: String = (0..GUESSES)
            .map(|guess| {
                let key = format!("muster_{}_{:064x}", 1 + guess % 3, number * GUESSES + guess);
                let more = if guess + 1 == GUESSES { LAST } else { "" };
                get("/group-dispatch-api/whatsapp/queryWhatsAppStatus", Some(&key), more)
            })
            .collect();
        statuses(&send(&target.address, loopback_address(GUESSERS + number), request.as_bytes()).await)
    });
    let answers: Vec<Vec<u16>> = guesses.buffer_unordered(limit_connections(GUESSING)).collect().await;
    let (mut refused, mut slowed) = (0, 0);
    for status in answers.concat() {
        match status {
            401 => refused += 1,
            429 => slowed += 1,
            other => panic!("a guess was answered {other}"),
        }
    }
    assert_eq!(refused + slowed, guessers * GUESSES, "every guess is answered");
    format!("{refused} answered 401 and {slowed} 429 in {:.0} s", begun.elapsed().as_secs_f64())
}

pub async fn flood(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let request =
        get("/group-dispatch-api/whatsapp/queryWhatsAppStatus?whatsApp=861821726232", Some(&target.stolen_key), "");
    let end = Instant::now() + FLOOD;
    let strangers = (0..64).map(|_| {
        let request = &request;
        async move {
            let mut stream = connect(&target.address, loopback_address(0)).await;
            let (mut buffer, mut counts) = (vec![0; 4096], [0; 2]);
            while Instant::now() < end {
                stream.write_all(request.as_bytes()).await.unwrap();
                let bytes = stream.read(&mut buffer).await.unwrap();
                let status = statuses(&String::from_utf8_lossy(&buffer[..bytes]));
                counts[usize::from(status == [429])] += 1;
            }
            counts
        }
    });
    let counts = join_all(strangers).await;
    let [answered, refused]: [usize; 2] = [0, 1].map(|which| counts.iter().map(|count| count[which]).sum());
    assert!(refused > 0, "the flood is no flood");
    format!("{answered} answered, {refused} answered 429")
}

pub async fn pipelining(target: Arc<AttackTarget>) -> String {
    let target = &*target;
    let pipelined = target.scale(PIPELINED);
    let strangers = (0..32).map(|number| async move {
        let requests: String = (0..pipelined)
            .map(|request| {
                let more = if request + 1 == pipelined { LAST } else { "" };
                get("/healthz", None, &format!("x-request-id: {number}-{request}\r\n{more}"))
            })
            .collect();
        let answer = send(&target.address, loopback_address(number), requests.as_bytes()).await;
        let ids: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
        let asked: Vec<String> = (0..pipelined).map(|request| format!("{number}-{request}")).collect();
        assert_eq!(ids, asked, "answers are in the order of their requests");
    });
    join_all(strangers).await;
    "all answered, in order".to_owned()
}

/// A request without a body, with further header lines.
pub fn get(path: &str, key: Option<&str>, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{}{more}\r\n", auth_header(key))
}

/// The head of a request with a body, without its length.
pub fn post(endpoint: &str, key: Option<&str>) -> String {
    let path = format!("/group-dispatch-api/whatsapp/{endpoint}");
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{}", auth_header(key))
}

fn auth_header(key: Option<&str>) -> String {
    key.map(|key| format!("x-api-key: {key}\r\n")).unwrap_or_default()
}
