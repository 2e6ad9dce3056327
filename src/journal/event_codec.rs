//! The payloads of account events: registered types and frozen versions. Only this file, `administrative_event_codec`,
//! `content_codec` and `snapshot` use bincode.
//!
//! A type number is registered once and never reused. A struct here is frozen once a release has written it. A new
//! field needs a new version beside it, and `decode` turns every version into the current event. `snapshots/` holds
//! the bytes of each.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{BorrowDecode, Encode};

use super::administrative_event_codec;
use super::content_codec::{decode_content, encode_content};
use super::record::JournalEvent;
use crate::domain::{
    AccountType, CallingCode, Event, GatewayKind, ProviderCall, Reason, SealedBytes, TaskId, Timestamp, VerifyType,
};
use crate::limits::BLOCK_BYTES;

/// The limit keeps a corrupted length from allocating all memory. It is above the payload limit, because bincode
/// counts each integer at its full width, however few bytes it takes.
const CODEC: Configuration<LittleEndian, Varint, Limit<BLOCK_BYTES>> =
    bincode::config::standard().with_limit::<BLOCK_BYTES>();

const ACCOUNT_IMPORTED: u16 = 1;
const CONTENT_REPLACED: u16 = 2;
const ONLINE_REQUESTED: u16 = 3;
const CAME_ONLINE: u16 = 4;
const RECYCLE_REQUESTED: u16 = 5;
const WENT_OFFLINE: u16 = 6;
const BANNED: u16 = 7;
const BAN_LIFTED: u16 = 8;
const REGISTRATION_REQUESTED: u16 = 9;
const CODE_SENT: u16 = 10;
const CODE_SUBMITTED: u16 = 11;
const REGISTERED: u16 = 12;
const REGISTRATION_FAILED: u16 = 13;
const SECRETS_ERASED: u16 = 14;
const GATEWAY_ASSIGNED: u16 = 15;
const PIN_KEPT: u16 = 16;
const PROVIDER_CALLED: u16 = 17;

/// The registered types and their names.
const EVENT_TYPE_NAMES: [(u16, &str); 35] = [
    (ACCOUNT_IMPORTED, "account_imported"),
    (CONTENT_REPLACED, "content_replaced"),
    (ONLINE_REQUESTED, "online_requested"),
    (CAME_ONLINE, "came_online"),
    (RECYCLE_REQUESTED, "recycle_requested"),
    (WENT_OFFLINE, "went_offline"),
    (BANNED, "banned"),
    (BAN_LIFTED, "ban_lifted"),
    (REGISTRATION_REQUESTED, "registration_requested"),
    (CODE_SENT, "code_sent"),
    (CODE_SUBMITTED, "code_submitted"),
    (REGISTERED, "registered"),
    (REGISTRATION_FAILED, "registration_failed"),
    (SECRETS_ERASED, "secrets_erased"),
    (GATEWAY_ASSIGNED, "gateway_assigned"),
    (PIN_KEPT, "pin_kept"),
    (PROVIDER_CALLED, "provider_called"),
    (administrative_event_codec::PROJECTION_REBUILT, "projection_rebuilt"),
    (administrative_event_codec::BACKUP_TAKEN, "backup_taken"),
    (administrative_event_codec::RESTORED, "restored"),
    (administrative_event_codec::WEBHOOK_URL_SET, "webhook_url_set"),
    (administrative_event_codec::WEBHOOK_SECRET_SET, "webhook_secret_set"),
    (administrative_event_codec::WEBHOOK_PAUSED, "webhook_paused"),
    (administrative_event_codec::WEBHOOK_RESUMED, "webhook_resumed"),
    (administrative_event_codec::WEBHOOK_REDELIVERED, "webhook_redelivered"),
    (administrative_event_codec::WEBHOOK_LETTERS_DROPPED, "webhook_letters_dropped"),
    (administrative_event_codec::API_KEY_CREATED, "api_key_created"),
    (administrative_event_codec::API_KEY_REVOKED, "api_key_revoked"),
    (administrative_event_codec::MASTER_KEY_ROTATED, "master_key_rotated"),
    (administrative_event_codec::TENANT_KEY_CREATED, "tenant_key_created"),
    (administrative_event_codec::ACCOUNTS_ORDERED, "accounts_ordered"),
    (administrative_event_codec::RECONCILIATION_ORDERED, "reconciliation_ordered"),
    (administrative_event_codec::WEBHOOK_CLOSED, "webhook_closed"),
    (administrative_event_codec::MASTER_KEY_ROTATION_ABORTED, "master_key_rotation_aborted"),
    (administrative_event_codec::MASTER_KEY_ROTATION_FINISHED, "master_key_rotation_finished"),
];

/// Why a payload is not a valid event.
#[derive(Debug)]
pub(super) enum PayloadError {
    /// This program does not know the type or its version.
    Unknown,
    /// The bytes do not match the type.
    Damaged,
}

// --- Version 1 of each payload. Frozen. ---

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

// --- Events to payloads and back. ---

/// The name of a registered type.
pub(super) fn event_type_name(event_type: u16) -> Option<&'static str> {
    EVENT_TYPE_NAMES.iter().find(|(registered, _)| *registered == event_type).map(|(_, name)| *name)
}

/// The names of all registered types.
pub fn event_type_names() -> impl Iterator<Item = &'static str> {
    EVENT_TYPE_NAMES.iter().map(|(_, name)| *name)
}

/// The registered type of an event, the version of its payload, and the payload.
pub(super) fn encode(event: &JournalEvent) -> (u16, u16, Vec<u8>) {
    let mut payload = Vec::new();
    let event_type = match event {
        JournalEvent::Account(event) => encode_event(event, &mut payload),
        JournalEvent::Administration(entry) => administrative_event_codec::encode(entry, &mut payload),
        JournalEvent::Unknown(unknown) => return (unknown.event_type, unknown.schema, unknown.payload.to_vec()),
    };
    (event_type, 1, payload)
}

fn encode_event(event: &Event, payload: &mut Vec<u8>) -> u16 {
    match event {
        Event::AccountImported { content } => encode_content(ACCOUNT_IMPORTED, content, payload),
        Event::ContentReplaced { content } => encode_content(CONTENT_REPLACED, content, payload),
        Event::OnlineRequested => ONLINE_REQUESTED,
        Event::CameOnline { instance_code } => encode_payload(CAME_ONLINE, &CameOnlineV1 { instance_code }, payload),
        Event::RecycleRequested => RECYCLE_REQUESTED,
        Event::WentOffline { reason, instance_code } => {
            encode_payload(WENT_OFFLINE, &SessionEndedV1 { reason: reason.as_str(), instance_code }, payload)
        }
        Event::Banned { reason, instance_code } => {
            encode_payload(BANNED, &SessionEndedV1 { reason: reason.as_str(), instance_code }, payload)
        }
        Event::BanLifted => BAN_LIFTED,
        // The lifetime is not stored: it is the difference between `expires_at` and the record's time.
        Event::RegistrationRequested { task, verify_type, account_type, calling_code, country, expires_at, .. } => {
            let requested = RegistrationRequestedV1 {
                task: task.get(),
                verify_type: verify_type.code(),
                account_type: account_type.code(),
                calling_code: calling_code.get(),
                country,
                expires_at: expires_at.0,
            };
            encode_payload(REGISTRATION_REQUESTED, &requested, payload)
        }
        Event::CodeSent => CODE_SENT,
        Event::CodeSubmitted { code } => encode_payload(CODE_SUBMITTED, &CodeSubmittedV1 { code: &code.0 }, payload),
        Event::Registered => REGISTERED,
        Event::RegistrationFailed { reason, attempt, still_waiting } => {
            let failed =
                RegistrationFailedV1 { reason: reason.as_str(), attempt: *attempt, still_waiting: *still_waiting };
            encode_payload(REGISTRATION_FAILED, &failed, payload)
        }
        Event::SecretsErased { reason } => {
            encode_payload(SECRETS_ERASED, &SecretsErasedV1 { reason: reason.as_str() }, payload)
        }
        Event::GatewayAssigned { gateway } => {
            encode_payload(GATEWAY_ASSIGNED, &GatewayAssignedV1 { gateway: gateway.code() }, payload)
        }
        Event::PinKept { pin } => encode_payload(PIN_KEPT, &PinKeptV1 { pin: &pin.0 }, payload),
        Event::ProviderCalled { call, at } => {
            encode_payload(PROVIDER_CALLED, &ProviderCalledV1 { call: call.code(), at: at.0 }, payload)
        }
    }
}

/// Decodes a payload that any version of this program wrote. `at` is the record's time.
pub(super) fn decode(
    event_type: u16,
    schema: u16,
    at: Timestamp,
    payload: &[u8],
) -> Result<JournalEvent, PayloadError> {
    if schema != 1 {
        return Err(PayloadError::Unknown);
    }
    match administrative_event_codec::decode(event_type, payload)? {
        Some(entry) => Ok(JournalEvent::Administration(entry)),
        None => decode_event(event_type, at, payload).map(JournalEvent::Account),
    }
}

fn decode_event(event_type: u16, at: Timestamp, payload: &[u8]) -> Result<Event, PayloadError> {
    Ok(match event_type {
        ACCOUNT_IMPORTED => Event::AccountImported { content: decode_content(payload)? },
        CONTENT_REPLACED => Event::ContentReplaced { content: decode_content(payload)? },
        ONLINE_REQUESTED => decode_empty(payload, Event::OnlineRequested)?,
        CAME_ONLINE => {
            let CameOnlineV1 { instance_code } = decode_payload(payload)?;
            Event::CameOnline { instance_code: instance_code.to_owned() }
        }
        RECYCLE_REQUESTED => decode_empty(payload, Event::RecycleRequested)?,
        WENT_OFFLINE => {
            let SessionEndedV1 { reason, instance_code } = decode_payload(payload)?;
            Event::WentOffline { reason: Reason::new(reason), instance_code: instance_code.to_owned() }
        }
        BANNED => {
            let SessionEndedV1 { reason, instance_code } = decode_payload(payload)?;
            Event::Banned { reason: Reason::new(reason), instance_code: instance_code.to_owned() }
        }
        BAN_LIFTED => decode_empty(payload, Event::BanLifted)?,
        REGISTRATION_REQUESTED => {
            let requested: RegistrationRequestedV1<'_> = decode_payload(payload)?;
            Event::RegistrationRequested {
                task: TaskId::new(requested.task).ok_or(PayloadError::Damaged)?,
                verify_type: VerifyType::try_from(i64::from(requested.verify_type))
                    .map_err(|_| PayloadError::Damaged)?,
                account_type: decode_account_type(requested.account_type)?,
                calling_code: CallingCode::from_stored(requested.calling_code).ok_or(PayloadError::Damaged)?,
                country: requested.country.to_owned(),
                expires_at: Timestamp(requested.expires_at),
                lifetime: Timestamp(requested.expires_at).since(at),
            }
        }
        CODE_SENT => decode_empty(payload, Event::CodeSent)?,
        CODE_SUBMITTED => {
            let CodeSubmittedV1 { code } = decode_payload(payload)?;
            Event::CodeSubmitted { code: SealedBytes(code.into()) }
        }
        REGISTERED => decode_empty(payload, Event::Registered)?,
        REGISTRATION_FAILED => {
            let RegistrationFailedV1 { reason, attempt, still_waiting } = decode_payload(payload)?;
            Event::RegistrationFailed { reason: Reason::new(reason), attempt, still_waiting }
        }
        SECRETS_ERASED => {
            let SecretsErasedV1 { reason } = decode_payload(payload)?;
            Event::SecretsErased { reason: Reason::new(reason) }
        }
        GATEWAY_ASSIGNED => {
            let GatewayAssignedV1 { gateway } = decode_payload(payload)?;
            Event::GatewayAssigned { gateway: GatewayKind::from_code(gateway).ok_or(PayloadError::Damaged)? }
        }
        PIN_KEPT => {
            let PinKeptV1 { pin } = decode_payload(payload)?;
            Event::PinKept { pin: SealedBytes(pin.into()) }
        }
        PROVIDER_CALLED => {
            let ProviderCalledV1 { call, at } = decode_payload(payload)?;
            let call = ProviderCall::from_code(call).ok_or(PayloadError::Damaged)?;
            Event::ProviderCalled { call, at: Timestamp(at) }
        }
        _ => return Err(PayloadError::Unknown),
    })
}

/// Writes a payload and returns `event_type`.
pub(super) fn encode_payload(event_type: u16, payload: &impl Encode, out: &mut Vec<u8>) -> u16 {
    // Writing into a vector can only fail at the limit, and the appender checks sizes.
    if bincode::encode_into_std_write(payload, out, bincode::config::standard()).is_err() {
        tracing::error!(event_type, "a payload did not encode");
    }
    event_type
}

/// Decodes a payload that must fill `payload` completely.
pub(super) fn decode_payload<'a, T: BorrowDecode<'a, ()>>(payload: &'a [u8]) -> Result<T, PayloadError> {
    match bincode::borrow_decode_from_slice(payload, CODEC) {
        Ok((value, read)) if read == payload.len() => Ok(value),
        Ok(_) | Err(_) => Err(PayloadError::Damaged),
    }
}

fn decode_empty(payload: &[u8], event: Event) -> Result<Event, PayloadError> {
    if payload.is_empty() { Ok(event) } else { Err(PayloadError::Damaged) }
}

pub(super) fn decode_account_type(code: u8) -> Result<AccountType, PayloadError> {
    AccountType::try_from(i64::from(code)).map_err(|_| PayloadError::Damaged)
}
