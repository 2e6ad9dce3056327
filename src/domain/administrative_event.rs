//! Administrative events: changes to the service itself. Like all events, they have names in the past tense and are
//! never changed.

use std::collections::BTreeMap;

use super::event_type::event_types;
use super::{AccountNumber, Channel, EventDefinition, GatewayKind, Generation, Grant, MasterKeyId, Timestamp};

// Frozen: numbers and names. Journals hold the numbers; filters, exports and metrics hold the names.
event_types! {
    /// The type of an administrative event.
    AdministrativeEventType {
        ProjectionRebuilt = 1_001 "projection_rebuilt" {}
        BackupTaken = 1_002 "backup_taken" { schema: 2 }
        Restored = 1_003 "restored" { schema: 2 }
        WebhookUrlSet = 1_004 "webhook_url_set" {}
        WebhookSecretSet = 1_005 "webhook_secret_set" {}
        WebhookPaused = 1_006 "webhook_paused" {}
        WebhookResumed = 1_007 "webhook_resumed" {}
        WebhookRedelivered = 1_008 "webhook_redelivered" {}
        WebhookLettersDropped = 1_009 "webhook_letters_dropped" {}
        ApiKeyCreated = 1_010 "api_key_created" {}
        ApiKeyRevoked = 1_011 "api_key_revoked" {}
        MasterKeyRotated = 1_012 "master_key_rotated" { schema: 2 }
        TenantKeyCreated = 1_013 "tenant_key_created" {}
        AccountsOrdered = 1_014 "accounts_ordered" {}
        ReconciliationOrdered = 1_015 "reconciliation_ordered" {}
        WebhookClosed = 1_016 "webhook_closed" {}
        MasterKeyRotationAborted = 1_017 "master_key_rotation_aborted" { schema: 2 }
        MasterKeyRotationFinished = 1_018 "master_key_rotation_finished" { schema: 2 }
        EventsExported = 1_019 "events_exported" {}
        AccountBundleExported = 1_020 "account_bundle_exported" {}
        GenerationBegun = 1_021 "generation_begun" {}
        WebhookResynced = 1_022 "webhook_resynced" {}
    }
}

/// An entry of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditLogEntry {
    /// What was done.
    pub event: AdministrativeEvent,
    /// The origin: the caller's address, `command line`, `receiver`, or `start`.
    pub source: String,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdministrativeEvent {
    /// A projection was rebuilt from the first event.
    ProjectionRebuilt {
        /// The projection's name, as in `roster`.
        projection: String,
        /// How many of its rows were wrong before the rebuild.
        differences: u64,
    },
    /// A backup was taken.
    BackupTaken {
        /// The position of the last event in the backup.
        position: u64,
        /// The id of the key that opens the backup. `None` if it was not recorded, as in schema version 1.
        master_key: Option<MasterKeyId>,
    },
    /// This store was restored from a backup, in the same generation: nothing had happened since the backup.
    Restored {
        /// The position of the last event in the backup.
        position: u64,
        /// As in `BackupTaken`.
        master_key: Option<MasterKeyId>,
    },
    /// A webhook channel got another receiver URL.
    WebhookUrlSet {
        /// The channel.
        channel: Channel,
        /// The URL without password and query; empty if the channel returned to the receiver of the settings.
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
        /// Until when the previous secret also signs. `None` if it no longer signs.
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
        /// The requested selection, in words.
        what: String,
        /// How many deliveries were selected.
        deliveries: u64,
    },
    /// Dead letters of a webhook channel were discarded.
    WebhookLettersDropped {
        /// The channel.
        channel: Channel,
        /// The requested selection, in words.
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
    /// The receiver of a webhook channel is notified again of the present state of accounts. Each account has an event of
    /// its own, under the same request id.
    WebhookResynced {
        /// The channel.
        channel: Channel,
        /// How many accounts were selected.
        accounts: u64,
        /// Why; empty if no reason was given.
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
        /// The id of the new key. `None` in schema version 1.
        master_key: Option<MasterKeyId>,
    },
    /// A rotation of the master key was undone: everything is sealed with the previous key again.
    MasterKeyRotationAborted {
        /// How many keys and secrets were sealed again with the previous key.
        rewrapped: u64,
        /// The id of the previous key. `None` in schema version 1.
        master_key: Option<MasterKeyId>,
    },
    /// A start of the service completed an interrupted rotation, or an interrupted abort. Recorded right before the
    /// master key's file is replaced.
    MasterKeyRotationFinished {
        /// How many keys and secrets this start sealed again.
        rewrapped: u64,
        /// The id of the key that holds now. `None` in schema version 1.
        master_key: Option<MasterKeyId>,
    },
    /// An operator ordered accounts online or offline. The outcome is in each account's history, under the same request
    /// id.
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
    /// Events were exported. Recorded before the first byte was sent.
    EventsExported {
        /// The format, as in `cloudevents`.
        format: String,
        /// The conditions that were asked for: parameters and values.
        filter: BTreeMap<String, String>,
        /// The first position to be examined.
        first: u64,
        /// The last position to be examined; before `first` if the log ended before it.
        last: u64,
    },
    /// The bundle of an account, its history with proofs, was made. Recorded before it was sent.
    AccountBundleExported {
        /// The account.
        account: AccountNumber,
    },
    /// This store was restored from a backup, and a new generation began. It is the first event after those of the backup.
    GenerationBegun {
        /// The new generation.
        generation: Generation,
        /// The generation of the backup.
        previous: Generation,
        /// The position of the last event in the backup, where the history before forks.
        fork: u64,
        /// The root of the log at the fork.
        root: [u8; 32],
        /// The id of the key that opens the backup. `None` if the backup does not say.
        master_key: Option<MasterKeyId>,
        /// Why, in the operator's words; empty if no reason was given.
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
    /// Its type.
    pub fn event_type(&self) -> AdministrativeEventType {
        match self {
            AdministrativeEvent::ProjectionRebuilt { .. } => AdministrativeEventType::ProjectionRebuilt,
            AdministrativeEvent::BackupTaken { .. } => AdministrativeEventType::BackupTaken,
            AdministrativeEvent::Restored { .. } => AdministrativeEventType::Restored,
            AdministrativeEvent::WebhookUrlSet { .. } => AdministrativeEventType::WebhookUrlSet,
            AdministrativeEvent::WebhookSecretSet { .. } => AdministrativeEventType::WebhookSecretSet,
            AdministrativeEvent::WebhookPaused { .. } => AdministrativeEventType::WebhookPaused,
            AdministrativeEvent::WebhookResumed { .. } => AdministrativeEventType::WebhookResumed,
            AdministrativeEvent::WebhookRedelivered { .. } => AdministrativeEventType::WebhookRedelivered,
            AdministrativeEvent::WebhookLettersDropped { .. } => AdministrativeEventType::WebhookLettersDropped,
            AdministrativeEvent::WebhookClosed { .. } => AdministrativeEventType::WebhookClosed,
            AdministrativeEvent::WebhookResynced { .. } => AdministrativeEventType::WebhookResynced,
            AdministrativeEvent::ApiKeyCreated(grant) if grant.tenant().is_some() => {
                AdministrativeEventType::TenantKeyCreated
            }
            AdministrativeEvent::ApiKeyCreated(_) => AdministrativeEventType::ApiKeyCreated,
            AdministrativeEvent::ApiKeyRevoked { .. } => AdministrativeEventType::ApiKeyRevoked,
            AdministrativeEvent::MasterKeyRotated { .. } => AdministrativeEventType::MasterKeyRotated,
            AdministrativeEvent::MasterKeyRotationAborted { .. } => AdministrativeEventType::MasterKeyRotationAborted,
            AdministrativeEvent::MasterKeyRotationFinished { .. } => AdministrativeEventType::MasterKeyRotationFinished,
            AdministrativeEvent::AccountsOrdered { .. } => AdministrativeEventType::AccountsOrdered,
            AdministrativeEvent::ReconciliationOrdered { .. } => AdministrativeEventType::ReconciliationOrdered,
            AdministrativeEvent::EventsExported { .. } => AdministrativeEventType::EventsExported,
            AdministrativeEvent::AccountBundleExported { .. } => AdministrativeEventType::AccountBundleExported,
            AdministrativeEvent::GenerationBegun { .. } => AdministrativeEventType::GenerationBegun,
        }
    }

    /// Why it was done, in the operator's words. `None` if this type of event has no reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            AdministrativeEvent::WebhookPaused { reason, .. }
            | AdministrativeEvent::WebhookLettersDropped { reason, .. }
            | AdministrativeEvent::WebhookClosed { reason, .. }
            | AdministrativeEvent::AccountsOrdered { reason, .. }
            | AdministrativeEvent::ReconciliationOrdered { reason, .. } => Some(reason),
            AdministrativeEvent::GenerationBegun { reason, .. }
            | AdministrativeEvent::WebhookResynced { reason, .. } => {
                Some(reason).filter(|reason| !reason.is_empty()).map(|it| &**it)
            }
            AdministrativeEvent::ProjectionRebuilt { .. }
            | AdministrativeEvent::BackupTaken { .. }
            | AdministrativeEvent::Restored { .. }
            | AdministrativeEvent::WebhookUrlSet { .. }
            | AdministrativeEvent::WebhookSecretSet { .. }
            | AdministrativeEvent::WebhookResumed { .. }
            | AdministrativeEvent::WebhookRedelivered { .. }
            | AdministrativeEvent::ApiKeyCreated(_)
            | AdministrativeEvent::ApiKeyRevoked { .. }
            | AdministrativeEvent::MasterKeyRotated { .. }
            | AdministrativeEvent::MasterKeyRotationAborted { .. }
            | AdministrativeEvent::MasterKeyRotationFinished { .. }
            | AdministrativeEvent::EventsExported { .. }
            | AdministrativeEvent::AccountBundleExported { .. } => None,
        }
    }
}
