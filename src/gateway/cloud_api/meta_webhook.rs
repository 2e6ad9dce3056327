//! Webhooks from Meta: verifies signatures, parses updates, and recognizes repeated ones. Pure.
//!
//! A webhook is only a trigger: Muster then reads the numbers from Meta, and reports what it finds there.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::graph_response::parse_shown_number;
use crate::domain::AccountNumber;
use crate::limits::META_UPDATES_REMEMBERED;

/// The prefix of the signature header.
const SIGNATURE_PREFIX: &str = "sha256=";

/// Why a webhook is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaSignatureError {
    /// No app secret is set, so no signature can be verified.
    #[error("webhooks from Meta cannot be verified until gateway.cloud_api.app_secret is set")]
    NoSecret,
    /// The signature header is missing.
    #[error("the header X-Hub-Signature-256 is missing; Meta signs every webhook")]
    Missing,
    /// The webhook was signed with another secret, or altered.
    #[error("the header X-Hub-Signature-256 does not match the body; check gateway.cloud_api.app_secret")]
    Wrong,
}

/// The body of a webhook. The values of changes stay unparsed until their field is known.
#[derive(Deserialize)]
pub(super) struct MetaWebhookBody<'a> {
    #[serde(borrow, default)]
    object: Cow<'a, str>,
    #[serde(borrow)]
    entry: Vec<MetaWebhookEntry<'a>>,
}

#[derive(Deserialize)]
struct MetaWebhookEntry<'a> {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    time: Value,
    #[serde(borrow, default)]
    changes: Vec<MetaWebhookChange<'a>>,
}

#[derive(Deserialize)]
struct MetaWebhookChange<'a> {
    #[serde(borrow, default)]
    field: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
}

/// One update of a webhook.
pub(super) struct MetaWebhookUpdate {
    /// Identifies the update when it is repeated.
    pub(super) key: UpdateKey,
    /// Its meaning.
    pub(super) meaning: UpdateMeaning,
}

/// The meaning of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UpdateMeaning {
    /// It concerns all numbers of the account.
    AllNumbers(&'static str),
    /// It concerns one number, as Meta shows it.
    OneNumber(AccountNumber, &'static str),
    /// An operator should know it, but it changes no account.
    Warning(&'static str),
    /// It does not concern Muster.
    Irrelevant,
    /// It concerns another WhatsApp Business account.
    OtherAccount,
    /// Its type is unknown here.
    Unknown,
}

/// The first 16 bytes of a SHA-256 over an update, with its entry's id and time.
pub(super) type UpdateKey = [u8; 16];

/// The keys of the last [`META_UPDATES_REMEMBERED`] updates.
#[derive(Default)]
pub(super) struct RecentUpdates {
    known: HashSet<UpdateKey>,
    order: VecDeque<UpdateKey>,
}

/// Verifies the signature of `body`, which must be the bytes as sent: Meta's JSON escaping cannot be reproduced.
pub(super) fn verify_signature(secret: &str, signature: Option<&str>, body: &[u8]) -> Result<(), MetaSignatureError> {
    let signature = signature.ok_or(MetaSignatureError::Missing)?;
    let digits = signature.strip_prefix(SIGNATURE_PREFIX).ok_or(MetaSignatureError::Wrong)?;
    let is_hex = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = |at: usize| digits.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let signature: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(|at| byte(at).filter(|_| is_hex)).collect();
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(body));
    let fits = |signature: Vec<u8>| mac.is_ok_and(|mac| mac.verify_slice(&signature).is_ok());
    if signature.is_some_and(fits) { Ok(()) } else { Err(MetaSignatureError::Wrong) }
}

/// Compares two secrets in constant time.
pub(super) fn secrets_equal(ours: &str, theirs: &str) -> bool {
    let [ours, theirs] = [ours, theirs].map(|text| Sha256::digest(text.as_bytes()));
    ours.iter().zip(&theirs).fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs)) == 0
}

/// Parses all updates of a webhook for the WhatsApp Business account `waba`. The error is a sentence.
pub(super) fn parse_updates(body: &[u8], waba: &str) -> Result<Vec<MetaWebhookUpdate>, String> {
    // Only the position, because the sentence goes to the log and the body is external text.
    let malformed = |error: serde_json::Error| {
        format!("the body is not a webhook from Meta: line {}, column {}", error.line(), error.column())
    };
    let MetaWebhookBody { object, entry } = serde_json::from_slice(body).map_err(malformed)?;
    let of_entry = |entry: MetaWebhookEntry<'_>| {
        let MetaWebhookEntry { id, time, changes } = entry;
        let (id, is_ours) = (text(&id), object == "whatsapp_business_account");
        let of_change = |MetaWebhookChange { field, value }: MetaWebhookChange<'_>| MetaWebhookUpdate {
            key: update_key(&id, &text(&time), &field, value.get()),
            meaning: if is_ours { interpret(&field, value, &id, waba) } else { UpdateMeaning::Unknown },
        };
        changes.into_iter().map(of_change).collect::<Vec<_>>()
    };
    Ok(entry.into_iter().flat_map(of_entry).collect())
}

/// A string, or a number as a string. Empty for any other value.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// A field as a string. Empty if it is missing.
fn field_text(value: &Value, field: &str) -> String {
    value.get(field).map(text).unwrap_or_default()
}

/// Hashes each part after its length, so that different updates never hash the same bytes.
fn update_key(id: &str, time: &str, field: &str, value: &str) -> UpdateKey {
    let mut hash = Sha256::new();
    for part in [id, time, field, value] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut key = UpdateKey::default();
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

/// The fields that are read from a value. Each may be missing; other fields are ignored.
#[derive(Deserialize, Default)]
#[serde(default)]
struct UpdateFields {
    event: Value,
    display_phone_number: Value,
    ban_info: Value,
    waba_info: Value,
    alert_info: Value,
    decision: Value,
}

fn interpret(field: &str, value: &RawValue, entry: &str, waba: &str) -> UpdateMeaning {
    let is_known = matches!(
        field,
        "account_update"
            | "phone_number_quality_update"
            | "phone_number_name_update"
            | "account_alerts"
            | "account_review_update"
            | "security"
            | "business_capability_update"
    );
    // Most updates are messages and templates, which Muster does not handle, so their values are not parsed.
    let Some(fields) =
        Some(value.get()).filter(|_| is_known).and_then(|value| serde_json::from_str::<UpdateFields>(value).ok())
    else {
        return UpdateMeaning::Unknown;
    };
    // In some events the entry's id is that of the business. Then `waba_info` has the account's id.
    let account_id = field_text(&fields.waba_info, "waba_id");
    if (if account_id.is_empty() { entry } else { &account_id }) != waba {
        return UpdateMeaning::OtherAccount;
    }
    let event = text(&fields.event);
    match field {
        "account_update" => interpret_account_update(&event, &field_text(&fields.ban_info, "waba_ban_state")),
        "phone_number_quality_update" => about_number(&fields, "the quality or limits of a number changed"),
        "security" => match event.as_str() {
            "PIN_CHANGED" => about_number(&fields, "the PIN of a number was changed outside of Muster"),
            _ => UpdateMeaning::Warning("a reset of a number's PIN was requested"),
        },
        "account_alerts" if field_text(&fields.alert_info, "alert_severity") == "CRITICAL" => {
            UpdateMeaning::Warning("the account has a critical alert")
        }
        "account_review_update" if text(&fields.decision) == "REJECTED" => {
            UpdateMeaning::Warning("the account's review ended with a rejection")
        }
        _ => UpdateMeaning::Irrelevant,
    }
}

fn about_number(fields: &UpdateFields, words: &'static str) -> UpdateMeaning {
    parse_shown_number(&text(&fields.display_phone_number))
        .map_or(UpdateMeaning::Unknown, |shown| UpdateMeaning::OneNumber(shown, words))
}

/// The meaning of an `account_update`. It names no number, so it concerns all of them.
fn interpret_account_update(event: &str, ban: &str) -> UpdateMeaning {
    match (event, ban) {
        ("DISABLED_UPDATE", "DISABLE") => UpdateMeaning::AllNumbers("the account is disabled"),
        ("DISABLED_UPDATE", "REINSTATE") => UpdateMeaning::AllNumbers("the account is reinstated"),
        ("DISABLED_UPDATE", "SCHEDULE_FOR_DISABLE") => UpdateMeaning::Warning("the account will be disabled"),
        ("DISABLED_UPDATE", _) => UpdateMeaning::AllNumbers("the account is disabled or deleted"),
        ("ACCOUNT_DELETED", _) => UpdateMeaning::AllNumbers("the account is deleted"),
        ("ACCOUNT_RESTRICTION", _) => UpdateMeaning::AllNumbers("the account is restricted"),
        ("ACCOUNT_VIOLATION", _) => UpdateMeaning::AllNumbers("the account violates a policy"),
        ("ACCOUNT_OFFBOARDED", _) => UpdateMeaning::AllNumbers("the account has left the Cloud API"),
        ("ACCOUNT_RECONNECTED", _) => UpdateMeaning::AllNumbers("the account is back on the Cloud API"),
        ("PARTNER_REMOVED", _) => UpdateMeaning::AllNumbers("the account is no longer shared with this app"),
        ("PARTNER_APP_UNINSTALLED", _) => UpdateMeaning::AllNumbers("the app is no longer installed for the account"),
        (
            "PARTNER_ADDED"
            | "PARTNER_APP_INSTALLED"
            | "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE"
            | "AD_ACCOUNT_LINKED"
            | "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE"
            | "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE"
            | "MM_LITE_TERMS_SIGNED"
            | "VOLUME_BASED_PRICING_TIER_UPDATE"
            | "VERIFIED_ACCOUNT",
            _,
        ) => UpdateMeaning::Irrelevant,
        (_, _) => UpdateMeaning::Unknown,
    }
}

impl RecentUpdates {
    /// Whether an update with this key was remembered.
    pub(super) fn contains(&self, key: &UpdateKey) -> bool {
        self.known.contains(key)
    }

    /// Remembers a key, and forgets the oldest beyond the limit.
    pub(super) fn insert(&mut self, key: UpdateKey) {
        if self.known.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > META_UPDATES_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
