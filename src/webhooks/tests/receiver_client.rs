//! The client against receivers that misbehave.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::delivery::{Delivery, PayloadBuilder};
use super::super::receiver_client::{Receiver, ReceiverClient, SigningSecrets};
use super::super::response_check::{AttemptFailure, AttemptResponse};
use super::super::signature::{AppSecret, SignatureError, WebhookSecret};
use crate::client::AddressGuard;
use crate::config::Settings;
use crate::domain::{AccountNumber, Channel, Timestamp};
use crate::journal::{Generations, RequestId};
use crate::limits::WEBHOOK_RESPONSE_BYTES;
use crate::store::StoreId;

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OVER: &str = "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=";

/// Posts once to a receiver that writes `answer` and then, if it `hangs`, keeps the connection open. Returns the
/// outcome and the request.
async fn attempt(answer: &str, hangs: bool) -> (AttemptResponse, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_owned();
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        let _client_went_away = stream.write_all(answer.as_bytes()).await;
        if hangs {
            // Wait until the client gives up.
            let _ended = stream.read(&mut [0]).await;
        }
        request
    });
    let outcome = post(&format!("http://{address}/there"), &AddressGuard::allow_private()).await;
    (outcome, receiving.await.unwrap())
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    String::from_utf8(request).unwrap()
}

async fn post(url: &str, guard: &AddressGuard) -> AttemptResponse {
    let settings =
        crate::config::WebhookSettings { timeout: Duration::from_millis(300), ..Settings::default().webhooks };
    let signing = SigningSecrets {
        secrets: [(NEW, None), (OLD, Some(Timestamp(i64::MAX))), (OVER, Some(Timestamp(0)))]
            .map(|(text, until)| (WebhookSecret::parse(text).unwrap(), until))
            .to_vec(),
        app: Some(AppSecret::new("500975", "f9a40a4780f5e1306c46f1c8daecee3b").unwrap()),
    };
    let client = ReceiverClient::new(url.parse().unwrap(), signing, guard, &settings).unwrap();
    let payloads = PayloadBuilder {
        channel: Channel::SyncStatus,
        generations: Generations::default(),
        store: StoreId(1),
        status_as_string: false,
        with_still_waiting: false,
        labels: None,
    };
    let account = AccountNumber::from_stored(861_821_726_232).unwrap();
    let (request, at, body) = (RequestId(0xabc), Timestamp(16), Bytes::from_static(b"{}"));
    let delivery = Delivery { account, position: 42, version: 7, request, at, is_resync: false, body };
    client.attempt(&payloads, &delivery, 3).await
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The class and the text of a failure.
fn words(response: &AttemptResponse) -> (&'static str, String) {
    let failure = response.verdict.as_ref().unwrap_err();
    (failure.class(), failure.to_string())
}

#[tokio::test]
async fn a_request_has_all_headers() {
    let (response, request) = attempt(&answer("200 OK", r#"{"code":200}"#), false).await;
    assert_eq!(
        (&response.verdict, response.status, response.body_excerpt.as_str()),
        (&Ok(()), Some(200), r#"{"code":200}"#)
    );
    let header = |name: &str| {
        let line = request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {request}"))
    };
    assert!(request.starts_with("POST /there HTTP/1.1\r\ncontent-type: application/json\r\n"), "{request}");
    let id = header("webhook-id");
    assert_eq!((id, header("x-muster-attempt")), ("msg_0000000000000001_10_sync_42", "3"));
    assert_eq!(header("x-muster-account-version"), "7");
    assert!(header("traceparent").starts_with("00-00000000000000000000000000000abc-"), "the trace of the request");
    let (timestamp, signatures) = (header("webhook-timestamp"), header("webhook-signature"));
    let verify =
        |secret| WebhookSecret::parse(secret).unwrap().verify(id, timestamp, signatures, b"{}", crate::clock::now());
    assert_eq!((verify(NEW), verify(OLD)), (Ok(()), Ok(())), "both sign during an exchange");
    assert_eq!((verify(OVER), signatures.split(' ').count()), (Err(SignatureError::Mismatch), 2), "not longer");
    let app = AppSecret::new("500975", "f9a40a4780f5e1306c46f1c8daecee3b").unwrap();
    let verified = app.verify(header("tenant_id"), header("timestamp"), header("access_token"), crate::clock::now());
    assert_eq!(verified, Ok(()));
}

#[tokio::test]
async fn receivers_that_misbehave() {
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(WEBHOOK_RESPONSE_BYTES + 1));
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 77\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(attempt(redirect, false).await.0.verdict, Err(AttemptFailure::Status(302)), "not followed");
    assert_eq!(attempt(&endless, false).await.0.verdict, Err(AttemptFailure::TooLong));
    assert_eq!(attempt(busy, false).await.0.retry_after, Some(Duration::from_secs(77)));
    let html = attempt(&answer("200 OK", "<html>\u{e9}</html>"), false).await.0;
    assert_eq!((words(&html).0, html.body_excerpt.as_str()), ("no_code", "<html>\u{e9}</html>"));
    assert!(attempt(&answer("410 Gone", ""), false).await.0.verdict.unwrap_err().is_gone());
    let timeout = Err(AttemptFailure::Timeout(Duration::from_millis(300)));
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"code\"";
    assert_eq!(attempt("", true).await.0.verdict, timeout, "no head");
    let dripping = attempt(half, true).await.0;
    assert_eq!((dripping.verdict, dripping.status), (timeout, Some(200)), "half a body");
    assert_eq!(words(&attempt("", false).await.0).0, "reset");
    assert_eq!(words(&attempt(half, false).await.0).0, "reset");
    assert_eq!(words(&attempt("hello\r\n\r\n", false).await.0).0, "network");
}

#[tokio::test]
async fn receivers_that_cannot_be_reached() {
    let own = AddressGuard::allow_private();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let refused = post(&format!("http://user:secret@{address}/"), &own).await;
    assert_eq!(words(&refused).0, "refused");
    assert!(!format!("{refused:?}").contains("secret"));
    // A name that fails without a DNS query: one label is too long (RFC 1035).
    assert_eq!(words(&post(&format!("http://{}.invalid/", "a".repeat(64)), &own).await).0, "dns");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    let speaking = tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        let _hello = stream.read(&mut [0; 1_000]).await;
        let _written = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _closed = stream.read(&mut [0; 1_000]).await;
    });
    assert_eq!(words(&post(&url, &own).await).0, "tls");
    speaking.await.unwrap();
    // A literal address and a name give the same message as when a URL is set.
    for url in ["http://127.0.0.1:9/", "http://localhost:9/", "http://169.254.169.254/"] {
        let (class, words) = words(&post(url, &AddressGuard::new([])).await);
        let at_set = AddressGuard::new([]).check_resolved(&url.parse().unwrap()).await.unwrap_err().to_string();
        assert_eq!(class, "forbidden");
        assert!(words.ends_with(&at_set), "{words} / {at_set}");
    }
}
