//! Tests of how webhooks of every kind are handled and printed.

use std::fmt::Write as _;

use crate::domain::Timestamp;
use crate::limits::WEBHOOK_SECRET_BYTES;
use crate::webhooks::signature::{AppSecret, WebhookSecret};

use super::handler::WebhookHandler;
use super::received_headers::ReceivedHeaders;
use super::received_webhook::ReceiverResponse;
use super::{FaultInjector, SignatureVerifier};

const NOW: Timestamp = Timestamp(1_764_046_168_934_966);
const SYNC: &str = "/hooks/callback/gsTask/syncWhatsAppStatus";
const REGISTER: &str = "/group-dispatch-api/register/syncStatus";
const ONLINE: &str = r#"{"whatsApp":"861821726232","status":1,"onlineStatus":2,"reason":"","instanceCode":"SIM-1"}"#;

/// The headers of one webhook. Each line of `text` has a name, a space and a value.
fn headers(text: &str) -> ReceivedHeaders {
    let value = |line: &str, name: &str| Some(line.trim().strip_prefix(name)?.strip_prefix(' ')?.to_owned());
    ReceivedHeaders::read(|name| text.lines().find_map(|line| value(line, name)))
}

fn handle_and_print(
    handler: &mut WebhookHandler,
    path: &str,
    text: &str,
    body: Result<&str, ReceiverResponse>,
) -> String {
    let arrival = handler.handle(NOW, path, headers(text), body.map(|body| body.as_bytes().to_vec()));
    format!("{}\n", arrival.to_text())
}

fn golden(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

fn secret(fill: u8) -> WebhookSecret {
    WebhookSecret::from_bytes(&vec![fill; *WEBHOOK_SECRET_BYTES.start()])
}

/// Without secrets, every JSON object is accepted.
#[test]
fn webhooks_are_printed() {
    let mut handler = WebhookHandler::new(SignatureVerifier::default(), FaultInjector::default());
    let mut text = String::new();
    for (path, headers, body) in [
        (SYNC, "webhook-id a3\nx-muster-account-version 3\nx-muster-attempt 1", ONLINE),
        (SYNC, "webhook-id a3\nx-muster-account-version 3\nx-muster-attempt 2", ONLINE),
        (SYNC, "webhook-id a5\nx-muster-account-version 5\nx-muster-attempt 1\naccess_token 00", ONLINE),
        (SYNC, "webhook-id a4\nx-muster-account-version 4\nx-muster-attempt 2", ONLINE),
        (SYNC, "webhook-id test\nx-muster-account-version 0\nx-muster-attempt 1", ONLINE),
        (REGISTER, "webhook-id a2\nx-muster-account-version 2", r#"{"phone":"861821726232","status":1}"#),
        (REGISTER, "", r#"{"phone":"861821726232","status":"0"}"#),
        (REGISTER, "", r#"{"phone":"861821726232","status":0,"stillWaiting":true}"#),
        (REGISTER, "", r#"{"phone":"861821726232","status":0,"stillWaiting":false}"#),
        ("/mine", "", r#"{"whatsApp":"861821720001","status":1,"onlineStatus":1}"#),
        ("/mine", "", r#"{"whatsApp":"861821720001","status":1,"onlineStatus":3,"reason":""}"#),
        ("/mine", "", r#"{"whatsApp":"861821720001","status":1,"onlineStatus":4,"reason":"1001","instanceCode":""}"#),
        ("/mine", "", r#"{"whatsApp":"861821720001","status":2,"onlineStatus":4,"reason":"for\u001b[2Jever"}"#),
        ("/mine", "", r#"{"whatsApp":"861821720001","status":9,"onlineStatus":4}"#),
        ("/mine", "", "\u{feff}{\"whatsApp\":\"861821720001\",\"status\":2,\"onlineStatus\":4,\"reason\":\"\\ud83d\"}"),
        ("/mine", "", "{}"),
        ("/mine", "", "[1]"),
        ("/mine", "", "what?"),
    ] {
        text += &handle_and_print(&mut handler, path, headers, Ok(body));
    }
    text += &handle_and_print(&mut handler, "/mine", "", Err(ReceiverResponse::rejection(413, "the body is too long")));
    golden("receiver_said", &text.replace('\u{1b}', "ESC"));
}

#[test]
fn signatures_are_verified() {
    let body = ONLINE.as_bytes();
    let app = AppSecret::new("500975", "f9a40a4780f5e1306c46f1c8daecee3b").unwrap();
    let standard = |secret: &WebhookSecret, at: Timestamp| {
        let (signature, seconds) = (secret.sign("a3", at, body), at.0 / 1_000_000);
        format!("webhook-id a3\nwebhook-timestamp {seconds}\nwebhook-signature v1,AAAA {signature}\n")
    };
    let with_token = |app: &AppSecret, at: Timestamp| {
        let (timestamp, token) = app.sign(at);
        format!("tenant_id {}\ntimestamp {timestamp}\naccess_token {token}\n", app.tenant_id)
    };
    let late = Timestamp(NOW.0 - 301_000_000);
    let (signed, by_app) = (standard(&secret(1), NOW), with_token(&app, NOW));
    let cases = [
        ("nothing", "webhook-id a3".to_owned()),
        ("standard", signed.clone()),
        ("by the second secret", standard(&secret(2), NOW)),
        ("by another secret", standard(&secret(3), NOW)),
        ("with another id", signed.replace("a3", "a4")),
        ("without a timestamp", signed.replace("webhook-timestamp", "other")),
        ("long ago", standard(&secret(1), late)),
        ("app", by_app.clone()),
        ("by another tenant", by_app.replace("500975", "500976")),
        ("by the app, long ago", with_token(&app, late)),
        ("both", format!("{signed}{by_app}")),
        ("both, the app wrong", format!("{signed}{}", by_app.replace("access_token ", "access_token 0"))),
    ];
    let secrets: Vec<String> = [1, 2].map(|fill| secret(fill).to_text().to_string()).into();
    let app = Some((app.tenant_id.as_str(), app.text()));
    let mut text = String::new();
    for (name, secrets, app) in [("standard", &secrets[..], None), ("app", &[], app), ("both", &secrets, app)] {
        writeln!(text, "needed: {name}").unwrap();
        for (name, headers) in &cases {
            let mut handler =
                WebhookHandler::new(SignatureVerifier::new(secrets, app).unwrap(), FaultInjector::default());
            let arrival = handler.handle(NOW, SYNC, self::headers(headers), Ok(body.to_vec()));
            let ReceiverResponse { status, message, .. } = arrival.response;
            let signature = arrival.signature.unwrap_or("WRONG");
            writeln!(text, "  {name}: {signature} → {status} {message}").unwrap();
        }
    }
    for (secrets, app) in [(&["s3cret".to_owned()][..], None), (&[], Some(("50 75", ""))), (&[], Some(("500975", "s")))]
    {
        writeln!(text, "{}", SignatureVerifier::new(secrets, app).err().unwrap()).unwrap();
    }
    golden("receiver_signed", &text);
}

/// A webhook that got an injected error was not accepted, so its redelivery is not a duplicate.
#[test]
fn faults() {
    let mut text = String::new();
    for (share, status, code, seed) in [
        (None, None, None, 1),
        (Some(0.0), Some(503), None, 1),
        (Some(1.0), None, None, 1),
        (Some(0.3), None, None, 1),
        (Some(0.3), None, None, 1),
        (Some(0.3), Some(503), None, 2),
        (Some(0.3), None, Some(500), 3),
        (None, Some(503), None, 1),
        (None, Some(503), Some(9), 1),
        (None, None, Some(0), 1),
    ] {
        let mut handler =
            WebhookHandler::new(SignatureVerifier::default(), FaultInjector::new(share, status, code, seed));
        let mut deliver = || handler.handle(NOW, SYNC, headers("webhook-id a3"), Ok(ONLINE.into()));
        let arrivals: Vec<_> = (0..40).map(|_| deliver()).collect();
        let line: String = arrivals.iter().map(|it| if it.response.is_success() { '.' } else { 'x' }).collect();
        let duplicates = arrivals.iter().filter(|it| it.to_text().ends_with("DUPLICATE")).count();
        assert_eq!(
            duplicates,
            line.find('.').map_or(0, |first| line.len() - first - 1),
            "all after the first accepted one"
        );
        let arrival = arrivals.iter().rev().find(|it| !it.response.is_success()).unwrap_or(&arrivals[0]);
        let ReceiverResponse { status: http, .. } = arrival.response;
        writeln!(
            text,
            "{share:?} {status:?} {code:?} seed {seed}\n  {line}\n  HTTP {http} {}",
            arrival.response.to_envelope()
        )
        .unwrap();
    }
    golden("receiver_faults", &text);
}

#[test]
fn a_line_of_json() {
    let mut handler = WebhookHandler::new(SignatureVerifier::default(), FaultInjector::default());
    let newer = headers("webhook-id a5\nx-muster-account-version 5");
    handler.handle(NOW, SYNC, newer, Ok(ONLINE.into()));
    let sent = "webhook-id a3\nx-muster-account-version 3\nx-muster-attempt 2\naccept */*";
    let arrival = handler.handle(NOW, SYNC, headers(sent), Ok(ONLINE.into()));
    golden("receiver_json", &arrival.to_json());
}
