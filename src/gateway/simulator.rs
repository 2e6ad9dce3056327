//! The built-in simulator. Deterministic: the last four digits of a number choose its fate.
//!
//! | last four digits | fate |
//! |---|---|
//! | 0001 | pairing fails: offline, reason 1001 |
//! | 0002 | the network fails: offline, reason 1002 |
//! | 0003 | comes online, then is banned |
//! | 0004 | never answers |
//! | 0005 | no code can be sent: the registration fails |
//! | 0006 | comes online, then drops offline, in its first session only |
//!
//! All others succeed. Verification code `123456` is right, any other is refused. Each answer, and each step after it,
//! takes the configured delay. The instance code of session 3 is `SIM-3`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::actors::{Gateway, Reports};
use crate::config;
use crate::domain::{Account, AccountNumber, Outstanding, Reason, Report};
use crate::vault::Vault;

/// The handle that the actors hold.
pub struct Simulator {
    channel: mpsc::UnboundedSender<Happening>,
    vault: Vault,
    delay: Duration,
}

/// The simulated channel: it waits, and reports.
pub struct Channel {
    happenings: mpsc::UnboundedReceiver<Happening>,
    /// By time and, at the same time, by arrival.
    waiting: BTreeMap<(Instant, u64), Reaction>,
    arrivals: u64,
    /// The last session of each account that was closed by request.
    closed: HashMap<AccountNumber, u32>,
    reports: Reports,
}

/// What the simulator tells the channel.
enum Happening {
    Reaction(Reaction),
    /// A session is to be closed: what its fate still held for it will not happen.
    Closed {
        account: AccountNumber,
        session: u32,
    },
}

/// What the channel will report about an account, and when.
struct Reaction {
    due: Instant,
    account: AccountNumber,
    /// The session by whose fate it happens, if it does.
    fate_of: Option<u32>,
    report: Report,
}

/// What the last four digits of a number mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    PairingFails,
    NetworkFails,
    Banned,
    NeverAnswers,
    NoCode,
    Drops,
    Succeeds,
}

impl Simulator {
    /// The simulator, and its channel, which is to be run by someone.
    ///
    /// Sessions outlive a restart of the service: the accounts `online` still are, each in the session that `session_of`
    /// knows, and what their fates hold for them is still to come.
    pub fn new(
        settings: &config::Simulator,
        vault: Vault,
        reports: Reports,
        online: impl IntoIterator<Item = AccountNumber>,
        session_of: impl Fn(AccountNumber) -> u32,
    ) -> (Simulator, Channel) {
        // Unbounded, because actors cannot wait; each of them asks for what its account waits for and no more.
        let (sender, happenings) = mpsc::unbounded_channel();
        let simulator = Simulator { channel: sender, vault, delay: settings.delay };
        for account in online.into_iter().filter(|account| matches!(Fate::of(*account), Fate::Banned | Fate::Drops)) {
            let session = session_of(account);
            simulator.after_connecting(account, session, instance_code(session), simulator.delay);
        }
        let (waiting, closed) = (BTreeMap::new(), HashMap::new());
        (simulator, Channel { happenings, waiting, arrivals: 0, closed, reports })
    }

    fn connect(&self, account: AccountNumber, session: u32) {
        let (named, instance_code) = (Some(session), instance_code(session));
        let fails = |reason| Report::Disconnected {
            session: named,
            reason: Reason::new(reason),
            instance_code: instance_code.clone(),
        };
        match Fate::of(account) {
            Fate::PairingFails => self.react(account, self.delay, fails(Reason::PAIRING_FAILED)),
            Fate::NetworkFails => self.react(account, self.delay, fails(Reason::NETWORK)),
            Fate::NeverAnswers => {}
            Fate::Banned | Fate::NoCode | Fate::Drops | Fate::Succeeds => {
                let code = instance_code.clone();
                self.react(account, self.delay, Report::Connected { session: named, instance_code });
                self.after_connecting(account, session, code, 2 * self.delay);
            }
        }
    }

    /// What happens by itself to an account that is online.
    fn after_connecting(&self, account: AccountNumber, session: u32, instance_code: String, delay: Duration) {
        let report = match Fate::of(account) {
            Fate::Banned => Report::Banned { reason: Reason::new("banned by simulator"), instance_code },
            // A report about session 1 does not touch a later one.
            Fate::Drops if session == 1 => {
                let reason = Reason::new(Reason::NETWORK);
                Report::Disconnected { session: Some(session), reason, instance_code }
            }
            Fate::PairingFails
            | Fate::NetworkFails
            | Fate::NeverAnswers
            | Fate::NoCode
            | Fate::Drops
            | Fate::Succeeds => return,
        };
        self.tell(Happening::Reaction(Reaction {
            due: Instant::now() + delay,
            account,
            fate_of: Some(session),
            report,
        }));
    }

    fn disconnect(&self, account: AccountNumber, session: u32) {
        let (reason, instance_code) = (Reason::none(), instance_code(session));
        self.tell(Happening::Closed { account, session });
        if Fate::of(account) != Fate::NeverAnswers {
            self.react(account, self.delay, Report::Disconnected { session: Some(session), reason, instance_code });
        }
    }

    fn react(&self, account: AccountNumber, delay: Duration, report: Report) {
        self.tell(Happening::Reaction(Reaction { due: Instant::now() + delay, account, fate_of: None, report }));
    }

    fn tell(&self, happening: Happening) {
        // Nobody takes it when the service stops; the next start asks again for what is outstanding.
        let _stopping = self.channel.send(happening);
    }
}

impl Gateway for Simulator {
    fn take_up(&self, account: AccountNumber, _: &Account, owed: &Outstanding, _: Duration) {
        let fate = Fate::of(account);
        match *owed {
            Outstanding::Connect { session } => self.connect(account, session),
            Outstanding::Disconnect { session } => self.disconnect(account, session),
            Outstanding::RequestCode { .. } | Outstanding::SubmitCode { .. } if fate == Fate::NeverAnswers => {}
            Outstanding::RequestCode { task, .. } => {
                let report = match fate {
                    Fate::NoCode => {
                        Report::RegistrationFailed { task, reason: Reason::new("code refused by simulator") }
                    }
                    Fate::PairingFails
                    | Fate::NetworkFails
                    | Fate::Banned
                    | Fate::NeverAnswers
                    | Fate::Drops
                    | Fate::Succeeds => Report::CodeSent { task },
                };
                self.react(account, self.delay, report);
            }
            Outstanding::SubmitCode { task, attempt, ref code } => {
                let refused = |reason| Report::CodeRefused { task, attempt, reason: Reason::new(reason) };
                let report = match self.vault.open_code(account, code) {
                    Ok(code) if code.as_str() == "123456" => Report::CodeAccepted { task },
                    Ok(_) => refused("wrong code".to_owned()),
                    Err(error) => refused(error.to_string()),
                };
                self.react(account, self.delay, report);
            }
        }
    }
}

impl Channel {
    /// Reports what is due, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(reaction) = stop.run_until_cancelled(self.next_due()).await.flatten() {
            let closed = self.closed.get(&reaction.account).copied();
            if reaction.fate_of.is_none_or(|session| closed.is_none_or(|closed| closed < session)) {
                self.reports.send(reaction.account, reaction.report).await;
            }
        }
    }

    /// The next reaction, when it is due; none once no simulator is left.
    async fn next_due(&mut self) -> Option<Reaction> {
        loop {
            while let Ok(happening) = self.happenings.try_recv() {
                self.take_in(happening);
            }
            let due = self.waiting.first_key_value().map(|((due, _), _)| *due);
            if due.is_some_and(|due| due <= Instant::now()) {
                return self.waiting.pop_first().map(|(_, reaction)| reaction);
            }
            tokio::select! {
                happening = self.happenings.recv() => self.take_in(happening?),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    fn take_in(&mut self, happening: Happening) {
        match happening {
            Happening::Reaction(reaction) => {
                self.arrivals += 1;
                self.waiting.insert((reaction.due, self.arrivals), reaction);
            }
            Happening::Closed { account, session } => {
                self.closed.insert(account, session);
            }
        }
    }
}

impl Fate {
    fn of(account: AccountNumber) -> Fate {
        match account.last_four() {
            1 => Fate::PairingFails,
            2 => Fate::NetworkFails,
            3 => Fate::Banned,
            4 => Fate::NeverAnswers,
            5 => Fate::NoCode,
            6 => Fate::Drops,
            _ => Fate::Succeeds,
        }
    }
}

fn instance_code(session: u32) -> String {
    format!("SIM-{session}")
}
