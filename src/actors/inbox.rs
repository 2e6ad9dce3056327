//! What is not asked by a caller: gateway reports, deadlines, taking up after a restart.
//!
//! None of it needs a permit: a caller can be told to try again, these cannot. They have a bound of their own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::account::Ask;
use super::agenda::Agenda;
use super::{Accounts, Error, Outcome, traced};
use crate::domain::{AccountNumber, Command, Report};
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
    sender: mpsc::Sender<(AccountNumber, Report)>,
}

/// Where the reports arrive.
pub struct Reported {
    queue: mpsc::Receiver<(AccountNumber, Report)>,
}

/// Who was asked, the deadline if it was one, and what came of it.
type Asked = (AccountNumber, Option<Command>, Result<Outcome, Error>);

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
                Some((account, deadline, outcome)) = under_way.next() => self.note(account, deadline, outcome),
                1.. = self.reported.queue.recv_many(&mut reports, REPORTS_AT_ONCE), if has_room => {
                    for (account, report) in reports.drain(..) {
                        self.accounts.inner.journal.metrics().gateway_reports.at((&report).into()).inc();
                        let ask = execute(account, Command::Report(report), Origin::GATEWAY);
                        under_way.push(self.ask(account, ask, None));
                    }
                }
                (account, command) = &mut next_deadline, if has_room => {
                    let ask = execute(account, command.clone(), Origin::SERVICE);
                    under_way.push(self.ask(account, ask, Some(command)));
                    next_deadline.set(agenda.next());
                }
                _ = next_take_up.tick(), if has_room && unsettled.len() > 0 => {
                    under_way.extend(unsettled.next().map(|account| self.ask(account, Ask::TakeUp, None)));
                }
            }
            // Those that are answered already, without another look at everything else.
            while let Some(Some((account, deadline, outcome))) = under_way.next().now_or_never() {
                self.note(account, deadline, outcome);
            }
        }
        while let Some((account, deadline, outcome)) = under_way.next().await {
            self.note(account, deadline, outcome);
        }
    }

    /// Asks an account at once; what is returned waits for the answer.
    fn ask(&self, account: AccountNumber, ask: Ask, deadline: Option<Command>) -> impl Future<Output = Asked> + use<> {
        let answered = self.accounts.ask(account, ask, None, None);
        async move { (account, deadline, answered.await) }
    }

    /// The rules never refuse a report or a deadline. If one fails for another reason, the deadline is put to the
    /// account again, and settles it whatever the report was.
    fn note(&self, account: AccountNumber, deadline: Option<Command>, outcome: Result<Outcome, Error>) {
        if let Err(error) = outcome {
            tracing::error!(%account, %error, "a report or a deadline was not taken in");
            if let Some(command) = deadline {
                self.agenda.put_back(account, command, DEADLINE_AGAIN);
            }
        }
    }
}

fn execute(account: AccountNumber, command: Command, origin: Origin) -> Ask {
    let span = traced::command(account, &command);
    Ask::execute(command, origin, span)
}

impl Reported {
    /// The next report; none once no gateway is left.
    pub async fn next(&mut self) -> Option<(AccountNumber, Report)> {
        self.queue.recv().await
    }
}

impl Reports {
    /// Reports what a gateway sees of an account. Waits while too much is on the way; a report made while the service
    /// stops is dropped, because the gateway will be asked again.
    pub async fn send(&self, account: AccountNumber, report: Report) {
        let _stopping = self.sender.send((account, report)).await;
    }
}
