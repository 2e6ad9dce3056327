//! Limits of connections: number, time, and shutdown.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::http::connection_limit::ConnectionLimit;
use crate::http::half_close::SendingHalf;
use crate::http::request_origin::OriginReader;
use crate::http::server;
use crate::limits::HEADER_TIMEOUT;
use crate::metrics::Metrics;

/// A test that waits longer than this fails.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// No proxy is trusted.
fn direct() -> OriginReader {
    OriginReader::new(&[], false)
}

/// A server with one route, which notifies `started` and responds after `release`.
struct BlockingServer {
    runtime: Runtime,
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
    started: Arc<Notify>,
    release: Arc<Notify>,
}

impl BlockingServer {
    fn start(connection_limit: ConnectionLimit) -> BlockingServer {
        let runtime = Runtime::new().unwrap();
        let (started, release, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()), CancellationToken::new());
        let route = {
            let (started, release) = (started.clone(), release.clone());
            warp::any().then(move || {
                let (started, release) = (started.clone(), release.clone());
                async move {
                    started.notify_one();
                    release.notified().await;
                    Response::new("held".into())
                }
            })
        };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = TowerToHyperService::new(warp::service(route));
        let served = runtime.spawn(server::run(listener, service, connection_limit, direct(), None, stop.clone()));
        BlockingServer { runtime, address, stop, served, started, release }
    }

    fn send_request(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        stream
    }

    fn wait_until_started(&self) {
        self.runtime.block_on(self.started.notified());
    }
}

#[test]
fn a_client_that_closes_its_sending_half_gets_its_answer() {
    let server = BlockingServer::start(ConnectionLimit::new(8, 8));
    let mut client = server.send_request();
    server.wait_until_started();
    client.shutdown(Shutdown::Write).unwrap();
    server.release.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("held"), "{answer}");
}

/// The end shows that no more of the body comes.
#[tokio::test]
async fn a_body_that_the_client_ends_too_early_fails_at_once() {
    let route = warp::body::bytes().map(|_| Response::new("whole".into())).boxed();
    let address = serve(route).await;
    for (length, expected) in [(5, "whole"), (25, "400 Bad Request")] {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
        client.write_all(format!("{head}hello").as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        timeout(TEST_TIMEOUT, client.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.contains(expected), "{length}: {answer}");
    }
}

/// As a download with `nc -N`, or a client that ends its half when the first bytes come.
#[tokio::test]
async fn a_stream_is_whole_if_the_client_closes_its_sending_half_meanwhile() {
    const PIECES: usize = 64;
    let route = warp::any().map(|| {
        let piece = || Ok::<_, io::Error>(Bytes::from(vec![b'a'; 64 * 1024]));
        warp::reply::stream(stream::iter((0..PIECES).map(move |_| piece()))).into_response()
    });
    let route = route.boxed();
    let address = serve(route).await;
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await.unwrap();
    client.shutdown().await.unwrap();
    timeout(TEST_TIMEOUT, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.len() > PIECES * 64 * 1024 && answer.ends_with(b"\r\n0\r\n\r\n"), "{} bytes", answer.len());
}

/// Serves a route without limits until the test ends.
async fn serve(route: BoxedFilter<(Response,)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(warp::service(route));
    tokio::spawn(server::run(listener, service, ConnectionLimit::new(8, 8), direct(), None, CancellationToken::new()));
    address
}

/// As a gateway that waits for commands and leaves.
#[tokio::test]
async fn the_end_of_a_released_half_ends_its_request() {
    let (started, ended) = (Arc::new(Notify::new()), CancellationToken::new());
    let route = {
        let (started, ended) = (started.clone(), ended.clone());
        warp::ext::get::<SendingHalf>().then(move |half: SendingHalf| {
            let ended = ended.clone().drop_guard();
            half.release();
            started.notify_one();
            async move {
                let _ended = ended;
                std::future::pending::<Response>().await
            }
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(warp::service(route));
    tokio::spawn(server::run(listener, service, ConnectionLimit::new(8, 8), direct(), None, CancellationToken::new()));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    started.notified().await;
    client.shutdown().await.unwrap();
    timeout(TEST_TIMEOUT, ended.cancelled()).await.unwrap();
}

#[test]
fn a_request_under_way_is_answered_before_the_server_ends() {
    let server = BlockingServer::start(ConnectionLimit::new(8, 8));
    let mut idle = TcpStream::connect(server.address).unwrap();
    let mut client = server.send_request();
    server.wait_until_started();
    server.stop.cancel();
    let mut answer = String::new();
    assert_eq!(idle.read_to_string(&mut answer).unwrap(), 0, "an idle connection is closed at once");
    server.release.notify_one();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("held"), "{answer}");
    server.runtime.block_on(server.served).unwrap();
    assert!(TcpStream::connect(server.address).is_err(), "the port is free again");
}

#[test]
fn connections_over_the_bound_wait_for_a_place() {
    let server = BlockingServer::start(ConnectionLimit::new(1, 1));
    let mut first = server.send_request();
    server.wait_until_started();
    let mut second = server.send_request();
    server.release.notify_one();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    first.shutdown(Shutdown::Both).unwrap();
    server.wait_until_started();
    server.release.notify_one();
    second.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    server.stop.cancel();
    server.runtime.block_on(server.served).unwrap();
}

#[test]
fn connections_of_one_address_over_the_bound_are_closed() {
    let metrics = Metrics::default();
    let server = BlockingServer::start(ConnectionLimit::new(3, 2).with_metrics(&metrics));
    let [first, _second] = [(); 2].map(|()| {
        let client = server.send_request();
        server.wait_until_started();
        client
    });
    for _ in 0..5 {
        let closed = server.send_request().read_to_end(&mut Vec::new());
        // The server did not read the request, so the connection may be reset instead of closed.
        let is_closed = closed.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |length| length == 0);
        assert!(is_closed, "it is closed without an answer");
    }
    assert_eq!((metrics.connections.get(), metrics.connections_refused.get()), (2, 5));
    drop(first);
    server.release.notify_one();
    // The server allows another connection as soon as it notices the end of the first.
    let moment = Duration::from_millis(100);
    let has_started = || server.runtime.block_on(async { timeout(moment, server.started.notified()).await.is_ok() });
    let _another = std::iter::repeat_with(|| server.send_request()).take(100).find(|_| has_started()).unwrap();
}

/// A request head has one deadline even if it arrives steadily. The idle time between requests has one too.
#[tokio::test(start_paused = true)]
async fn slow_request_heads_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(warp::service(warp::any().map(|| Response::new("here".into()))));
    tokio::spawn(server::run(listener, service, ConnectionLimit::new(8, 8), direct(), None, CancellationToken::new()));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut drops = 0;
    let second = Duration::from_secs(1);
    while client.write_all(b"G").await.is_ok() {
        drops += 1;
        assert!(drops < 100, "it goes on for ever");
        sleep(second).await;
    }
    let most = HEADER_TIMEOUT.as_secs();
    assert!((most - 1..most + 3).contains(&drops), "{drops} drops, one a second");
}

/// Requests `target` from a route that sends 4 MiB, and then ends, fails or waits. Returns how the response ends, and the
/// number of bytes received.
async fn read_to_end(version: &str, target: &str) -> (Result<(), ErrorKind>, usize) {
    const PIECES: usize = 64;
    let (all_sent, waits) = (Arc::new(Notify::new()), target == "/waits");
    let route = {
        let all_sent = all_sent.clone();
        warp::path!(String).map(move |end: String| {
            let pieces = stream::iter((0..PIECES).map(|_| Ok(Bytes::from(vec![b'a'; 64 * 1024]))));
            let all_sent = all_sent.clone();
            let last = stream::once(async move {
                all_sent.notify_one();
                match &*end {
                    "fails" => Err(io::Error::other("the disk is gone")),
                    "waits" => std::future::pending().await,
                    _ => Ok(Bytes::new()),
                }
            });
            warp::reply::stream(pieces.chain(last)).into_response()
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(warp::service(route));
    let server = tokio::spawn(server::run(
        listener,
        service,
        ConnectionLimit::new(8, 8),
        direct(),
        None,
        CancellationToken::new(),
    ));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(format!("GET {target} HTTP/{version}\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    if waits {
        // As after the drain timeout: the end of the server cuts off the connection.
        tokio::spawn(async move {
            all_sent.notified().await;
            server.abort();
        });
    }
    let (mut received, mut piece) = (0, vec![0; 64 * 1024]);
    loop {
        match timeout(TEST_TIMEOUT, client.read(&mut piece)).await.unwrap() {
            Ok(0) => return (Ok(()), received),
            Ok(length) => received += length,
            Err(error) => return (Err(error.kind()), received),
        }
    }
}

/// Only the end of the connection ends such a response, so an early end must not look like a normal one.
#[tokio::test]
async fn a_cut_answer_without_a_length_ends_with_a_reset() {
    let whole = 4 * 1024 * 1024;
    let (end, received) = read_to_end("1.0", "/whole").await;
    assert!(end.is_ok() && (whole..whole + 1_000).contains(&received), "{end:?} {received}");
    for cut in ["/fails", "/waits"] {
        assert_eq!(read_to_end("1.0", cut).await.0, Err(ErrorKind::ConnectionReset), "{cut}");
        // A missing last chunk shows that the response is incomplete.
        assert_eq!(read_to_end("1.1", cut).await.0, Ok(()), "{cut}");
    }
}
