//! Fuzz targets: stored rows of deliveries, responses of receivers, and secrets.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::attempt_log::{AttemptLog, DeadLetter, DeliveryAttempt, DeliveryState};
use super::delivery_store_encoding::{
    decode_dead_letter, decode_lane_row, decode_redelivery, encode_dead_letter, encode_lane_row, encode_redelivery,
};
use super::lane::LaneRow;
use super::receiver_client::excerpt;
use super::response_check::check_response;
use super::retry_schedule::Moment;
use super::signature::{AppSecret, WebhookSecret};
use super::success_log::SuccessLog;
use crate::client::{json_text, retry_after};
use crate::domain::{AccountNumber, Timestamp};
use crate::limits::{SUCCESS_LOG_POSITIONS_PER_ROW, WEBHOOK_EXCERPT_BYTES};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
const MOMENT: Moment = Moment { wall: Timestamp(1_699_999_990_000_000), steady: Timestamp(1_699_999_980_000_000) };

fn attempt() -> DeliveryAttempt {
    let failure = Some(("code".to_owned(), "the receiver answered HTTP 200 with code 500, not 200 or 0".to_owned()));
    DeliveryAttempt {
        at: NOW.0,
        micros: 1_500,
        status: Some(200),
        failure,
        response: r#"{"code":500}"#.to_owned(),
        next: Some(NOW.0),
    }
}

// === The delivery store ===

pub(crate) fn stored_rows() -> Vec<Vec<u8>> {
    let letter = |body: Option<&'static [u8]>| DeadLetter {
        account: AccountNumber::EXAMPLE,
        attempts: 7,
        at: NOW,
        failure: "no answer".to_owned(),
        body: body.map(Bytes::from_static),
    };
    vec![
        encode_lane_row(&LaneRow { next_position: 9, failed: 2, attempts: 3, due_at: Some(NOW) }, MOMENT),
        encode_lane_row(&LaneRow { next_position: 9, failed: 7, attempts: 7, due_at: None }, MOMENT),
        [2, 9, 2, 1_700_000_000_000_000, 3].map(u64::to_le_bytes).concat(),
        [1, 9, 2, 1_700_000_000_000_000].map(u64::to_le_bytes).concat(),
        encode_redelivery(2, MOMENT.wait_until(NOW)),
        [1, 2, 1_700_000_000_000_000].map(u64::to_le_bytes).concat(),
        encode_dead_letter(&letter(Some(br#"{"whatsApp":"861821726231"}"#))),
        encode_dead_letter(&letter(Some(b""))),
    ]
}

/// Decoded lane rows and dead letters stay the same when they are encoded and decoded again. Redeliveries are only
/// decoded.
pub(crate) fn rows(bytes: &[u8]) -> Option<String> {
    if let Some(row) = decode_lane_row(bytes, MOMENT) {
        assert_eq!(decode_lane_row(&encode_lane_row(&row, MOMENT), MOMENT), Some(row));
    }
    if let Some(letter) = decode_dead_letter(bytes) {
        assert!(matches!(bytes[..8], [1 | 2, 0, 0, 0, 0, 0, 0, 0]), "a format that nobody knows");
        let again = decode_dead_letter(&encode_dead_letter(&letter)).unwrap();
        assert_eq!((&again.failure, again.account, again.attempts), (&letter.failure, letter.account, letter.attempts));
        assert_eq!(again.body.unwrap_or_default(), letter.body.unwrap_or_default());
    }
    let _due = decode_redelivery(bytes);
    None
}

pub(crate) fn trails() -> Vec<Vec<u8>> {
    let mut trail = AttemptLog::new(DeliveryState::Pending, NOW);
    let first = trail.encode();
    trail.add(attempt(), DeliveryState::Waiting, NOW);
    let second = trail.encode();
    (0..100).for_each(|_| trail.add(attempt(), DeliveryState::Dead, NOW));
    (trail.superseded_by, trail.reason) = (Some(7), Some("old".to_owned()));
    vec![first, second, trail.encode()]
}

/// A decoded attempt log stays the same when it is encoded and decoded again, and accepts another attempt.
pub(crate) fn trail(bytes: &[u8]) -> Option<String> {
    let mut trail = AttemptLog::decode(bytes)?;
    assert_eq!(AttemptLog::decode(&trail.encode()), Some(trail.clone()));
    let before = trail.attempt_count();
    trail.add(attempt(), DeliveryState::Delivered, NOW);
    assert!(trail.attempt_count() >= before && trail.is_over() && trail.is_younger_than(NOW));
    None
}

pub(crate) fn taken_rows() -> Vec<Vec<u8>> {
    let of = |positions: &[u64]| {
        let attempt =
            |response: &str| DeliveryAttempt { failure: None, next: None, response: response.to_owned(), ..attempt() };
        let answer = |position: u64| if position.is_multiple_of(2) { r#"{"code":200}"# } else { "" };
        SuccessLog(positions.iter().map(|position| (*position, attempt(answer(*position)))).collect()).encode()
    };
    vec![of(&[512]), of(&[513, 514, 600]), of(&(512..768).collect::<Vec<_>>())]
}

/// A decoded row of the success log has only its own positions, and stays the same when it is encoded and decoded
/// again.
pub(crate) fn taken(bytes: &[u8]) -> Option<String> {
    for first in [512, u64::MAX / SUCCESS_LOG_POSITIONS_PER_ROW * SUCCESS_LOG_POSITIONS_PER_ROW] {
        let mut taken = SuccessLog::decode(first, bytes);
        assert!(
            taken.0.keys().all(|position| (first..=first + (SUCCESS_LOG_POSITIONS_PER_ROW - 1)).contains(position))
        );
        assert_eq!(SuccessLog::decode(first, &taken.encode()), taken);
        taken.0.values().for_each(|attempt| assert!(attempt.clone().into_log().is_over()));
        taken.remove_older_than(NOW);
    }
    None
}

// === Receivers ===

/// Samples: `Retry-After`, a line end, a body.
pub(crate) fn answers() -> Vec<Vec<u8>> {
    [
        "3\n{\"data\":\"\",\"code\":200,\"message\":\"success\"}",
        "Wed, 25 Nov 2026 09:00:00 GMT\n{\"code\":0}",
        "1.5\n\u{feff}{\"code\":200.0,\"message\":\"\\ud83d\"}",
        "\n{\"code\":500}",
        "\n{\"code\":500,\"message\":\"C:\\dir\n\",\"x\":[[1e999]]}",
    ]
    .map(Vec::from)
    .into()
}

/// A response is a success only if its JSON says so. A strict JSON parser that can read it agrees.
pub(crate) fn answer(bytes: &[u8]) -> Option<String> {
    let (header, body) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    if let Ok(header) = HeaderValue::from_bytes(header) {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, header)]);
        let wait = retry_after(&headers, NOW).unwrap_or_default();
        let _bounded: Duration = wait.min(crate::limits::RETRY_AFTER_MAX);
    }
    let text = json_text(body);
    let (strict, lenient) = (serde_json::from_slice::<Value>(body), serde_json::from_str::<Value>(&text));
    assert!(strict.is_err() || lenient.as_ref().ok() == strict.as_ref().ok());
    let is_read = lenient.is_ok();
    let code = lenient.ok().and_then(|answer| answer.get("code").cloned());
    let is_success = code.as_ref().and_then(Value::as_f64).is_some_and(|code| code == 0.0 || code == 200.0);
    for status in [100, 199, 200, 201, 299, 300, 410, 500, 999] {
        let (strict, plain) = (check_response(status, body, false), check_response(status, body, true));
        if !is_read {
            // The test's parser rejects large numbers and deep nesting. A success may have them, but only beside the
            // code.
            let is_broken = serde_json::from_str::<IgnoredAny>(&text).is_err();
            assert!(strict.is_err() || (!is_broken && status == 200));
            assert!(plain.is_err() || !is_broken || !text.starts_with('{'));
            continue;
        }
        assert_eq!(strict.is_ok(), status == 200 && is_success);
        assert_eq!(plain.is_ok(), (200..300).contains(&status) && (is_success || code.is_none()));
    }
    assert!(excerpt(body).len() <= 3 * WEBHOOK_EXCERPT_BYTES);
    check_response(200, body, false).err().map(|failure| failure.to_string())
}

// === Secrets ===

/// Samples: the text of a secret; or tenant, secret, timestamp and token, one a line.
pub(crate) fn secrets() -> Vec<Vec<u8>> {
    let app = AppSecret::new("500975", "f9a40a4780f5e130").unwrap();
    let (timestamp, token) = app.sign(NOW);
    let standard = WebhookSecret::from_bytes(&[7; 24]);
    vec![
        standard.to_text().as_bytes().to_vec(),
        format!("500975\nf9a40a4780f5e130\n{timestamp}\n{token}").into(),
        format!("{}\nmsg_1\n1700000000\n{}", *standard.to_text(), standard.sign("msg_1", NOW, b"{}")).into(),
    ]
}

/// Each secret has exactly one text, and so has each signature.
pub(crate) fn secret(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    let parts: Vec<&str> = text.splitn(4, '\n').collect();
    let standard = WebhookSecret::parse(parts[0]);
    if let Ok(secret) = &standard {
        assert_eq!(*secret.to_text(), parts[0]);
    }
    if let [first, second, timestamp, token] = parts[..] {
        if let Ok(app) = AppSecret::new(first, second)
            && app.verify(first, timestamp, token, NOW).is_ok()
        {
            let signed_at = Timestamp(timestamp.parse::<i64>().unwrap() * 1_000);
            assert_eq!(token.to_ascii_lowercase(), app.sign(signed_at).1);
        }
        if let Ok(secret) = &standard
            && secret.verify(second, timestamp, token, b"{}", NOW).is_ok()
        {
            let signed_at = Timestamp(timestamp.parse::<i64>().unwrap() * 1_000_000);
            assert!(token.split(' ').any(|one| one == secret.sign(second, signed_at, b"{}")));
        }
    }
    standard.err().map(|error| error.to_string())
}
