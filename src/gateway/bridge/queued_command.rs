//! A command in the queue, built from an account's state. Secrets stay sealed until the command is sent.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::gateway_command::{CommandType, GatewayCommand};
use crate::audit::write_time;
use crate::clock::Moment;
use crate::domain::{
    Account, AccountNumber, AccountType, CallingCode, Content, ContentField, PendingEffect, Reason, Report,
    SealedBytes, TaskId, VerifyType,
};
use crate::vault::{self, ContentSecrets, Vault};

/// A command that waits for a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct QueuedCommand {
    /// The idempotency id.
    pub(super) id: String,
    /// The account. `None` for commands to the gateway itself.
    pub(super) account: Option<AccountNumber>,
    /// The gateway must not begin the command after this.
    pub(super) deadline: Moment,
    pub(super) payload: CommandPayload,
}

/// What the command asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CommandPayload {
    Connect {
        session: u32,
        content: Arc<Content>,
    },
    Disconnect {
        /// `None` closes any open session.
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
        code: SealedBytes,
    },
    ListSessions {
        after: Option<AccountNumber>,
        limit: u32,
    },
}

impl QueuedCommand {
    /// The command for a pending effect of an account in this state. If the effect cannot be sent, the error is the report
    /// that ends it.
    pub(super) fn for_effect(
        account: AccountNumber,
        state: &Account,
        effect: &PendingEffect,
        deadline: Moment,
    ) -> Result<QueuedCommand, Report> {
        let command = |id, payload| Ok(QueuedCommand { id, account: Some(account), deadline, payload });
        match effect {
            PendingEffect::Connect { session } => match &state.content {
                Some(content) => {
                    let payload = CommandPayload::Connect { session: *session, content: content.clone() };
                    command(format!("connect-{account}-{session}"), payload)
                }
                None => Err(Report::Disconnected {
                    session: Some(*session),
                    reason: Reason::new("the account has no content to connect with; import it again"),
                    instance_code: String::new(),
                }),
            },
            PendingEffect::Disconnect { session } => Ok(QueuedCommand::disconnect(account, *session, deadline)),
            PendingEffect::RequestCode { task, verify_type } => match &state.registration {
                Some(registration) => {
                    let payload = CommandPayload::RequestCode {
                        task: *task,
                        method: *verify_type,
                        account_type: registration.account_type,
                        calling_code: registration.calling_code,
                        country: registration.country.clone(),
                    };
                    command(format!("request_code-{account}-{}", task.get()), payload)
                }
                None => {
                    Err(Report::RegistrationFailed { task: *task, reason: Reason::new("the registration has ended") })
                }
            },
            PendingEffect::SubmitCode { task, attempt, code } => {
                let payload = CommandPayload::SubmitCode { task: *task, attempt: *attempt, code: code.clone() };
                command(format!("submit_code-{account}-{}-{attempt}", task.get()), payload)
            }
        }
    }

    /// The command that closes a session after a recycle request.
    pub(super) fn disconnect(account: AccountNumber, session: u32, deadline: Moment) -> QueuedCommand {
        let (id, session) = (format!("disconnect-{account}-{session}"), Some(session));
        QueuedCommand { id, account: Some(account), deadline, payload: CommandPayload::Disconnect { session } }
    }

    /// The command that closes a session which the gateway has but should not have. The id is unique, because an earlier
    /// disconnect of the same session may have been carried out already.
    pub(super) fn close(account: AccountNumber, session: Option<u32>, deadline: Moment) -> QueuedCommand {
        let which = session.map_or_else(|| "any".to_owned(), |session| session.to_string());
        let id = format!("disconnect-{account}-{which}-{}", deadline.wall.0);
        QueuedCommand { id, account: Some(account), deadline, payload: CommandPayload::Disconnect { session } }
    }

    /// The number of the session that the command opens or closes. An unknown number counts as 0, before all others.
    pub(super) fn session_number(&self) -> Option<u32> {
        match &self.payload {
            CommandPayload::Connect { session, .. } => Some(*session),
            CommandPayload::Disconnect { session } => Some(session.unwrap_or(0)),
            CommandPayload::RequestCode { .. }
            | CommandPayload::SubmitCode { .. }
            | CommandPayload::ListSessions { .. } => None,
        }
    }

    /// The report that closes this command when the gateway rejects it for good. `None` for commands that no account
    /// asked for.
    pub(super) fn rejection_report(&self, why: &str) -> Option<Report> {
        let (reason, instance_code) = (Reason::new(why), String::new());
        match &self.payload {
            CommandPayload::Connect { session, .. } => {
                Some(Report::Disconnected { session: Some(*session), reason, instance_code })
            }
            CommandPayload::Disconnect { session: Some(session) } => {
                Some(Report::Disconnected { session: Some(*session), reason, instance_code })
            }
            CommandPayload::RequestCode { task, .. } => Some(Report::RegistrationFailed { task: *task, reason }),
            CommandPayload::SubmitCode { task, attempt, .. } => {
                Some(Report::CodeRefused { task: *task, attempt: *attempt, reason })
            }
            CommandPayload::Disconnect { session: None } | CommandPayload::ListSessions { .. } => None,
        }
    }

    /// Opens the sealed secrets of the command.
    pub(super) fn unseal(&self, vault: &Vault) -> Result<UnsealedCommand<'_>, vault::Error> {
        let QueuedCommand { account, payload, .. } = self;
        let secrets = match (account, payload) {
            (Some(account), CommandPayload::Connect { content, .. }) => {
                CommandSecrets::Content(Box::new(vault.open_content(*account, content)?))
            }
            (Some(account), CommandPayload::SubmitCode { code, .. }) => {
                CommandSecrets::Code(vault.open_code(*account, code)?)
            }
            (_, _) => CommandSecrets::None,
        };
        Ok(UnsealedCommand { command: self, secrets })
    }
}

/// A command with its secrets in clear. It lives only while the command is serialized.
pub(super) struct UnsealedCommand<'o> {
    command: &'o QueuedCommand,
    secrets: CommandSecrets,
}

enum CommandSecrets {
    None,
    Content(Box<ContentSecrets>),
    Code(Zeroizing<String>),
}

impl UnsealedCommand<'_> {
    /// The command as it is sent.
    pub(super) fn to_message(&self) -> GatewayCommand<'_> {
        let QueuedCommand { id, account, deadline, payload } = self.command;
        let account = account.map(|account| account.to_string());
        let command = |kind| GatewayCommand::new(id, kind, account, write_time(deadline.wall));
        match payload {
            CommandPayload::Connect { session, content } => {
                let mut command = command(CommandType::Connect);
                command.session = Some(Some(*session));
                command.account_type = Some(content.account_type.into());
                for field in ContentField::ALL {
                    *command.text(field) = match &self.secrets {
                        _ if !field.is_sealed() => content.texts.get(field).map(|text| &**text),
                        CommandSecrets::Content(secrets) => Some(secrets.get(field).unwrap_or_default()),
                        CommandSecrets::None | CommandSecrets::Code(_) => Some(""),
                    };
                }
                command
            }
            CommandPayload::Disconnect { session } => {
                GatewayCommand { session: Some(*session), ..command(CommandType::Disconnect) }
            }
            CommandPayload::RequestCode { task, method, account_type, calling_code, country } => GatewayCommand {
                task: Some(task.get()),
                method: Some((*method).into()),
                account_type: Some((*account_type).into()),
                calling_code: Some(format!("+{calling_code}")),
                country: Some(country),
                ..command(CommandType::RequestCode)
            },
            CommandPayload::SubmitCode { task, attempt, .. } => GatewayCommand {
                task: Some(task.get()),
                attempt: Some(*attempt),
                code: match &self.secrets {
                    CommandSecrets::Code(code) => Some(code),
                    CommandSecrets::None | CommandSecrets::Content(_) => None,
                },
                ..command(CommandType::SubmitCode)
            },
            CommandPayload::ListSessions { after, limit } => GatewayCommand {
                after: Some(after.map(|account| format!("{account}"))),
                limit: Some(*limit),
                ..command(CommandType::ListSessions)
            },
        }
    }
}
