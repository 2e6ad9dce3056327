//! The payloads of administrative events, under the same rules as those in `event_codec`.

use bincode::{BorrowDecode, Encode};

use super::administrative_codes::{
    channel_from_number, order_code, order_from_code, role_code, role_from_code, scheme_code, scheme_from_code,
};
use super::payload::{PayloadError, decode_payload, encode_payload};
use crate::domain::{
    AdministrativeEvent, AdministrativeEventType, AuditLogEntry, Channel, CredentialVerifier, GatewayKind, Grant,
    MasterKeyId, Role, Timestamp,
};

// --- Version 1 of each payload. A channel is 1 for sync, 2 for register. ---
// Frozen: fields, their order and their types. Records in journals and backups hold these bytes.

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

/// Types 1004, 1006 and 1007. The text is the URL in 1004 and the reason in 1006; it is empty in 1007.
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

/// Types 1008, 1009 and 1016. `reason` is empty in 1008, `what` in 1016.
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

/// Type 1013. The role is always caller.
#[derive(Encode, BorrowDecode)]
struct TenantKeyCreatedV1<'a> {
    id: u64,
    name: &'a str,
    tenant: &'a str,
    accounts: Vec<&'a str>,
    expires: Option<i64>,
    from: &'a str,
}

/// Type 1014. Order 1 is online, 2 is recycle.
#[derive(Encode, BorrowDecode)]
struct AccountsOrderedV1<'a> {
    order: u8,
    accounts: u64,
    reason: &'a str,
    from: &'a str,
}

/// Type 1015. The gateway is the number of its kind.
#[derive(Encode, BorrowDecode)]
struct ReconciliationOrderedV1<'a> {
    gateway: u8,
    reason: &'a str,
    from: &'a str,
}

/// Type 1019. The filter is in the order of its names.
#[derive(Encode, BorrowDecode)]
struct EventsExportedV1<'a> {
    format: &'a str,
    filter: Vec<(&'a str, &'a str)>,
    first: u64,
    last: u64,
    from: &'a str,
}

/// Type 1020.
#[derive(Encode, BorrowDecode)]
struct AccountBundleExportedV1<'a> {
    account: &'a str,
    from: &'a str,
}

// --- Version 2: with the id of the master key that holds afterwards. ---

/// Type 1002.
#[derive(Encode, BorrowDecode)]
struct BackupTakenV2<'a> {
    position: u64,
    master_key: Option<u32>,
    from: &'a str,
}

/// Types 1012, 1017 and 1018.
#[derive(Encode, BorrowDecode)]
struct MasterKeyRotatedV2<'a> {
    rewrapped: u64,
    master_key: Option<u32>,
    from: &'a str,
}

/// Writes the payload of an administrative event.
pub(super) fn encode(entry: &AuditLogEntry, out: &mut Vec<u8>) {
    let AuditLogEntry { event, source: from } = entry;
    let webhook = |channel: &Channel, text| WebhookV1 { channel: channel.definition().number, text, from };
    match event {
        AdministrativeEvent::ProjectionRebuilt { projection, differences } => {
            encode_payload(&ProjectionRebuiltV1 { projection, differences: *differences, from }, out);
        }
        AdministrativeEvent::BackupTaken { position, master_key } => {
            let (position, master_key) = (*position, master_key.map(|id| id.0));
            encode_payload(&BackupTakenV2 { position, master_key, from }, out);
        }
        AdministrativeEvent::Restored { position } => encode_payload(&BackupV1 { position: *position, from }, out),
        AdministrativeEvent::WebhookUrlSet { channel, url } => encode_payload(&webhook(channel, url), out),
        AdministrativeEvent::WebhookSecretSet { channel, scheme, name, grace_until } => {
            let (channel, scheme) = (channel.definition().number, scheme_code(*scheme));
            let grace_until = grace_until.map(|until| until.0);
            encode_payload(&WebhookSecretSetV1 { channel, scheme, name, grace_until, from }, out);
        }
        AdministrativeEvent::WebhookPaused { channel, reason } => encode_payload(&webhook(channel, reason), out),
        AdministrativeEvent::WebhookResumed { channel } => encode_payload(&webhook(channel, ""), out),
        AdministrativeEvent::WebhookRedelivered { channel, what, deliveries } => {
            let (channel, deliveries) = (channel.definition().number, *deliveries);
            encode_payload(&WebhookDeliveriesV1 { channel, what, deliveries, reason: "", from }, out);
        }
        AdministrativeEvent::WebhookLettersDropped { channel, what, deliveries, reason } => {
            let (channel, deliveries) = (channel.definition().number, *deliveries);
            encode_payload(&WebhookDeliveriesV1 { channel, what, deliveries, reason, from }, out);
        }
        AdministrativeEvent::WebhookClosed { channel, deliveries, reason } => {
            let (channel, deliveries) = (channel.definition().number, *deliveries);
            encode_payload(&WebhookDeliveriesV1 { channel, what: "", deliveries, reason, from }, out);
        }
        AdministrativeEvent::ApiKeyCreated(grant) => encode_grant(grant, from, out),
        AdministrativeEvent::ApiKeyRevoked { id } => encode_payload(&ApiKeyRevokedV1 { id: *id, from }, out),
        AdministrativeEvent::MasterKeyRotated { rewrapped, master_key }
        | AdministrativeEvent::MasterKeyRotationAborted { rewrapped, master_key }
        | AdministrativeEvent::MasterKeyRotationFinished { rewrapped, master_key } => {
            let (rewrapped, master_key) = (*rewrapped, master_key.map(|id| id.0));
            encode_payload(&MasterKeyRotatedV2 { rewrapped, master_key, from }, out);
        }
        AdministrativeEvent::AccountsOrdered { order, accounts, reason } => {
            let (order, accounts) = (order_code(*order), *accounts);
            encode_payload(&AccountsOrderedV1 { order, accounts, reason, from }, out);
        }
        AdministrativeEvent::ReconciliationOrdered { gateway, reason } => {
            let gateway = gateway.code();
            encode_payload(&ReconciliationOrderedV1 { gateway, reason, from }, out);
        }
        AdministrativeEvent::EventsExported { format, filter, first, last } => {
            let filter = filter.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            encode_payload(&EventsExportedV1 { format, filter, first: *first, last: *last, from }, out);
        }
        AdministrativeEvent::AccountBundleExported { account } => {
            encode_payload(&AccountBundleExportedV1 { account: &account.to_string(), from }, out);
        }
    }
}

fn encode_grant(grant: &Grant, from: &str, out: &mut Vec<u8>) {
    let Grant { id, name, role, accounts, expires_at, verifier } = grant;
    let (id, role, expires) = (*id, role_code(*role), expires_at.map(|end| end.0));
    let accounts = accounts.iter().map(String::as_str).collect();
    match verifier {
        CredentialVerifier::Hash(hash) => {
            encode_payload(&ApiKeyCreatedV1 { id, name, role, accounts, expires, hash: *hash, from }, out);
        }
        CredentialVerifier::Tenant(tenant) => {
            encode_payload(&TenantKeyCreatedV1 { id, name, tenant, accounts, expires, from }, out);
        }
    }
}

/// Decodes the payload of an administrative event of this type and schema version.
pub(super) fn decode(
    event_type: AdministrativeEventType,
    schema: u16,
    payload: &[u8],
) -> Result<AuditLogEntry, PayloadError> {
    // Version 2 of a type has its arm before the last.
    let (event, from) = match (event_type, schema) {
        (_, 1) => return decode_version_1(event_type, payload),
        (AdministrativeEventType::BackupTaken, 2) => {
            let BackupTakenV2 { position, master_key, from } = decode_payload(payload)?;
            (AdministrativeEvent::BackupTaken { position, master_key: master_key.map(MasterKeyId) }, from)
        }
        (AdministrativeEventType::MasterKeyRotated, 2) => {
            let (rewrapped, master_key, from) = decode_rotation_2(payload)?;
            (AdministrativeEvent::MasterKeyRotated { rewrapped, master_key }, from)
        }
        (AdministrativeEventType::MasterKeyRotationAborted, 2) => {
            let (rewrapped, master_key, from) = decode_rotation_2(payload)?;
            (AdministrativeEvent::MasterKeyRotationAborted { rewrapped, master_key }, from)
        }
        (AdministrativeEventType::MasterKeyRotationFinished, 2) => {
            let (rewrapped, master_key, from) = decode_rotation_2(payload)?;
            (AdministrativeEvent::MasterKeyRotationFinished { rewrapped, master_key }, from)
        }
        (_, _) => return Err(PayloadError::Unknown),
    };
    Ok(AuditLogEntry { event, source: from.to_owned() })
}

fn decode_rotation_2(payload: &[u8]) -> Result<(u64, Option<MasterKeyId>, &str), PayloadError> {
    let MasterKeyRotatedV2 { rewrapped, master_key, from } = decode_payload(payload)?;
    Ok((rewrapped, master_key.map(MasterKeyId), from))
}

fn decode_version_1(event_type: AdministrativeEventType, payload: &[u8]) -> Result<AuditLogEntry, PayloadError> {
    let (event, from) = match event_type {
        AdministrativeEventType::ProjectionRebuilt => {
            let ProjectionRebuiltV1 { projection, differences, from } = decode_payload(payload)?;
            (AdministrativeEvent::ProjectionRebuilt { projection: projection.to_owned(), differences }, from)
        }
        AdministrativeEventType::BackupTaken => {
            let BackupV1 { position, from } = decode_payload(payload)?;
            (AdministrativeEvent::BackupTaken { position, master_key: None }, from)
        }
        AdministrativeEventType::Restored => {
            let BackupV1 { position, from } = decode_payload(payload)?;
            (AdministrativeEvent::Restored { position }, from)
        }
        AdministrativeEventType::WebhookUrlSet => {
            let WebhookV1 { channel, text, from } = decode_payload(payload)?;
            (AdministrativeEvent::WebhookUrlSet { channel: channel_from_number(channel)?, url: text.to_owned() }, from)
        }
        AdministrativeEventType::WebhookSecretSet => {
            let WebhookSecretSetV1 { channel, scheme, name, grace_until, from } = decode_payload(payload)?;
            let (channel, scheme) = (channel_from_number(channel)?, scheme_from_code(scheme)?);
            let grace_until = grace_until.map(Timestamp);
            (AdministrativeEvent::WebhookSecretSet { channel, scheme, name: name.to_owned(), grace_until }, from)
        }
        AdministrativeEventType::WebhookPaused => {
            let WebhookV1 { channel, text, from } = decode_payload(payload)?;
            (
                AdministrativeEvent::WebhookPaused { channel: channel_from_number(channel)?, reason: text.to_owned() },
                from,
            )
        }
        AdministrativeEventType::WebhookResumed => {
            let WebhookV1 { channel, from, .. } = decode_payload(payload)?;
            (AdministrativeEvent::WebhookResumed { channel: channel_from_number(channel)? }, from)
        }
        AdministrativeEventType::WebhookRedelivered => {
            let WebhookDeliveriesV1 { channel, what, deliveries, from, .. } = decode_payload(payload)?;
            (
                AdministrativeEvent::WebhookRedelivered {
                    channel: channel_from_number(channel)?,
                    what: what.to_owned(),
                    deliveries,
                },
                from,
            )
        }
        AdministrativeEventType::WebhookLettersDropped => {
            let WebhookDeliveriesV1 { channel, what, deliveries, reason, from } = decode_payload(payload)?;
            let (channel, what, reason) = (channel_from_number(channel)?, what.to_owned(), reason.to_owned());
            (AdministrativeEvent::WebhookLettersDropped { channel, what, deliveries, reason }, from)
        }
        AdministrativeEventType::ApiKeyCreated => {
            let ApiKeyCreatedV1 { id, name, role, accounts, expires, hash, from } = decode_payload(payload)?;
            let accounts = accounts.into_iter().map(str::to_owned).collect();
            let (name, role, expires_at) = (name.to_owned(), role_from_code(role)?, expires.map(Timestamp));
            let verifier = CredentialVerifier::Hash(hash);
            (AdministrativeEvent::ApiKeyCreated(Grant { id, name, role, accounts, expires_at, verifier }), from)
        }
        AdministrativeEventType::ApiKeyRevoked => {
            let ApiKeyRevokedV1 { id, from } = decode_payload(payload)?;
            (AdministrativeEvent::ApiKeyRevoked { id }, from)
        }
        AdministrativeEventType::MasterKeyRotated => {
            let MasterKeyRotatedV1 { rewrapped, from } = decode_payload(payload)?;
            (AdministrativeEvent::MasterKeyRotated { rewrapped, master_key: None }, from)
        }
        AdministrativeEventType::MasterKeyRotationAborted => {
            let MasterKeyRotatedV1 { rewrapped, from } = decode_payload(payload)?;
            (AdministrativeEvent::MasterKeyRotationAborted { rewrapped, master_key: None }, from)
        }
        AdministrativeEventType::MasterKeyRotationFinished => {
            let MasterKeyRotatedV1 { rewrapped, from } = decode_payload(payload)?;
            (AdministrativeEvent::MasterKeyRotationFinished { rewrapped, master_key: None }, from)
        }
        AdministrativeEventType::TenantKeyCreated => {
            let TenantKeyCreatedV1 { id, name, tenant, accounts, expires, from } = decode_payload(payload)?;
            let accounts = accounts.into_iter().map(str::to_owned).collect();
            let (name, role, expires_at) = (name.to_owned(), Role::Caller, expires.map(Timestamp));
            let verifier = CredentialVerifier::Tenant(tenant.to_owned());
            (AdministrativeEvent::ApiKeyCreated(Grant { id, name, role, accounts, expires_at, verifier }), from)
        }
        AdministrativeEventType::AccountsOrdered => {
            let AccountsOrderedV1 { order, accounts, reason, from } = decode_payload(payload)?;
            (
                AdministrativeEvent::AccountsOrdered {
                    order: order_from_code(order)?,
                    accounts,
                    reason: reason.to_owned(),
                },
                from,
            )
        }
        AdministrativeEventType::ReconciliationOrdered => {
            let ReconciliationOrderedV1 { gateway, reason, from } = decode_payload(payload)?;
            let gateway = GatewayKind::from_code(gateway).ok_or(PayloadError::Damaged)?;
            (AdministrativeEvent::ReconciliationOrdered { gateway, reason: reason.to_owned() }, from)
        }
        AdministrativeEventType::EventsExported => {
            let EventsExportedV1 { format, filter, first, last, from } = decode_payload(payload)?;
            let filter = filter.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            (AdministrativeEvent::EventsExported { format: format.to_owned(), filter, first, last }, from)
        }
        AdministrativeEventType::AccountBundleExported => {
            let AccountBundleExportedV1 { account, from } = decode_payload(payload)?;
            let account = account.parse().map_err(|_| PayloadError::Damaged)?;
            (AdministrativeEvent::AccountBundleExported { account }, from)
        }
        AdministrativeEventType::WebhookClosed => {
            let WebhookDeliveriesV1 { channel, deliveries, reason, from, .. } = decode_payload(payload)?;
            (
                AdministrativeEvent::WebhookClosed {
                    channel: channel_from_number(channel)?,
                    deliveries,
                    reason: reason.to_owned(),
                },
                from,
            )
        }
    };
    Ok(AuditLogEntry { event, source: from.to_owned() })
}
