//! What is not asked by a caller: gateway reports, deadlines, taking up after a restart.
//!
//! None of it needs a permit: a caller can be told to try again, these cannot. They have a bound of their own.

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

/// Takes in what is not asked by a caller, while it is run.
pub struct Inbox {
    accounts: Accounts,
    deadlines: Arc<DeadlineQueue>,
    reports: ReportReceiver,
}

/// Where a gateway reports to. Cheap to clone.
#[derive(Clone)]
pub struct ReportSender {
    sender: mpsc::Sender<InboxMessage>,
}

/// Where the reports arrive.
pub struct ReportReceiver {
    queue: mpsc::Receiver<InboxMessage>,
}

/// What a gateway asks of an account.
struct InboxMessage {
    account: AccountNumber,
    request: InboxRequest,
    /// Where the outcome is waited for, if it is.
    reply: Option<oneshot::Sender<Result<CommandResult, Error>>>,
}

enum InboxRequest {
    /// To carry out a command.
    Execute(Command, Origin),
    /// To hand what is outstanding to its gateway once more.
    Redispatch,
}

/// Who was asked.
struct InFlightRequest {
    account: AccountNumber,
    /// The deadline, if it was one.
    deadline: Option<Command>,
    /// Where the outcome is waited for, if it is.
    reply: Option<oneshot::Sender<Result<CommandResult, Error>>>,
}

/// The way of reports from a gateway to the accounts: both ends, before there is either.
pub fn report_channel() -> (ReportSender, ReportReceiver) {
    let (sender, queue) = mpsc::channel(INBOX_CAPACITY);
    (ReportSender { sender }, ReportReceiver { queue })
}

impl Inbox {
    pub(super) fn new(accounts: Accounts, deadlines: Arc<DeadlineQueue>, reports: ReportReceiver) -> Inbox {
        Inbox { accounts, deadlines, reports }
    }

    /// Runs until `stop`: first takes up the `unsettled` accounts, a few at a time, while reports and deadlines are
    /// already coming in. Reports of one account are decided in the order in which they were made.
    pub async fn run(mut self, unsettled: Vec<AccountNumber>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut reports = Vec::with_capacity(REPORTS_PER_TURN);
        let mut unsettled = unsettled.into_iter();
        let mut next_take_up = interval(Duration::from_secs(1) / REDISPATCH_PER_SECOND);
        // A pause of the runtime is made up for in one go, so that the rate holds.
        next_take_up.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let agenda = self.deadlines.clone();
        // Kept over the rounds, because each new one sets a timer.
        let mut next_deadline = pin!(agenda.next_due());
        loop {
            let has_room = under_way.len() < INBOX_CAPACITY;
            tokio::select! {
                () = stop.cancelled() => break,
                Some((asked, outcome)) = under_way.next() => self.finish_request(asked, outcome),
                1.. = self.reports.queue.recv_many(&mut reports, REPORTS_PER_TURN), if has_room => {
                    for InboxMessage { account, request, reply } in reports.drain(..) {
                        let ask = match request {
                            InboxRequest::Execute(command, origin) => {
                                self.count(&command);
                                execute_request(account, command, origin)
                            }
                            InboxRequest::Redispatch => AccountRequest::Redispatch,
                        };
                        under_way.push(self.send_request(InFlightRequest { account, deadline: None, reply }, ask));
                    }
                }
                (account, command) = &mut next_deadline, if has_room => {
                    let ask = execute_request(account, command.clone(), Origin::SERVICE);
                    under_way.push(self.send_request(InFlightRequest { account, deadline: Some(command), reply: None }, ask));
                    next_deadline.set(agenda.next_due());
                }
                _ = next_take_up.tick(), if has_room && unsettled.len() > 0 => {
                    let asked = unsettled.next().map(|account| InFlightRequest { account, deadline: None, reply: None });
                    under_way.extend(asked.map(|asked| self.send_request(asked, AccountRequest::Dispatch)));
                }
            }
            // Those that are answered already, without another look at everything else.
            while let Some(Some((asked, outcome))) = under_way.next().now_or_never() {
                self.finish_request(asked, outcome);
            }
        }
        while let Some((asked, outcome)) = under_way.next().await {
            self.finish_request(asked, outcome);
        }
    }

    /// Asks an account at once; what is returned waits for the answer.
    fn send_request(
        &self,
        asked: InFlightRequest,
        ask: AccountRequest,
    ) -> impl Future<Output = (InFlightRequest, Result<CommandResult, Error>)> + use<> {
        let answered = self.accounts.send_request(asked.account, ask, None, None);
        async move { (asked, answered.await) }
    }

    fn count(&self, command: &Command) {
        if let Command::Report(report) | Command::Reconcile { report, .. } = command {
            self.accounts.inner.journal.metrics().gateway_reports.with(report.into()).inc();
        }
    }

    /// The rules never refuse a report or a deadline. If one fails for another reason, the deadline is put to the
    /// account again, and settles it whatever the report was.
    fn finish_request(
        &self,
        InFlightRequest { account, deadline, reply: answer }: InFlightRequest,
        outcome: Result<CommandResult, Error>,
    ) {
        if let Err(error) = &outcome {
            tracing::error!(%account, %error, "a report or a deadline was not taken in");
            if let Some(command) = deadline {
                self.deadlines.reschedule(account, &command, DEADLINE_RETRY_WAIT);
            }
        }
        if let Some(answer) = answer {
            // A gateway that no longer waits asks again.
            let _gone = answer.send(outcome);
        }
    }
}

fn execute_request(account: AccountNumber, command: Command, origin: Origin) -> AccountRequest {
    let span = spans::command_span(account, &command);
    AccountRequest::execute(command, origin, span)
}

impl ReportReceiver {
    /// The next command of a gateway; none once no gateway is left.
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
    /// Reports what a gateway sees of an account. Waits while too much is on the way; a report made while the service
    /// stops is dropped, because the gateway will be asked again.
    pub async fn send(&self, account: AccountNumber, report: Report) {
        let what = InboxRequest::Execute(Command::Report(report), Origin::gateway(GatewayKind::Simulator));
        let _stopping = self.sender.send(InboxMessage { account, request: what, reply: None }).await;
    }

    /// Has a command of a gateway carried out, or put on record before the gateway goes on. Durable when it returns.
    /// Commands of one account are decided in the order in which they were first polled here. What was found by comparing
    /// sessions is on record as the service's own finding, everything else as what the gateway said.
    pub async fn execute(
        &self,
        gateway: GatewayKind,
        account: AccountNumber,
        command: Command,
    ) -> Result<CommandResult, Error> {
        let (answer, answered) = oneshot::channel();
        let is_found = matches!(command, Command::Reconcile { .. });
        let origin = if is_found { Origin::SERVICE } else { Origin::gateway(gateway) };
        let arrival = InboxMessage { account, request: InboxRequest::Execute(command, origin), reply: Some(answer) };
        self.sender.send(arrival).await.map_err(|_| Error::Stopping)?;
        answered.await.map_err(|_| Error::Stopping)?
    }

    /// Has what an account waits for handed to its gateway once more, because the gateway does not seem to have it. Done
    /// when it returns.
    pub async fn redispatch(&self, account: AccountNumber) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let arrival = InboxMessage { account, request: InboxRequest::Redispatch, reply: Some(answer) };
        self.sender.send(arrival).await.map_err(|_| Error::Stopping)?;
        answered.await.map_err(|_| Error::Stopping)?.map(drop)
    }
}
