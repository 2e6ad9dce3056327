//! Work without a caller: gateway reports, deadlines, dispatch after a restart.
//!
//! It needs no permit, because these sources cannot be told to retry, as a caller can. It has its own limit.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::account_actor::AccountRequest;
use super::deadline_queue::DeadlineQueue;
use super::{Accounts, CommandResult, Error, spans};
use crate::domain::{AccountNumber, Command, GatewayKind, Report};
use crate::journal::Origin;
use crate::limits::{DEADLINE_RETRY_WAIT, INBOX_CAPACITY, REDISPATCH_PER_SECOND, REPORTS_PER_TURN};

/// Ingests reports, deadlines and dispatches while it runs.
pub struct Inbox {
    accounts: Accounts,
    deadlines: Arc<DeadlineQueue>,
    reports: ReportReceiver,
}

/// The sender of a gateway's reports. Cheap to clone.
#[derive(Clone)]
pub struct ReportSender {
    sender: mpsc::Sender<InboxMessage>,
}

/// The receiver of the reports.
pub struct ReportReceiver {
    queue: mpsc::Receiver<InboxMessage>,
}

/// A message from a gateway about an account.
struct InboxMessage {
    account: AccountNumber,
    request: InboxRequest,
    /// The reply channel, if the sender waits for the outcome.
    reply: Option<oneshot::Sender<Result<CommandResult, Error>>>,
}

enum InboxRequest {
    /// Execute a command.
    Execute(Command, Origin),
    /// Dispatch pending effects to the gateway again.
    Redispatch,
}

/// A request that an actor has not answered yet.
struct InFlightRequest {
    account: AccountNumber,
    /// The command, if a deadline caused this request.
    deadline: Option<Command>,
    /// The reply channel, if the sender waits for the outcome.
    reply: Option<oneshot::Sender<Result<CommandResult, Error>>>,
}

/// The channel from gateways to accounts. Create it before the gateways and the accounts.
pub fn report_channel() -> (ReportSender, ReportReceiver) {
    let (sender, queue) = mpsc::channel(INBOX_CAPACITY);
    (ReportSender { sender }, ReportReceiver { queue })
}

impl Inbox {
    pub(super) fn new(accounts: Accounts, deadlines: Arc<DeadlineQueue>, reports: ReportReceiver) -> Inbox {
        Inbox { accounts, deadlines, reports }
    }

    /// Runs until `stop`. First dispatches the pending effects of the `unsettled` accounts, at a limited rate, and
    /// handles reports and deadlines meanwhile. Reports of one account are decided in the order in which they were
    /// sent.
    pub async fn run(mut self, unsettled: Vec<AccountNumber>, stop: CancellationToken) {
        let mut in_flight = FuturesUnordered::new();
        let mut reports = Vec::with_capacity(REPORTS_PER_TURN);
        let mut unsettled = unsettled.into_iter();
        let mut next_dispatch = interval(Duration::from_secs(1) / REDISPATCH_PER_SECOND);
        // After a pause of the runtime, all missed ticks fire at once, so that the average rate stays the same.
        next_dispatch.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let deadlines = self.deadlines.clone();
        // One future for all iterations, because each new future sets a timer.
        let mut next_deadline = pin!(deadlines.next_due());
        loop {
            let has_capacity = in_flight.len() < INBOX_CAPACITY;
            tokio::select! {
                () = stop.cancelled() => break,
                Some((waiting, outcome)) = in_flight.next() => self.finish_request(waiting, outcome),
                1.. = self.reports.queue.recv_many(&mut reports, REPORTS_PER_TURN), if has_capacity => {
                    for InboxMessage { account, request, reply } in reports.drain(..) {
                        let request = match request {
                            InboxRequest::Execute(command, origin) => {
                                self.count(&command);
                                execute_request(account, command, origin)
                            }
                            InboxRequest::Redispatch => AccountRequest::Redispatch,
                        };
                        in_flight.push(self.send_request(InFlightRequest { account, deadline: None, reply }, request));
                    }
                }
                (account, command) = &mut next_deadline, if has_capacity => {
                    let request = execute_request(account, command.clone(), Origin::SERVICE);
                    let waiting = InFlightRequest { account, deadline: Some(command), reply: None };
                    in_flight.push(self.send_request(waiting, request));
                    next_deadline.set(deadlines.next_due());
                }
                _ = next_dispatch.tick(), if has_capacity && unsettled.len() > 0 => {
                    let next = unsettled.next().map(|account| InFlightRequest { account, deadline: None, reply: None });
                    in_flight.extend(next.map(|waiting| self.send_request(waiting, AccountRequest::Dispatch)));
                }
            }
            // Handles the replies that are ready, before polling everything else again.
            while let Some(Some((waiting, outcome))) = in_flight.next().now_or_never() {
                self.finish_request(waiting, outcome);
            }
        }
        while let Some((waiting, outcome)) = in_flight.next().await {
            self.finish_request(waiting, outcome);
        }
    }

    /// Sends a request to an account's actor at once; the returned future waits for the reply.
    fn send_request(
        &self,
        waiting: InFlightRequest,
        request: AccountRequest,
    ) -> impl Future<Output = (InFlightRequest, Result<CommandResult, Error>)> + use<> {
        let replied = self.accounts.send_request(waiting.account, request, None, None);
        async move { (waiting, replied.await) }
    }

    fn count(&self, command: &Command) {
        if let Command::Report(report) | Command::Reconcile { report, .. } = command {
            self.accounts.inner.journal.metrics().gateway_reports.with(report.into()).inc();
        }
    }

    /// The rules never reject a report or a deadline. If a deadline fails for another reason, it is scheduled again. A
    /// failed report is not repeated, because the account's deadline resolves its state later.
    fn finish_request(
        &self,
        InFlightRequest { account, deadline, reply }: InFlightRequest,
        outcome: Result<CommandResult, Error>,
    ) {
        if let Err(error) = &outcome {
            tracing::error!(%account, %error, "a report or a deadline was not processed");
            if let Some(command) = deadline {
                self.deadlines.reschedule(account, &command, DEADLINE_RETRY_WAIT);
            }
        }
        if let Some(reply) = reply {
            // The send fails if the gateway stopped waiting. The gateway then asks again.
            let _gone = reply.send(outcome);
        }
    }
}

fn execute_request(account: AccountNumber, command: Command, origin: Origin) -> AccountRequest {
    let span = spans::command_span(account, &command);
    AccountRequest::execute(command, origin, span)
}

impl ReportReceiver {
    /// The next command from a gateway; `None` once all senders are dropped. Skips redispatch requests.
    pub async fn next(&mut self) -> Option<(AccountNumber, Command)> {
        loop {
            let InboxMessage { account, request: what, .. } = self.queue.recv().await?;
            if let InboxRequest::Execute(command, _) = what {
                return Some((account, command));
            }
        }
    }
}

impl ReportSender {
    /// Sends a gateway's report about an account. Waits while too many are in flight. A report that is sent while the
    /// service stops is dropped, because the next start asks the gateway again.
    pub async fn send(&self, gateway: GatewayKind, account: AccountNumber, report: Report) {
        let what = InboxRequest::Execute(Command::Report(report), Origin::gateway(gateway));
        let _stopping = self.sender.send(InboxMessage { account, request: what, reply: None }).await;
    }

    /// Executes a command for a gateway. Its events are durable when this returns, so that the gateway can continue.
    /// Commands of one account are decided in the order in which their futures were first polled. The origin of a
    /// [`Command::Reconcile`] is the service; the origin of all other commands is the gateway.
    pub async fn execute(
        &self,
        gateway: GatewayKind,
        account: AccountNumber,
        command: Command,
    ) -> Result<CommandResult, Error> {
        let (sender, receiver) = oneshot::channel();
        let is_found = matches!(command, Command::Reconcile { .. });
        let origin = if is_found { Origin::SERVICE } else { Origin::gateway(gateway) };
        let arrival = InboxMessage { account, request: InboxRequest::Execute(command, origin), reply: Some(sender) };
        self.sender.send(arrival).await.map_err(|_| Error::Stopping)?;
        receiver.await.map_err(|_| Error::Stopping)?
    }

    /// Dispatches an account's pending effects to its gateway again, because the gateway seems to have lost them. The
    /// dispatch is complete when this returns.
    pub async fn redispatch(&self, account: AccountNumber) -> Result<(), Error> {
        let (sender, receiver) = oneshot::channel();
        let arrival = InboxMessage { account, request: InboxRequest::Redispatch, reply: Some(sender) };
        self.sender.send(arrival).await.map_err(|_| Error::Stopping)?;
        receiver.await.map_err(|_| Error::Stopping)?.map(drop)
    }
}
