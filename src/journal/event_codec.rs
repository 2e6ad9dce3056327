//! The payloads of account events, in versions that never change.
//!
//! The number of an event's type and its schema version select a struct. It never changes once a release has written it:
//! records in journals, backups and bundles hold its bytes. A new field needs a struct of a new version beside the old one,
//! and decoding turns every version into the current event. `snapshots/` holds the bytes of each version. The numbers of
//! types and versions are in the tables of `domain::event` and `domain::administrative_event`.

use std::sync::Arc;

use bincode::{BorrowDecode, Encode};

use super::administrative_event_codec;
use super::content_codec::{ContentV1, decode_account_type, reserve_content};
use super::journal_event::JournalEvent;
use super::payload::{PayloadError, decode_payload, encode_payload};
use crate::domain::{
    AccountEventType, CallingCode, Content, Event, EventType, GatewayKind, Labels, OnlineStatus, ProviderCall, Reason,
    RegistrationResult, SealedBytes, Status, TaskId, Timestamp, VerifyType,
};

// --- Version 1 of each payload. ---
// Frozen: fields, their order and their types. Records in journals, backups and bundles hold these bytes.

/// Type 4.
#[derive(Encode, BorrowDecode)]
struct CameOnlineV1<'a> {
    instance_code: &'a str,
}

/// Types 6 and 7.
#[derive(Encode, BorrowDecode)]
struct SessionEndedV1<'a> {
    reason: &'a str,
    instance_code: &'a str,
}

/// Type 9.
#[derive(Encode, BorrowDecode)]
struct RegistrationRequestedV1<'a> {
    task: u32,
    verify_type: u8,
    account_type: u8,
    calling_code: u16,
    country: &'a str,
    expires_at: i64,
}

/// Type 11.
#[derive(Encode, BorrowDecode)]
struct CodeSubmittedV1<'a> {
    code: &'a [u8],
}

/// Type 13.
#[derive(Encode, BorrowDecode)]
struct RegistrationFailedV1<'a> {
    reason: &'a str,
    attempt: u32,
    still_waiting: bool,
}

/// Type 14.
#[derive(Encode, BorrowDecode)]
struct SecretsErasedV1<'a> {
    reason: &'a str,
}

/// Type 15.
#[derive(Encode, BorrowDecode)]
struct GatewayAssignedV1 {
    gateway: u8,
}

/// Type 16.
#[derive(Encode, BorrowDecode)]
struct PinKeptV1<'a> {
    pin: &'a [u8],
}

/// Type 17.
#[derive(Encode, BorrowDecode)]
struct ProviderCalledV1 {
    call: u8,
    at: i64,
}

/// Type 18. The labels are names and values, sorted by name.
#[derive(Encode, BorrowDecode)]
struct LabelsChangedV1<'a> {
    labels: Vec<(&'a str, &'a str)>,
    reason: &'a str,
}

/// Type 19. The codes are those of the webhook.
#[derive(Encode, BorrowDecode)]
struct StatusResyncedV1<'a> {
    status: u8,
    online_status: u8,
    reason: &'a str,
    instance_code: &'a str,
}

/// Type 20.
#[derive(Encode, BorrowDecode)]
struct RegistrationResyncedV1 {
    successful: bool,
    still_waiting: bool,
}

/// Type 21.
#[derive(Encode, BorrowDecode)]
struct SessionNumbersAdvancedV1 {
    last: u32,
}

// --- Version 2. Frozen: like version 1. ---

/// Types 1, 2, 3, 5, 9 and 11, the events of orders: version 1 and the reason of the order.
#[derive(Encode, BorrowDecode)]
struct OrderV2<'a, T> {
    /// `()` for types 3 and 5, which have no payload in version 1.
    v1: T,
    /// Empty without a reason.
    reason: &'a str,
}

// --- Events to payloads and back. ---

/// The number of an event's type, the version of its payload, and the payload.
pub(super) fn encode(event: &JournalEvent) -> (u16, u16, Vec<u8>) {
    let mut payload = Vec::new();
    let definition = match event {
        JournalEvent::Account(event) => {
            encode_event(event, &mut payload);
            event.definition()
        }
        JournalEvent::Administration(entry) => {
            administrative_event_codec::encode(entry, &mut payload);
            entry.event.event_type().definition()
        }
        JournalEvent::Unknown(unknown) => return (unknown.event_type, unknown.schema, unknown.payload.to_vec()),
    };
    (definition.number, definition.schema, payload)
}

fn encode_event(event: &Event, payload: &mut Vec<u8>) {
    match event {
        Event::AccountImported { content, reason } | Event::ContentReplaced { content, reason } => {
            reserve_content(content, payload);
            encode_order(ContentV1::from_content(content), reason, payload);
        }
        Event::OnlineRequested { reason } | Event::RecycleRequested { reason } => encode_order((), reason, payload),
        Event::BanLifted | Event::CodeSent | Event::Registered => {}
        Event::CameOnline { instance_code } => encode_payload(&CameOnlineV1 { instance_code }, payload),
        Event::WentOffline { reason, instance_code } | Event::Banned { reason, instance_code } => {
            encode_payload(&SessionEndedV1 { reason: reason.as_str(), instance_code }, payload);
        }
        // The lifetime is not stored: it is the difference between `expires_at` and the record's time.
        Event::RegistrationRequested {
            task,
            verify_type,
            account_type,
            calling_code,
            country,
            expires_at,
            reason,
            lifetime: _,
        } => {
            let requested = RegistrationRequestedV1 {
                task: task.get(),
                verify_type: verify_type.code(),
                account_type: account_type.code(),
                calling_code: calling_code.get(),
                country,
                expires_at: expires_at.0,
            };
            encode_order(requested, reason, payload);
        }
        Event::CodeSubmitted { code, reason } => encode_order(CodeSubmittedV1 { code: &code.0 }, reason, payload),
        Event::RegistrationFailed { reason, attempt, still_waiting } => {
            let failed =
                RegistrationFailedV1 { reason: reason.as_str(), attempt: *attempt, still_waiting: *still_waiting };
            encode_payload(&failed, payload);
        }
        Event::SecretsErased { reason } => encode_payload(&SecretsErasedV1 { reason: reason.as_str() }, payload),
        Event::GatewayAssigned { gateway } => encode_payload(&GatewayAssignedV1 { gateway: gateway.code() }, payload),
        Event::PinKept { pin } => encode_payload(&PinKeptV1 { pin: &pin.0 }, payload),
        Event::ProviderCalled { call, at } => {
            encode_payload(&ProviderCalledV1 { call: call.code(), at: at.0 }, payload);
        }
        Event::LabelsChanged { labels, reason } => {
            let changed = LabelsChangedV1 { labels: labels.iter().collect(), reason: reason.as_str() };
            encode_payload(&changed, payload);
        }
        Event::StatusResynced { status, online_status, reason, instance_code } => {
            let (status, online_status, reason) = (status.code(), online_status.code(), reason.as_str());
            encode_payload(&StatusResyncedV1 { status, online_status, reason, instance_code }, payload);
        }
        Event::RegistrationResynced { result: RegistrationResult { successful, still_waiting } } => {
            let (successful, still_waiting) = (*successful, *still_waiting);
            encode_payload(&RegistrationResyncedV1 { successful, still_waiting }, payload);
        }
        Event::SessionNumbersAdvanced { last } => encode_payload(&SessionNumbersAdvancedV1 { last: *last }, payload),
    }
}

fn encode_order(v1: impl Encode, reason: &Reason, payload: &mut Vec<u8>) {
    encode_payload(&OrderV2 { v1, reason: reason.as_str() }, payload);
}

/// Decodes a payload that any version of this program wrote. `at` is the record's time.
pub(super) fn decode(
    event_type: u16,
    schema: u16,
    at: Timestamp,
    payload: &[u8],
) -> Result<JournalEvent, PayloadError> {
    match EventType::from_number(event_type) {
        Some(known) if !(1..=known.definition().schema).contains(&schema) => Err(PayloadError::Unknown),
        Some(EventType::Account(known)) => decode_event(known, schema, at, payload).map(JournalEvent::Account),
        Some(EventType::Administration(known)) => {
            administrative_event_codec::decode(known, schema, payload).map(JournalEvent::Administration)
        }
        None => Err(PayloadError::Unknown),
    }
}

fn decode_event(
    event_type: AccountEventType,
    schema: u16,
    at: Timestamp,
    payload: &[u8],
) -> Result<Event, PayloadError> {
    Ok(match event_type {
        AccountEventType::AccountImported => {
            let (content, reason) = decode_content_order(schema, payload)?;
            Event::AccountImported { content, reason }
        }
        AccountEventType::ContentReplaced => {
            let (content, reason) = decode_content_order(schema, payload)?;
            Event::ContentReplaced { content, reason }
        }
        AccountEventType::OnlineRequested => Event::OnlineRequested { reason: decode_order::<()>(schema, payload)?.1 },
        AccountEventType::CameOnline => {
            let CameOnlineV1 { instance_code } = decode_payload(payload)?;
            Event::CameOnline { instance_code: instance_code.to_owned() }
        }
        AccountEventType::RecycleRequested => {
            Event::RecycleRequested { reason: decode_order::<()>(schema, payload)?.1 }
        }
        AccountEventType::WentOffline => {
            let SessionEndedV1 { reason, instance_code } = decode_payload(payload)?;
            Event::WentOffline { reason: Reason::new(reason), instance_code: instance_code.to_owned() }
        }
        AccountEventType::Banned => {
            let SessionEndedV1 { reason, instance_code } = decode_payload(payload)?;
            Event::Banned { reason: Reason::new(reason), instance_code: instance_code.to_owned() }
        }
        AccountEventType::BanLifted => decode_empty(payload, Event::BanLifted)?,
        AccountEventType::RegistrationRequested => decode_registration(schema, at, payload)?,
        AccountEventType::CodeSent => decode_empty(payload, Event::CodeSent)?,
        AccountEventType::CodeSubmitted => {
            let (CodeSubmittedV1 { code }, reason) = decode_order(schema, payload)?;
            Event::CodeSubmitted { code: SealedBytes(code.into()), reason }
        }
        AccountEventType::Registered => decode_empty(payload, Event::Registered)?,
        AccountEventType::RegistrationFailed => {
            let RegistrationFailedV1 { reason, attempt, still_waiting } = decode_payload(payload)?;
            Event::RegistrationFailed { reason: Reason::new(reason), attempt, still_waiting }
        }
        AccountEventType::SecretsErased => {
            let SecretsErasedV1 { reason } = decode_payload(payload)?;
            Event::SecretsErased { reason: Reason::new(reason) }
        }
        AccountEventType::GatewayAssigned => {
            let GatewayAssignedV1 { gateway } = decode_payload(payload)?;
            Event::GatewayAssigned { gateway: GatewayKind::from_code(gateway).ok_or(PayloadError::Damaged)? }
        }
        AccountEventType::PinKept => {
            let PinKeptV1 { pin } = decode_payload(payload)?;
            Event::PinKept { pin: SealedBytes(pin.into()) }
        }
        AccountEventType::ProviderCalled => {
            let ProviderCalledV1 { call, at } = decode_payload(payload)?;
            let call = ProviderCall::from_code(call).ok_or(PayloadError::Damaged)?;
            Event::ProviderCalled { call, at: Timestamp(at) }
        }
        AccountEventType::LabelsChanged => decode_labels_changed(payload)?,
        AccountEventType::StatusResynced => decode_status_resynced(payload)?,
        AccountEventType::RegistrationResynced => decode_registration_resynced(payload)?,
        AccountEventType::SessionNumbersAdvanced => {
            let SessionNumbersAdvancedV1 { last } = decode_payload(payload)?;
            Event::SessionNumbersAdvanced { last }
        }
    })
}

fn decode_registration(schema: u16, at: Timestamp, payload: &[u8]) -> Result<Event, PayloadError> {
    let (requested, reason) = decode_order::<RegistrationRequestedV1<'_>>(schema, payload)?;
    Ok(Event::RegistrationRequested {
        task: TaskId::new(requested.task).ok_or(PayloadError::Damaged)?,
        verify_type: VerifyType::try_from(i64::from(requested.verify_type)).map_err(|_| PayloadError::Damaged)?,
        account_type: decode_account_type(requested.account_type)?,
        calling_code: CallingCode::from_stored(requested.calling_code).ok_or(PayloadError::Damaged)?,
        country: requested.country.to_owned(),
        expires_at: Timestamp(requested.expires_at),
        lifetime: Timestamp(requested.expires_at).since(at),
        reason,
    })
}

fn decode_labels_changed(payload: &[u8]) -> Result<Event, PayloadError> {
    let LabelsChangedV1 { labels, reason } = decode_payload(payload)?;
    Ok(Event::LabelsChanged { labels: decode_labels(labels)?, reason: Reason::new(reason) })
}

fn decode_status_resynced(payload: &[u8]) -> Result<Event, PayloadError> {
    let StatusResyncedV1 { status, online_status, reason, instance_code } = decode_payload(payload)?;
    Ok(Event::StatusResynced {
        status: Status::from_code(status).ok_or(PayloadError::Damaged)?,
        online_status: OnlineStatus::from_code(online_status).ok_or(PayloadError::Damaged)?,
        reason: Reason::new(reason),
        instance_code: instance_code.to_owned(),
    })
}

fn decode_registration_resynced(payload: &[u8]) -> Result<Event, PayloadError> {
    let RegistrationResyncedV1 { successful, still_waiting } = decode_payload(payload)?;
    Ok(Event::RegistrationResynced { result: RegistrationResult { successful, still_waiting } })
}

fn decode_content_order(schema: u16, payload: &[u8]) -> Result<(Arc<Content>, Reason), PayloadError> {
    let (content, reason) = decode_order::<ContentV1<'_>>(schema, payload)?;
    Ok((content.into_content()?, reason))
}

/// Decodes the event of an order: its payload of version 1, and the reason. Version 1 had no reason.
fn decode_order<'a, T: BorrowDecode<'a, ()>>(schema: u16, payload: &'a [u8]) -> Result<(T, Reason), PayloadError> {
    let OrderV2 { v1, reason } = match schema {
        1 => OrderV2 { v1: decode_payload(payload)?, reason: "" },
        _ => decode_payload(payload)?,
    };
    Ok((v1, Reason::new(reason)))
}

/// Labels that were valid when they were stored.
pub(super) fn decode_labels(labels: Vec<(&str, &str)>) -> Result<Labels, PayloadError> {
    Labels::new(labels).map_err(|_| PayloadError::Damaged)
}

fn decode_empty(payload: &[u8], event: Event) -> Result<Event, PayloadError> {
    if payload.is_empty() { Ok(event) } else { Err(PayloadError::Damaged) }
}
