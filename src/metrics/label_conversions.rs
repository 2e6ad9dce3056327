//! Conversions from domain values to label values.

use super::labels::{CommandKind, EventType, GatewayCall, GatewayReport};
use crate::domain::{self, AdministrativeEvent, Command, PendingEffect, Report};

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

impl From<&AdministrativeEvent> for EventType {
    fn from(deed: &AdministrativeEvent) -> EventType {
        match deed {
            AdministrativeEvent::ProjectionRebuilt { .. } => EventType::ProjectionRebuilt,
            AdministrativeEvent::BackupTaken { .. } => EventType::BackupTaken,
            AdministrativeEvent::Restored { .. } => EventType::Restored,
            AdministrativeEvent::WebhookUrlSet { .. } => EventType::WebhookUrlSet,
            AdministrativeEvent::WebhookSecretSet { .. } => EventType::WebhookSecretSet,
            AdministrativeEvent::WebhookPaused { .. } => EventType::WebhookPaused,
            AdministrativeEvent::WebhookResumed { .. } => EventType::WebhookResumed,
            AdministrativeEvent::WebhookRedelivered { .. } => EventType::WebhookRedelivered,
            AdministrativeEvent::WebhookLettersDropped { .. } => EventType::WebhookLettersDropped,
            AdministrativeEvent::WebhookClosed { .. } => EventType::WebhookClosed,
            AdministrativeEvent::ApiKeyCreated(grant) if grant.tenant().is_some() => EventType::TenantKeyCreated,
            AdministrativeEvent::ApiKeyCreated(_) => EventType::ApiKeyCreated,
            AdministrativeEvent::ApiKeyRevoked { .. } => EventType::ApiKeyRevoked,
            AdministrativeEvent::MasterKeyRotated { .. } => EventType::MasterKeyRotated,
            AdministrativeEvent::AccountsOrdered { .. } => EventType::AccountsOrdered,
            AdministrativeEvent::ReconciliationOrdered { .. } => EventType::ReconciliationOrdered,
            AdministrativeEvent::MasterKeyRotationAborted { .. } => EventType::MasterKeyRotationAborted,
            AdministrativeEvent::MasterKeyRotationFinished { .. } => EventType::MasterKeyRotationFinished,
        }
    }
}

impl From<&PendingEffect> for GatewayCall {
    fn from(outstanding: &PendingEffect) -> GatewayCall {
        match outstanding {
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
