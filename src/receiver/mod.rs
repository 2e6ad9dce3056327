//! A receiver of both webhooks, as a caller's back-end has one: for whoever builds such a receiver, or has none yet.
//!
//! | file | what it knows |
//! |---|---|
//! | `received_webhook` | one webhook and its answer, as they are shown. Pure |
//! | `webhook_summary` | what a webhook says, in words. Pure |
//! | `signature_verification` | whether a webhook is signed as it must be. Pure |
//! | `fault_injection` | which webhooks are answered with a fault, by a seed. Pure |
//! | `duplicate_detection` | what was taken before: repeated webhooks, and late ones. Pure |
//! | `handler` | what each webhook is answered. Pure |
//! | `routes` | from HTTP to the desk and back |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod duplicate_detection;
mod fault_injection;
mod handler;
mod received_webhook;
mod routes;
mod signature_verification;
mod webhook_summary;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use fault_injection::FaultInjector;
pub use received_webhook::ReceivedWebhook;
pub use signature_verification::{ReceiverSecretError, SignatureVerifier};
pub use webhook_summary::WebhookSummary;

use crate::limits::{RECEIVER_CONNECTIONS, RECEIVER_QUEUED};
use crate::{http, service};
use handler::WebhookHandler;

/// How webhooks are received; by default all are taken.
#[derive(Default)]
pub struct ReceiverOptions {
    /// How they must be signed.
    pub verifier: SignatureVerifier,
    /// Which of them are answered with a fault.
    pub faults: FaultInjector,
    /// How long each waits for its answer.
    pub delay: Duration,
}

/// Receives webhooks until `stop`, and tells each as it arrives. Calls `ready` with the address once it answers there.
/// Blocks.
pub fn run(
    listen: &str,
    rules: ReceiverOptions,
    ready: impl FnOnce(SocketAddr),
    mut tell: impl FnMut(&ReceivedWebhook),
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
    rules: ReceiverOptions,
    stop: CancellationToken,
) -> Result<(SocketAddr, mpsc::Receiver<ReceivedWebhook>), service::Error> {
    let (listener, address) = service::bind_listener(listen).await?;
    let (telling, arrivals) = mpsc::channel(RECEIVER_QUEUED);
    let routes = routes::routes(WebhookHandler::new(rules.verifier, rules.faults), rules.delay, telling);
    tokio::spawn(http::serve_routes(listener, routes, RECEIVER_CONNECTIONS, stop));
    Ok((address, arrivals))
}
