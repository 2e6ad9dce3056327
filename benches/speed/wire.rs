//! A client that costs as little as one can: prepared bytes out, answers counted. It is the same for subject and floor.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A POST as bytes.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    post_with("", path, body)
}

/// A POST with further headers, each with its line end.
pub fn post_with(headers: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A GET as bytes.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// Sends the requests of each connection one after the other, all connections side by side. Returns the time it took;
/// every answer must be a 200.
pub async fn send(address: SocketAddr, connections: Vec<Vec<Vec<u8>>>) -> Duration {
    let mut streams = Vec::new();
    for requests in connections {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push((stream, requests));
    }
    let begin = Instant::now();
    let tasks = streams.into_iter().map(|(mut stream, requests)| {
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(64 * 1024);
            for request in requests {
                stream.write_all(&request).await.unwrap();
                receive(&mut stream, &mut buffer).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    begin.elapsed()
}

/// Reads one answer to its end.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    let head = loop {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the connection was closed");
        if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break head + 4;
        }
    };
    let text = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(buffer));
    let length = text.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut left = head + length.parse::<usize>().unwrap() - buffer.len();
    while left > 0 {
        buffer.clear();
        let read = stream.read_buf(buffer).await.unwrap();
        assert!(read > 0, "the connection was closed");
        left -= read;
    }
}
