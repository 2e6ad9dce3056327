//! Serves a gateway that Muster cannot reach: the gateway fetches its commands and acknowledges them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::command_queue::CommandQueue;
use super::protocol::{Ack, AckOutcome, AckResult, WorkBatch, WorkItem, to_json};
use super::push::report_rejection;
use super::queue_state::LeasedCommand;
use super::queued_command::{CommandPayload, QueuedCommand};
use super::session_listing::PendingPages;
use super::sessions::SessionPage;
use crate::actors::ReportSender;
use crate::audit::write_time;
use crate::gateway::remote_gateway::GatewayUnavailable;
use crate::limits::WORK_REQUESTS_WAITING;
use crate::metrics::BridgeCommand;
use crate::vault::{self, Vault};

/// Hands queued commands to a gateway that fetches them.
pub(super) struct WorkServer {
    queue: Arc<CommandQueue>,
    vault: Vault,
    reports: ReportSender,
    /// The requested pages of sessions.
    pages: PendingPages,
    /// Limits the requests that wait for work.
    permits: Semaphore,
    /// Prefix of this process's lease ids, so that a lease of an earlier process does not match.
    lease_prefix: u64,
    lease_duration: Duration,
}

/// Why a request for work is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WorkRequestError {
    /// The settings say that commands are pushed to the gateway.
    #[error("commands are sent to gateway.bridge.url and cannot be fetched; unset it if the gateway is to fetch them")]
    PushConfigured,
    /// Too many requests wait for work already.
    #[error("{WORK_REQUESTS_WAITING} requests already wait for commands; send one at a time")]
    TooManyWaiters,
}

/// Leased commands. On drop they are requeued, unless they were sent.
struct LeasedBatch<'l> {
    queue: &'l CommandQueue,
    commands: Vec<LeasedCommand>,
}

impl Drop for LeasedBatch<'_> {
    fn drop(&mut self) {
        for leased in &self.commands {
            self.queue.requeue(leased.lease, Duration::ZERO);
        }
    }
}

impl WorkServer {
    /// Serves the commands of `queue`, each leased for `lease_duration`. Fails if no random bytes can be drawn.
    pub(super) fn new(
        queue: Arc<CommandQueue>,
        vault: Vault,
        reports: ReportSender,
        lease_duration: Duration,
    ) -> Result<WorkServer, vault::Error> {
        let lease_prefix = vault::generate_secret()?.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let (pages, permits) = (PendingPages::default(), Semaphore::new(WORK_REQUESTS_WAITING));
        Ok(WorkServer { queue, vault, reports, pages, permits, lease_prefix, lease_duration })
    }

    /// Requests one page of sessions, and waits for it.
    pub(super) async fn request_page(&self, command: QueuedCommand) -> Result<SessionPage, GatewayUnavailable> {
        self.pages.request_page(&self.queue, command).await
    }

    /// Leases at most `most` commands, as JSON. Waits up to `wait` for the first one, or until `stop`. If the request is
    /// dropped, its commands are requeued.
    pub(super) async fn fetch_work(
        &self,
        wait: Duration,
        most: usize,
        stop: &CancellationToken,
    ) -> Result<Zeroizing<Vec<u8>>, WorkRequestError> {
        let _permit = self.permits.try_acquire().map_err(|_| WorkRequestError::TooManyWaiters)?;
        let lease_batch = || {
            let leased = self.queue.lease_commands(most, |now, _| now.plus(self.lease_duration));
            (!leased.is_empty()).then_some(LeasedBatch { queue: &self.queue, commands: leased })
        };
        let waited = stop.run_until_cancelled(timeout(wait, self.queue.wait_for(lease_batch)));
        let mut batch =
            waited.await.and_then(Result::ok).unwrap_or(LeasedBatch { queue: &self.queue, commands: Vec::new() });
        let mut unreadable = Vec::new();
        let unsealed: Vec<_> = batch
            .commands
            .iter()
            .filter_map(|leased| match leased.command.unseal(&self.vault) {
                Ok(unsealed) => Some((leased, unsealed)),
                Err(error) => {
                    unreadable.push((leased.lease, leased.command.clone(), error.to_string()));
                    None
                }
            })
            .collect();
        let commands: Vec<_> = unsealed.iter().map(|(leased, unsealed)| (*leased, unsealed.to_message())).collect();
        let items = commands.iter().map(|(leased, command)| WorkItem {
            lease: self.lease_id(leased.lease),
            delivery: leased.delivery,
            lease_until: write_time(leased.expires_at.wall),
            command,
        });
        let body = to_json(&WorkBatch { work: items.collect() });
        drop(commands);
        drop(unsealed);
        batch.commands.clear();
        for (lease, command, why) in unreadable {
            self.reject_command(lease, &command, &why).await;
        }
        Ok(body)
    }

    /// Processes acknowledgements.
    pub(super) async fn acknowledge(&self, acks: Vec<Ack>) -> AckResult {
        let mut result = AckResult { acknowledged: 0, unknown: Vec::new() };
        for Ack { lease, outcome } in acks {
            let number = self.lease_number(&lease);
            let leased = number.and_then(|number| Some((number, self.queue.leased_command(number)?)));
            let Some((number, command)) = leased else {
                result.unknown.push(lease);
                continue;
            };
            result.acknowledged += 1;
            match (outcome, &command.payload) {
                (AckOutcome::Rejected(why), _) => self.reject_command(number, &command, &why).await,
                (outcome, CommandPayload::ListSessions { .. }) => {
                    let page = match outcome {
                        AckOutcome::Sessions(page) => Ok(page),
                        AckOutcome::Accepted | AckOutcome::Rejected(_) => {
                            Err("the gateway acknowledged list_sessions without its sessions".to_owned())
                        }
                    };
                    self.queue.complete(number, BridgeCommand::Acknowledged);
                    self.pages.resolve(&command.id, page);
                }
                (
                    AckOutcome::Accepted | AckOutcome::Sessions(_),
                    CommandPayload::Connect { .. }
                    | CommandPayload::Disconnect { .. }
                    | CommandPayload::RequestCode { .. }
                    | CommandPayload::SubmitCode { .. },
                ) => {
                    self.queue.complete(number, BridgeCommand::Acknowledged);
                }
            }
        }
        result
    }

    /// Ends a command that is rejected for good.
    async fn reject_command(&self, lease: u64, command: &QueuedCommand, why: &str) {
        self.pages.resolve(&command.id, Err(why.to_owned()));
        report_rejection(&self.reports, command, why).await;
        self.queue.complete(lease, BridgeCommand::Refused);
    }

    /// The lease id as it is sent.
    fn lease_id(&self, number: u64) -> String {
        format!("{:016x}-{number}", self.lease_prefix)
    }

    fn lease_number(&self, lease: &str) -> Option<u64> {
        let (prefix, number) = lease.split_once('-')?;
        (u64::from_str_radix(prefix, 16) == Ok(self.lease_prefix)).then(|| number.parse().ok())?
    }
}
