//! Fuzzing of the receiver with arbitrary bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;

use super::handler::WebhookHandler;
use super::received_headers::ReceivedHeaders;
use super::{FaultInjector, SignatureVerifier};
use crate::client::json_text;
use crate::domain::Timestamp;
use crate::webhooks::signature::WebhookSecret;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

/// Seeds: a path, one header per line, an empty line, a body.
pub(crate) fn webhook_seeds() -> Vec<Vec<u8>> {
    let status = r#"{"whatsApp":"861821726232","status":1,"onlineStatus":2,"reason":"","instanceCode":"SIM-1"}"#;
    let signature = WebhookSecret::from_bytes(&[7; 24]).sign("msg_1", NOW, status.as_bytes());
    let head =
        "/callback/gsTask/syncWhatsAppStatus\nwebhook-id: msg_1\nx-muster-attempt: 1\nx-muster-account-version: 3";
    let register = r#"{"phone":"86182172623211","status":"1"}"#;
    vec![
        format!("{head}\nwebhook-timestamp: 1700000000\nwebhook-signature: {signature}\n\n{status}").into(),
        format!("{head}\ntimestamp: 1700000000000\ntenant_id: 500975\naccess_token: 00\n\n{status}").into(),
        format!("/group-dispatch-api/register/syncStatus\n\n{register}").into(),
    ]
}

/// A webhook must be accepted only if it is a JSON object, and signed if required. It must be possible to print it.
pub(crate) fn check_webhook(bytes: &[u8]) -> Option<String> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (String::from_utf8_lossy(&bytes[..end]), bytes.get(end + 2..).unwrap_or_default());
    let (path, lines) = head.split_once('\n').unwrap_or((&head, ""));
    let header = |name: &str| {
        let found = lines.lines().filter_map(|line| line.split_once(':')).find(|(known, _)| *known == name);
        found.map(|(_, value)| value.trim().to_owned())
    };
    let with_secret =
        SignatureVerifier::new(&[WebhookSecret::from_bytes(&[7; 24]).to_text().to_string()], None).unwrap();
    let mut rejection = None;
    for (verifier, must_be_signed) in [(SignatureVerifier::default(), false), (with_secret, true)] {
        let mut handler = WebhookHandler::new(verifier, FaultInjector::default());
        let arrival = handler.handle(NOW, path, ReceivedHeaders::read(header), Ok(body.to_vec()));
        let printed: Value = serde_json::from_str(&arrival.to_json()).unwrap();
        assert!(!arrival.to_json().contains('\n'), "one line");
        let _text = arrival.to_text();
        let is_accepted = printed["answer"]["status"] == 200;
        assert_eq!(is_accepted && must_be_signed, printed["signature"] == "verified" && is_accepted);
        assert!(!is_accepted || serde_json::from_str::<Value>(&json_text(body)).is_ok_and(|it| it.is_object()));
        rejection = rejection.or((!is_accepted).then(|| printed["answer"]["message"].as_str().unwrap().to_owned()));
    }
    rejection
}
