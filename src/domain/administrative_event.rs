//! Administrative events: what somebody did to the service itself. Past tense and permanent, like all events.

use super::{Channel, GatewayKind, Grant, Timestamp};

/// An entry of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditLogEntry {
    /// What was done.
    pub event: AdministrativeEvent,
    /// The origin: the peer's address, `command line`, `receiver`, or `start`.
    pub source: String,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdministrativeEvent {
    /// A projection was rebuilt from the first event.
    ProjectionRebuilt {
        /// The projection's name, as in `roster`.
        projection: String,
        /// How many of its rows differed from what the events lead to.
        differences: u64,
    },
    /// A backup was taken.
    BackupTaken {
        /// The position of the last event in the backup.
        position: u64,
    },
    /// This store was restored from a backup.
    Restored {
        /// The position of the last event in the backup.
        position: u64,
    },
    /// A webhook channel got another receiver URL.
    WebhookUrlSet {
        /// The channel.
        channel: Channel,
        /// The URL without password and query; empty if the settings decide again.
        url: String,
    },
    /// A webhook channel got another signing secret.
    WebhookSecretSet {
        /// The channel.
        channel: Channel,
        /// The signing scheme.
        scheme: SigningScheme,
        /// The secret's display name: a part of its hash, or the tenant's id; empty if the secret was removed.
        name: String,
        /// Until when the previous secret signs too, if it does.
        grace_until: Option<Timestamp>,
    },
    /// A webhook channel was paused.
    WebhookPaused {
        /// The channel.
        channel: Channel,
        /// Why.
        reason: String,
    },
    /// A paused webhook channel was resumed; waiting deliveries are sent.
    WebhookResumed {
        /// The channel.
        channel: Channel,
    },
    /// Deliveries of a webhook channel are sent again.
    WebhookRedelivered {
        /// The channel.
        channel: Channel,
        /// The selection that was asked for, in words.
        what: String,
        /// How many deliveries were selected.
        deliveries: u64,
    },
    /// Dead letters of a webhook channel were discarded.
    WebhookLettersDropped {
        /// The channel.
        channel: Channel,
        /// The selection that was asked for, in words.
        what: String,
        /// How many were discarded.
        deliveries: u64,
        /// Why.
        reason: String,
    },
    /// The waiting deliveries of a webhook channel without a receiver were dropped.
    WebhookClosed {
        /// The channel.
        channel: Channel,
        /// How many deliveries waited.
        deliveries: u64,
        /// Why.
        reason: String,
    },
    /// An API key was created, or a tenant's credentials.
    ApiKeyCreated(Grant),
    /// An API key was revoked.
    ApiKeyRevoked {
        /// The key's number.
        id: u64,
    },
    /// The master key was rotated: all data keys and secrets are sealed with the new one.
    MasterKeyRotated {
        /// How many keys and secrets were sealed again; those already under the new key are not counted.
        rewrapped: u64,
    },
    /// A rotation of the master key was undone: everything is sealed with the previous key again.
    MasterKeyRotationAborted {
        /// How many keys and secrets were sealed again for that.
        rewrapped: u64,
    },
    /// A start of the service completed an interrupted rotation, or an interrupted abort. Recorded right before the
    /// master key's file is replaced.
    MasterKeyRotationFinished {
        /// How many keys and secrets this start sealed again.
        rewrapped: u64,
    },
    /// An operator ordered accounts online or offline. Each account's history has its outcome, under the same request.
    AccountsOrdered {
        /// The order.
        order: AccountOrder,
        /// How many accounts were named.
        accounts: u64,
        /// Why.
        reason: String,
    },
    /// An operator started a reconciliation of a gateway.
    ReconciliationOrdered {
        /// The gateway.
        gateway: GatewayKind,
        /// Why.
        reason: String,
    },
}

/// An order of an operator to accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountOrder {
    /// Come online, with the stored content.
    Online,
    /// Be recycled.
    Recycle,
}

impl AccountOrder {
    /// Both orders.
    pub const ALL: [AccountOrder; 2] = [AccountOrder::Online, AccountOrder::Recycle];

    /// Its one-word name.
    pub fn name(self) -> &'static str {
        match self {
            AccountOrder::Online => "online",
            AccountOrder::Recycle => "recycle",
        }
    }
}

/// How a webhook channel signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SigningScheme {
    /// Standard Webhooks.
    Standard,
    /// Tenant and app secret, the scheme of the contract's family.
    App,
}

impl SigningScheme {
    /// Its one-word name.
    pub fn name(self) -> &'static str {
        match self {
            SigningScheme::Standard => "standard",
            SigningScheme::App => "app",
        }
    }
}

impl AdministrativeEvent {
    /// The event's name, as logs and readers show it.
    pub fn name(&self) -> &'static str {
        match self {
            AdministrativeEvent::ProjectionRebuilt { .. } => "projection_rebuilt",
            AdministrativeEvent::BackupTaken { .. } => "backup_taken",
            AdministrativeEvent::Restored { .. } => "restored",
            AdministrativeEvent::WebhookUrlSet { .. } => "webhook_url_set",
            AdministrativeEvent::WebhookSecretSet { .. } => "webhook_secret_set",
            AdministrativeEvent::WebhookPaused { .. } => "webhook_paused",
            AdministrativeEvent::WebhookResumed { .. } => "webhook_resumed",
            AdministrativeEvent::WebhookRedelivered { .. } => "webhook_redelivered",
            AdministrativeEvent::WebhookLettersDropped { .. } => "webhook_letters_dropped",
            AdministrativeEvent::WebhookClosed { .. } => "webhook_closed",
            AdministrativeEvent::ApiKeyCreated(grant) if grant.tenant().is_some() => "tenant_key_created",
            AdministrativeEvent::ApiKeyCreated(_) => "api_key_created",
            AdministrativeEvent::ApiKeyRevoked { .. } => "api_key_revoked",
            AdministrativeEvent::MasterKeyRotated { .. } => "master_key_rotated",
            AdministrativeEvent::MasterKeyRotationAborted { .. } => "master_key_rotation_aborted",
            AdministrativeEvent::MasterKeyRotationFinished { .. } => "master_key_rotation_finished",
            AdministrativeEvent::AccountsOrdered { .. } => "accounts_ordered",
            AdministrativeEvent::ReconciliationOrdered { .. } => "reconciliation_ordered",
        }
    }
}
