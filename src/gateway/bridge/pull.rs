//! Commands are fetched by a gateway that cannot be reached: it waits for work, and acknowledges what it has taken over.

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

/// Why there is no answer to a request for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WorkRequestError {
    /// The settings have commands sent.
    #[error("commands are sent to gateway.bridge.url and cannot be fetched; unset it if the gateway is to fetch them")]
    PushConfigured,
    /// Too many wait.
    #[error("{WORK_REQUESTS_WAITING} requests wait for work already; wait with one at a time")]
    TooManyWaiters,
}

/// Commands that are given out, and go back unless they are sent.
struct LeasedBatch<'l> {
    queue: &'l CommandQueue,
    commands: Vec<LeasedCommand>,
}

impl Drop for LeasedBatch<'_> {
    fn drop(&mut self) {
        for given in &self.commands {
            self.queue.requeue(given.lease, Duration::ZERO);
        }
    }
}

impl Bridge {
    /// At most so many commands, as JSON: at once if there are any, else after `wait` at the latest, or once `stop` says so.
    /// Nothing is given out to whoever has gone.
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
        let _place = inner.work_permits.try_acquire().map_err(|_| WorkRequestError::TooManyWaiters)?;
        let give = || {
            let given = inner.queue.lease_commands(most, |now, _| now.plus(inner.lease_duration));
            (!given.is_empty()).then_some(LeasedBatch { queue: &inner.queue, commands: given })
        };
        let waited = stop.run_until_cancelled(timeout(wait, inner.queue.wait_for(give)));
        let mut handed =
            waited.await.and_then(Result::ok).unwrap_or(LeasedBatch { queue: &inner.queue, commands: Vec::new() });
        let mut refused = Vec::new();
        let opened: Vec<_> = handed
            .commands
            .iter()
            .filter_map(|given| match given.command.unseal(&inner.vault) {
                Ok(opened) => Some((given, opened)),
                Err(error) => {
                    refused.push((given.lease, given.command.clone(), error.to_string()));
                    None
                }
            })
            .collect();
        let commands: Vec<_> = opened.iter().map(|(given, opened)| (*given, opened.to_message())).collect();
        let items = commands.iter().map(|(given, command)| WorkItem {
            lease: self.lease_id(given.lease),
            delivery: given.delivery,
            lease_until: write_time(given.expires_at.wall),
            command,
        });
        let body = to_json(&WorkBatch { work: items.collect() });
        drop(commands);
        drop(opened);
        handed.commands.clear();
        for (lease, order, why) in refused {
            self.reject_command(lease, &order, &why).await;
        }
        Ok(body)
    }

    /// Takes acknowledgements.
    pub(crate) async fn acknowledge(&self, acks: Vec<Ack>) -> AckResult {
        let inner = &self.inner;
        let mut answer = AckResult { acknowledged: 0, unknown: Vec::new() };
        for Ack { lease, outcome: said } in acks {
            let number = self.lease_number(&lease);
            let leased = number.and_then(|number| Some((number, inner.queue.leased_command(number)?)));
            let Some((number, order)) = leased else {
                answer.unknown.push(lease);
                continue;
            };
            answer.acknowledged += 1;
            match (said, &order.payload) {
                (AckOutcome::Rejected(why), _) => self.reject_command(number, &order, &why).await,
                (said, CommandPayload::ListSessions { .. }) => {
                    let page = match said {
                        AckOutcome::Sessions(page) => Ok(page),
                        AckOutcome::Accepted | AckOutcome::Rejected(_) => {
                            Err("the gateway acknowledged list_sessions without its sessions".to_owned())
                        }
                    };
                    inner.queue.complete(number, BridgeCommand::Acknowledged);
                    inner.pages.resolve(&order.id, page);
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

    /// A command is refused for good.
    async fn reject_command(&self, lease: u64, order: &QueuedCommand, why: &str) {
        let inner = &self.inner;
        inner.pages.resolve(&order.id, Err(why.to_owned()));
        report_rejection(&inner.reports, order, why).await;
        inner.queue.complete(lease, BridgeCommand::Refused);
    }

    /// A lease as it is sent.
    fn lease_id(&self, number: u64) -> String {
        format!("{:016x}-{number}", self.inner.lease_prefix)
    }

    fn lease_number(&self, lease: &str) -> Option<u64> {
        let (life, number) = lease.split_once('-')?;
        (u64::from_str_radix(life, 16) == Ok(self.inner.lease_prefix)).then(|| number.parse().ok())?
    }
}
