//! Commands are posted to a gateway, again and again until it has taken each over, or its deadline is over.

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

/// What sends commands.
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

/// The client for a gateway at this URL, and where commands go; none if they could be read on the way there.
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

/// Whether nobody can read on the way what is sent there: over TLS, or within this machine.
fn is_confidential(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

impl Pusher {
    /// Sends what is in the line until `stop`.
    pub(super) async fn run(self: Arc<Pusher>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut there = self.bulkhead.availability();
        let mut paused_until = None::<Instant>;
        loop {
            // One call tries whether a gateway that was away is back; the others wait for it.
            let most = if *there.borrow_and_update() { self.max_in_flight } else { 1 };
            let has_room = under_way.len() < most && paused_until.is_none();
            let next = self.queue.wait_for(|| self.queue.lease_commands(1, |_, order| order.deadline).pop());
            tokio::select! {
                () = stop.cancelled() => return,
                given = next, if has_room => under_way.push(self.send_command(given)),
                Some(pause) = under_way.next() => {
                    let until = pause.map(|wait| Instant::now() + wait);
                    paused_until = paused_until.max(until);
                }
                () = sleep_until(paused_until.unwrap_or_else(Instant::now)), if paused_until.is_some() => {
                    paused_until = None;
                }
                Ok(()) = there.changed() => {
                    if *there.borrow_and_update() {
                        paused_until = None;
                    }
                }
            }
        }
    }

    /// One attempt. Says for how long nothing is to be sent, where that is known.
    async fn send_command(&self, given: LeasedCommand) -> Option<Duration> {
        let LeasedCommand { lease, delivery, command: order, .. } = given;
        match self.bulkhead.call(self.post(&order), CommandFailure::is_unavailable).await {
            Ok(CommandResponse::Accepted | CommandResponse::Sessions(_)) => {
                self.queue.complete(lease, BridgeCommand::Acknowledged);
            }
            Ok(CommandResponse::Rejected(why)) => self.reject_command(lease, &order, &why).await,
            Err(CallError::Failed(CommandFailure::UnsealFailed(why))) => self.reject_command(lease, &order, &why).await,
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

    /// The wish ends, with the gateway's sentence for a reason.
    async fn reject_command(&self, lease: u64, order: &QueuedCommand, why: &str) {
        report_rejection(&self.reports, order, why).await;
        self.queue.complete(lease, BridgeCommand::Refused);
    }

    /// Posts a command, and judges the answer.
    pub(super) async fn post(&self, order: &QueuedCommand) -> Result<CommandResponse, CommandFailure> {
        let Moment { wall, steady } = (self.now)();
        if order.deadline.steady <= steady {
            return Err(CommandFailure::DeadlinePassed);
        }
        let asks_sessions = order.account.is_none();
        let opened = order.unseal(&self.vault).map_err(|error| CommandFailure::UnsealFailed(error.to_string()))?;
        let body = to_json(&opened.to_message());
        drop(opened);
        let signature = self.secret.sign(&order.id, wall, &body);
        let request = client::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", order.id.as_str())
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

/// Ends the wish that a gateway does not carry out.
pub(super) async fn report_rejection(reports: &ReportSender, order: &QueuedCommand, why: &str) {
    if let (Some(account), Some(report)) = (order.account, order.rejection_report(why)) {
        // Whoever stops takes it up again at the next start.
        let _stopping = reports.execute(GatewayKind::Bridge, account, Command::Report(report)).await;
    }
}

/// The wait after so many attempts failed: doubled each time, and a fifth shorter or longer by chance.
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
    fn nothing_is_sent_where_it_could_be_read() {
        for (url, is_sent) in [
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
            let made = build_client(url, &config::Settings::default().gateway.bridge).unwrap();
            assert_eq!(made.is_some(), is_sent, "{url}");
            if let Some((_, url)) = made {
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
