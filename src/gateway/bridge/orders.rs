//! What is to be asked of a gateway: from an account's state to a command. Secrets stay sealed until the command is sent.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::protocol::{AccountWord, Command, CommandType, MethodWord};
use crate::audit::write_time;
use crate::clock::Moment;
use crate::domain::{
    Account, AccountNumber, AccountType, CallingCode, Content, Outstanding, Reason, Report, Sealed, TaskId, VerifyType,
};
use crate::vault::{self, ContentSecrets, Vault};

/// A command that waits for a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Order {
    /// The idempotency id.
    pub(super) id: String,
    /// Whose it is; none asks the gateway itself.
    pub(super) account: Option<AccountNumber>,
    /// After this it must not be begun.
    pub(super) deadline: Moment,
    pub(super) wish: Wish,
}

/// What is wished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    Connect {
        session: u32,
        content: Arc<Content>,
    },
    Disconnect {
        /// None means whichever is open.
        session: Option<u32>,
    },
    RequestCode {
        task: TaskId,
        method: VerifyType,
        account_type: AccountType,
        calling_code: CallingCode,
        country: String,
    },
    SubmitCode {
        task: TaskId,
        attempt: u32,
        code: Sealed,
    },
    ListSessions {
        after: Option<AccountNumber>,
        limit: u32,
    },
}

impl Order {
    /// What an account in this state is owed, until `deadline`. An error is the report by which a wish ends that cannot be
    /// sent.
    pub(super) fn of(
        account: AccountNumber,
        state: &Account,
        owed: &Outstanding,
        deadline: Moment,
    ) -> Result<Order, Report> {
        let order = |id, wish| Ok(Order { id, account: Some(account), deadline, wish });
        match owed {
            Outstanding::Connect { session } => match &state.content {
                Some(content) => {
                    let wish = Wish::Connect { session: *session, content: content.clone() };
                    order(format!("connect-{account}-{session}"), wish)
                }
                None => Err(Report::Disconnected {
                    session: Some(*session),
                    reason: Reason::new("there is nothing to connect the account with; import it again"),
                    instance_code: String::new(),
                }),
            },
            Outstanding::Disconnect { session } => Ok(Order::disconnect(account, *session, deadline)),
            Outstanding::RequestCode { task, verify_type } => match &state.registration {
                Some(registration) => {
                    let wish = Wish::RequestCode {
                        task: *task,
                        method: *verify_type,
                        account_type: registration.account_type,
                        calling_code: registration.calling_code,
                        country: registration.country.clone(),
                    };
                    order(format!("request_code-{account}-{}", task.get()), wish)
                }
                None => {
                    Err(Report::RegistrationFailed { task: *task, reason: Reason::new("the registration is over") })
                }
            },
            Outstanding::SubmitCode { task, attempt, code } => {
                let wish = Wish::SubmitCode { task: *task, attempt: *attempt, code: code.clone() };
                order(format!("submit_code-{account}-{}-{attempt}", task.get()), wish)
            }
        }
    }

    /// The end of a session that its callers do not want any more.
    pub(super) fn disconnect(account: AccountNumber, session: u32, deadline: Moment) -> Order {
        let (id, session) = (format!("disconnect-{account}-{session}"), Some(session));
        Order { id, account: Some(account), deadline, wish: Wish::Disconnect { session } }
    }

    /// The end of a session that the gateway has, though nobody wants it. It may have been told to end it before, and have
    /// done so: this is another time, with an id of its own.
    pub(super) fn close(account: AccountNumber, session: Option<u32>, deadline: Moment) -> Order {
        let which = session.map_or_else(|| "any".to_owned(), |session| session.to_string());
        let id = format!("disconnect-{account}-{which}-{}", deadline.wall.0);
        Order { id, account: Some(account), deadline, wish: Wish::Disconnect { session } }
    }

    /// The session that it opens or closes, if it is about one; one that nobody knows the number of is before all others.
    pub(super) fn presence(&self) -> Option<u32> {
        match &self.wish {
            Wish::Connect { session, .. } => Some(*session),
            Wish::Disconnect { session } => Some(session.unwrap_or(0)),
            Wish::RequestCode { .. } | Wish::SubmitCode { .. } | Wish::ListSessions { .. } => None,
        }
    }

    /// The report by which the wish ends that a gateway refuses for good; none if nobody's wish it is.
    pub(super) fn refused(&self, why: &str) -> Option<Report> {
        let (reason, instance_code) = (Reason::new(why), String::new());
        match &self.wish {
            Wish::Connect { session, .. } => {
                Some(Report::Disconnected { session: Some(*session), reason, instance_code })
            }
            Wish::Disconnect { session: Some(session) } => {
                Some(Report::Disconnected { session: Some(*session), reason, instance_code })
            }
            Wish::RequestCode { task, .. } => Some(Report::RegistrationFailed { task: *task, reason }),
            Wish::SubmitCode { task, attempt, .. } => {
                Some(Report::CodeRefused { task: *task, attempt: *attempt, reason })
            }
            Wish::Disconnect { session: None } | Wish::ListSessions { .. } => None,
        }
    }

    /// Opens what is sealed in it.
    pub(super) fn open(&self, vault: &Vault) -> Result<Opened<'_>, vault::Error> {
        let Order { account, wish, .. } = self;
        let secrets = match (account, wish) {
            (Some(account), Wish::Connect { content, .. }) => Secrets::Content(vault.open_content(*account, content)?),
            (Some(account), Wish::SubmitCode { code, .. }) => Secrets::Code(vault.open_code(*account, code)?),
            (_, _) => Secrets::None,
        };
        Ok(Opened { order: self, secrets })
    }
}

/// A command with its secrets in clear, for as long as it is being written.
pub(super) struct Opened<'o> {
    order: &'o Order,
    secrets: Secrets,
}

enum Secrets {
    None,
    Content(ContentSecrets),
    Code(Zeroizing<String>),
}

impl Opened<'_> {
    /// The command as it is sent.
    pub(super) fn command(&self) -> Command<'_> {
        let Order { id, account, deadline, wish } = self.order;
        let command = |kind| Command {
            id,
            kind,
            account: account.map(|account| account.to_string()),
            deadline: write_time(deadline.wall),
            session: None,
            account_type: None,
            public_key: None,
            message_public_key: None,
            private_key: None,
            message_private_key: None,
            device_params: None,
            account_id: None,
            next_key_id: None,
            registration_id: None,
            name: None,
            avatar: None,
            task: None,
            method: None,
            calling_code: None,
            country: None,
            attempt: None,
            code: None,
            after: None,
            limit: None,
        };
        match wish {
            Wish::Connect { session, content } => {
                let (private_key, message_private_key, device_params) = match &self.secrets {
                    Secrets::Content(secrets) => (
                        secrets.private_key.as_str(),
                        secrets.msg_private_key.as_str(),
                        secrets.device_params.as_ref().map_or("", |text| text.as_str()),
                    ),
                    Secrets::None | Secrets::Code(_) => ("", "", ""),
                };
                Command {
                    session: Some(Some(*session)),
                    account_type: Some(content.account_type.into()),
                    public_key: Some(&content.public_key),
                    message_public_key: Some(&content.msg_public_key),
                    private_key: Some(private_key),
                    message_private_key: Some(message_private_key),
                    device_params: Some(device_params),
                    account_id: content.account_id.as_deref(),
                    next_key_id: content.next_key_id.as_deref(),
                    registration_id: content.registration_id.as_deref(),
                    name: content.name.as_deref(),
                    avatar: content.avatar.as_deref(),
                    ..command(CommandType::Connect)
                }
            }
            Wish::Disconnect { session } => Command { session: Some(*session), ..command(CommandType::Disconnect) },
            Wish::RequestCode { task, method, account_type, calling_code, country } => Command {
                task: Some(task.get()),
                method: Some((*method).into()),
                account_type: Some((*account_type).into()),
                calling_code: Some(format!("+{calling_code}")),
                country: Some(country),
                ..command(CommandType::RequestCode)
            },
            Wish::SubmitCode { task, attempt, .. } => Command {
                task: Some(task.get()),
                attempt: Some(*attempt),
                code: match &self.secrets {
                    Secrets::Code(code) => Some(code),
                    Secrets::None | Secrets::Content(_) => None,
                },
                ..command(CommandType::SubmitCode)
            },
            Wish::ListSessions { after, limit } => Command {
                after: Some(after.map(|account| format!("{account}"))),
                limit: Some(*limit),
                ..command(CommandType::ListSessions)
            },
        }
    }
}

impl From<AccountType> for AccountWord {
    fn from(account_type: AccountType) -> AccountWord {
        match account_type {
            AccountType::Personal => AccountWord::Personal,
            AccountType::Business => AccountWord::Business,
        }
    }
}

impl From<VerifyType> for MethodWord {
    fn from(verify_type: VerifyType) -> MethodWord {
        match verify_type {
            VerifyType::Sms => MethodWord::Sms,
            VerifyType::Voice => MethodWord::Voice,
            VerifyType::MissedCall => MethodWord::MissedCall,
            VerifyType::Internal => MethodWord::Internal,
        }
    }
}
