//! Tests whether a gateway speaks the bridge protocol, for developers of gateways.
//!
//! | file | what it is |
//! |---|---|
//! | `checks` | the list of checks, each with its requirement |
//! | `suite` | runs the checks one after the other |
//! | `request_handler` | answers the gateway's requests in Muster's place, as the checks require |
//! | `gateway_client` | sends commands to the gateway, or offers them for fetching |
//!
//! The checks implement the protocol as another party would, without code of the bridge. Only signatures, times and limits
//! come from modules that the bridge uses too.

mod checks;
mod gateway_client;
mod request_handler;
mod suite;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime;

use crate::service;
use crate::webhooks::signature::{SecretError, WebhookSecret};
use gateway_client::GatewayClient;
use request_handler::GatewayRequestHandler;

/// The options of a conformance run.
pub struct SuiteOptions {
    /// The gateway's URL. `None` if the gateway fetches its commands.
    pub url: Option<String>,
    /// The address to listen on for the gateway's requests.
    pub listen: String,
    /// The secret that both sides sign with: `whsec_` and base64.
    pub secret: String,
    /// A number that can come online at the gateway. The next number must be able to, too.
    pub account: u64,
    /// The correct verification code for the number after `account`.
    pub code: String,
    /// A wrong verification code.
    pub wrong_code: String,
    /// How long a check waits for each response or report.
    pub patience: Duration,
}

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The name of the check.
    pub check: &'static str,
    /// What the check requires of a gateway.
    #[serde(rename = "sentence")]
    pub requirement: &'static str,
    /// Whether the gateway met the requirement.
    pub passed: bool,
    /// What the gateway did instead. Empty if it passed.
    #[serde(rename = "seen")]
    pub observed: String,
}

/// Why a conformance run cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret is malformed.
    #[error("the secret {0}")]
    Secret(#[from] SecretError),
    /// The address cannot be bound, or no threads can be started.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be created: {0}")]
    Client(reqwest::Error),
}

/// Runs all checks against a gateway, and calls `on_result` with each result. Calls `ready` with the bound address once
/// the gateway can send requests. Blocks.
pub fn run(
    options: &SuiteOptions,
    ready: impl FnOnce(SocketAddr),
    on_result: impl FnMut(&CheckReport),
) -> Result<(), Error> {
    let secret = WebhookSecret::parse(&options.secret)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("conformance").build();
    runtime.map_err(service::Error::Threads)?.block_on(async {
        let (listener, address) = service::bind_listener(&options.listen).await?;
        let handler = GatewayRequestHandler::new(secret.clone());
        let server = tokio::spawn(handler.clone().serve(listener));
        ready(address);
        let client = GatewayClient::new(options, secret, handler.clone()).map_err(Error::Client)?;
        suite::run(options, &handler, &client, on_result).await;
        server.abort();
        Ok(())
    })
}
