//! Webhooks from Meta: who sent them, what is in them, and what of it was there before. Pure.
//!
//! None of them is believed by itself: at most it makes Muster look at its numbers, and what is seen there is reported.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::graph_response::parse_account;
use crate::domain::AccountNumber;
use crate::limits::META_UPDATES_REMEMBERED;

/// What the signature's text begins with.
const SIGNATURE_PREFIX: &str = "sha256=";

/// Why a webhook is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaSignatureError {
    /// There is no secret to hold its signature against.
    #[error("no webhook of Meta's can be verified until gateway.cloud_api.app_secret is set")]
    NoSecret,
    /// It has no signature.
    #[error("the header X-Hub-Signature-256 is missing; Meta signs every webhook")]
    Missing,
    /// It is signed with another secret, or altered.
    #[error("the header X-Hub-Signature-256 does not fit the body; check gateway.cloud_api.app_secret")]
    Wrong,
}

/// A webhook, as far as it matters whose each part is.
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
    /// By which it is known when it comes again.
    pub(super) key: UpdateKey,
    /// What it says.
    pub(super) meaning: UpdateMeaning,
}

/// What an update says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UpdateMeaning {
    /// Something about all numbers of the account.
    AllNumbers(&'static str),
    /// Something about one number.
    OneNumber(AccountNumber, &'static str),
    /// Something that a person should know, and nothing that changes an account.
    Warning(&'static str),
    /// Something that does not matter here.
    Irrelevant,
    /// Something about another WhatsApp Business account.
    OtherAccount,
    /// Something that nobody knows here.
    Unknown,
}

/// A hash over the whole of an update and whose it is.
pub(super) type UpdateKey = [u8; 16];

/// What was told before, the last [`META_WEBHOOKS_REMEMBERED`] of it.
#[derive(Default)]
pub(super) struct RecentUpdates {
    known: HashSet<UpdateKey>,
    order: VecDeque<UpdateKey>,
}

/// Whether `signature` is that of `body`, byte for byte as it was sent: Meta escapes letters in a way of its own.
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

/// Whether two secrets are the same, told in a time that depends on neither.
pub(super) fn secrets_equal(ours: &str, theirs: &str) -> bool {
    let [ours, theirs] = [ours, theirs].map(|text| Sha256::digest(text.as_bytes()));
    ours.iter().zip(&theirs).fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs)) == 0
}

/// All updates of a webhook to the WhatsApp Business account `waba`; the sentence if it is none.
pub(super) fn parse_updates(body: &[u8], waba: &str) -> Result<Vec<MetaWebhookUpdate>, String> {
    // Where, and not what: the body is another's, and the sentence goes to the log.
    let malformed = |error: serde_json::Error| {
        format!("the body is no webhook of Meta's: line {}, column {}", error.line(), error.column())
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

/// A text, or a number as one.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// The text of a field.
fn field_text(value: &Value, field: &str) -> String {
    value.get(field).map(text).unwrap_or_default()
}

/// Each part behind its length, so that no two updates are hashed as the same bytes.
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

/// What is read of a value; everything else in it is left alone, and anything may be missing.
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
    // Most are messages and templates, which are no business of this register: their values are not looked into.
    let Some(said) =
        Some(value.get()).filter(|_| is_known).and_then(|value| serde_json::from_str::<UpdateFields>(value).ok())
    else {
        return UpdateMeaning::Unknown;
    };
    // On some events the entry's id is that of the business, and the account's own stands within.
    let whose = field_text(&said.waba_info, "waba_id");
    if (if whose.is_empty() { entry } else { &whose }) != waba {
        return UpdateMeaning::OtherAccount;
    }
    let event = text(&said.event);
    match field {
        "account_update" => interpret_account_update(&event, &field_text(&said.ban_info, "waba_ban_state")),
        "phone_number_quality_update" => about_number(&said, "the quality or the limits of a number changed"),
        "security" => match event.as_str() {
            "PIN_CHANGED" => about_number(&said, "the PIN of a number was changed outside of Muster"),
            _ => UpdateMeaning::Warning("somebody asked for the PIN of a number to be reset"),
        },
        "account_alerts" if field_text(&said.alert_info, "alert_severity") == "CRITICAL" => {
            UpdateMeaning::Warning("there is a critical alert about the account")
        }
        "account_review_update" if text(&said.decision) == "REJECTED" => {
            UpdateMeaning::Warning("the account's review ended with a rejection")
        }
        _ => UpdateMeaning::Irrelevant,
    }
}

fn about_number(said: &UpdateFields, words: &'static str) -> UpdateMeaning {
    parse_account(&text(&said.display_phone_number))
        .map_or(UpdateMeaning::Unknown, |account| UpdateMeaning::OneNumber(account, words))
}

/// What an `account_update` says. It names no number: what it says is about all of them.
fn interpret_account_update(event: &str, ban: &str) -> UpdateMeaning {
    match (event, ban) {
        ("DISABLED_UPDATE", "DISABLE") => UpdateMeaning::AllNumbers("the account is disabled"),
        ("DISABLED_UPDATE", "REINSTATE") => UpdateMeaning::AllNumbers("the account is reinstated"),
        ("DISABLED_UPDATE", "SCHEDULE_FOR_DISABLE") => UpdateMeaning::Warning("the account is about to be disabled"),
        ("DISABLED_UPDATE", _) => UpdateMeaning::AllNumbers("the account is disabled, or is no more"),
        ("ACCOUNT_DELETED", _) => UpdateMeaning::AllNumbers("the account is deleted"),
        ("ACCOUNT_RESTRICTION", _) => UpdateMeaning::AllNumbers("the account is restricted"),
        ("ACCOUNT_VIOLATION", _) => UpdateMeaning::AllNumbers("the account breaks a policy"),
        ("ACCOUNT_OFFBOARDED", _) => UpdateMeaning::AllNumbers("the account has left the Cloud API"),
        ("ACCOUNT_RECONNECTED", _) => UpdateMeaning::AllNumbers("the account is back on the Cloud API"),
        ("PARTNER_REMOVED", _) => UpdateMeaning::AllNumbers("the account is not shared with this app any more"),
        ("PARTNER_APP_UNINSTALLED", _) => {
            UpdateMeaning::AllNumbers("the app is not installed for the account any more")
        }
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
    /// Whether it was told before.
    pub(super) fn contains(&self, key: &UpdateKey) -> bool {
        self.known.contains(key)
    }

    /// Remembers it, and forgets the oldest beyond the bound.
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
