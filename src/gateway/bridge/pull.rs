//! Serves a gateway that Muster cannot reach: the gateway fetches its commands and acknowledges them.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::Bridge;
use super::command_queue::CommandQueue;
use super::protocol::{Ack, AckOutcome, AckResult, WorkBatch, WorkItem, to_json};
use super::push::report_rejection;
use super::queue_state::LeasedCommand;
use super::queued_command::{CommandPayload, QueuedCommand};
use crate::audit::write_time;
use crate::limits::WORK_REQUESTS_WAITING;
use crate::metrics::BridgeCommand;

/// Why a request for work is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WorkRequestError {
    /// The settings push commands to the gateway.
    #[error("commands are sent to gateway.bridge.url and cannot be fetched; unset it if the gateway is to fetch them")]
    PushConfigured,
    /// Too many requests wait for work already.
    #[error("{WORK_REQUESTS_WAITING} requests wait for work already; wait with one at a time")]
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

impl Bridge {
    /// Leases at most `most` commands, as JSON. Waits up to `wait` for the first one, or until `stop`. If the request is
    /// dropped, its commands are requeued.
    pub(crate) async fn fetch_work(
        &self,
        wait: Duration,
        most: usize,
        stop: &CancellationToken,
    ) -> Result<Zeroizing<Vec<u8>>, WorkRequestError> {
        let inner = &self.inner;
        if inner.pusher.is_some() {
            return Err(WorkRequestError::PushConfigured);
        }
        let _permit = inner.work_permits.try_acquire().map_err(|_| WorkRequestError::TooManyWaiters)?;
        let give = || {
            let leased = inner.queue.lease_commands(most, |now, _| now.plus(inner.lease_duration));
            (!leased.is_empty()).then_some(LeasedBatch { queue: &inner.queue, commands: leased })
        };
        let waited = stop.run_until_cancelled(timeout(wait, inner.queue.wait_for(give)));
        let mut batch =
            waited.await.and_then(Result::ok).unwrap_or(LeasedBatch { queue: &inner.queue, commands: Vec::new() });
        let mut refused = Vec::new();
        let opened: Vec<_> = batch
            .commands
            .iter()
            .filter_map(|leased| match leased.command.unseal(&inner.vault) {
                Ok(opened) => Some((leased, opened)),
                Err(error) => {
                    refused.push((leased.lease, leased.command.clone(), error.to_string()));
                    None
                }
            })
            .collect();
        let commands: Vec<_> = opened.iter().map(|(leased, opened)| (*leased, opened.to_message())).collect();
        let items = commands.iter().map(|(leased, command)| WorkItem {
            lease: self.lease_id(leased.lease),
            delivery: leased.delivery,
            lease_until: write_time(leased.expires_at.wall),
            command,
        });
        let body = to_json(&WorkBatch { work: items.collect() });
        drop(commands);
        drop(opened);
        batch.commands.clear();
        for (lease, command, why) in refused {
            self.reject_command(lease, &command, &why).await;
        }
        Ok(body)
    }

    /// Processes acknowledgements.
    pub(crate) async fn acknowledge(&self, acks: Vec<Ack>) -> AckResult {
        let inner = &self.inner;
        let mut answer = AckResult { acknowledged: 0, unknown: Vec::new() };
        for Ack { lease, outcome } in acks {
            let number = self.lease_number(&lease);
            let leased = number.and_then(|number| Some((number, inner.queue.leased_command(number)?)));
            let Some((number, command)) = leased else {
                answer.unknown.push(lease);
                continue;
            };
            answer.acknowledged += 1;
            match (outcome, &command.payload) {
                (AckOutcome::Rejected(why), _) => self.reject_command(number, &command, &why).await,
                (outcome, CommandPayload::ListSessions { .. }) => {
                    let page = match outcome {
                        AckOutcome::Sessions(page) => Ok(page),
                        AckOutcome::Accepted | AckOutcome::Rejected(_) => {
                            Err("the gateway acknowledged list_sessions without its sessions".to_owned())
                        }
                    };
                    inner.queue.complete(number, BridgeCommand::Acknowledged);
                    inner.pages.resolve(&command.id, page);
                }
                (
                    AckOutcome::Accepted | AckOutcome::Sessions(_),
                    CommandPayload::Connect { .. }
                    | CommandPayload::Disconnect { .. }
                    | CommandPayload::RequestCode { .. }
                    | CommandPayload::SubmitCode { .. },
                ) => {
                    inner.queue.complete(number, BridgeCommand::Acknowledged);
                }
            }
        }
        answer
    }

    /// Ends a command that the gateway rejects for good.
    async fn reject_command(&self, lease: u64, command: &QueuedCommand, why: &str) {
        let inner = &self.inner;
        inner.pages.resolve(&command.id, Err(why.to_owned()));
        report_rejection(&inner.reports, command, why).await;
        inner.queue.complete(lease, BridgeCommand::Refused);
    }

    /// The lease id as it is sent.
    fn lease_id(&self, number: u64) -> String {
        format!("{:016x}-{number}", self.inner.lease_prefix)
    }

    fn lease_number(&self, lease: &str) -> Option<u64> {
        let (prefix, number) = lease.split_once('-')?;
        (u64::from_str_radix(prefix, 16) == Ok(self.inner.lease_prefix)).then(|| number.parse().ok())?
    }
}
