//! Compares the interpretation of Meta's responses and webhooks with golden files.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use sha2::Sha256;

use super::graph_client::pause_from_headers;
use super::graph_response::{self, GraphResponseError};
use super::meta_codes::{self, GraphError};
use super::meta_webhook::{self, RecentUpdates, UpdateMeaning};
use crate::audit::encode_hex;
use crate::domain::Timestamp;
use crate::limits::META_UPDATES_REMEMBERED;

const SECRET: &str = "an app's secret";

fn golden(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

/// HTTP status, code and subcode; a dash for a missing one.
const ERRORS: &str = "
401 0 -, 401 190 463, 401 190 467, 401 104 -
500 3 -, 403 10 -, 403 200 -, 403 200 1349175, 403 299 -
403 368 -, 403 131031 -, 403 130497 -
400 1 -, 503 2 -
429 4 2446079, 400 17 -, 400 80007 -, 400 130429 -, 400 131048 -, 400 131056 -
400 33 -
400 100 -, 400 100 33, 400 100 2207051, 422 100 -, 404 803 -
500 131000 -, 500 131016 -, 500 131045 -, 500 131057 -, 500 2494100 -
403 131005 -, 400 131008 -, 400 131009 -
500 133000 -
503 133004 -
400 133005 -, 400 133008 -, 400 133009 -
400 133006 -
400 133010 -
400 133015 -
400 133016 -
400 136024 -, 400 136024 2388091, 400 136024 2388367
400 136025 -, 400 136025 2388093
400 135000 -, 400 2388012 -, 400 2388091 -, 400 2388093 -, 400 2388103 -
400 999999 -, 401 999999 -, 429 999999 -, 502 999999 -, 400 - -
";

const STATES: &str = "CONNECTED LINKED FLAGGED RATE_LIMITED RESTRICTED PENDING DISCONNECTED UNLINKED UNVERIFIED BANNED \
     DELETED MIGRATED UNKNOWN SOMETHING_NEW connected";

#[test]
fn states_and_errors() {
    let mut text = String::new();
    for state in STATES.split_whitespace().chain([""]) {
        let row = meta_codes::status_meaning(state);
        writeln!(text, "{state:15} {:9?} {}", row.status, row.message).unwrap();
    }
    writeln!(text).unwrap();
    for state in ["VERIFIED", "NOT_VERIFIED", "UNVERIFIED", "EXPIRED", "SOMETHING_NEW", ""] {
        writeln!(text, "{state:15} {:?}", meta_codes::verification_status(state)).unwrap();
    }
    writeln!(text).unwrap();
    for error in ERRORS.split([',', '\n']).map(str::trim).filter(|error| !error.is_empty()) {
        let number = |at| error.split(' ').nth(at).and_then(|word: &str| word.parse::<i64>().ok());
        let status = number(0).and_then(|status| u16::try_from(status).ok()).unwrap();
        let refused = GraphError {
            http_status: status,
            code: number(1),
            subcode: number(2),
            is_transient: false,
            trace_id: None,
        };
        let (class, _) = meta_codes::classify(&refused);
        writeln!(text, "{error:18} {class:?}\n    {}", meta_codes::error_message(&refused)).unwrap();
    }
    golden("cloud_api_table", &text);
}

/// The result of reading a response as each kind of response.
fn read(status: u16, body: &str) -> String {
    let describe = |error: GraphResponseError| match error {
        GraphResponseError::Graph(refused) => {
            let (class, trace) = (meta_codes::classify(&refused).0, refused.trace_id.as_deref().unwrap_or("none"));
            format!("{class:?} ({refused}), trace {trace}")
        }
        GraphResponseError::Malformed { why, .. } => format!("garbled: {why}"),
    };
    let body = body.as_bytes();
    let success = graph_response::parse_success(status, body).map_or_else(describe, |()| "done".to_owned());
    let created = graph_response::parse_created_id(status, body).map_or_else(describe, |id| format!("made {id}"));
    let number = graph_response::parse_phone_number(status, body).map_or_else(describe, |number| format!("{number:?}"));
    let page = graph_response::parse_page(status, body).map_or_else(describe, |page| format!("{page:?}"));
    let all = [success, created, number, page];
    if all.iter().all(|words| *words == all[0]) {
        format!("  {}\n", all[0])
    } else {
        format!("  {}\n", all.join("\n  "))
    }
}

#[test]
fn responses() {
    let mut text = String::new();
    for (status, body) in [
        (200, r#"{"success":true}"#),
        (200, r#"{"success":true,"id":"110200345501442","more":[1]}"#),
        (200, r#"{"success":false}"#),
        (200, r#"{"success":"true"}"#),
        (200, r#"{"id":106540352242922,"status":"CONNECTED","display_phone_number":"+1 631-555-5555"}"#),
        (
            200,
            r#"{"verified_name":"Test Number","code_verification_status":"NOT_VERIFIED","display_phone_number":"11111111111","quality_rating":"GREEN","platform_type":"CLOUD_API","throughput":{"level":"STANDARD"},"id":"109219645287979"}"#,
        ),
        (200, r#"{"id":"1","status":7,"display_phone_number":"12"}"#),
        (200, r#"{"id":"../1","display_phone_number":"15550783881"}"#),
        (200, r#"{"data":[]}"#),
        (
            200,
            r#"{"data":[{"id":"1","display_phone_number":"15550783881","status":"PENDING"}],"paging":{"cursors":{"before":"QV=","after":"QVFI"},"next":"https://elsewhere.example/?after=x"}}"#,
        ),
        (200, r#"{"data":[],"paging":{"cursors":{"before":"QV","after":"QVFI"}}}"#),
        (200, r#"{"data":[],"paging":{"next":"https://elsewhere.example/"}}"#),
        (200, r#"{"data":[{"id":"1"}]}"#),
        (200, r#"{"data":[null]}"#),
        (200, "[]"),
        (200, ""),
        (200, "<html>Welcome to this hotel</html>"),
        (502, "<html>Bad Gateway</html>"),
        (500, "{}"),
        (
            400,
            r#"{"error":{"message":"Request code error","type":"OAuthException","code":136024,"error_subcode":2388091,"is_transient":false,"error_user_title":"t","error_user_msg":"m","fbtrace_id":"Aayh7_x-pxzNlCVeeb3IxXU"}}"#,
        ),
        (400, r#"{"error":{"message":"Verify code error","code":136025}}"#),
        (200, r#"{"error":{"code":"133010"}}"#),
        (400, r#"{"error":{"code":424242,"is_transient":true,"fbtrace_id":"a b"}}"#),
        (401, r#"{"error":{"message":"Malformed access token EAAGx"}}"#),
        (400, r#"{"error":"no"}"#),
    ] {
        write!(text, "{status} {body}\n{}", read(status, body)).unwrap();
    }
    writeln!(text).unwrap();
    for (app, business) in [
        (Some(r#"{"call_count":28,"total_time":25,"total_cputime":25}"#), None),
        (Some(r#"{"call_count":100,"total_time":25,"total_cputime":25}"#), None),
        (Some("no"), Some("no")),
        (None, Some(r#"{"1":[{"type":"whatsapp","call_count":1,"estimated_time_to_regain_access":0}]}"#)),
        (None, Some(r#"{"1":[{"estimated_time_to_regain_access":3},{"estimated_time_to_regain_access":"7"}],"2":[]}"#)),
        (Some(r#"{"call_count":"100"}"#), Some(r#"{"1":[{"estimated_time_to_regain_access":1e300}]}"#)),
    ] {
        writeln!(text, "{app:?} {business:?}\n  {:?}", graph_response::usage_pause(app, business)).unwrap();
    }
    golden("cloud_api_answers", &text);
}

/// `Retry-After` pauses calls only with status 429 or 503, and for an hour at most.
#[test]
fn retry_after_pauses_calls() {
    let wait = |status, header: &'static str| {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(header))]);
        pause_from_headers(status, &headers, Timestamp(0)).map(|wait| wait.as_secs())
    };
    assert_eq!([wait(429, "7"), wait(503, "7.5"), wait(503, "86400")], [Some(7), Some(7), Some(3600)]);
    assert_eq!([wait(429, "Thursday, 01-Jan-70 00:01:30 GMT"), wait(200, "7")], [Some(90), None]);
}

fn signed(body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(body);
    format!("sha256={}", encode_hex(&mac.finalize().into_bytes()))
}

#[test]
fn signatures() {
    let body = br#"{"name":"Jos\u00e9"}"#;
    let signature = signed(body);
    assert_eq!(meta_webhook::verify_signature(SECRET, Some(&signature), body), Ok(()));
    assert_eq!(
        meta_webhook::verify_signature(SECRET, Some(&signature.to_uppercase().replace("SHA256", "sha256")), body),
        Ok(())
    );
    let reserialized = "{\"name\":\"Jos\u{e9}\"}";
    assert_eq!(
        meta_webhook::verify_signature(SECRET, Some(&signature), reserialized.as_bytes()),
        Err(meta_webhook::MetaSignatureError::Wrong)
    );
    assert_eq!(
        meta_webhook::verify_signature("another", Some(&signature), body),
        Err(meta_webhook::MetaSignatureError::Wrong)
    );
    assert_eq!(meta_webhook::verify_signature(SECRET, None, body), Err(meta_webhook::MetaSignatureError::Missing));
    for wrong in
        ["", "sha256=", "sha1=00", &signature[..70], &format!("{signature}0"), &signature.replace("sha256=", "")]
    {
        assert_eq!(
            meta_webhook::verify_signature(SECRET, Some(wrong), body),
            Err(meta_webhook::MetaSignatureError::Wrong),
            "{wrong}"
        );
    }
    assert!(
        meta_webhook::secrets_equal("one", "one")
            && !meta_webhook::secrets_equal("one", "One")
            && !meta_webhook::secrets_equal("", "one")
    );
}

/// The meaning of a webhook with one change.
fn meaning_of(field: &str, value: &str) -> UpdateMeaning {
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","time":1743451903,"changes":[{{"value":{value},"field":"{field}"}}]}}]}}"#
    );
    let updates = meta_webhook::parse_updates(body.as_bytes(), "102290129340398").unwrap();
    assert_eq!(updates.len(), 1);
    updates[0].meaning
}

#[test]
fn updates() {
    let mut text = String::new();
    let event = |event: &str| format!(r#"{{"event":"{event}"}}"#);
    let ban = |state: &str| {
        format!(
            r#"{{"event":"DISABLED_UPDATE","ban_info":{{"waba_ban_state":"{state}","waba_ban_date":"April 17, 2025"}}}}"#
        )
    };
    for (field, value) in [
        ("account_update", ban("DISABLE")),
        ("account_update", ban("REINSTATE")),
        ("account_update", ban("SCHEDULE_FOR_DISABLE")),
        ("account_update", ban("SOMETHING_NEW")),
        ("account_update", event("DISABLED_UPDATE")),
        ("account_update", event("ACCOUNT_DELETED")),
        ("account_update", event("ACCOUNT_RESTRICTION")),
        ("account_update", event("ACCOUNT_VIOLATION")),
        ("account_update", event("ACCOUNT_OFFBOARDED")),
        ("account_update", event("ACCOUNT_RECONNECTED")),
        ("account_update", event("MM_LITE_TERMS_SIGNED")),
        ("account_update", event("SOMETHING_NEW")),
        ("account_update", r#"{"event":"PARTNER_REMOVED","waba_info":{"waba_id":"102290129340398"}}"#.to_owned()),
        ("account_update", r#"{"event":"PARTNER_REMOVED","waba_info":{"waba_id":"7"}}"#.to_owned()),
        ("account_update", r#"{"event":["DISABLED_UPDATE"],"ban_info":null}"#.to_owned()),
        ("account_update", "[]".to_owned()),
        ("account_update", "null".to_owned()),
        ("phone_number_quality_update", r#"{"display_phone_number":"15550783881","event":"FLAGGED"}"#.to_owned()),
        ("phone_number_quality_update", r#"{"display_phone_number":"+1 555-078-3881","event":"x"}"#.to_owned()),
        ("phone_number_quality_update", r#"{"event":"FLAGGED"}"#.to_owned()),
        ("security", r#"{"display_phone_number":"15550783881","event":"PIN_CHANGED","requester":"1"}"#.to_owned()),
        ("security", r#"{"display_phone_number":"15550783881","event":"PIN_RESET_REQUEST"}"#.to_owned()),
        ("account_alerts", r#"{"entity_type":"BUSINESS","alert_info":{"alert_severity":"CRITICAL"}}"#.to_owned()),
        ("account_alerts", r#"{"entity_type":"BUSINESS","alert_info":{"alert_severity":"WARNING"}}"#.to_owned()),
        ("account_review_update", r#"{"decision":"REJECTED"}"#.to_owned()),
        ("account_review_update", r#"{"decision":"APPROVED"}"#.to_owned()),
        ("phone_number_name_update", r#"{"display_phone_number":"15550783881","decision":"APPROVED"}"#.to_owned()),
        ("messages", r#"{"messages":[]}"#.to_owned()),
        ("something_new", "7".to_owned()),
    ] {
        writeln!(text, "{field} {value}\n  {:?}", meaning_of(field, &value)).unwrap();
    }
    for body in [
        r#"{"object":"page","entry":[{"id":"102290129340398","changes":[{"field":"account_update","value":{"event":"ACCOUNT_DELETED"}}]}]}"#,
        r#"{"object":"whatsapp_business_account","entry":[{"id":"7","changes":[{"field":"account_update","value":{"event":"ACCOUNT_DELETED"}}]},{"id":"102290129340398","changes":[]},{"id":102290129340398,"changes":[{"field":"account_update","value":{"event":"ACCOUNT_DELETED"}},{"field":"x","value":{}}]}]}"#,
        r#"{"object":"whatsapp_business_account","entry":[]}"#,
        r#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"account_update"}]}]}"#,
        "{}",
        "no",
    ] {
        let meanings = meta_webhook::parse_updates(body.as_bytes(), "102290129340398");
        let meanings =
            meanings.map(|updates| updates.iter().map(|update| format!("{:?}", update.meaning)).collect::<Vec<_>>());
        writeln!(text, "{body}\n  {}", meanings.map_or_else(|why| why, |meanings| meanings.join(", "))).unwrap();
    }
    golden("cloud_api_updates", &text);
}

/// A repeated update is recognized until the limit of remembered updates is exceeded.
#[test]
fn repeated_updates_are_recognized() {
    let keys = |time: usize| {
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","time":{time},"changes":[{{"field":"x","value":1}}]}}]}}"#
        );
        meta_webhook::parse_updates(body.as_bytes(), "1").unwrap()[0].key
    };
    let mut memory = RecentUpdates::default();
    memory.insert(keys(0));
    memory.insert(keys(0));
    assert!(memory.contains(&keys(0)) && !memory.contains(&keys(1)));
    (1..=META_UPDATES_REMEMBERED).for_each(|time| memory.insert(keys(time)));
    assert!(!memory.contains(&keys(0)) && memory.contains(&keys(1)) && memory.contains(&keys(META_UPDATES_REMEMBERED)));
}
