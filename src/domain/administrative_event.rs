//! What somebody did to the service itself. Past tense, and for ever, as events are.

use super::{Channel, GatewayKind, Grant, Timestamp};

/// An administrative act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditLogEntry {
    /// What was done.
    pub event: AdministrativeEvent,
    /// From where: the address of the peer, `command line`, `receiver`, or `start`.
    pub source: String,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdministrativeEvent {
    /// A projection was made again from the first event.
    ProjectionRebuilt {
        /// Which, as in `roster`.
        projection: String,
        /// How many of its rows were not what the events say.
        differences: u64,
    },
    /// A backup was taken.
    BackupTaken {
        /// The position of the last event in it.
        position: u64,
    },
    /// This store was made from a backup.
    Restored {
        /// The position of the last event in it.
        position: u64,
    },
    /// A webhook's receiver is somewhere else from now on.
    WebhookUrlSet {
        /// Which webhook's.
        channel: Channel,
        /// Where, without a password and a query; empty if it is where the settings say.
        url: String,
    },
    /// A webhook is signed with another secret from now on.
    WebhookSecretSet {
        /// Which webhook.
        channel: Channel,
        /// In which way it signs.
        scheme: SigningScheme,
        /// By which people tell secrets apart: a part of a hash, or the tenant's id; empty if it was taken away.
        name: String,
        /// Until when the one before signs too, if it does.
        grace_until: Option<Timestamp>,
    },
    /// Nothing is sent to a webhook's receiver any more.
    WebhookPaused {
        /// Which webhook's.
        channel: Channel,
        /// Why.
        reason: String,
    },
    /// What waited is sent.
    WebhookResumed {
        /// Which webhook's.
        channel: Channel,
    },
    /// Deliveries of a webhook are sent again.
    WebhookRedelivered {
        /// Which webhook's.
        channel: Channel,
        /// Which of them was asked for, in words.
        what: String,
        /// How many they are.
        deliveries: u64,
    },
    /// Dead deliveries of a webhook were given up.
    WebhookLettersDropped {
        /// Which webhook's.
        channel: Channel,
        /// Which of them was asked for, in words.
        what: String,
        /// How many they were.
        deliveries: u64,
        /// Why.
        reason: String,
    },
    /// What waited in a webhook without a receiver was dropped.
    WebhookClosed {
        /// Which webhook.
        channel: Channel,
        /// How many deliveries waited.
        deliveries: u64,
        /// Why.
        reason: String,
    },
    /// Somebody was given an API key, or a tenant was.
    ApiKeyCreated(Grant),
    /// An API key was taken away.
    ApiKeyRevoked {
        /// The key's number.
        id: u64,
    },
    /// Everything that the master key sealed is sealed with another one.
    MasterKeyRotated {
        /// How many keys and secrets were sealed anew; those that were new by then already were not.
        rewrapped: u64,
    },
    /// A rotation of the master key was undone: everything is sealed with the key before it again.
    MasterKeyRotationAborted {
        /// How many keys and secrets were sealed anew for that.
        rewrapped: u64,
    },
    /// A start of the service came to the end of a rotation, or of its undoing, that was broken off before. Recorded right
    /// before the master key's file is exchanged.
    MasterKeyRotationFinished {
        /// How many keys and secrets this start sealed anew.
        rewrapped: u64,
    },
    /// Accounts were ordered online, or offline: what became of each is in its own history, under the same request.
    AccountsOrdered {
        /// What was ordered.
        order: AccountOrder,
        /// How many accounts were named.
        accounts: u64,
        /// Why.
        reason: String,
    },
    /// A gateway's sessions were ordered to be compared with what is shown.
    ReconciliationOrdered {
        /// Which gateway's.
        gateway: GatewayKind,
        /// Why.
        reason: String,
    },
}

/// What an operator orders of accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountOrder {
    /// To come online, with what is stored of them.
    Online,
    /// To be recycled.
    Recycle,
}

impl AccountOrder {
    /// Both of them.
    pub const ALL: [AccountOrder; 2] = [AccountOrder::Online, AccountOrder::Recycle];

    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            AccountOrder::Online => "online",
            AccountOrder::Recycle => "recycle",
        }
    }
}

/// How a webhook is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SigningScheme {
    /// Standard Webhooks.
    Standard,
    /// Tenant and app secret, as the contract's family has it.
    App,
}

impl SigningScheme {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            SigningScheme::Standard => "standard",
            SigningScheme::App => "app",
        }
    }
}

impl AdministrativeEvent {
    /// The deed's name, as logs and readers show it.
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
