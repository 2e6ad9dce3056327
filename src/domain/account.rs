//! The state of one account, folded from its events.

use super::{
    AccountType, CallingCode, Content, Event, OnlineStatus, Reason, Sealed, Status, TaskId, Timestamp, VerifyType,
};

/// An account as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// How many events made this state; 0 for an account that nothing has happened to: it is unknown.
    pub version: u64,
    /// What was imported; none for a number that was only registered.
    pub content: Option<Box<Content>>,
    /// Normal or banned.
    pub status: Status,
    /// Online, offline, or on the way.
    pub online_status: OnlineStatus,
    /// The version at which `online_status` last changed.
    pub online_status_version: u64,
    /// How many times the account was asked online: the number of its latest session.
    pub sessions: u32,
    /// Why the account is as it is, where something failed.
    pub reason: Reason,
    /// The registration that waits for a code.
    pub registration: Option<Registration>,
}

/// A registration that waits for a code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// The task that the caller was given.
    pub task: TaskId,
    /// How the code reaches the phone.
    pub verify_type: VerifyType,
    /// Personal or business.
    pub account_type: AccountType,
    /// The calling code.
    pub calling_code: CallingCode,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether the gateway had the code sent.
    pub code_sent: bool,
    /// How many codes were submitted.
    pub attempts: u32,
    /// How many of them the gateway has judged.
    pub judged: u32,
    /// The code that the gateway has not judged yet.
    pub code: Option<Sealed>,
}

/// What the gateway owes an account. It follows from the state alone, so a restart finds it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outstanding {
    /// Open this session.
    Connect {
        /// Its number.
        session: u32,
    },
    /// Close this session.
    Disconnect {
        /// Its number.
        session: u32,
    },
    /// Have a code sent.
    RequestCode {
        /// For this registration.
        task: TaskId,
        /// In this way.
        verify_type: VerifyType,
    },
    /// Judge a code.
    SubmitCode {
        /// For this registration.
        task: TaskId,
        /// The how many-th code it is, from 1.
        attempt: u32,
        /// The code, sealed.
        code: Sealed,
    },
}

impl Account {
    /// An account that nothing has happened to.
    pub fn initial() -> Account {
        Account {
            version: 0,
            content: None,
            status: Status::Normal,
            online_status: OnlineStatus::Offline,
            online_status_version: 0,
            sessions: 0,
            reason: Reason::none(),
            registration: None,
        }
    }

    /// Whether anything ever happened to it.
    pub fn is_known(&self) -> bool {
        self.version > 0
    }

    /// The state after `event`. Total: what happened cannot be refused.
    pub fn evolve(&mut self, event: &Event) {
        self.version += 1;
        match event {
            Event::AccountImported { content } | Event::ContentReplaced { content } => {
                self.content = Some(content.clone());
            }
            Event::OnlineRequested => {
                self.sessions += 1;
                self.stand(Status::Normal, OnlineStatus::OnlineComing, Reason::none());
            }
            Event::CameOnline { .. } => self.stand(Status::Normal, OnlineStatus::Online, Reason::none()),
            Event::RecycleRequested => self.stand(Status::Normal, OnlineStatus::OfflineComing, Reason::none()),
            Event::WentOffline { reason, .. } => self.stand(Status::Normal, OnlineStatus::Offline, reason.clone()),
            Event::Banned { reason, .. } => self.stand(Status::Banned, OnlineStatus::Offline, reason.clone()),
            Event::BanLifted => self.stand(Status::Normal, OnlineStatus::Offline, Reason::none()),
            Event::RegistrationRequested { task, verify_type, account_type, calling_code, country, expires_at } => {
                self.registration = Some(Registration {
                    task: *task,
                    verify_type: *verify_type,
                    account_type: *account_type,
                    calling_code: *calling_code,
                    country: country.clone(),
                    expires_at: *expires_at,
                    code_sent: false,
                    attempts: 0,
                    judged: 0,
                    code: None,
                });
            }
            Event::CodeSent => {
                if let Some(registration) = &mut self.registration {
                    registration.code_sent = true;
                }
            }
            Event::CodeSubmitted { code } => {
                if let Some(registration) = &mut self.registration {
                    registration.attempts += 1;
                    registration.code = Some(code.clone());
                }
            }
            Event::Registered => {
                self.registration = None;
                self.stand(Status::Normal, OnlineStatus::Offline, Reason::none());
            }
            Event::RegistrationFailed { still_waiting: false, .. } => self.registration = None,
            Event::RegistrationFailed { still_waiting: true, attempt, .. } => {
                if let Some(registration) = &mut self.registration {
                    registration.judged = *attempt;
                    registration.code.take_if(|_| registration.attempts == *attempt);
                }
            }
        }
    }

    /// What the gateway still owes this account.
    pub fn outstanding(&self) -> Vec<Outstanding> {
        let session = self.sessions;
        let presence = match self.online_status {
            OnlineStatus::OnlineComing => Some(Outstanding::Connect { session }),
            OnlineStatus::OfflineComing => Some(Outstanding::Disconnect { session }),
            OnlineStatus::Online | OnlineStatus::Offline => None,
        };
        presence.into_iter().chain(self.registration.as_ref().and_then(Registration::outstanding)).collect()
    }

    /// Whether the watchdog or the gateway still has to do with this account.
    pub fn is_unsettled(&self) -> bool {
        self.online_status.is_coming() || self.registration.is_some()
    }

    fn stand(&mut self, status: Status, online_status: OnlineStatus, reason: Reason) {
        if self.online_status != online_status {
            self.online_status_version = self.version;
        }
        self.status = status;
        self.online_status = online_status;
        self.reason = reason;
    }
}

impl Registration {
    /// What the gateway still owes this registration.
    fn outstanding(&self) -> Option<Outstanding> {
        let task = self.task;
        match &self.code {
            Some(code) => Some(Outstanding::SubmitCode { task, attempt: self.attempts, code: code.clone() }),
            None if self.code_sent || self.attempts > 0 => None,
            None => Some(Outstanding::RequestCode { task, verify_type: self.verify_type }),
        }
    }
}
