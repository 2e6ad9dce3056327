//! The built-in simulator. Deterministic: the last four digits of a number choose the outcome.
//!
//! | last four digits | outcome |
//! |---|---|
//! | 0001 | pairing fails: offline, reason 1001 |
//! | 0002 | the network fails: offline, reason 1002 |
//! | 0003 | comes online, then is banned |
//! | 0004 | never answers |
//! | 0005 | no code can be sent: the registration fails |
//! | 0006 | comes online, then drops offline, in session 1 only |
//!
//! All other numbers succeed. The verification code `123456` is accepted, any other is refused. Each reply, and each
//! step after it, takes the configured delay. The instance code of session 3 is `SIM-3`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::provider::{GatewayDependencies, GatewayDescription, GatewayProvider, GatewaySetupError, OpenedGateway};
use crate::actors::ReportSender;
use crate::config::{self, Settings};
use crate::domain::{Account, AccountNumber, GatewayKind, GatewayOffer, PendingEffect, Reason, Report};
use crate::vault::Vault;

/// What the simulator is and offers.
pub(super) const DESCRIPTION: GatewayDescription = GatewayDescription {
    offer: GatewayOffer { title: "the simulator", ..GatewayOffer::EVERYTHING },
    closes_sessions: true,
    open,
};

/// Opens the simulator, which is always set up.
fn open(settings: &Settings, dependencies: &GatewayDependencies) -> Result<OpenedGateway, GatewaySetupError> {
    let GatewayDependencies { vault, roster, latest_session, reports, stop, tasks, .. } = dependencies;
    let online = roster.online_at_gateway(GatewayKind::Simulator);
    let (simulator, worker) =
        Simulator::new(&settings.simulator, vault.clone(), reports.clone(), online, |account| latest_session(account));
    tasks.spawn(worker.run(stop.clone()));
    Ok(Some(Arc::new(simulator)))
}

/// The simulator, as the actors call it.
struct Simulator {
    worker: mpsc::UnboundedSender<SimulatorMessage>,
    vault: Vault,
    delay: Duration,
}

/// The worker of the simulator: it sends each scheduled report when it is due.
struct SimulatorWorker {
    messages: mpsc::UnboundedReceiver<SimulatorMessage>,
    /// Ordered by due time, then by arrival.
    scheduled: BTreeMap<(Instant, u64), ScheduledReport>,
    message_count: u64,
    /// For each account, the last session that a request closed.
    closed_sessions: HashMap<AccountNumber, u32>,
    reports: ReportSender,
}

/// A message from the simulator to its worker.
enum SimulatorMessage {
    Schedule(ScheduledReport),
    /// A request closes this session: its scheduled follow-up is dropped.
    SessionClosed {
        account: AccountNumber,
        session: u32,
    },
}

/// A report about an account, and when it is due.
struct ScheduledReport {
    due: Instant,
    account: AccountNumber,
    /// The report is dropped once this session is closed by request. `None` for replies to requests.
    only_session: Option<u32>,
    report: Report,
}

/// The outcome that the last four digits of a number choose.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SimulatedOutcome {
    PairingFails,
    NetworkFails,
    Banned,
    NeverAnswers,
    NoCode,
    Drops,
    Succeeds,
}

impl Simulator {
    /// The simulator, and its worker, which the caller must run.
    ///
    /// Sessions outlive a restart of the service. Each account in `online` is still in the session that `session_of`
    /// returns, and its follow-up is scheduled again.
    fn new(
        settings: &config::SimulatorSettings,
        vault: Vault,
        reports: ReportSender,
        online: impl IntoIterator<Item = AccountNumber>,
        session_of: impl Fn(AccountNumber) -> u32,
    ) -> (Simulator, SimulatorWorker) {
        // Unbounded, because actors cannot wait. Each actor sends only the pending effects of its account.
        let (sender, messages) = mpsc::unbounded_channel();
        let simulator = Simulator { worker: sender, vault, delay: settings.delay };
        for account in online.into_iter().filter(|account| {
            matches!(SimulatedOutcome::for_account(*account), SimulatedOutcome::Banned | SimulatedOutcome::Drops)
        }) {
            let session = session_of(account);
            simulator.schedule_follow_up(account, session, instance_code(session), simulator.delay);
        }
        let (scheduled, closed) = (BTreeMap::new(), HashMap::new());
        (simulator, SimulatorWorker { messages, scheduled, message_count: 0, closed_sessions: closed, reports })
    }

    fn connect(&self, account: AccountNumber, session: u32) {
        let (reported_session, instance_code) = (Some(session), instance_code(session));
        let fails = |reason| Report::Disconnected {
            session: reported_session,
            reason: Reason::new(reason),
            instance_code: instance_code.clone(),
        };
        match SimulatedOutcome::for_account(account) {
            SimulatedOutcome::PairingFails => self.schedule_report(account, self.delay, fails(Reason::PAIRING_FAILED)),
            SimulatedOutcome::NetworkFails => self.schedule_report(account, self.delay, fails(Reason::NETWORK)),
            SimulatedOutcome::NeverAnswers => {}
            SimulatedOutcome::Banned
            | SimulatedOutcome::NoCode
            | SimulatedOutcome::Drops
            | SimulatedOutcome::Succeeds => {
                let code = instance_code.clone();
                let connected = Report::Connected { session: reported_session, instance_code };
                self.schedule_report(account, self.delay, connected);
                self.schedule_follow_up(account, session, code, 2 * self.delay);
            }
        }
    }

    /// Schedules what happens to an online account without a request: a ban or a drop.
    fn schedule_follow_up(&self, account: AccountNumber, session: u32, instance_code: String, delay: Duration) {
        let report = match SimulatedOutcome::for_account(account) {
            SimulatedOutcome::Banned => Report::Banned { reason: Reason::new("banned by simulator"), instance_code },
            // The report names session 1, so it does not end a later session.
            SimulatedOutcome::Drops if session == 1 => {
                let reason = Reason::new(Reason::NETWORK);
                Report::Disconnected { session: Some(session), reason, instance_code }
            }
            SimulatedOutcome::PairingFails
            | SimulatedOutcome::NetworkFails
            | SimulatedOutcome::NeverAnswers
            | SimulatedOutcome::NoCode
            | SimulatedOutcome::Drops
            | SimulatedOutcome::Succeeds => return,
        };
        self.send_message(SimulatorMessage::Schedule(ScheduledReport {
            due: Instant::now() + delay,
            account,
            only_session: Some(session),
            report,
        }));
    }

    fn disconnect(&self, account: AccountNumber, session: u32) {
        let (reason, instance_code) = (Reason::none(), instance_code(session));
        self.send_message(SimulatorMessage::SessionClosed { account, session });
        if SimulatedOutcome::for_account(account) != SimulatedOutcome::NeverAnswers {
            self.schedule_report(
                account,
                self.delay,
                Report::Disconnected { session: Some(session), reason, instance_code },
            );
        }
    }

    fn schedule_report(&self, account: AccountNumber, delay: Duration, report: Report) {
        self.send_message(SimulatorMessage::Schedule(ScheduledReport {
            due: Instant::now() + delay,
            account,
            only_session: None,
            report,
        }));
    }

    fn send_message(&self, message: SimulatorMessage) {
        // The send fails only while the service stops. The next start dispatches pending effects again.
        let _stopping = self.worker.send(message);
    }
}

impl GatewayProvider for Simulator {
    fn dispatch(&self, account: AccountNumber, _: &Account, effect: &PendingEffect, _: Duration) {
        let outcome = SimulatedOutcome::for_account(account);
        match *effect {
            PendingEffect::Connect { session } => self.connect(account, session),
            PendingEffect::Disconnect { session } => self.disconnect(account, session),
            PendingEffect::RequestCode { .. } | PendingEffect::SubmitCode { .. }
                if outcome == SimulatedOutcome::NeverAnswers => {}
            PendingEffect::RequestCode { task, .. } => {
                let report = match outcome {
                    SimulatedOutcome::NoCode => {
                        Report::RegistrationFailed { task, reason: Reason::new("code refused by simulator") }
                    }
                    SimulatedOutcome::PairingFails
                    | SimulatedOutcome::NetworkFails
                    | SimulatedOutcome::Banned
                    | SimulatedOutcome::NeverAnswers
                    | SimulatedOutcome::Drops
                    | SimulatedOutcome::Succeeds => Report::CodeSent { task },
                };
                self.schedule_report(account, self.delay, report);
            }
            PendingEffect::SubmitCode { task, attempt, ref code } => {
                let refused = |reason| Report::CodeRefused { task, attempt, reason: Reason::new(reason) };
                let report = match self.vault.open_code(account, code) {
                    Ok(code) if code.as_str() == "123456" => Report::CodeAccepted { task },
                    Ok(_) => refused("wrong code".to_owned()),
                    Err(error) => refused(error.to_string()),
                };
                self.schedule_report(account, self.delay, report);
            }
        }
    }
}

impl SimulatorWorker {
    /// Sends due reports until `stop`.
    async fn run(mut self, stop: CancellationToken) {
        while let Some(scheduled) = stop.run_until_cancelled(self.next_due()).await.flatten() {
            let closed = self.closed_sessions.get(&scheduled.account).copied();
            if scheduled.only_session.is_none_or(|session| closed.is_none_or(|closed| closed < session)) {
                self.reports.send(GatewayKind::Simulator, scheduled.account, scheduled.report).await;
            }
        }
    }

    /// Waits for the next due report. `None` once the simulator is dropped.
    async fn next_due(&mut self) -> Option<ScheduledReport> {
        loop {
            while let Ok(message) = self.messages.try_recv() {
                self.handle_message(message);
            }
            let due = self.scheduled.first_key_value().map(|((due, _), _)| *due);
            if due.is_some_and(|due| due <= Instant::now()) {
                return self.scheduled.pop_first().map(|(_, scheduled)| scheduled);
            }
            tokio::select! {
                message = self.messages.recv() => self.handle_message(message?),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    fn handle_message(&mut self, message: SimulatorMessage) {
        match message {
            SimulatorMessage::Schedule(scheduled) => {
                self.message_count += 1;
                self.scheduled.insert((scheduled.due, self.message_count), scheduled);
            }
            SimulatorMessage::SessionClosed { account, session } => {
                self.closed_sessions.insert(account, session);
            }
        }
    }
}

impl SimulatedOutcome {
    fn for_account(account: AccountNumber) -> SimulatedOutcome {
        match account.last_four() {
            1 => SimulatedOutcome::PairingFails,
            2 => SimulatedOutcome::NetworkFails,
            3 => SimulatedOutcome::Banned,
            4 => SimulatedOutcome::NeverAnswers,
            5 => SimulatedOutcome::NoCode,
            6 => SimulatedOutcome::Drops,
            _ => SimulatedOutcome::Succeeds,
        }
    }
}

fn instance_code(session: u32) -> String {
    format!("SIM-{session}")
}
