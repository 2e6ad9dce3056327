//! Fuzz targets: the parsers of the bridge protocol and of the stored rows.

use super::command_response::interpret_response;
use super::protocol::read_acks;
use super::reports::{EnumName, ReportType, read_batch};
use super::request_signature::{RequestVerifier, SignatureHeaders};
use super::sessions::SessionPage;
use super::stream_offsets::{IgnoredReportRow, StreamOffset};
use crate::clock::Moment;
use crate::domain::{AccountNumber, Timestamp};
use crate::gateway::ignored_report::IgnoreReason;
use crate::webhooks::signature::WebhookSecret;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

/// Bodies of reports.
pub(crate) fn reports() -> Vec<Vec<u8>> {
    [
        r#"{"stream":"7f3a","reports":[{"sequence":1,"time":"2026-11-28T05:20:00Z","account":"861821726232","type":"connected","session":3,"instance_code":"I-3"}]}"#,
        r#"{"stream":"a","reports":[{"sequence":9,"time":"2026-11-28T05:20:00.5+01:00","account":"861821726232","type":"registration_failed","task":7,"attempt":2,"reason":"wrong"},{"sequence":10,"time":"2026-11-28T05:20:00Z","account":"1234567","type":"ban_lifted","later":[1]},{"sequence":11,"time":"2026-11-28T05:20:00Z","type":"paired"}]}"#,
        r#"{"stream":"a","reports":[]}"#,
    ]
    .map(Vec::from)
    .into()
}

/// An accepted batch has sequences that rise by one.
pub(crate) fn batch(bytes: &[u8]) -> Option<String> {
    match read_batch(bytes) {
        Ok(batch) => {
            let sequences: Vec<u64> = batch.reports.iter().map(|report| report.sequence).collect();
            assert!(!sequences.is_empty() && sequences.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1])));
            None
        }
        Err(fault) => Some(fault.to_string()),
    }
}

/// Bodies of acknowledgements and of responses to commands.
pub(crate) fn answers() -> Vec<Vec<u8>> {
    [
        r#"{"acks":[{"lease":"a-2","error":"no"},{"lease":"a-3","sessions":[{"account":"861821726232","session":null,"state":"banned","reason":"spam"}],"next":"861821726232"}]}"#,
        r#"{"sessions":[{"account":"861821726231","session":3,"state":"connected","instance_code":"I-3"}],"next":null}"#,
        r#"{"error":"another gateway has the account"}"#,
        r#"{"accepted":true}"#,
    ]
    .map(Vec::from)
    .into()
}

/// Acknowledgements, pages of sessions, and responses with any status.
pub(crate) fn answer(bytes: &[u8]) -> Option<String> {
    let acks = read_acks(bytes).err().map(|fault| fault.to_string());
    let page = SessionPage::read(bytes).err().map(|fault| fault.to_string());
    let status = u16::from(bytes.first().copied().unwrap_or_default()) * 4;
    for asks_sessions in [false, true] {
        // Any response has a meaning, or is a failure that is retried.
        let _interpreted = interpret_response(status, bytes, None, asks_sessions);
    }
    acks.or(page)
}

/// Id, timestamp and signatures, one line each, then the body.
pub(crate) fn signatures() -> Vec<Vec<u8>> {
    let signature = WebhookSecret::from_bytes(&[7; 24]).sign("a", NOW, b"{}");
    vec![
        format!("a\n1700000000\n{signature}\n{{}}").into(),
        format!("a\n1700000000\nv1,AAAA {signature}\n{{}}").into(),
        format!("a\n1600000000\n{signature}\n{{}}").into(),
    ]
}

/// An accepted request was signed, and is not accepted twice.
pub(crate) fn signature(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(4, '\n');
    let headers = SignatureHeaders { id: lines.next(), timestamp: lines.next(), signature: lines.next() };
    let body = lines.next().unwrap_or_default().as_bytes();
    let (verifier, at) = (RequestVerifier::new(WebhookSecret::from_bytes(&[7; 24])), Moment { wall: NOW, steady: NOW });
    if let Err(why) = verifier.verify(headers, body, at) {
        return Some(why.to_string());
    }
    assert_eq!((headers.id, headers.timestamp, body), (Some("a"), Some("1700000000"), &b"{}"[..]), "{text:?}");
    assert!(verifier.verify(headers, body, at).is_err(), "{text:?} is taken twice");
    None
}

/// Stored rows.
pub(crate) fn stored() -> Vec<Vec<u8>> {
    let ignored = IgnoredReportRow {
        at: NOW,
        made_at: NOW,
        account: Some(AccountNumber::EXAMPLE),
        sequence: 7,
        kind: EnumName::Known(ReportType::Connected),
        why: IgnoreReason::DoesNotFit,
        stream: "7f3a".to_owned(),
    };
    let unknown = IgnoredReportRow {
        kind: EnumName::Unknown("paired".to_owned()),
        why: IgnoreReason::UnknownType,
        ..ignored.clone()
    };
    vec![StreamOffset { last_sequence: 7, at: NOW }.bytes(), ignored.bytes(), unknown.bytes()]
}

/// Writing a row gives the bytes that were read.
pub(crate) fn row(bytes: &[u8]) -> Option<String> {
    if let Some(offset) = StreamOffset::read(bytes) {
        assert_eq!(offset.bytes(), bytes);
    }
    if let Some(ignored) = IgnoredReportRow::read(bytes) {
        assert_eq!(ignored.bytes(), bytes);
    }
    None
}
