//! Connections of the fake Graph, byte by byte, so that they can be reset.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{FakeGraphFault, FakeGraphInner, calls};

/// A request.
pub struct RawRequest {
    pub method: String,
    /// As sent, with the query.
    pub target: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

pub(super) async fn serve(listener: TcpListener, inner: Arc<FakeGraphInner>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(connection(stream, inner.clone()));
    }
}

async fn connection(mut stream: TcpStream, inner: Arc<FakeGraphInner>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        let (outcome, headers, latency) = {
            let mut state = inner.state.lock().unwrap();
            let outcome = calls::answer(&mut state, &request);
            (outcome, state.switches.headers.clone(), state.switches.latency)
        };
        inner.changed.notify_waiters();
        sleep(latency).await;
        let (status, body, more) = match outcome {
            FakeGraphFault::Answer(status, body) => (status, body, None),
            FakeGraphFault::AnswerWith(status, body, header) => (status, body, Some(header)),
            FakeGraphFault::ResetBefore | FakeGraphFault::ResetAfter => {
                stream.set_zero_linger().unwrap();
                return;
            }
            FakeGraphFault::HangBefore | FakeGraphFault::Hang => return std::future::pending().await,
        };
        let mut head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers.into_iter().chain(more) {
            head += &format!("{name}: {value}\r\n");
        }
        if stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads one request; `None` if the client is gone.
pub async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<RawRequest> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let header =
                |line: &str| Some(line.split_once(": ")?).map(|(name, it)| (name.to_lowercase(), it.to_owned()));
            let headers: BTreeMap<String, String> = head.lines().skip(1).filter_map(header).collect();
            let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                buffer.drain(..end + 4 + length);
                let mut first = head.split(' ');
                let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
                return Some(RawRequest { method, target, headers, body });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
