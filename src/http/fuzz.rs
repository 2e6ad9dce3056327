//! Fuzz targets: bodies, headers and whole requests of arbitrary bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod fuzzed_api;

use serde_json::{Value, json};
use warp::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::contract_parsing::{
    parse_imports, parse_recycle, parse_submit_phone, parse_submit_verify_code as read_code,
};
use super::json_values::JsonText;
use super::numbering_plan::load_all_plans;
use super::request_id::{RequestIdGenerator, X_REQUEST_ID};
use super::{authentication, body_type, forwarded, query_whatsapp_status, request_body};
use crate::api::{AccountImport, ImportKind};
use crate::domain::{AccountNumber, ContentField};
use crate::limits::{BATCH_ACCOUNTS, FIELD_PATH_BYTES};
use crate::vault::PlaintextContent;
#[cfg(test)] // Fuzz targets reach it through `request`.
pub(crate) use fuzzed_api::start_api;
pub(crate) use fuzzed_api::{request, requests};

/// Part of every secret in the seeds. No error message may contain it.
const SECRET: &str = "c4n4ry";

// === Bodies ===

pub(crate) fn import_seeds() -> Vec<Vec<u8>> {
    let entry = |number: u64| {
        json!({"whatsApp": number.to_string(), "whatsappType": 1, "override": false, "name": "lee",
            "avatar": "wwww.baiux.com/1.img", "publicKey": "cHVibGlj", "privateKey": "c4n4ry", "msgPublicKey": "",
            "msgPrivateKey": "c4n4ry\"\\\u{e9}\u{1f600}", "accountId": "7", "nextKeyId": "", "registrationId": null,
            "deviceParams": "{\"c4n4ry\":1}"})
    };
    let body_of = |numbers: &[u64]| json!({"whatsAppList": numbers.iter().map(|number| entry(*number)).collect::<Vec<_>>(), "more": {"a": [1, null]}});
    [body_of(&[861_821_726_232]), body_of(&[861_821_726_232, 861_821_371_272, 8_218_132_718_231]), body_of(&[])]
        .map(|body| body.to_string().into())
        .into()
}

/// Parses bodies of batchInsert and batchOnline.
pub(crate) fn check_import(bytes: &[u8]) -> Option<String> {
    let mut sentence = None;
    for import in [ImportKind::Insert, ImportKind::Online] {
        match parse_imports(bytes, import, BATCH_ACCOUNTS) {
            Ok(entries) => assert_round_trip(bytes, &entries, import),
            Err(fault) => sentence = Some(assert_names_field(&fault.to_string(), &["the body ", "whatsAppList"])),
        }
    }
    sentence
}

/// A plain JSON parser must read the same content from an accepted body. After serialization it must be accepted again.
fn assert_round_trip(bytes: &[u8], entries: &[AccountImport<JsonText<'_>>], import: ImportKind) {
    let serialized: Vec<Value> =
        entries.iter().map(|entry| to_json(entry.account, entry.replace, &entry.content())).collect();
    let serialized = json!({"whatsAppList": serialized}).to_string();
    let again = parse_imports(serialized.as_bytes(), import, BATCH_ACCOUNTS).unwrap();
    assert!(entries.iter().zip(&again).all(|(one, other)| texts(&one.content()) == texts(&other.content())));
    // serde_json rejects values that our parser ignores: deep nesting, lone surrogates.
    let Ok(sent) = serde_json::from_slice::<Value>(bytes) else { return };
    let sent = sent["whatsAppList"].as_array().unwrap();
    assert_eq!(sent.len(), entries.len());
    for (sent, entry) in sent.iter().zip(entries) {
        assert_eq!(sent["whatsApp"], entry.account.to_string());
        for (name, text) in texts(&entry.content()) {
            assert_eq!(sent.get(name).and_then(Value::as_str), text, "{name}");
        }
    }
}

fn texts<'a>(content: &PlaintextContent<'a>) -> [(&'static str, Option<&'a str>); ContentField::ALL.len()] {
    ContentField::ALL.map(|field| (field.name(), content.texts.get(field).copied()))
}

fn to_json(account: AccountNumber, replace: bool, content: &PlaintextContent<'_>) -> Value {
    let mut entry =
        json!({"whatsApp": account.to_string(), "override": replace, "whatsappType": content.account_type.code()});
    texts(content).iter().for_each(|(name, text)| entry[*name] = json!(text));
    entry
}

pub(crate) fn recycle_seeds() -> Vec<Vec<u8>> {
    [r#"{"whatsAppList":["861821726232","861821726231"]}"#, "{}", r#"{"whatsAppList":null}"#, r#"{"whatsAppList":[]}"#]
        .map(Vec::from)
        .into()
}

/// Parses bodies of batchRecycle.
pub(crate) fn check_recycle(bytes: &[u8]) -> Option<String> {
    match parse_recycle(bytes, BATCH_ACCOUNTS) {
        Ok(accounts) => {
            let parsed = accounts.as_ref().map(|accounts| accounts.iter().map(ToString::to_string).collect::<Vec<_>>());
            let sent: Value = serde_json::from_slice(bytes).unwrap();
            assert_eq!(sent.get("whatsAppList").unwrap_or(&Value::Null), &json!(parsed));
            None
        }
        Err(fault) => {
            Some(fault.to_string()).filter(|words| words.len() < 3 * FIELD_PATH_BYTES).or_else(|| panic!("{fault}"))
        }
    }
}

pub(crate) fn submit_phone_seeds() -> Vec<Vec<u8>> {
    load_all_plans();
    let phone = r#"{"phone":"182172623211","verifyType":1,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#;
    [phone, &phone.replace("+86", "1242").replace("CN", "bs")].map(Vec::from).into()
}

/// Parses bodies of submitPhone.
pub(crate) fn check_submit_phone(bytes: &[u8]) -> Option<String> {
    match parse_submit_phone(bytes) {
        Ok(parsed) => {
            let (code, account) = (parsed.calling_code.to_string(), parsed.account.to_string());
            let serialized = json!({"phone": account.strip_prefix(&code).unwrap(), "areaCode": code, "verifyType": parsed.verify_type.code(),
                "accountType": parsed.account_type.code(), "countryCode": parsed.country});
            assert_eq!(parse_submit_phone(serialized.to_string().as_bytes()), Ok(parsed));
            None
        }
        Err(fault) => Some(assert_names_field(
            &fault.to_string(),
            &["the body ", "phone ", "verifyType ", "accountType ", "areaCode ", "countryCode "],
        )),
    }
}

pub(crate) fn verify_code_seeds() -> Vec<Vec<u8>> {
    vec![br#"{"phone":"1821726232","verifyCode":"c4n4ry","areaCode":"+86"}"#.to_vec()]
}

/// Parses bodies of submitVerifyCode.
pub(crate) fn check_verify_code(bytes: &[u8]) -> Option<String> {
    match read_code(bytes) {
        Ok(parsed) => {
            if let Ok(sent) = serde_json::from_slice::<Value>(bytes) {
                assert_eq!(sent["verifyCode"], *parsed.code);
            }
            None
        }
        Err(fault) => {
            Some(assert_names_field(&fault.to_string(), &["the body ", "phone ", "verifyCode ", "areaCode "]))
        }
    }
}

fn assert_names_field(sentence: &str, fields: &[&str]) -> String {
    assert!(fields.iter().any(|field| sentence.starts_with(field)), "{sentence}");
    assert!(!sentence.contains(SECRET), "{sentence}");
    sentence.to_owned()
}

// === Headers ===

/// Seeds: one header per line.
pub(crate) fn header_seeds() -> Vec<Vec<u8>> {
    [
        "content-type: application/json; charset=\"utf-8\"\ncontent-encoding: identity\ncontent-length: 12",
        "x-request-id: 123e4567-e89b-12d3-a456-426614174000",
        "host: localhost:8080\norigin: http://localhost:8080\nsec-fetch-site: same-origin\nauthorization: Bearer muster_1_x",
        "host: [::1]:8080",
        "forwarded: for=192.0.2.60;proto=http;by=203.0.113.43, For=\"[::1]:4711\";host=\"muster.example:8443\"",
        "x-forwarded-for: 192.0.2.60, 127.0.0.1\nx-forwarded-proto: https\nx-forwarded-host: muster.example",
        "host: 127.0.0.1",
        "host: muster.localhost:8080\nx-api-key: muster_7_x",
        "accept-encoding: br;q=1.0, x-gzip;q=0.8, *;q=0.1, identity;q=0\nif-none-match: W/\"7f-3\", *",
    ]
    .map(Vec::from)
    .into()
}

/// Parses the headers, and skips invalid lines.
fn parse_headers(lines: &[u8]) -> HeaderMap {
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.split(|byte| *byte == b'\n').filter_map(header) {
        headers.append(name, value);
    }
    headers
}

/// Parses every header that the service reads.
pub(crate) fn check_headers(bytes: &[u8]) -> Option<String> {
    let headers = parse_headers(bytes);
    let ids = RequestIdGenerator::default();
    let identified = ids.read_or_generate(&headers);
    assert!(identified.header.as_bytes().iter().all(u8::is_ascii_graphic) && !identified.header.is_empty());
    let returned = HeaderMap::from_iter([(X_REQUEST_ID, identified.header)]);
    assert_eq!(
        ids.read_or_generate(&returned).id,
        identified.id,
        "an id that was answered is the same when it comes back"
    );
    if let Some(key) = authentication::api_key_from_headers(&headers) {
        assert!(key.is_ascii());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if let Some(host) = host.filter(|_| !authentication::is_cross_origin(&headers)) {
        assert_loopback(host);
    }
    if let Ok(Some(caller)) = forwarded::read_caller(&headers, |address| address.is_loopback()) {
        assert!(caller.host.is_none_or(|host| host.is_ascii() && !host.contains(['/', '@', ' '])));
    }
    if query_whatsapp_status::accepts_gzip(&headers) {
        assert!(headers.contains_key(header::ACCEPT_ENCODING));
    }
    if query_whatsapp_status::matches_if_none_match(&headers, "\"7f-3\"") {
        assert!(headers.contains_key(header::IF_NONE_MATCH));
    }
    request_body::check_content_type(&headers, body_type::BodyType::Json).err().map(|error| error.to_string())
}

/// A host without its port must be a loopback name or address.
fn assert_loopback(host: &str) {
    let name = host.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let name = name.strip_suffix(':').filter(|_| !host.ends_with(']')).unwrap_or(host).to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_label = |byte: u8| !b":/@[] \t".contains(&byte);
    let is_name = (name == "localhost" || name.ends_with(".localhost")) && name.bytes().all(is_label);
    assert!(is_name || address.is_ok_and(|it| it.is_loopback()), "{host:?} is taken for this machine");
}
