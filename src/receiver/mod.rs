//! An example receiver of both webhooks. Developers of a caller's back-end use it as a model, or in place of their own.
//!
//! | file | what it knows |
//! |---|---|
//! | `received_webhook` | a webhook and its response, as text and as JSON. Pure |
//! | `received_headers` | the headers of a webhook that interest receivers. Pure |
//! | `webhook_summary` | a summary of what a webhook reports. Pure |
//! | `signature_verification` | verifies signatures. Pure |
//! | `fault_injection` | injects error responses; a seed determines which webhooks get them. Pure |
//! | `duplicate_detection` | detects repeated and late webhooks. Pure |
//! | `handler` | decides the response to each webhook. Pure |
//! | `routes` | passes HTTP requests to the handler |
//! | `fuzz` | fuzzing of the handler, for tests only |

mod duplicate_detection;
mod fault_injection;
mod handler;
mod received_headers;
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

/// Options of the receiver. By default it accepts all webhooks.
#[derive(Default)]
pub struct ReceiverOptions {
    /// Verifies signatures.
    pub verifier: SignatureVerifier,
    /// Injects error responses.
    pub faults: FaultInjector,
    /// Delay before each response.
    pub delay: Duration,
}

/// Receives webhooks until `stop` is cancelled, and passes each to `on_webhook`. Calls `ready` with the address once it
/// listens. Blocks.
pub fn run(
    listen: &str,
    options: ReceiverOptions,
    ready: impl FnOnce(SocketAddr),
    mut on_webhook: impl FnMut(&ReceivedWebhook),
    stop: &CancellationToken,
) -> Result<(), service::Error> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("receiver").build();
    runtime.map_err(service::Error::Threads)?.block_on(async {
        let (address, mut arrivals) = start(listen, options, stop.clone()).await?;
        ready(address);
        while let Some(arrival) = arrivals.recv().await {
            on_webhook(&arrival);
        }
        Ok(())
    })
}

/// Starts a receiver as a task of the tokio runtime. Returns its address, and a channel with the received webhooks. The
/// channel ends after `stop` is cancelled.
pub async fn start(
    listen: &str,
    options: ReceiverOptions,
    stop: CancellationToken,
) -> Result<(SocketAddr, mpsc::Receiver<ReceivedWebhook>), service::Error> {
    let (listener, address) = service::bind_listener(listen).await?;
    let (sender, arrivals) = mpsc::channel(RECEIVER_QUEUED);
    let routes = routes::routes(WebhookHandler::new(options.verifier, options.faults), options.delay, sender);
    tokio::spawn(http::serve_routes(listener, routes, RECEIVER_CONNECTIONS, stop));
    Ok((address, arrivals))
}
