//! Whether a gateway speaks the bridge's protocol: for whoever builds one.
//!
//! | file | what it knows |
//! |---|---|
//! | `checks` | which checks there are, and the sentence that each holds a gateway to |
//! | `suite` | the checks, carried out one after the other |
//! | `request_handler` | what a gateway asks of Muster, and what it is answered for the sake of a check |
//! | `gateway_client` | commands to a gateway, by either way |
//!
//! It shares no code with the bridge but the signatures: it reads the protocol anew, as somebody else would.

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

/// How a gateway is to be tried.
pub struct SuiteOptions {
    /// Where it takes commands; none if it fetches them.
    pub url: Option<String>,
    /// Where it finds this Muster.
    pub listen: String,
    /// What both sides sign with: `whsec_` and base64.
    pub secret: String,
    /// A number that can come online at it; so can the one after it.
    pub account: u64,
    /// A code that is right for that number.
    pub code: String,
    /// A code that is wrong.
    pub wrong_code: String,
    /// How long it has for each thing that a check waits for.
    pub patience: Duration,
}

/// What came of one check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Its name.
    pub check: &'static str,
    /// What it holds a gateway to.
    #[serde(rename = "sentence")]
    pub requirement: &'static str,
    /// Whether the gateway does so.
    pub passed: bool,
    /// What was seen instead; empty if it does.
    #[serde(rename = "seen")]
    pub observed: String,
}

/// Why a gateway cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret is none.
    #[error("the secret {0}")]
    Secret(#[from] SecretError),
    /// Nobody can listen there, or there are no threads.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The client cannot be made.
    #[error("the client cannot be made: {0}")]
    Client(reqwest::Error),
}

/// Tries a gateway, and tells what comes of each check as it ends. Calls `ready` with the address where the gateway is to
/// report. Blocks.
pub fn run(trial: &SuiteOptions, ready: impl FnOnce(SocketAddr), tell: impl FnMut(&CheckReport)) -> Result<(), Error> {
    let secret = WebhookSecret::parse(&trial.secret)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("conformance").build();
    runtime.map_err(service::Error::Threads)?.block_on(async {
        let (listener, address) = service::bind_listener(&trial.listen).await?;
        let desk = GatewayRequestHandler::new(secret.clone());
        let serving = tokio::spawn(desk.clone().serve(listener));
        ready(address);
        let peer = GatewayClient::new(trial, secret, desk.clone()).map_err(Error::Client)?;
        suite::run(trial, &desk, &peer, tell).await;
        serving.abort();
        Ok(())
    })
}
