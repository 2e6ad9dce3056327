//! The client against servers that misbehave, close, or move.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use super::{ClientOptions, Error, FailureClass, HttpClient, HttpResponse, Resolver, post};

const SECOND: Duration = Duration::from_secs(1);
/// After this time a test fails.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST: usize = 64 * 1024;
const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\ntaken";

fn options() -> ClientOptions {
    ClientOptions::new(10 * SECOND, 30 * SECOND, 8)
}

fn client(options: ClientOptions) -> HttpClient {
    HttpClient::new(options).unwrap()
}

/// Reads one request; `None` if the connection ends.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(request).unwrap())
}

/// A server that sends the responses of each connection in turn, then closes the connection. The task returns all
/// requests.
async fn server(connections: Vec<Vec<String>>) -> (Url, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answers in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                requests.extend(read_request(&mut stream).await);
                let _client_went_away = stream.write_all(answer.as_bytes()).await;
            }
        }
        requests
    });
    (url, serving)
}

async fn send(client: &HttpClient, url: &Url) -> Result<HttpResponse, Error> {
    let request = post(url).header("webhook-id", "msg_1");
    timeout(PATIENCE, client.send(request, "{}", MOST)).await.unwrap().and_then(HttpResponse::into_complete)
}

async fn ended(serving: JoinHandle<Vec<String>>) -> Vec<String> {
    timeout(PATIENCE, serving).await.unwrap().unwrap()
}

fn interim(header_bytes: usize) -> String {
    format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "a".repeat(header_bytes))
}

#[tokio::test]
async fn endless_interim_responses_are_rejected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let endless = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        while stream.write_all(interim(10).as_bytes()).await.is_ok() {}
    });
    let error = send(&client(options()), &url).await.err().unwrap();
    assert_eq!(
        (error.class, error.message.as_str()),
        (FailureClass::TooLong, "the response has more than 65536 bytes")
    );
    timeout(PATIENCE, endless).await.expect("the connection is closed").unwrap();
}

#[tokio::test]
async fn interim_responses_count() {
    let body = |bytes: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{}", "b".repeat(bytes));
    for (answer, expected) in [
        (interim(10).repeat(3) + &body(40_000), Ok(40_000)),
        (interim(40_000) + &body(40_000), Err(FailureClass::TooLong)),
        (body(MOST), Ok(MOST)),
        (body(MOST + 1), Err(FailureClass::TooLong)),
        (format!("HTTP/1.1 200 OK\r\nlink: {}", "a".repeat(3 * MOST)), Err(FailureClass::TooLong)),
    ] {
        let (url, serving) = server(vec![vec![answer.clone()]]).await;
        let received = send(&client(options()), &url).await;
        let length = received.map(|response| response.body.len()).map_err(|error| error.class);
        assert_eq!(length, expected, "{}", &answer[..40]);
        ended(serving).await;
    }
}

#[tokio::test]
async fn a_closed_connection_costs_no_attempt() {
    let closed = || vec![TAKEN.to_owned(), String::new()];
    let (url, serving) = server(vec![closed(), vec![TAKEN.to_owned()]]).await;
    let patient = client(options());
    for _ in 0..2 {
        assert_eq!(send(&patient, &url).await.unwrap().body, b"taken");
    }
    assert_eq!(ended(serving).await.len(), 3);
    // A closed new connection is a failure, and so is the second one of a repeated request.
    for connections in [vec![vec![String::new()]], vec![closed(), vec![String::new()]]] {
        let (requests, count) = (connections.iter().flatten().count(), connections.len());
        let (url, serving) = server(connections).await;
        let patient = client(options());
        for _ in 1..count {
            send(&patient, &url).await.unwrap();
        }
        assert_eq!(send(&patient, &url).await.err().unwrap().class, FailureClass::Reset);
        assert_eq!(ended(serving).await.len(), requests);
    }
    // After a part of a response the request may have been executed. A request without an id must not be repeated.
    let half = vec![TAKEN.to_owned(), "HTTP/1.1 2".to_owned()];
    for (answers, id) in [(half, "webhook-id"), (closed(), "x-id")] {
        let (url, serving) = server(vec![answers]).await;
        let patient = client(options());
        send(&patient, &url).await.unwrap();
        let request = post(&url).header(id, "msg_2");
        let sent = timeout(PATIENCE, patient.send(request, "{}", MOST)).await.unwrap();
        assert_eq!(sent.err().unwrap().class, FailureClass::Reset, "{id}");
        assert_eq!(ended(serving).await.len(), 2);
    }
}

/// A server may report an idle timeout at the very moment at which a request is sent.
#[tokio::test]
async fn a_timeout_of_an_idle_connection_costs_no_attempt() {
    let idle = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let old = "HTTP/1.0 408 Request Time-out\r\n\r\n<html>";
    let open = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n";
    let taken = || vec![TAKEN.to_owned()];
    for (connections, status, count) in [
        (vec![vec![TAKEN.to_owned(), idle.to_owned()], taken()], 200, 3),
        (vec![vec![TAKEN.to_owned(), old.to_owned()], taken()], 200, 3),
        // Unasked: before the request is sent, and at its beginning.
        (vec![vec![TAKEN.to_owned() + idle], taken()], 200, 2),
        (vec![vec![TAKEN.to_owned() + idle, String::new()], taken()], 200, 2),
        // Once only, and not on a new connection.
        (vec![vec![TAKEN.to_owned(), idle.to_owned()], vec![idle.to_owned()]], 408, 3),
        (vec![taken(), vec![idle.to_owned()]], 408, 2),
        // A server that keeps the connection open has read the request.
        (vec![vec![TAKEN.to_owned(), open.to_owned()]], 408, 2),
    ] {
        let (url, serving) = server(connections.clone()).await;
        let patient = client(options());
        assert_eq!(send(&patient, &url).await.unwrap().status, 200);
        assert_eq!(send(&patient, &url).await.unwrap().status, status, "{connections:?}");
        assert_eq!(ended(serving).await.len(), count, "{connections:?}");
    }
    // A request without an id is not repeated.
    let (url, serving) = server(vec![vec![TAKEN.to_owned(), idle.to_owned()]]).await;
    let patient = client(options());
    send(&patient, &url).await.unwrap();
    assert_eq!(timeout(PATIENCE, patient.send(post(&url), "{}", MOST)).await.unwrap().unwrap().status, 408);
    assert_eq!(ended(serving).await.len(), 2);
}

/// The current address of the name that moves.
static NAME_ADDRESS: Mutex<Option<SocketAddr>> = Mutex::new(None);

/// A server that responds to every request with its name.
async fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while read_request(&mut stream).await.is_some() {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{name}");
                    let _client_went_away = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_name_that_moves_is_followed() {
    let (old, new) = (named("old").await, named("new").await);
    let resolver =
        || Resolver::new(None, |_| async { Ok(NAME_ADDRESS.lock().unwrap().iter().copied().collect()) }.boxed());
    let living = |connection_lifetime| client(ClientOptions { connection_lifetime, resolver: resolver(), ..options() });
    let url = "http://receiver.example/".parse().unwrap();
    let [never, soon, long] = [Duration::ZERO, SECOND / 10, PATIENCE].map(living);
    *NAME_ADDRESS.lock().unwrap() = Some(old);
    for client in [&never, &soon, &long] {
        assert_eq!(send(client, &url).await.unwrap().body, b"old");
    }
    *NAME_ADDRESS.lock().unwrap() = Some(new);
    assert_eq!(send(&never, &url).await.unwrap().body, b"new");
    assert_eq!(send(&long, &url).await.unwrap().body, b"old", "connections are used again");
    timeout(PATIENCE, async { while send(&soon, &url).await.unwrap().body != b"new" {} }).await.unwrap();
}

#[tokio::test]
async fn only_the_server_gets_the_user_of_the_url() {
    let (mut url, serving) = server(vec![vec![TAKEN.to_owned()]]).await;
    url.set_username("Aladdin").unwrap();
    url.set_password(Some("open%20sesame")).unwrap();
    send(&client(options()), &url).await.unwrap();
    let requests = ended(serving).await;
    assert!(requests[0].contains("\r\nauthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{requests:?}");
    assert!(requests[0].starts_with("POST / HTTP/1.1\r\n") && !requests[0].contains("sesame"), "{requests:?}");
}
