//! Fuzz targets: the parsers of Meta's responses and webhooks.

#![allow(clippy::unwrap_used, clippy::panic)]

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::code_verification::code_digits;
use super::graph_response::{self, GraphResponseError};
use super::meta_codes;
use super::meta_webhook::{self, RecentUpdates, UpdateMeaning};
use crate::audit::encode_hex;
use crate::limits::{GRAPH_ID_BYTES, GRAPH_RATE_PAUSE_MAX};

const WABA: &str = "102290129340398";

// === Responses ===

pub(crate) fn answers() -> Vec<Vec<u8>> {
    [
        r#"{"success":true,"id":"110200345501442"}"#,
        r#"{"error":{"message":"m","code":136024,"error_subcode":2388091,"is_transient":false,"fbtrace_id":"Aayh7_x-px"}}"#,
        r#"{"error":{"code":"190","error_subcode":463}}"#,
        r#"{"id":"1","display_phone_number":"+1 555-078-3881","status":"CONNECTED","code_verification_status":"VERIFIED"}"#,
        r#"{"data":[{"id":"1","display_phone_number":"15550783881","status":"PENDING"},{"id":2,"display_phone_number":"1"}],"paging":{"cursors":{"before":"QV","after":"QVFI"},"next":"https://x/"}}"#,
        "<html>no</html>",
    ]
    .map(Vec::from)
    .into()
}

/// Reads any bytes as every kind of response. Parsed ids are safe in a URL, and each error has a sentence.
pub(crate) fn answer(bytes: &[u8]) -> Option<String> {
    let is_id = |id: &str| {
        (1..=GRAPH_ID_BYTES).contains(&id.len()) && !id.contains(['/', '?', '#', '%', '.', '&']) && id.is_ascii()
    };
    for status in [200, 400, 401, 429, 503] {
        if let Ok(id) = graph_response::parse_created_id(status, bytes) {
            assert!(is_id(&id), "{id}");
        }
        if let Ok(number) = graph_response::parse_phone_number(status, bytes) {
            assert!(is_id(&number.id) && number.status.chars().count() <= 64);
            let _row = number.status_meaning();
        }
        if let Ok(page) = graph_response::parse_page(status, bytes) {
            assert!(page.numbers.iter().all(|number| is_id(&number.id)));
            assert!(page.next_cursor.is_none_or(|after| is_id(&after)));
        }
    }
    match graph_response::parse_success(400, bytes) {
        Ok(()) => panic!("400 is no success"),
        Err(GraphResponseError::Graph(refused)) => Some(meta_codes::error_message(&refused)),
        Err(GraphResponseError::Malformed { why, .. }) => Some(why.to_owned()),
    }
}

pub(crate) fn usages() -> Vec<Vec<u8>> {
    [
        r#"{"call_count":100,"total_time":25,"total_cputime":"25"}"#,
        r#"{"102290129340398":[{"type":"whatsapp","call_count":1,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":5}]}"#,
        r#"{"1":[{"estimated_time_to_regain_access":"1e9"}],"2":[]}"#,
    ]
    .map(Vec::from)
    .into()
}

/// Usage headers, and a verification code as a caller may write it.
pub(crate) fn usage(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    for wait in [graph_response::usage_pause(Some(text), None), graph_response::usage_pause(None, Some(text))]
        .into_iter()
        .flatten()
    {
        assert!(wait <= GRAPH_RATE_PAUSE_MAX);
    }
    assert!(code_digits(text).bytes().all(|digit| digit.is_ascii_digit()));
    None
}

// === Webhooks ===

pub(crate) fn webhooks() -> Vec<Vec<u8>> {
    let body = |field: &str, value: &str| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"{WABA}","time":1743451903,"changes":[{{"value":{value},"field":"{field}"}}]}},{{"id":1,"changes":[]}}]}}"#
        )
    };
    let ban = r#"{"event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":"DISABLE"}}"#;
    let quality = r#"{"display_phone_number":"15550783881","event":"FLAGGED","name":"Jos\u00e9"}"#;
    vec![
        body("account_update", ban).into(),
        body("phone_number_quality_update", quality).into(),
        body("messages", r#"{"messages":[{"text":"x"}]}"#).into(),
        format!("sha256={}\n{}", encode_hex(&mac(body("security", quality).as_bytes())), body("security", quality))
            .into(),
    ]
}

fn mac(body: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(b"secret").unwrap().chain_update(body).finalize().into_bytes().to_vec()
}

/// A webhook, after an optional line with its signature. Only the right signature is accepted, and equal updates have
/// equal keys. An update has a known meaning only if the body names Meta's object type.
pub(crate) fn webhook(bytes: &[u8]) -> Option<String> {
    let at = bytes.iter().position(|byte| *byte == b'\n').filter(|_| bytes.starts_with(b"sha256="));
    let (signature, body) = at.map_or((None, bytes), |at| (str::from_utf8(&bytes[..at]).ok(), &bytes[at + 1..]));
    let is_signed = signature.is_some_and(|it| it.to_ascii_lowercase() == format!("sha256={}", encode_hex(&mac(body))));
    assert_eq!(
        meta_webhook::verify_signature("secret", signature, body).is_ok(),
        is_signed && signature?.starts_with("sha256=")
    );
    let updates = match meta_webhook::parse_updates(body, WABA) {
        Ok(updates) => updates,
        Err(why) => return Some(why),
    };
    let again = meta_webhook::parse_updates(body, WABA).unwrap();
    let mut memory = RecentUpdates::default();
    for (update, again) in updates.iter().zip(&again) {
        assert_eq!((update.key, update.meaning), (again.key, again.meaning));
        memory.insert(update.key);
        assert!(memory.contains(&again.key));
    }
    let is_known = |meaning: UpdateMeaning| !matches!(meaning, UpdateMeaning::Unknown);
    // A full JSON reader also rejects faults in values that the parser does not read.
    if let Ok(all) = serde_json::from_slice::<Value>(body) {
        let is_ours = all["object"] == "whatsapp_business_account";
        assert!(is_ours || !updates.iter().any(|update| is_known(update.meaning)));
    }
    None
}
