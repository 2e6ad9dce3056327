//! The client against receivers that misbehave.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::client::Client;
use super::super::delivery::{Delivery, Form};
use super::super::verdict::Failure;
use crate::config::Settings;
use crate::domain::{AccountNumber, Channel, Timestamp};
use crate::limits::WEBHOOK_ANSWER_BYTES;
use crate::store::StoreId;

/// Posts once to a receiver that writes `answer` and then, if it `hangs`, keeps the connection open. Returns the outcome
/// and the request.
async fn attempt(answer: &str, hangs: bool) -> (Result<(), Failure>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_owned();
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        let _client_went_away = stream.write_all(answer.as_bytes()).await;
        if hangs {
            // Until the client gives up.
            let _ended = stream.read(&mut [0]).await;
        }
        request
    });
    let outcome = post(&format!("http://{address}/there")).await;
    (outcome, receiving.await.unwrap())
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    String::from_utf8(request).unwrap()
}

async fn post(url: &str) -> Result<(), Failure> {
    let settings = crate::config::Webhooks { timeout: Duration::from_millis(300), ..Settings::default().webhooks };
    let client = Client::new(url.parse().unwrap(), &settings).unwrap();
    let form = Form { channel: Channel::SyncStatus, store: StoreId(1), status_as_string: false };
    let account = AccountNumber::from_stored(861_821_726_232).unwrap();
    let delivery = Delivery { account, position: 42, at: Timestamp(16), body: Bytes::from_static(b"{}") };
    client.attempt(&form, &delivery).await
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn receivers_that_misbehave() {
    let (outcome, request) = attempt(&answer("200 OK", r#"{"code":200}"#), false).await;
    assert_eq!(outcome, Ok(()));
    let head =
        "POST /there HTTP/1.1\r\ncontent-type: application/json\r\nwebhook-id: msg_0000000000000001_10_sync_42\r\n";
    assert!(request.starts_with(head), "{request}");
    let timeout = Err(Failure::Timeout(Duration::from_millis(300)));
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n";
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(WEBHOOK_ANSWER_BYTES + 1));
    assert_eq!(attempt(redirect, false).await.0, Err(Failure::Status(302)), "not followed");
    assert_eq!(attempt(&endless, false).await.0, Err(Failure::TooLong));
    assert_eq!(attempt("", true).await.0, timeout, "no head");
    assert_eq!(attempt("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"code\"", true).await.0, timeout, "half a body");
    let half = attempt("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"code\"", false).await.0;
    assert!(matches!(half, Err(Failure::Broken(_))), "{half:?}");
    let rubbish = attempt("hello\r\n\r\n", false).await.0;
    assert!(matches!(rubbish, Err(Failure::Broken(_))), "{rubbish:?}");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = post(&format!("http://user:secret@{}/", {
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        address
    }))
    .await;
    assert!(matches!(&refused, Err(Failure::Unreachable(words)) if words.contains("refused")), "{refused:?}");
    assert!(!format!("{refused:?}").contains("secret"));
}
