//! A client of minimal cost: prepared bytes out, responses counted. Subject and floor use the same one.

use std::io::{Read, Write};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cost::{Cost, CostMeter};

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
    get_with("", path)
}

/// A GET with further headers, each with its line end.
pub fn get_with(headers: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").into_bytes()
}

/// Sends a GET on its own connection. Returns the head of the response, in lower case, and the body.
pub fn fetch(address: SocketAddr, headers: &str, path: &str) -> (String, Vec<u8>) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(&get_with(&format!("{headers}connection: close\r\n"), path)).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(head);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
}

/// Sends the requests of each connection one after the other, over all connections concurrently. Returns the cost;
/// every response must be a 200.
pub async fn send(address: SocketAddr, connections: Vec<Vec<Vec<u8>>>) -> Cost {
    send_for(200, address, connections).await
}

/// Likewise; every answer must have this status.
pub async fn send_for(status: u16, address: SocketAddr, connections: Vec<Vec<Vec<u8>>>) -> Cost {
    let mut streams = Vec::new();
    for requests in connections {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push((stream, requests));
    }
    let meter = CostMeter::start();
    let tasks = streams.into_iter().map(|(mut stream, requests)| {
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(64 * 1024);
            for request in requests {
                stream.write_all(&request).await.unwrap();
                receive(&mut stream, &mut buffer, status).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    meter.stop()
}

/// Reads one answer to its end.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>, status: u16) {
    buffer.clear();
    let head = loop {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the connection was closed");
        if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break head + 4;
        }
    };
    let text = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
    assert!(text.starts_with(&format!("http/1.1 {status}")), "{}", String::from_utf8_lossy(buffer));
    let length = text.split("content-length: ").nth(1).map_or("0", |rest| rest.split("\r\n").next().unwrap());
    let mut left = head + length.parse::<usize>().unwrap() - buffer.len();
    while left > 0 {
        buffer.clear();
        let read = stream.read_buf(buffer).await.unwrap();
        assert!(read > 0, "the connection was closed");
        left -= read;
    }
}
