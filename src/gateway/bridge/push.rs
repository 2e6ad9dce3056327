//! Posts commands to a gateway. Each is retried until the gateway accepts or rejects it, or its deadline passes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::command_queue::CommandQueue;
use super::command_response::{CommandFailure, CommandResponse, interpret_response};
use super::protocol::to_json;
use super::queue_state::LeasedCommand;
use super::queued_command::QueuedCommand;
use crate::actors::ReportSender;
use crate::client::{ClientOptions, FailureClass, TlsSetupError};
use crate::clock::{Moment, Moments};
use crate::domain::{Command, GatewayKind};
use crate::gateway::bulkhead::{Bulkhead, CallError};
use crate::limits::{
    BRIDGE_CONNECT_TIMEOUT, BRIDGE_RESPONSE_BYTES, COMMAND_RETRY_WAIT, COMMAND_RETRY_WAIT_MAX, RETRY_JITTER_PERCENT,
    SESSIONS_PAGE_BYTES,
};
use crate::metrics::BridgeCommand;
use crate::vault::Vault;
use crate::webhooks::deterministic_random;
use crate::webhooks::signature::WebhookSecret;
use crate::{client, config};

/// Sends queued commands to a gateway.
pub(super) struct Pusher {
    pub(super) http: client::HttpClient,
    pub(super) url: Url,
    pub(super) secret: WebhookSecret,
    pub(super) vault: Vault,
    pub(super) queue: Arc<CommandQueue>,
    pub(super) bulkhead: Arc<Bulkhead>,
    pub(super) reports: ReportSender,
    pub(super) max_in_flight: usize,
    pub(super) now: Moments,
}

/// The HTTP client for a gateway at this URL, and the URL of commands. `None` if the URL is neither HTTPS nor loopback.
pub(super) fn build_client(
    url: &str,
    settings: &config::BridgeSettings,
) -> Result<Option<(client::HttpClient, Url)>, TlsSetupError> {
    let Ok(url) = Url::parse(&format!("{}/gateway/v1/commands", url.trim_end_matches('/'))) else { return Ok(None) };
    if !is_confidential(&url) {
        return Ok(None);
    }
    let options = ClientOptions::new(BRIDGE_CONNECT_TIMEOUT, settings.timeout, settings.max_in_flight);
    Ok(Some((client::HttpClient::new(options)?, url)))
}

/// Whether requests to this URL cannot be read in transit: they use TLS, or stay on this machine.
fn is_confidential(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

impl Pusher {
    /// Sends queued commands until `stop`.
    pub(super) async fn run(self: Arc<Pusher>, stop: CancellationToken) {
        let mut attempts = FuturesUnordered::new();
        let mut availability = self.bulkhead.availability();
        let mut paused_until = None::<Instant>;
        loop {
            // While the gateway is away, a single call probes it and the others wait.
            let most = if *availability.borrow_and_update() { self.max_in_flight } else { 1 };
            let may_lease = attempts.len() < most && paused_until.is_none();
            let next = self.queue.wait_for(|| self.queue.lease_commands(1, |_, command| command.deadline).pop());
            tokio::select! {
                () = stop.cancelled() => return,
                leased = next, if may_lease => attempts.push(self.send_command(leased)),
                Some(pause) = attempts.next() => {
                    let until = pause.map(|wait| Instant::now() + wait);
                    paused_until = paused_until.max(until);
                }
                () = sleep_until(paused_until.unwrap_or_else(Instant::now)), if paused_until.is_some() => {
                    paused_until = None;
                }
                Ok(()) = availability.changed() => {
                    if *availability.borrow_and_update() {
                        paused_until = None;
                    }
                }
            }
        }
    }

    /// Makes one attempt. Returns how long to send nothing, if the breaker is open.
    async fn send_command(&self, leased: LeasedCommand) -> Option<Duration> {
        let LeasedCommand { lease, delivery, command, .. } = leased;
        match self.bulkhead.call(self.post(&command), CommandFailure::is_unavailable).await {
            Ok(CommandResponse::Accepted | CommandResponse::Sessions(_)) => {
                self.queue.complete(lease, BridgeCommand::Acknowledged);
            }
            Ok(CommandResponse::Rejected(why)) => self.reject_command(lease, &command, &why).await,
            Err(CallError::Failed(CommandFailure::UnsealFailed(why))) => {
                self.reject_command(lease, &command, &why).await;
            }
            Ok(CommandResponse::TooLate) | Err(CallError::Failed(CommandFailure::DeadlinePassed)) => {
                self.queue.complete(lease, BridgeCommand::Late);
            }
            Err(CallError::BreakerOpen { wait }) => {
                self.queue.requeue(lease, Duration::ZERO);
                return Some(wait);
            }
            Err(CallError::Timeout { .. }) => self.queue.requeue(lease, backoff(lease, delivery)),
            Err(CallError::Failed(failure)) => {
                let wait = failure.retry_after().unwrap_or_default().min(COMMAND_RETRY_WAIT_MAX);
                self.queue.requeue(lease, wait.max(backoff(lease, delivery)));
            }
        }
        None
    }

    /// Reports the rejection to the account, and completes the command.
    async fn reject_command(&self, lease: u64, command: &QueuedCommand, why: &str) {
        report_rejection(&self.reports, command, why).await;
        self.queue.complete(lease, BridgeCommand::Refused);
    }

    /// Posts a command, and interprets the response.
    pub(super) async fn post(&self, command: &QueuedCommand) -> Result<CommandResponse, CommandFailure> {
        let Moment { wall, steady } = (self.now)();
        if command.deadline.steady <= steady {
            return Err(CommandFailure::DeadlinePassed);
        }
        let asks_sessions = command.account.is_none();
        let opened = command.unseal(&self.vault).map_err(|error| CommandFailure::UnsealFailed(error.to_string()))?;
        let body = to_json(&opened.to_message());
        drop(opened);
        let signature = self.secret.sign(&command.id, wall, &body);
        let request = client::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", command.id.as_str())
            .header("webhook-timestamp", (wall.0 / 1_000_000).to_string())
            .header("webhook-signature", signature);
        let most = if asks_sessions { SESSIONS_PAGE_BYTES } else { BRIDGE_RESPONSE_BYTES };
        let sent =
            self.http.send(request, Bytes::from_owner(body), most).await.and_then(client::HttpResponse::into_complete);
        let answer = sent.map_err(|error| match error.class {
            FailureClass::TooLong => CommandFailure::TooLong(most),
            FailureClass::Dns
            | FailureClass::Forbidden
            | FailureClass::Refused
            | FailureClass::Reset
            | FailureClass::Tls
            | FailureClass::Timeout
            | FailureClass::Network => CommandFailure::Network(error.message),
        })?;
        interpret_response(answer.status, &answer.body, client::retry_after(&answer.headers, wall), asks_sessions)
    }
}

/// Reports to the account that the gateway rejected its command.
pub(super) async fn report_rejection(reports: &ReportSender, command: &QueuedCommand, why: &str) {
    if let (Some(account), Some(report)) = (command.account, command.rejection_report(why)) {
        // This fails only while the service stops. The next start dispatches the effect again.
        let _stopping = reports.execute(GatewayKind::Bridge, account, Command::Report(report)).await;
    }
}

/// The wait after `attempts` failed attempts: doubled each time, with jitter.
fn backoff(lease: u64, attempts: u32) -> Duration {
    let doubled =
        COMMAND_RETRY_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(COMMAND_RETRY_WAIT_MAX);
    let percent = 100 - RETRY_JITTER_PERCENT + deterministic_random(lease, 1) % (2 * RETRY_JITTER_PERCENT + 1);
    doubled * u32::try_from(percent).unwrap_or(100) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_confidential_urls_are_accepted() {
        for (url, is_accepted) in [
            ("https://gateway.example.com", true),
            ("http://127.0.0.1:9000/base/", true),
            ("http://[::1]:9000", true),
            ("http://localhost:9000", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.7", false),
            ("http://gateway.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("ftp://127.0.0.1", false),
            ("gateway", false),
        ] {
            let client = build_client(url, &config::Settings::default().gateway.bridge).unwrap();
            assert_eq!(client.is_some(), is_accepted, "{url}");
            if let Some((_, url)) = client {
                assert!(url.path().ends_with("/gateway/v1/commands"), "{url}");
            }
        }
    }

    #[test]
    fn waits_grow_to_a_bound() {
        for attempts in 1..40 {
            let waits: Vec<Duration> = (0..100).map(|lease| backoff(lease, attempts)).collect();
            let doubled = COMMAND_RETRY_WAIT.saturating_mul(1 << (attempts - 1).min(16)).min(COMMAND_RETRY_WAIT_MAX);
            assert!(waits.iter().all(|wait| *wait >= doubled * 8 / 10 && *wait <= doubled * 12 / 10), "{waits:?}");
            assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 10, "{waits:?}");
        }
    }
}
