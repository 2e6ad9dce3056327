//! What is counted as what: from what the rules know to the words of labels.

use super::words::{CommandKind, EventType, GatewayCall, GatewayReport};
use crate::domain::{self, Command, Deed, Outstanding, Report};

impl From<&Command> for CommandKind {
    fn from(command: &Command) -> CommandKind {
        match command {
            Command::Import { .. } => CommandKind::Import,
            Command::BringOnline { .. } => CommandKind::BringOnline,
            Command::Recycle { .. } => CommandKind::Recycle,
            Command::Register { .. } => CommandKind::Register,
            Command::SubmitCode { .. } => CommandKind::SubmitCode,
            Command::EraseSecrets { .. } => CommandKind::EraseSecrets,
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

impl From<&domain::Event> for EventType {
    fn from(event: &domain::Event) -> EventType {
        use domain::Event;
        match event {
            Event::AccountImported { .. } => EventType::AccountImported,
            Event::ContentReplaced { .. } => EventType::ContentReplaced,
            Event::OnlineRequested => EventType::OnlineRequested,
            Event::CameOnline { .. } => EventType::CameOnline,
            Event::RecycleRequested => EventType::RecycleRequested,
            Event::WentOffline { .. } => EventType::WentOffline,
            Event::Banned { .. } => EventType::Banned,
            Event::BanLifted => EventType::BanLifted,
            Event::RegistrationRequested { .. } => EventType::RegistrationRequested,
            Event::CodeSent => EventType::CodeSent,
            Event::CodeSubmitted { .. } => EventType::CodeSubmitted,
            Event::Registered => EventType::Registered,
            Event::RegistrationFailed { .. } => EventType::RegistrationFailed,
            Event::SecretsErased { .. } => EventType::SecretsErased,
            Event::GatewayAssigned { .. } => EventType::GatewayAssigned,
            Event::PinKept { .. } => EventType::PinKept,
            Event::ProviderCalled { .. } => EventType::ProviderCalled,
        }
    }
}

impl From<&Deed> for EventType {
    fn from(deed: &Deed) -> EventType {
        match deed {
            Deed::ProjectionRebuilt { .. } => EventType::ProjectionRebuilt,
            Deed::BackupTaken { .. } => EventType::BackupTaken,
            Deed::Restored { .. } => EventType::Restored,
            Deed::WebhookUrlSet { .. } => EventType::WebhookUrlSet,
            Deed::WebhookSecretSet { .. } => EventType::WebhookSecretSet,
            Deed::WebhookPaused { .. } => EventType::WebhookPaused,
            Deed::WebhookResumed { .. } => EventType::WebhookResumed,
            Deed::WebhookRedelivered { .. } => EventType::WebhookRedelivered,
            Deed::WebhookLettersDropped { .. } => EventType::WebhookLettersDropped,
            Deed::WebhookClosed { .. } => EventType::WebhookClosed,
            Deed::ApiKeyCreated(grant) if grant.tenant().is_some() => EventType::TenantKeyCreated,
            Deed::ApiKeyCreated(_) => EventType::ApiKeyCreated,
            Deed::ApiKeyRevoked { .. } => EventType::ApiKeyRevoked,
            Deed::MasterKeyRotated { .. } => EventType::MasterKeyRotated,
            Deed::AccountsOrdered { .. } => EventType::AccountsOrdered,
            Deed::ReconciliationOrdered { .. } => EventType::ReconciliationOrdered,
            Deed::MasterKeyRotationAborted { .. } => EventType::MasterKeyRotationAborted,
            Deed::MasterKeyRotationFinished { .. } => EventType::MasterKeyRotationFinished,
        }
    }
}

impl From<&Outstanding> for GatewayCall {
    fn from(outstanding: &Outstanding) -> GatewayCall {
        match outstanding {
            Outstanding::Connect { .. } => GatewayCall::Connect,
            Outstanding::Disconnect { .. } => GatewayCall::Disconnect,
            Outstanding::RequestCode { .. } => GatewayCall::RequestCode,
            Outstanding::SubmitCode { .. } => GatewayCall::SubmitCode,
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
