//! An example receiver of both webhooks, as in a caller's back-end. It helps to build such a receiver, or stands in for it.
//!
//! | file | what it knows |
//! |---|---|
//! | `received_webhook` | a webhook and its response, as text and as JSON. Pure |
//! | `received_headers` | the headers of a webhook that interest receivers. Pure |
//! | `webhook_summary` | what a webhook reports, in words. Pure |
//! | `signature_verification` | verification of signatures. Pure |
//! | `fault_injection` | injected error responses, chosen by a seed. Pure |
//! | `duplicate_detection` | detection of repeated and late webhooks. Pure |
//! | `handler` | the response to each webhook. Pure |
//! | `routes` | HTTP requests to the handler |
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

/// Receives webhooks until `stop`, and passes each to `tell`. Calls `ready` with the address once it listens. Blocking.
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

/// Starts a receiver in the background of a tokio runtime. Returns its address and the channel of received webhooks, which
/// ends after `stop`.
pub async fn start(
    listen: &str,
    rules: ReceiverOptions,
    stop: CancellationToken,
) -> Result<(SocketAddr, mpsc::Receiver<ReceivedWebhook>), service::Error> {
    let (listener, address) = service::bind_listener(listen).await?;
    let (reports, arrivals) = mpsc::channel(RECEIVER_QUEUED);
    let routes = routes::routes(WebhookHandler::new(rules.verifier, rules.faults), rules.delay, reports);
    tokio::spawn(http::serve_routes(listener, routes, RECEIVER_CONNECTIONS, stop));
    Ok((address, arrivals))
}
