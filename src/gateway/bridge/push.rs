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

use super::line::Line;
use super::orders::Order;
use super::protocol::json;
use super::queue::Given;
use super::verdict::{Failure, Verdict, judge};
use crate::actors::Reports;
use crate::client::{Class, Options, SetupError};
use crate::clock::{Moment, Moments};
use crate::domain::{Command, GatewayKind};
use crate::gateway::bulkhead::{Bulkhead, Refused};
use crate::limits::{
    BRIDGE_ANSWER_BYTES, BRIDGE_CONNECT_TIMEOUT, COMMAND_RETRY, COMMAND_RETRY_MAX, RETRY_JITTER_PERCENT, SESSIONS_BYTES,
};
use crate::metrics::BridgeCommand;
use crate::vault::Vault;
use crate::webhooks::drawn;
use crate::webhooks::signature::Secret;
use crate::{client, config};

/// What sends commands.
pub(super) struct Pusher {
    pub(super) http: client::Client,
    pub(super) url: Url,
    pub(super) secret: Secret,
    pub(super) vault: Vault,
    pub(super) line: Arc<Line>,
    pub(super) bulkhead: Arc<Bulkhead>,
    pub(super) reports: Reports,
    pub(super) max_in_flight: usize,
    pub(super) now: Moments,
}

/// The client for a gateway at this URL, and where commands go; none if they could be read on the way there.
pub(super) fn client(url: &str, settings: &config::Bridge) -> Result<Option<(client::Client, Url)>, SetupError> {
    let Ok(url) = Url::parse(&format!("{}/gateway/v1/commands", url.trim_end_matches('/'))) else { return Ok(None) };
    if !is_private(&url) {
        return Ok(None);
    }
    let options = Options::new(BRIDGE_CONNECT_TIMEOUT, settings.timeout, settings.max_in_flight);
    Ok(Some((client::Client::new(options)?, url)))
}

/// Whether nobody can read on the way what is sent there: over TLS, or within this machine.
fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

impl Pusher {
    /// Sends what is in the line until `stop`.
    pub(super) async fn run(self: Arc<Pusher>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut there = self.bulkhead.is_there();
        let mut paused_until = None::<Instant>;
        loop {
            // One call tries whether a gateway that was away is back; the others wait for it.
            let most = if *there.borrow_and_update() { self.max_in_flight } else { 1 };
            let has_room = under_way.len() < most && paused_until.is_none();
            let next = self.line.when(|| self.line.give(1, |_, order| order.deadline).pop());
            tokio::select! {
                () = stop.cancelled() => return,
                given = next, if has_room => under_way.push(self.attempt(given)),
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
    async fn attempt(&self, given: Given) -> Option<Duration> {
        let Given { lease, delivery, order, .. } = given;
        match self.bulkhead.call(self.post(&order), Failure::is_away).await {
            Ok(Verdict::Taken | Verdict::Sessions(_)) => {
                self.line.settle(lease, BridgeCommand::Acknowledged);
            }
            Ok(Verdict::Refused(why)) => self.refuse(lease, &order, &why).await,
            Err(Refused::Failed(Failure::Sealed(why))) => self.refuse(lease, &order, &why).await,
            Ok(Verdict::Over) | Err(Refused::Failed(Failure::Late)) => {
                self.line.settle(lease, BridgeCommand::Late);
            }
            Err(Refused::Open { wait }) => {
                self.line.put_back(lease, Duration::ZERO);
                return Some(wait);
            }
            Err(Refused::Late { .. }) => self.line.put_back(lease, backoff(lease, delivery)),
            Err(Refused::Failed(failure)) => {
                let wait = failure.wait().unwrap_or_default().min(COMMAND_RETRY_MAX);
                self.line.put_back(lease, wait.max(backoff(lease, delivery)));
            }
        }
        None
    }

    /// The wish ends, with the gateway's sentence for a reason.
    async fn refuse(&self, lease: u64, order: &Order, why: &str) {
        refuse(&self.reports, order, why).await;
        self.line.settle(lease, BridgeCommand::Refused);
    }

    /// Posts a command, and judges the answer.
    pub(super) async fn post(&self, order: &Order) -> Result<Verdict, Failure> {
        let Moment { wall, steady } = (self.now)();
        if order.deadline.steady <= steady {
            return Err(Failure::Late);
        }
        let asks_sessions = order.account.is_none();
        let opened = order.open(&self.vault).map_err(|error| Failure::Sealed(error.to_string()))?;
        let body = json(&opened.command());
        drop(opened);
        let signature = self.secret.sign(&order.id, wall, &body);
        let request = client::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", order.id.as_str())
            .header("webhook-timestamp", (wall.0 / 1_000_000).to_string())
            .header("webhook-signature", signature);
        let most = if asks_sessions { SESSIONS_BYTES } else { BRIDGE_ANSWER_BYTES };
        let sent = self.http.send(request, Bytes::from_owner(body), most).await.and_then(client::Answer::whole);
        let answer = sent.map_err(|error| match error.class {
            Class::TooLong => Failure::TooLong(most),
            Class::Dns
            | Class::Forbidden
            | Class::Refused
            | Class::Reset
            | Class::Tls
            | Class::Timeout
            | Class::Network => Failure::Network(error.words),
        })?;
        judge(answer.status, &answer.body, client::retry_after(&answer.headers, wall), asks_sessions)
    }
}

/// Ends the wish that a gateway does not carry out.
pub(super) async fn refuse(reports: &Reports, order: &Order, why: &str) {
    if let (Some(account), Some(report)) = (order.account, order.refused(why)) {
        // Whoever stops takes it up again at the next start.
        let _stopping = reports.settle(GatewayKind::Bridge, account, Command::Report(report)).await;
    }
}

/// The wait after so many attempts failed: doubled each time, and a fifth shorter or longer by chance.
fn backoff(lease: u64, attempts: u32) -> Duration {
    let doubled = COMMAND_RETRY.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(COMMAND_RETRY_MAX);
    let percent = 100 - RETRY_JITTER_PERCENT + drawn(lease, 1) % (2 * RETRY_JITTER_PERCENT + 1);
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
            let made = client(url, &config::Settings::default().gateway.bridge).unwrap();
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
            let doubled = COMMAND_RETRY.saturating_mul(1 << (attempts - 1).min(16)).min(COMMAND_RETRY_MAX);
            assert!(waits.iter().all(|wait| *wait >= doubled * 8 / 10 && *wait <= doubled * 12 / 10), "{waits:?}");
            assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 10, "{waits:?}");
        }
    }
}
