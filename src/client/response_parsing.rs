//! What an answer says beside its status: `Retry-After`, and a body that is nearly JSON. Pure.

use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::domain::Timestamp;

/// How long the answer's sender wants to be left alone: its `Retry-After` (RFC 9110, 10.2.3). That is seconds, also with
/// decimals, or a date in one of the three forms of HTTP or as in mail. A date that is over means zero.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if header.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let seconds: f64 = header.parse().ok()?;
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let date = match httpdate::parse_http_date(header) {
        Ok(date) => jiff::Timestamp::try_from(date).ok()?,
        Err(_) => rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?,
    };
    Some(Timestamp(date.as_microsecond()).since(now))
}

/// A body as text that a strict reader of JSON takes: without a byte-order mark; what is no UTF-8 is U+FFFD, and so is an
/// escape that is half of a surrogate pair.
pub fn json_text(body: &[u8]) -> String {
    let (lossy, mut text) = (lossy_text(body), String::with_capacity(body.len()));
    let mut rest = &*lossy;
    while let Some(at) = rest.find('\\') {
        let (before, escaped) = rest.split_at(at);
        let unit = |at: usize| u16::from_str_radix(escaped.get(at..at + 6)?.strip_prefix("\\u")?, 16).ok();
        let (escape, length) = match (unit(0), unit(6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (&escaped[..12], 12),
            (Some(0xD800..=0xDFFF), _) => ("\\ufffd", 6),
            // A backslash may be escaped itself.
            (Some(_) | None, _) => {
                let length = 1 + escaped[1..].chars().next().map_or(0, char::len_utf8);
                (&escaped[..length], length)
            }
        };
        text.extend([before, escape]);
        rest = &escaped[length..];
    }
    text + rest
}

/// A body as text: without a byte-order mark, and with U+FFFD for what is no UTF-8.
pub fn lossy_text(body: &[u8]) -> String {
    String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;
    use serde_json::Value;

    use super::*;

    fn wait(header: &str, now: Timestamp) -> Option<f64> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(header).unwrap())]);
        retry_after(&headers, now).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn how_long_to_wait() {
        let now = Timestamp(1_445_412_420_000_000);
        for (header, seconds) in [
            ("120", Some(120.0)),
            (" 0 ", Some(0.0)),
            ("1.5", Some(1.5)),
            ("0.25", Some(0.25)),
            (".5", Some(0.5)),
            ("3.", Some(3.0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60.0)),
            ("Wednesday, 21-Oct-15 07:28:00 GMT", Some(60.0)),
            ("Wed Oct 21 07:28:00 2015", Some(60.0)),
            ("Sun Nov  1 07:27:00 2015", Some(11.0 * 86_400.0)),
            ("Wed, 21 Oct 2015 09:28:00 +0200", Some(60.0)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", Some(0.0)),
            ("99999999999999999999999", Some(Duration::MAX.as_secs_f64())),
            ("Thu, 21 Oct 2015 07:28:00 GMT", None),
            ("1.2.3", None),
            ("1e3", None),
            (".", None),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(wait(header, now), seconds, "{header:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn what_is_nearly_json() {
        for (body, text) in [
            (&b"\xEF\xBB\xBF{}"[..], "{}"),
            (b"\"\xE9\"", "\"\u{FFFD}\""),
            (br#""\ud83d\ude00""#, "\"\u{1F600}\""),
            (br#""a\ud83d""#, "\"a\u{FFFD}\""),
            (br#""\ude00\ud83d\ude00\ud83d\n""#, "\"\u{FFFD}\u{1F600}\u{FFFD}\\n\""),
            (br#""\\ud83d""#, r#""\\ud83d""#),
        ] {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(read(&json_text(body)), read(text), "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn json_stays_what_it_is(text in ".*", units in prop::collection::vec(any::<u16>(), 0..8)) {
            let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            for text in [serde_json::to_string(&text).unwrap(), format!("\"{escapes}\""), format!("\"{escapes}\\")] {
                let (strict, lenient) =
                    [text.clone(), json_text(text.as_bytes())].map(|text| serde_json::from_str::<String>(&text)).into();
                prop_assert!(strict.is_err() || lenient.as_ref().ok() == strict.as_ref().ok());
                prop_assert_eq!(lenient.is_ok(), text.len() > 1 && text.ends_with('"'));
            }
        }
    }
}
