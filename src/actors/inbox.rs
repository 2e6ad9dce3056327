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

use super::account::Ask;
use super::agenda::Agenda;
use super::{Accounts, Error, Outcome, traced};
use crate::domain::{AccountNumber, Command, GatewayKind, Report};
use crate::journal::Origin;
use crate::limits::{DEADLINE_AGAIN, INBOX, REPORTS_AT_ONCE, TAKE_UP_PER_SECOND};

/// Takes in what is not asked by a caller, while it is run.
pub struct Inbox {
    accounts: Accounts,
    agenda: Arc<Agenda>,
    reported: Reported,
}

/// Where a gateway reports to. Cheap to clone.
#[derive(Clone)]
pub struct Reports {
    sender: mpsc::Sender<Arrival>,
}

/// Where the reports arrive.
pub struct Reported {
    queue: mpsc::Receiver<Arrival>,
}

/// What a gateway asks of an account.
struct Arrival {
    account: AccountNumber,
    what: What,
    /// Where the outcome is waited for, if it is.
    answer: Option<oneshot::Sender<Result<Outcome, Error>>>,
}

enum What {
    /// To carry out a command.
    Carry(Command, Origin),
    /// To hand what is outstanding to its gateway once more.
    OfferAgain,
}

/// Who was asked.
struct Asked {
    account: AccountNumber,
    /// The deadline, if it was one.
    deadline: Option<Command>,
    /// Where the outcome is waited for, if it is.
    answer: Option<oneshot::Sender<Result<Outcome, Error>>>,
}

/// The way of reports from a gateway to the accounts: both ends, before there is either.
pub fn reports() -> (Reports, Reported) {
    let (sender, queue) = mpsc::channel(INBOX);
    (Reports { sender }, Reported { queue })
}

impl Inbox {
    pub(super) fn new(accounts: Accounts, agenda: Arc<Agenda>, reported: Reported) -> Inbox {
        Inbox { accounts, agenda, reported }
    }

    /// Runs until `stop`: first takes up the `unsettled` accounts, a few at a time, while reports and deadlines are
    /// already coming in. Reports of one account are decided in the order in which they were made.
    pub async fn run(mut self, unsettled: Vec<AccountNumber>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut reports = Vec::with_capacity(REPORTS_AT_ONCE);
        let mut unsettled = unsettled.into_iter();
        let mut next_take_up = interval(Duration::from_secs(1) / TAKE_UP_PER_SECOND);
        // A pause of the runtime is made up for in one go, so that the rate holds.
        next_take_up.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let agenda = self.agenda.clone();
        // Kept over the rounds, because each new one sets a timer.
        let mut next_deadline = pin!(agenda.next());
        loop {
            let has_room = under_way.len() < INBOX;
            tokio::select! {
                () = stop.cancelled() => break,
                Some((asked, outcome)) = under_way.next() => self.note(asked, outcome),
                1.. = self.reported.queue.recv_many(&mut reports, REPORTS_AT_ONCE), if has_room => {
                    for Arrival { account, what, answer } in reports.drain(..) {
                        let ask = match what {
                            What::Carry(command, origin) => {
                                self.count(&command);
                                execute(account, command, origin)
                            }
                            What::OfferAgain => Ask::OfferAgain,
                        };
                        under_way.push(self.ask(Asked { account, deadline: None, answer }, ask));
                    }
                }
                (account, command) = &mut next_deadline, if has_room => {
                    let ask = execute(account, command.clone(), Origin::SERVICE);
                    under_way.push(self.ask(Asked { account, deadline: Some(command), answer: None }, ask));
                    next_deadline.set(agenda.next());
                }
                _ = next_take_up.tick(), if has_room && unsettled.len() > 0 => {
                    let asked = unsettled.next().map(|account| Asked { account, deadline: None, answer: None });
                    under_way.extend(asked.map(|asked| self.ask(asked, Ask::TakeUp)));
                }
            }
            // Those that are answered already, without another look at everything else.
            while let Some(Some((asked, outcome))) = under_way.next().now_or_never() {
                self.note(asked, outcome);
            }
        }
        while let Some((asked, outcome)) = under_way.next().await {
            self.note(asked, outcome);
        }
    }

    /// Asks an account at once; what is returned waits for the answer.
    fn ask(&self, asked: Asked, ask: Ask) -> impl Future<Output = (Asked, Result<Outcome, Error>)> + use<> {
        let answered = self.accounts.ask(asked.account, ask, None, None);
        async move { (asked, answered.await) }
    }

    fn count(&self, command: &Command) {
        if let Command::Report(report) | Command::Reconcile { report, .. } = command {
            self.accounts.inner.journal.metrics().gateway_reports.at(report.into()).inc();
        }
    }

    /// The rules never refuse a report or a deadline. If one fails for another reason, the deadline is put to the
    /// account again, and settles it whatever the report was.
    fn note(&self, Asked { account, deadline, answer }: Asked, outcome: Result<Outcome, Error>) {
        if let Err(error) = &outcome {
            tracing::error!(%account, %error, "a report or a deadline was not taken in");
            if let Some(command) = deadline {
                self.agenda.put_back(account, &command, DEADLINE_AGAIN);
            }
        }
        if let Some(answer) = answer {
            // A gateway that no longer waits asks again.
            let _gone = answer.send(outcome);
        }
    }
}

fn execute(account: AccountNumber, command: Command, origin: Origin) -> Ask {
    let span = traced::command(account, &command);
    Ask::execute(command, origin, span)
}

impl Reported {
    /// The next command of a gateway; none once no gateway is left.
    pub async fn next(&mut self) -> Option<(AccountNumber, Command)> {
        loop {
            let Arrival { account, what, .. } = self.queue.recv().await?;
            if let What::Carry(command, _) = what {
                return Some((account, command));
            }
        }
    }
}

impl Reports {
    /// Reports what a gateway sees of an account. Waits while too much is on the way; a report made while the service
    /// stops is dropped, because the gateway will be asked again.
    pub async fn send(&self, account: AccountNumber, report: Report) {
        let what = What::Carry(Command::Report(report), Origin::gateway(GatewayKind::Simulator));
        let _stopping = self.sender.send(Arrival { account, what, answer: None }).await;
    }

    /// Has a command of a gateway carried out, or put on record before the gateway goes on. Durable when it returns.
    /// Commands of one account are decided in the order in which they were first polled here. What was found by comparing
    /// sessions is on record as the service's own finding, everything else as what the gateway said.
    pub async fn settle(
        &self,
        gateway: GatewayKind,
        account: AccountNumber,
        command: Command,
    ) -> Result<Outcome, Error> {
        let (answer, answered) = oneshot::channel();
        let is_found = matches!(command, Command::Reconcile { .. });
        let origin = if is_found { Origin::SERVICE } else { Origin::gateway(gateway) };
        let arrival = Arrival { account, what: What::Carry(command, origin), answer: Some(answer) };
        self.sender.send(arrival).await.map_err(|_| Error::Stopping)?;
        answered.await.map_err(|_| Error::Stopping)?
    }

    /// Has what an account waits for handed to its gateway once more, because the gateway does not seem to have it. Done
    /// when it returns.
    pub async fn offer_again(&self, account: AccountNumber) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let arrival = Arrival { account, what: What::OfferAgain, answer: Some(answer) };
        self.sender.send(arrival).await.map_err(|_| Error::Stopping)?;
        answered.await.map_err(|_| Error::Stopping)?.map(drop)
    }
}
