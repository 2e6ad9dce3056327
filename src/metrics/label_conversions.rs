//! Conversions from domain values to label values.

use super::labels::{CommandKind, GatewayCall, GatewayReport};
use crate::domain::{Command, PendingEffect, Report};

impl From<&Command> for CommandKind {
    fn from(command: &Command) -> CommandKind {
        match command {
            Command::Import { .. } => CommandKind::Import,
            Command::BringOnline { .. } => CommandKind::BringOnline,
            Command::ChangeLabels { .. } => CommandKind::ChangeLabels,
            Command::Recycle { .. } => CommandKind::Recycle,
            Command::Register { .. } => CommandKind::Register,
            Command::SubmitCode { .. } => CommandKind::SubmitCode,
            Command::EraseSecrets { .. } => CommandKind::EraseSecrets,
            Command::Resync { .. } => CommandKind::Resync,
            Command::Report(_) => CommandKind::Report,
            Command::Reconcile { .. } => CommandKind::Reconcile,
            Command::KeepPin { .. } => CommandKind::KeepPin,
            Command::CallProvider { .. } => CommandKind::CallProvider,
            Command::GiveUpComing { .. } => CommandKind::GiveUpComing,
            Command::Reconnect { .. } => CommandKind::Reconnect,
            Command::GiveUpRegistration { .. } => CommandKind::GiveUpRegistration,
        }
    }
}

impl From<&PendingEffect> for GatewayCall {
    fn from(effect: &PendingEffect) -> GatewayCall {
        match effect {
            PendingEffect::Connect { .. } => GatewayCall::Connect,
            PendingEffect::Disconnect { .. } => GatewayCall::Disconnect,
            PendingEffect::RequestCode { .. } => GatewayCall::RequestCode,
            PendingEffect::SubmitCode { .. } => GatewayCall::SubmitCode,
        }
    }
}

impl From<&Report> for GatewayReport {
    fn from(report: &Report) -> GatewayReport {
        match report {
            Report::Connected { .. } => GatewayReport::Connected,
            Report::Disconnected { .. } => GatewayReport::Disconnected,
            Report::Banned { .. } => GatewayReport::Banned,
            Report::BanLifted => GatewayReport::BanLifted,
            Report::CodeSent { .. } => GatewayReport::CodeSent,
            Report::RegistrationFailed { .. } => GatewayReport::RegistrationFailed,
            Report::CodeAccepted { .. } => GatewayReport::CodeAccepted,
            Report::CodeRefused { .. } => GatewayReport::CodeRefused,
        }
    }
}
