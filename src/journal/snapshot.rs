//! Encoded account states: a cache, never the source of truth. A snapshot that is damaged or does not decode is
//! ignored.
//!
//! A CRC-32 follows the state. Without it, a changed byte could decode to a state that never existed.

use std::time::Duration;

use bincode::{BorrowDecode, Encode};

use super::content_codec::{decode_content, encode_content};
use super::event_codec::decode_labels;
use super::payload::{PayloadError, decode_payload, encode_payload};
use super::{Error, Journal};
use crate::domain::{
    Account, AccountNumber, AccountType, CallingCode, CodeAttempt, GatewayKind, OnlineStatus, Reason, Registration,
    RegistrationResult, SealedBytes, Status, TaskId, Timestamp, VerifyType,
};
use crate::store::Table;

/// Increase it when the layout or the meaning of a state changes. Snapshots of other formats are ignored.
const FORMAT: u8 = 6;

#[derive(Encode, BorrowDecode)]
struct StoredSnapshot<'a> {
    format: u8,
    version: u64,
    content: Option<&'a [u8]>,
    is_erased: bool,
    status: u8,
    online_status: u8,
    online_status_version: u64,
    sessions: u32,
    reason: &'a str,
    drops: u32,
    registration: Option<StoredRegistration<'a>>,
    gateway: u8,
    pin: Option<&'a [u8]>,
    register_calls: Vec<i64>,
    labels: Vec<(&'a str, &'a str)>,
    instance_code: &'a str,
    /// Whether it was successful, and whether it still waits.
    registration_result: Option<(bool, bool)>,
}

#[derive(Encode, BorrowDecode)]
struct StoredRegistration<'a> {
    task: u32,
    verify_type: u8,
    account_type: u8,
    calling_code: u16,
    country: &'a str,
    expires_at: i64,
    /// In microseconds.
    lifetime: u64,
    code_requested: bool,
    code_sent: bool,
    attempts: u32,
    pending_attempts: Vec<(u32, &'a [u8])>,
}

impl Journal {
    /// Saves `state`, so that the next load of the account is fast.
    pub fn save_snapshot(&self, account: AccountNumber, state: &Account) -> Result<(), Error> {
        self.shared.store.put(Table::Snapshots, &account.get().to_be_bytes(), &encode(state))?;
        self.metrics().snapshots.inc();
        Ok(())
    }

    /// Removes the account's snapshot. The next load reads the account's history.
    pub fn remove_snapshot(&self, account: AccountNumber) -> Result<(), Error> {
        Ok(self.shared.store.remove(Table::Snapshots, &account.get().to_be_bytes())?)
    }

    /// The account's snapshot, if it is intact and not newer than `version`. `version` is the end of the history.
    pub(super) fn load_snapshot(&self, account: AccountNumber, version: u64) -> Result<Option<Account>, Error> {
        let stored = self.shared.store.get(Table::Snapshots, &account.get().to_be_bytes())?;
        Ok(stored.and_then(|bytes| decode(&bytes).ok()).filter(|state| state.version <= version))
    }
}

pub(super) fn encode(state: &Account) -> Vec<u8> {
    let content = state.content.as_deref().map(|content| {
        let mut payload = Vec::new();
        encode_content(content, &mut payload);
        payload
    });
    let stored = StoredSnapshot {
        format: FORMAT,
        version: state.version,
        content: content.as_deref(),
        is_erased: state.is_erased,
        status: state.status.code(),
        online_status: state.online_status.code(),
        online_status_version: state.online_status_version,
        sessions: state.latest_session,
        reason: state.reason.as_str(),
        drops: state.drops,
        registration: state.registration.as_ref().map(|waiting| StoredRegistration {
            task: waiting.task.get(),
            verify_type: waiting.verify_type.code(),
            account_type: waiting.account_type.code(),
            calling_code: waiting.calling_code.get(),
            country: &waiting.country,
            expires_at: waiting.expires_at.0,
            lifetime: u64::try_from(waiting.lifetime.as_micros()).unwrap_or(u64::MAX),
            code_requested: waiting.code_requested,
            code_sent: waiting.code_sent,
            attempts: waiting.attempts,
            pending_attempts: waiting
                .pending_codes
                .iter()
                .map(|CodeAttempt { number, code }| (*number, &*code.0))
                .collect(),
        }),
        gateway: state.gateway.code(),
        pin: state.pin.as_ref().map(|pin| &*pin.0),
        register_calls: state.register_calls.iter().map(|at| at.0).collect(),
        labels: state.labels.iter().collect(),
        instance_code: &state.instance_code,
        registration_result: state.registration_result.map(|result| (result.successful, result.still_waiting)),
    };
    let mut bytes = Vec::new();
    encode_payload(&stored, &mut bytes);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Account, PayloadError> {
    let (bytes, checksum) = bytes.split_last_chunk().ok_or(PayloadError::Damaged)?;
    if crc32fast::hash(bytes) != u32::from_le_bytes(*checksum) {
        return Err(PayloadError::Damaged);
    }
    let stored: StoredSnapshot<'_> = decode_payload(bytes)?;
    if stored.format != FORMAT {
        return Err(PayloadError::Unknown);
    }
    Ok(Account {
        version: stored.version,
        content: stored.content.map(decode_content).transpose()?,
        is_erased: stored.is_erased,
        status: Status::from_code(stored.status).ok_or(PayloadError::Damaged)?,
        online_status: OnlineStatus::from_code(stored.online_status).ok_or(PayloadError::Damaged)?,
        online_status_version: stored.online_status_version,
        latest_session: stored.sessions,
        reason: Reason::new(stored.reason),
        drops: stored.drops,
        registration: stored.registration.as_ref().map(decode_registration).transpose()?,
        gateway: GatewayKind::from_code(stored.gateway).ok_or(PayloadError::Damaged)?,
        pin: stored.pin.map(|pin| SealedBytes(pin.into())),
        register_calls: stored.register_calls.iter().map(|at| Timestamp(*at)).collect(),
        labels: decode_labels(stored.labels)?,
        instance_code: stored.instance_code.to_owned(),
        registration_result: stored
            .registration_result
            .map(|(successful, still_waiting)| RegistrationResult { successful, still_waiting }),
    })
}

fn decode_registration(stored: &StoredRegistration<'_>) -> Result<Registration, PayloadError> {
    let damaged = |_| PayloadError::Damaged;
    Ok(Registration {
        task: TaskId::new(stored.task).ok_or(PayloadError::Damaged)?,
        verify_type: VerifyType::try_from(i64::from(stored.verify_type)).map_err(damaged)?,
        account_type: AccountType::try_from(i64::from(stored.account_type)).map_err(damaged)?,
        calling_code: CallingCode::from_stored(stored.calling_code).ok_or(PayloadError::Damaged)?,
        country: stored.country.to_owned(),
        expires_at: Timestamp(stored.expires_at),
        lifetime: Duration::from_micros(stored.lifetime),
        code_requested: stored.code_requested,
        code_sent: stored.code_sent,
        attempts: stored.attempts,
        pending_codes: stored.pending_attempts.iter().map(|(number, code)| decode_attempt(*number, code)).collect(),
    })
}

fn decode_attempt(number: u32, code: &[u8]) -> CodeAttempt {
    CodeAttempt { number, code: SealedBytes(code.into()) }
}
