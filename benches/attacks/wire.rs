//! Connections of attackers: from any address of this machine, with any bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long an attacker's connection may last before it counts as a fault.
pub const KEPT: Duration = Duration::from_secs(45);

/// Open files that are not attackers' connections.
const OTHER_FILES: usize = 100;
/// The header of the last request on a connection.
pub const LAST: &str = "connection: close\r\n";

/// An address of this machine, one for each number.
pub fn loopback_address(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number + 2).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// As many connections, or as this process may open.
pub fn limit_connections(connections: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(connections, |files| connections.min(files.saturating_sub(OTHER_FILES)))
}

/// A connection from that address.
pub async fn connect(to: &str, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(to.parse().unwrap()).await.expect("a place in the listen queue")
}

/// Sends bytes; returns the response until the service closes, as it does after [`LAST`]. Bytes that the service no
/// longer accepts are not sent.
pub async fn send(to: &str, from: Ipv4Addr, bytes: &[u8]) -> String {
    let mut stream = connect(to, from).await;
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let writing = async {
        let _closed = write.write_all(bytes).await;
    };
    let reading = async {
        let _reset = read.read_to_end(&mut answer).await;
    };
    timeout(KEPT, async { tokio::join!(writing, reading) }).await.expect("the service lets go of a stranger");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all responses.
pub fn statuses(answer: &str) -> Vec<u16> {
    answer.match_indices("HTTP/1.1 ").map(|(at, _)| answer[at + 9..at + 12].parse().unwrap()).collect()
}
