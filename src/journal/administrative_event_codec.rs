//! The payloads of administrative events, under the same rules as those in `event_codec`.

use super::administrative_codes::{
    channel_from_number, order_code, order_from_code, role_code, role_from_code, scheme_code, scheme_from_code,
};
use super::administrative_event_payloads::{
    AccountBundleExportedV1, AccountsOrderedV1, ApiKeyCreatedV1, ApiKeyRevokedV1, BackupV1, BackupV2, EventsExportedV1,
    GenerationBegunV1, MasterKeyRotatedV1, MasterKeyRotatedV2, ProjectionRebuiltV1, ReconciliationOrderedV1,
    TenantKeyCreatedV1, WebhookDeliveriesV1, WebhookResyncedV1, WebhookSecretSetV1, WebhookV1,
};
use super::payload::{PayloadError, decode_payload, encode_payload};
use crate::domain::{
    AdministrativeEvent, AdministrativeEventType, AuditLogEntry, Channel, CredentialVerifier, GatewayKind, Generation,
    Grant, MasterKeyId, Role, Timestamp,
};

/// Writes the payload of an administrative event.
pub(super) fn encode(entry: &AuditLogEntry, out: &mut Vec<u8>) {
    let AuditLogEntry { event, source: from } = entry;
    let webhook = |channel: &Channel, text| WebhookV1 { channel: channel.definition().number, text, from };
    match event {
        AdministrativeEvent::ProjectionRebuilt { projection, differences } => {
            encode_payload(&ProjectionRebuiltV1 { projection, differences: *differences, from }, out);
        }
        AdministrativeEvent::BackupTaken { position, master_key }
        | AdministrativeEvent::Restored { position, master_key } => {
            let (position, master_key) = (*position, master_key.map(|id| id.0));
            encode_payload(&BackupV2 { position, master_key, from }, out);
        }
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
        AdministrativeEvent::WebhookResynced { channel, accounts, reason } => {
            let (channel, accounts) = (channel.definition().number, *accounts);
            encode_payload(&WebhookResyncedV1 { channel, accounts, reason, from }, out);
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
        AdministrativeEvent::GenerationBegun { generation, previous, fork, root, master_key, reason } => {
            let (generation, previous, fork, root) = (generation.number(), previous.number(), *fork, *root);
            let master_key = master_key.map(|id| id.0);
            encode_payload(&GenerationBegunV1 { generation, previous, fork, root, master_key, reason, from }, out);
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
            let BackupV2 { position, master_key, from } = decode_payload(payload)?;
            (AdministrativeEvent::BackupTaken { position, master_key: master_key.map(MasterKeyId) }, from)
        }
        (AdministrativeEventType::Restored, 2) => {
            let BackupV2 { position, master_key, from } = decode_payload(payload)?;
            (AdministrativeEvent::Restored { position, master_key: master_key.map(MasterKeyId) }, from)
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
            (AdministrativeEvent::Restored { position, master_key: None }, from)
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
        AdministrativeEventType::GenerationBegun => {
            let GenerationBegunV1 { generation, previous, fork, root, master_key, reason, from } =
                decode_payload(payload)?;
            let number = |number| Generation::new(number).ok_or(PayloadError::Damaged);
            let (generation, previous) = (number(generation)?, number(previous)?);
            let (master_key, reason) = (master_key.map(MasterKeyId), reason.to_owned());
            (AdministrativeEvent::GenerationBegun { generation, previous, fork, root, master_key, reason }, from)
        }
        AdministrativeEventType::WebhookResynced => {
            let WebhookResyncedV1 { channel, accounts, reason, from } = decode_payload(payload)?;
            let (channel, reason) = (channel_from_number(channel)?, reason.to_owned());
            (AdministrativeEvent::WebhookResynced { channel, accounts, reason }, from)
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
