//! The payloads of what is done to the service itself, under the same rules as those of `schema`.

use bincode::{BorrowDecode, Encode};

use super::schema::{Undecodable, read, write};
use crate::domain::{Act, Channel, Deed, GatewayKind, Grant, Order, Proof, Role, SigningScheme, Timestamp};

pub(super) const PROJECTION_REBUILT: u16 = 1_001;
pub(super) const BACKUP_TAKEN: u16 = 1_002;
pub(super) const RESTORED: u16 = 1_003;
pub(super) const WEBHOOK_URL_SET: u16 = 1_004;
pub(super) const WEBHOOK_SECRET_SET: u16 = 1_005;
pub(super) const WEBHOOK_PAUSED: u16 = 1_006;
pub(super) const WEBHOOK_RESUMED: u16 = 1_007;
pub(super) const WEBHOOK_REDELIVERED: u16 = 1_008;
pub(super) const WEBHOOK_LETTERS_DROPPED: u16 = 1_009;
pub(super) const API_KEY_CREATED: u16 = 1_010;
pub(super) const API_KEY_REVOKED: u16 = 1_011;
pub(super) const MASTER_KEY_ROTATED: u16 = 1_012;
pub(super) const TENANT_KEY_CREATED: u16 = 1_013;
pub(super) const ACCOUNTS_ORDERED: u16 = 1_014;
pub(super) const RECONCILIATION_ORDERED: u16 = 1_015;
pub(super) const WEBHOOK_CLOSED: u16 = 1_016;
pub(super) const MASTER_KEY_ROTATION_ABORTED: u16 = 1_017;
pub(super) const MASTER_KEY_ROTATION_FINISHED: u16 = 1_018;

// --- Version 1 of each payload. Frozen. A channel is 1 for sync, 2 for register. ---

/// Type 1001.
#[derive(Encode, BorrowDecode)]
struct ProjectionRebuiltV1<'a> {
    projection: &'a str,
    differences: u64,
    from: &'a str,
}

/// Types 1002 and 1003.
#[derive(Encode, BorrowDecode)]
struct BackupV1<'a> {
    position: u64,
    from: &'a str,
}

/// Types 1004, 1006 and 1007: the URL, the reason, nothing.
#[derive(Encode, BorrowDecode)]
struct WebhookV1<'a> {
    channel: u8,
    text: &'a str,
    from: &'a str,
}

/// Type 1005. A scheme is 1 for Standard Webhooks, 2 for tenant and app secret.
#[derive(Encode, BorrowDecode)]
struct WebhookSecretSetV1<'a> {
    channel: u8,
    scheme: u8,
    name: &'a str,
    grace_until: Option<i64>,
    from: &'a str,
}

/// Types 1008, 1009 and 1016; the reason is empty in the first, `what` in the last.
#[derive(Encode, BorrowDecode)]
struct WebhookDeliveriesV1<'a> {
    channel: u8,
    what: &'a str,
    deliveries: u64,
    reason: &'a str,
    from: &'a str,
}

/// Type 1010. A role is 1 for caller, 2 for operator, 3 for auditor, 4 for admin.
#[derive(Encode, BorrowDecode)]
struct ApiKeyCreatedV1<'a> {
    id: u64,
    name: &'a str,
    role: u8,
    accounts: Vec<&'a str>,
    expires: Option<i64>,
    hash: [u8; 32],
    from: &'a str,
}

/// Type 1011.
#[derive(Encode, BorrowDecode)]
struct ApiKeyRevokedV1<'a> {
    id: u64,
    from: &'a str,
}

/// Types 1012, 1017 and 1018.
#[derive(Encode, BorrowDecode)]
struct MasterKeyRotatedV1<'a> {
    rewrapped: u64,
    from: &'a str,
}

/// Type 1013. Its role is that of callers.
#[derive(Encode, BorrowDecode)]
struct TenantKeyCreatedV1<'a> {
    id: u64,
    name: &'a str,
    tenant: &'a str,
    accounts: Vec<&'a str>,
    expires: Option<i64>,
    from: &'a str,
}

/// Type 1014. An order is 1 for online, 2 for recycle.
#[derive(Encode, BorrowDecode)]
struct AccountsOrderedV1<'a> {
    order: u8,
    accounts: u64,
    reason: &'a str,
    from: &'a str,
}

/// Type 1015. A gateway has its own number.
#[derive(Encode, BorrowDecode)]
struct ReconciliationOrderedV1<'a> {
    gateway: u8,
    reason: &'a str,
    from: &'a str,
}

/// Writes the payload of an act, and returns its registered type.
pub(super) fn encode(act: &Act, out: &mut Vec<u8>) -> u16 {
    let Act { deed, from } = act;
    let webhook = |channel: &Channel, text| WebhookV1 { channel: channel_code(*channel), text, from };
    match deed {
        Deed::ProjectionRebuilt { projection, differences } => {
            write(PROJECTION_REBUILT, &ProjectionRebuiltV1 { projection, differences: *differences, from }, out)
        }
        Deed::BackupTaken { position } => write(BACKUP_TAKEN, &BackupV1 { position: *position, from }, out),
        Deed::Restored { position } => write(RESTORED, &BackupV1 { position: *position, from }, out),
        Deed::WebhookUrlSet { channel, url } => write(WEBHOOK_URL_SET, &webhook(channel, url), out),
        Deed::WebhookSecretSet { channel, scheme, name, grace_until } => {
            let (channel, scheme) = (channel_code(*channel), scheme_code(*scheme));
            let grace_until = grace_until.map(|until| until.0);
            write(WEBHOOK_SECRET_SET, &WebhookSecretSetV1 { channel, scheme, name, grace_until, from }, out)
        }
        Deed::WebhookPaused { channel, reason } => write(WEBHOOK_PAUSED, &webhook(channel, reason), out),
        Deed::WebhookResumed { channel } => write(WEBHOOK_RESUMED, &webhook(channel, ""), out),
        Deed::WebhookRedelivered { channel, what, deliveries } => {
            let (channel, deliveries) = (channel_code(*channel), *deliveries);
            write(WEBHOOK_REDELIVERED, &WebhookDeliveriesV1 { channel, what, deliveries, reason: "", from }, out)
        }
        Deed::WebhookLettersDropped { channel, what, deliveries, reason } => {
            let (channel, deliveries) = (channel_code(*channel), *deliveries);
            write(WEBHOOK_LETTERS_DROPPED, &WebhookDeliveriesV1 { channel, what, deliveries, reason, from }, out)
        }
        Deed::WebhookClosed { channel, deliveries, reason } => {
            let (channel, deliveries) = (channel_code(*channel), *deliveries);
            write(WEBHOOK_CLOSED, &WebhookDeliveriesV1 { channel, what: "", deliveries, reason, from }, out)
        }
        Deed::ApiKeyCreated(Grant { id, name, role, accounts, expires, proof }) => {
            let (id, role, expires) = (*id, role_code(*role), expires.map(|end| end.0));
            let accounts = accounts.iter().map(String::as_str).collect();
            match proof {
                Proof::Hash(hash) => {
                    let created = ApiKeyCreatedV1 { id, name, role, accounts, expires, hash: *hash, from };
                    write(API_KEY_CREATED, &created, out)
                }
                Proof::Tenant(tenant) => {
                    let created = TenantKeyCreatedV1 { id, name, tenant, accounts, expires, from };
                    write(TENANT_KEY_CREATED, &created, out)
                }
            }
        }
        Deed::ApiKeyRevoked { id } => write(API_KEY_REVOKED, &ApiKeyRevokedV1 { id: *id, from }, out),
        Deed::MasterKeyRotated { rewrapped } => {
            write(MASTER_KEY_ROTATED, &MasterKeyRotatedV1 { rewrapped: *rewrapped, from }, out)
        }
        Deed::MasterKeyRotationAborted { rewrapped } => {
            write(MASTER_KEY_ROTATION_ABORTED, &MasterKeyRotatedV1 { rewrapped: *rewrapped, from }, out)
        }
        Deed::MasterKeyRotationFinished { rewrapped } => {
            write(MASTER_KEY_ROTATION_FINISHED, &MasterKeyRotatedV1 { rewrapped: *rewrapped, from }, out)
        }
        Deed::AccountsOrdered { order, accounts, reason } => {
            let (order, accounts) = (order_code(*order), *accounts);
            write(ACCOUNTS_ORDERED, &AccountsOrderedV1 { order, accounts, reason, from }, out)
        }
        Deed::ReconciliationOrdered { gateway, reason } => {
            let gateway = gateway.code();
            write(RECONCILIATION_ORDERED, &ReconciliationOrderedV1 { gateway, reason, from }, out)
        }
    }
}

/// The act of a payload; none if the type is no act's.
pub(super) fn decode(event_type: u16, payload: &[u8]) -> Result<Option<Act>, Undecodable> {
    let (deed, from) = match event_type {
        PROJECTION_REBUILT => {
            let ProjectionRebuiltV1 { projection, differences, from } = read(payload)?;
            (Deed::ProjectionRebuilt { projection: projection.to_owned(), differences }, from)
        }
        BACKUP_TAKEN => {
            let BackupV1 { position, from } = read(payload)?;
            (Deed::BackupTaken { position }, from)
        }
        RESTORED => {
            let BackupV1 { position, from } = read(payload)?;
            (Deed::Restored { position }, from)
        }
        WEBHOOK_URL_SET => {
            let WebhookV1 { channel, text, from } = read(payload)?;
            (Deed::WebhookUrlSet { channel: channel_of(channel)?, url: text.to_owned() }, from)
        }
        WEBHOOK_SECRET_SET => {
            let WebhookSecretSetV1 { channel, scheme, name, grace_until, from } = read(payload)?;
            let (channel, scheme) = (channel_of(channel)?, scheme_of(scheme)?);
            let grace_until = grace_until.map(Timestamp);
            (Deed::WebhookSecretSet { channel, scheme, name: name.to_owned(), grace_until }, from)
        }
        WEBHOOK_PAUSED => {
            let WebhookV1 { channel, text, from } = read(payload)?;
            (Deed::WebhookPaused { channel: channel_of(channel)?, reason: text.to_owned() }, from)
        }
        WEBHOOK_RESUMED => {
            let WebhookV1 { channel, from, .. } = read(payload)?;
            (Deed::WebhookResumed { channel: channel_of(channel)? }, from)
        }
        WEBHOOK_REDELIVERED => {
            let WebhookDeliveriesV1 { channel, what, deliveries, from, .. } = read(payload)?;
            (Deed::WebhookRedelivered { channel: channel_of(channel)?, what: what.to_owned(), deliveries }, from)
        }
        WEBHOOK_LETTERS_DROPPED => {
            let WebhookDeliveriesV1 { channel, what, deliveries, reason, from } = read(payload)?;
            let (channel, what, reason) = (channel_of(channel)?, what.to_owned(), reason.to_owned());
            (Deed::WebhookLettersDropped { channel, what, deliveries, reason }, from)
        }
        API_KEY_CREATED => {
            let ApiKeyCreatedV1 { id, name, role, accounts, expires, hash, from } = read(payload)?;
            let accounts = accounts.into_iter().map(str::to_owned).collect();
            let (name, role, expires) = (name.to_owned(), role_of(role)?, expires.map(Timestamp));
            (Deed::ApiKeyCreated(Grant { id, name, role, accounts, expires, proof: Proof::Hash(hash) }), from)
        }
        API_KEY_REVOKED => {
            let ApiKeyRevokedV1 { id, from } = read(payload)?;
            (Deed::ApiKeyRevoked { id }, from)
        }
        MASTER_KEY_ROTATED => {
            let MasterKeyRotatedV1 { rewrapped, from } = read(payload)?;
            (Deed::MasterKeyRotated { rewrapped }, from)
        }
        MASTER_KEY_ROTATION_ABORTED => {
            let MasterKeyRotatedV1 { rewrapped, from } = read(payload)?;
            (Deed::MasterKeyRotationAborted { rewrapped }, from)
        }
        MASTER_KEY_ROTATION_FINISHED => {
            let MasterKeyRotatedV1 { rewrapped, from } = read(payload)?;
            (Deed::MasterKeyRotationFinished { rewrapped }, from)
        }
        TENANT_KEY_CREATED => {
            let TenantKeyCreatedV1 { id, name, tenant, accounts, expires, from } = read(payload)?;
            let accounts = accounts.into_iter().map(str::to_owned).collect();
            let (name, role, expires) = (name.to_owned(), Role::Caller, expires.map(Timestamp));
            let proof = Proof::Tenant(tenant.to_owned());
            (Deed::ApiKeyCreated(Grant { id, name, role, accounts, expires, proof }), from)
        }
        ACCOUNTS_ORDERED => {
            let AccountsOrderedV1 { order, accounts, reason, from } = read(payload)?;
            (Deed::AccountsOrdered { order: order_of(order)?, accounts, reason: reason.to_owned() }, from)
        }
        RECONCILIATION_ORDERED => {
            let ReconciliationOrderedV1 { gateway, reason, from } = read(payload)?;
            let gateway = GatewayKind::from_code(gateway).ok_or(Undecodable::Damaged)?;
            (Deed::ReconciliationOrdered { gateway, reason: reason.to_owned() }, from)
        }
        WEBHOOK_CLOSED => {
            let WebhookDeliveriesV1 { channel, deliveries, reason, from, .. } = read(payload)?;
            (Deed::WebhookClosed { channel: channel_of(channel)?, deliveries, reason: reason.to_owned() }, from)
        }
        _ => return Ok(None),
    };
    Ok(Some(Act { deed, from: from.to_owned() }))
}

fn channel_code(channel: Channel) -> u8 {
    match channel {
        Channel::SyncStatus => 1,
        Channel::RegisterStatus => 2,
    }
}

fn channel_of(code: u8) -> Result<Channel, Undecodable> {
    Channel::ALL.into_iter().find(|channel| channel_code(*channel) == code).ok_or(Undecodable::Damaged)
}

fn order_code(order: Order) -> u8 {
    match order {
        Order::Online => 1,
        Order::Recycle => 2,
    }
}

fn order_of(code: u8) -> Result<Order, Undecodable> {
    Order::ALL.into_iter().find(|order| order_code(*order) == code).ok_or(Undecodable::Damaged)
}

fn role_code(role: Role) -> u8 {
    match role {
        Role::Caller => 1,
        Role::Operator => 2,
        Role::Auditor => 3,
        Role::Admin => 4,
    }
}

fn role_of(code: u8) -> Result<Role, Undecodable> {
    Role::ALL.into_iter().find(|role| role_code(*role) == code).ok_or(Undecodable::Damaged)
}

fn scheme_code(scheme: SigningScheme) -> u8 {
    match scheme {
        SigningScheme::Standard => 1,
        SigningScheme::App => 2,
    }
}

fn scheme_of(code: u8) -> Result<SigningScheme, Undecodable> {
    let schemes = [SigningScheme::Standard, SigningScheme::App];
    schemes.into_iter().find(|scheme| scheme_code(*scheme) == code).ok_or(Undecodable::Damaged)
}
