//! A receiver of both webhooks, as a caller's back-end has one: for whoever builds such a receiver, or has none yet.
//!
//! | file | what it knows |
//! |---|---|
//! | `arrival` | one webhook and its answer, as they are shown. Pure |
//! | `said` | what a webhook says, in words. Pure |
//! | `keys` | whether a webhook is signed as it must be. Pure |
//! | `faults` | which webhooks are answered with a fault, by a seed. Pure |
//! | `memory` | what was taken before: repeated webhooks, and late ones. Pure |
//! | `desk` | what each webhook is answered. Pure |
//! | `routes` | from HTTP to the desk and back |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod arrival;
mod desk;
mod faults;
mod keys;
mod memory;
mod routes;
mod said;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use arrival::Arrival;
pub use faults::Faults;
pub use keys::{Keys, Unusable};
pub use said::Said;

use crate::limits::{RECEIVER_CONNECTIONS, RECEIVER_LINES};
use crate::{http, service};
use desk::Desk;

/// How webhooks are received; by default all are taken.
#[derive(Default)]
pub struct Rules {
    /// How they must be signed.
    pub keys: Keys,
    /// Which of them are answered with a fault.
    pub faults: Faults,
    /// How long each waits for its answer.
    pub slow: Duration,
}

/// Receives webhooks until `stop`, and tells each as it arrives. Calls `ready` with the address once it answers there.
/// Blocks.
pub fn run(
    listen: &str,
    rules: Rules,
    ready: impl FnOnce(SocketAddr),
    mut tell: impl FnMut(&Arrival),
    stop: &CancellationToken,
) -> Result<(), service::Error> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("receiver").build();
    runtime.map_err(service::Error::Threads)?.block_on(async {
        let (address, mut arrivals) = start(listen, rules, stop.clone()).await?;
        ready(address);
        while let Some(arrival) = arrivals.recv().await {
            tell(&arrival);
        }
        Ok(())
    })
}

/// The same in the background of a tokio runtime: where it answers, and what arrives. The arrivals end once it has
/// stopped.
pub async fn start(
    listen: &str,
    rules: Rules,
    stop: CancellationToken,
) -> Result<(SocketAddr, mpsc::Receiver<Arrival>), service::Error> {
    let (listener, address) = service::listen(listen).await?;
    let (telling, arrivals) = mpsc::channel(RECEIVER_LINES);
    let routes = routes::routes(Desk::new(rules.keys, rules.faults), rules.slow, telling);
    tokio::spawn(http::serve_routes(listener, routes, RECEIVER_CONNECTIONS, stop));
    Ok((address, arrivals))
}
