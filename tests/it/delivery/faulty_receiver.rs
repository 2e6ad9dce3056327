//! A realistic receiver: it accepts most deliveries, and fails the rest in every known way.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use muster::webhooks::signature::WebhookSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// The signing secret.
pub const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// The sender's deadline for an attempt. A late response comes after it.
pub const DEADLINE: Duration = Duration::from_millis(400);

/// The percentage of deliveries that fail, apart from connections that are closed at once.
const FAILING_PERCENT: u8 = 20;
/// Deliveries accepted after a start before any fails, so that the sender's circuit breaker stays closed.
const CALM: usize = 20;
/// Deliveries accepted after a start before connections are closed at once; and the most that are closed.
const FLAP_AFTER: usize = 200;
const FLAPS: usize = 60;
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// The response that the contract requires of receivers.
const SUCCESS: &str = r#"{"data":"","code":200,"message":"success"}"#;

/// The receiver of one channel.
pub struct FaultyReceiver {
    pub address: String,
    log: Arc<Mutex<ReceiverLog>>,
}

/// An attempt that arrived complete.
#[derive(Clone, Debug)]
pub struct ReceivedAttempt {
    pub id: String,
    pub version: u64,
    /// The attempt number, as the sender sent it.
    pub attempt: u64,
    /// How often the sender had been started.
    pub life: usize,
    pub body: String,
    pub was_accepted: bool,
}

/// What it has received, and how it behaves.
pub struct ReceiverLog {
    pub attempts: Vec<ReceivedAttempt>,
    /// Violations of the protocol.
    pub wrong: Vec<String>,
    /// How often it failed, by kind.
    pub did: BTreeMap<&'static str, usize>,
    random: fastrand::Rng,
    /// How often the sender was started.
    life: usize,
    mood: watch::Sender<ReceiverMode>,
    /// Deliveries accepted since the sender started.
    taken: usize,
    /// Until when connections are closed at once, and how many more.
    flapping: Option<(Instant, usize)>,
}

/// Its mode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ReceiverMode {
    /// Accepts most deliveries.
    Faulty,
    /// Leaves every attempt without a response until the mode changes, then accepts it.
    Hanging,
    /// Accepts everything.
    Kind,
}

/// What it does to an attempt.
#[derive(Clone, Copy)]
enum ResponseKind {
    Take,
    Drip,
    ResetInBody,
    RefuseByCode,
    Html,
    Redirect,
    Huge,
    Hang,
    Error,
    RetryAfter,
    Close,
    /// Waits until the mode changes, then accepts.
    Wait,
}

const FAULTS: [(ResponseKind, &str); 9] = [
    (ResponseKind::Drip, "drip"),
    (ResponseKind::ResetInBody, "reset in the body"),
    (ResponseKind::RefuseByCode, "code 500"),
    (ResponseKind::Html, "HTML"),
    (ResponseKind::Redirect, "redirect"),
    (ResponseKind::Huge, "10 MB"),
    (ResponseKind::Hang, "hang"),
    (ResponseKind::Error, "HTTP 500"),
    (ResponseKind::RetryAfter, "HTTP 503"),
];

/// Headers by lower-case name, and body.
type Request = (BTreeMap<String, String>, String);

impl FaultyReceiver {
    pub async fn start(seed: u64) -> FaultyReceiver {
        let log = ReceiverLog {
            attempts: Vec::new(),
            wrong: Vec::new(),
            did: BTreeMap::new(),
            random: fastrand::Rng::with_seed(seed),
            life: 0,
            mood: watch::Sender::new(ReceiverMode::Faulty),
            taken: 0,
            flapping: None,
        };
        let log = Arc::new(Mutex::new(log));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let logging = log.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let life = {
                    let mut log = logging.lock().unwrap();
                    if log.is_flapping() {
                        continue;
                    }
                    log.life
                };
                tokio::spawn(serve(stream, life, logging.clone()));
            }
        });
        FaultyReceiver { address, log }
    }

    pub fn log(&self) -> MutexGuard<'_, ReceiverLog> {
        self.log.lock().unwrap()
    }

    /// The number of attempts received.
    pub fn count(&self) -> usize {
        self.log().attempts.len()
    }

    /// The ids of accepted deliveries.
    pub fn accepted_ids(&self) -> HashSet<String> {
        self.log().attempts.iter().filter(|it| it.was_accepted).map(|it| it.id.clone()).collect()
    }

    /// Sets the mode until the sender starts again.
    pub fn set_mode(&self, mood: ReceiverMode) {
        self.log().mood.send_replace(mood);
    }

    /// Prepares for the next start of the sender; the one before is gone.
    pub async fn prepare_start(&self) {
        self.accept_for_now();
        // Connections are accepted in order: after this one, all connections of the dead sender have been accepted.
        let mut last = TcpStream::connect(&self.address).await.unwrap();
        last.write_all(&[HANDSHAKE]).await.unwrap();
        last.read_to_end(&mut Vec::new()).await.unwrap();
        self.set_mode(ReceiverMode::Faulty);
        self.log().life += 1;
    }

    /// Accepts everything for a while: the sender is about to start without knowing this receiver.
    pub fn accept_for_now(&self) {
        let mut log = self.log();
        (log.taken, log.flapping) = (0, None);
    }
}

impl ReceiverLog {
    /// Whether to close this connection at once.
    fn is_flapping(&mut self) -> bool {
        let Some((until, left)) = self.flapping.filter(|(until, left)| Instant::now() < *until && *left > 0) else {
            self.flapping = None;
            return false;
        };
        self.flapping = Some((until, left - 1));
        *self.did.entry("closed at once").or_default() += 1;
        true
    }

    fn choose(&mut self) -> ResponseKind {
        let mood = *self.mood.borrow();
        match mood {
            ReceiverMode::Faulty => {}
            ReceiverMode::Hanging => return ResponseKind::Wait,
            ReceiverMode::Kind => return self.accept(),
        }
        if self.is_flapping() {
            return ResponseKind::Close;
        }
        if self.taken >= FLAP_AFTER && self.random.u16(0..400) == 0 {
            let long = Duration::from_millis(self.random.u64(100..300));
            self.flapping = Some((Instant::now() + long, FLAPS));
        }
        if self.taken >= CALM && self.random.u8(0..100) < FAILING_PERCENT {
            let (choice, name) = FAULTS[self.random.usize(0..FAULTS.len())];
            *self.did.entry(name).or_default() += 1;
            return choice;
        }
        self.accept()
    }

    fn accept(&mut self) -> ResponseKind {
        self.taken += 1;
        *self.did.entry("taken").or_default() += 1;
        ResponseKind::Take
    }

    /// Logs an attempt, and chooses the response.
    fn record_attempt(&mut self, (headers, body): Request, life: usize) -> ResponseKind {
        let header = |name: &str| headers.get(name).map_or("", String::as_str);
        let number = |name: &str| header(name).parse::<u64>().unwrap_or(0);
        let (id, time, signature) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
        let secret = WebhookSecret::parse(SECRET).unwrap();
        let verified = secret.verify(id, time, signature, body.as_bytes(), muster::clock::now());
        let (version, attempt) = (number("x-muster-account-version"), number("x-muster-attempt"));
        let is_json = header("content-type") == "application/json";
        if verified.is_err() || id.is_empty() || version == 0 || attempt == 0 || !is_json {
            self.wrong.push(format!("{verified:?}: {headers:?} {body}"));
        }
        let choice = self.choose();
        let was_accepted = matches!(choice, ResponseKind::Take);
        self.attempts.push(ReceivedAttempt { id: id.to_owned(), version, attempt, life, body, was_accepted });
        choice
    }
}

/// Serves one connection to its end.
async fn serve(mut stream: TcpStream, life: usize, log: Arc<Mutex<ReceiverLog>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        let (mut choice, at, mut mood) = {
            let mut log = log.lock().unwrap();
            (log.record_attempt(request, life), log.attempts.len() - 1, log.mood.subscribe())
        };
        if matches!(choice, ResponseKind::Wait) {
            mood.wait_for(|mood| *mood != ReceiverMode::Hanging).await.unwrap();
            let mut log = log.lock().unwrap();
            choice = log.accept();
            log.attempts[at].was_accepted = true;
        }
        if answer(&mut stream, choice).await.is_break() {
            return;
        }
    }
}

/// Reads one request; `None` if the sender is gone, or does not speak HTTP.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        if buffer.first() == Some(&HANDSHAKE) {
            let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            return None;
        }
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let header =
                |line: &str| Some(line.split_once(": ")?).map(|(name, it)| (name.to_lowercase(), it.to_owned()));
            let headers: BTreeMap<String, String> = head.lines().skip(1).filter_map(header).collect();
            let whole = end + 4 + headers.get("content-length")?.parse::<usize>().unwrap();
            if buffer.len() >= whole {
                let body = String::from_utf8(buffer[end + 4..whole].to_vec()).unwrap();
                buffer.drain(..whole);
                return Some((headers, body));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Sends the response; says whether the connection continues.
async fn answer(stream: &mut TcpStream, choice: ResponseKind) -> ControlFlow<()> {
    match choice {
        ResponseKind::Take | ResponseKind::Wait => send(stream, "200 OK", "", SUCCESS).await,
        ResponseKind::RefuseByCode => send(stream, "200 OK", "", r#"{"data":"","code":500,"message":"no"}"#).await,
        ResponseKind::Html => send(stream, "200 OK", "content-type: text/html\r\n", "<html>Welcome</html>").await,
        ResponseKind::Redirect => send(stream, "302 Found", "location: http://169.254.169.254/\r\n", "").await,
        ResponseKind::Error => send(stream, "500 Internal Server Error", "", SUCCESS).await,
        ResponseKind::RetryAfter => send(stream, "503 Service Unavailable", "retry-after: 0\r\n", "").await,
        ResponseKind::Close => ControlFlow::Break(()),
        ResponseKind::Hang => {
            sleep(DEADLINE * 2).await;
            ControlFlow::Break(())
        }
        ResponseKind::Huge => send(stream, "200 OK", "", &" ".repeat(10 * 1024 * 1024)).await,
        ResponseKind::Drip => {
            let _gone = stream.write_all(head("200 OK", "", SUCCESS.len()).as_bytes()).await;
            let pause = DEADLINE * 2 / u32::try_from(SUCCESS.len()).unwrap();
            for byte in SUCCESS.bytes() {
                sleep(pause).await;
                if stream.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            ControlFlow::Break(())
        }
        ResponseKind::ResetInBody => {
            let half = head("200 OK", "", SUCCESS.len()) + &SUCCESS[..20];
            let _gone = stream.write_all(half.as_bytes()).await;
            stream.set_zero_linger().unwrap();
            ControlFlow::Break(())
        }
    }
}

async fn send(stream: &mut TcpStream, status: &str, more: &str, body: &str) -> ControlFlow<()> {
    let answer = head(status, more, body.len()) + body;
    if stream.write_all(answer.as_bytes()).await.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn head(status: &str, more: &str, length: usize) -> String {
    format!("HTTP/1.1 {status}\r\n{more}content-length: {length}\r\n\r\n")
}
