//! Parses responses: `Retry-After`, and bodies that are almost JSON. Pure.

use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::domain::Timestamp;

/// The wait in `Retry-After` (RFC 9110, 10.2.3), if it is valid.
///
/// It may be seconds, also with decimals, or a date in one of HTTP's three forms or in the form of e-mail. A past date is a
/// wait of zero.
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

/// A body as text, with common mistakes of JSON senders corrected, so that a strict parser accepts it. The byte-order mark
/// is removed. Bytes that are not Unicode, and escapes of half a surrogate pair, become U+FFFD. Within strings, raw control
/// characters are escaped, and so are backslashes that begin no escape. Correct JSON keeps its meaning.
pub fn json_text(body: &[u8]) -> String {
    let (decoded, mut text) = (lossy_text(body), String::with_capacity(body.len()));
    let (mut rest, mut is_in_string) = (&*decoded, false);
    while let Some(at) = rest.find(|it| matches!(it, '"' | '\\' | '\0'..='\x1F')) {
        let (before, special) = rest.split_at(at);
        text.push_str(before);
        let unit = |at: usize| {
            let digits = special.get(at..at + 6)?.strip_prefix("\\u")?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
        };
        let (length, corrected) = match special.as_bytes() {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => (2, None),
            [b'\\', ..] => match (unit(0), unit(6)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, None),
                (Some(0xD800..=0xDFFF), _) => (6, Some("\\ufffd".to_owned())),
                (Some(_), _) => (6, None),
                (None, _) => (1, Some("\\\\".to_owned())),
            },
            [control @ ..=0x1F, ..] if is_in_string => (1, Some(format!("\\u{control:04x}"))),
            [byte, ..] => {
                is_in_string ^= *byte == b'"';
                (1, None)
            }
            [] => (0, None),
        };
        let (original, after) = special.split_at(length);
        text.push_str(corrected.as_deref().unwrap_or(original));
        rest = after;
    }
    text + rest
}

/// A body as text, without a byte-order mark; bytes that are not Unicode become U+FFFD. The body is read as UTF-16 if a
/// byte-order mark or zero bytes show that (RFC 4627, 3), else as UTF-8.
pub fn lossy_text(body: &[u8]) -> String {
    match body {
        [0xEF, 0xBB, 0xBF, body @ ..] => String::from_utf8_lossy(body).into_owned(),
        [0xFF, 0xFE, body @ ..] => utf16(body, u16::from_le_bytes),
        [0xFE, 0xFF, body @ ..] => utf16(body, u16::from_be_bytes),
        [1..=0xFF, 0, 1..=0xFF, 0, ..] => utf16(body, u16::from_le_bytes),
        [0, 1..=0xFF, 0, 1..=0xFF, ..] => utf16(body, u16::from_be_bytes),
        body => String::from_utf8_lossy(body).into_owned(),
    }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = body.as_chunks().0.iter().map(|bytes| unit(*bytes)).collect();
    String::from_utf16_lossy(&units)
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
    fn retry_after_is_parsed() {
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
    fn almost_json_is_repaired() {
        for (body, text) in [
            (&b"\xEF\xBB\xBF{}"[..], "{}"),
            (b"\"\xE9\"", "\"\u{FFFD}\""),
            (br#""\ud83d\ude00""#, "\"\u{1F600}\""),
            (br#""a\ud83d""#, "\"a\u{FFFD}\""),
            (br#""\ude00\ud83d\ude00\ud83d\n""#, "\"\u{FFFD}\u{1F600}\u{FFFD}\\n\""),
            (br#""\\ud83d""#, r#""\\ud83d""#),
            (b"{\n\"a\tb\":\"\\\"c\r\n\0\"\n}", r#"{"a\tb":"\"c\r\n\u0000"}"#),
            (br#""C:\dir\users\u12 \u+123""#, r#""C:\\dir\\users\\u12 \\u+123""#),
            (b"\"\\\n\"", r#""\\\n""#),
            (b"\xFF\xFE{\0}\0", "{}"),
            (b"\xFE\xFF\0{\0}", "{}"),
            (b"{\0}\0", "{}"),
            (b"\0\"\0a\xD8\x3D\xDE\x00\0\"", "\"a\u{1F600}\""),
        ] {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(read(&json_text(body)), read(text), "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn valid_json_keeps_its_value(text in ".*", units in prop::collection::vec(any::<u16>(), 0..8)) {
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
