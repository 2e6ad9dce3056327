//! A TCP proxy on loopback that delays data, drops responses and cuts connections, as a test chooses.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The most bytes of one read.
const PIECE_BYTES: usize = 16 * 1024;

/// How it treats data from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyFault {
    /// Passes it on.
    None,
    /// Passes each piece on after this delay.
    Delay(Duration),
    /// Passes requests on, and drops all responses.
    DropResponses,
    /// Closes new connections at once.
    Refuse,
}

/// A proxy. When dropped, it stops and closes its connections.
pub struct Proxy {
    /// The address that it listens on.
    pub address: SocketAddr,
    fault: watch::Sender<ProxyFault>,
    /// How often all connections were cut.
    resets: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy before `target`, without a fault.
    pub async fn start(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, cuts) = (watch::Sender::new(ProxyFault::None), watch::Sender::new(0));
        let (faults, cutting) = (fault.subscribe(), cuts.subscribe());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *faults.borrow() != ProxyFault::Refuse {
                    let mut cutting = cutting.clone();
                    cutting.mark_unchanged();
                    tokio::spawn(proxy_connection(client, target, faults.clone(), cutting));
                }
            }
        });
        Proxy { address, fault, resets: cuts, accepting }
    }

    /// Sets the fault from now on, for open connections too.
    pub fn set_fault(&self, fault: ProxyFault) {
        self.fault.send_replace(fault);
    }

    /// Resets all open connections.
    pub fn reset_connections(&self) {
        self.resets.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes data on in both directions until one side ends, or the connection is cut.
async fn proxy_connection(
    mut client: TcpStream,
    target: SocketAddr,
    faults: watch::Receiver<ProxyFault>,
    mut cutting: watch::Receiver<u64>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = forward(from_client, to_server, &faults, false) => return,
            () = forward(from_server, to_client, &faults, true) => return,
            // Also when the proxy is dropped.
            _ = cutting.changed() => {}
        }
    }
    for side in [&client, &server] {
        let _closed_already = side.set_zero_linger();
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    faults: &watch::Receiver<ProxyFault>,
    are_answers: bool,
) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let fault = *faults.borrow();
        match fault {
            ProxyFault::DropResponses if are_answers => continue,
            ProxyFault::Delay(long) => sleep(long).await,
            ProxyFault::None | ProxyFault::DropResponses | ProxyFault::Refuse => {}
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
