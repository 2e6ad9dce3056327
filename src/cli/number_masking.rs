//! Masks account numbers in the log, wherever they come from: a field, a path, an error's text, another crate.
//!
//! A number is a run of 7 or more digits in a text. One text may have several numbers. Values that are logged as integers
//! are not masked, because they are positions, sizes and durations.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Debug};
use std::io::{self, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

use crate::domain::mask_digits;
use crate::limits::ACCOUNT_DIGITS_MIN;

/// API keys are longer than this. A shorter text that begins with `muster_` is a name.
const API_KEY_MIN_CHARACTERS: usize = 40;

/// Formats the fields of events and spans for people.
pub(super) struct MaskedFields;

impl<'w> FormatFields<'w> for MaskedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut masking = MaskingVisitor(DefaultVisitor::new(writer, true));
        fields.record(&mut masking);
        masking.0.finish()
    }
}

/// Writes texts with their numbers masked, and other values unchanged.
struct MaskingVisitor<'w>(DefaultVisitor<'w>);

impl Visit for MaskingVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.record_debug(field, &format_args!("{}", mask(&format!("{value:?}"))));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.record_str(field, &mask(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut words = value.to_string();
        let mut cause = value.source();
        while let Some(inner) = cause {
            words += &format!(": {inner}");
            cause = inner.source();
        }
        self.0.record_debug(field, &format_args!("{}", mask(&words)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.record_f64(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.record_i64(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.record_u64(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.0.record_i128(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.0.record_u128(field, value);
    }
}

/// Writes each line of JSON at once, with the numbers in its texts masked.
pub(super) struct MaskedJsonWriter<W>(pub(super) W);

impl<W: Write> Write for MaskedJsonWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(mask_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Masks the numbers in the strings of a line of JSON.
fn mask_json(line: &str) -> String {
    let (mut output, mut is_text, mut begin, mut at) = (String::with_capacity(line.len()), false, 0, 0);
    while let Some(byte) = line.as_bytes().get(at) {
        // The length of a quote or an escape sequence. Its digits do not belong to the number beside it.
        let token_len = match byte {
            b'"' => 1,
            b'\\' if line[at + 1..].starts_with('u') => 6,
            b'\\' => 2,
            _ => 0,
        };
        if token_len > 0 {
            output += &mask_text(is_text, &line[begin..at]);
            begin = line.floor_char_boundary(at + token_len);
            output += &line[at..begin];
            is_text ^= token_len == 1;
        }
        at += token_len.max(1);
    }
    output + &mask_text(is_text, &line[begin..])
}

fn mask_text(is_text: bool, piece: &str) -> Cow<'_, str> {
    if is_text { mask(piece) } else { Cow::Borrowed(piece) }
}

/// Masks the numbers and API keys in a text. Request ids, hashes and positions stay unchanged.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let mut output = String::new();
    let (mut done, mut at) = (0, 0);
    while at < text.len() {
        if let Some(length) = api_key_len(&text[at..]) {
            output += &text[done..at];
            output += "muster_***";
            at += length;
            done = at;
            continue;
        }
        let word = text[at..].bytes().take_while(|byte| is_word(*byte)).count();
        if word >= ACCOUNT_DIGITS_MIN && !is_id(&text[at..at + word]) && !text[..at].ends_with("position ") {
            for (begin, end) in number_ranges(&text[at..at + word]) {
                output += &text[done..at + begin];
                output += &mask_digits(&text[at + begin..at + end]);
                done = at + end;
            }
        }
        at += word + text[at + word..].bytes().take_while(|byte| !is_word(*byte)).count();
    }
    if done == 0 { Cow::Borrowed(text) } else { Cow::Owned(output + &text[done..]) }
}

/// The length of the API key at the start of a text; `None` if there is none. Users may put a key into a path.
fn api_key_len(text: &str) -> Option<usize> {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let length = text.bytes().take_while(|byte| is_key(*byte)).count();
    (text.starts_with("muster_") && length > API_KEY_MIN_CHARACTERS).then_some(length)
}

/// The ranges of the numbers in a word, as start and end in bytes.
fn number_ranges(word: &str) -> impl Iterator<Item = (usize, usize)> {
    let runs = word.as_bytes().chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit());
    let ranges = runs.scan(0, |end, run| {
        *end += run.len();
        Some((run[0].is_ascii_digit(), *end - run.len(), *end))
    });
    ranges
        .filter(move |(is_digits, begin, end)| *is_digits && end - begin >= ACCOUNT_DIGITS_MIN)
        .map(|run| (run.1, run.2))
}

/// Whether a word is a request id (32 hexadecimal digits, or a hyphenated UUID) or a hash (64).
fn is_id(word: &str) -> bool {
    let hyphens = word.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at);
    let is_id = match word.len() {
        36 => hyphens.eq([8, 13, 18, 23]),
        32 | 64 => hyphens.count() == 0,
        _ => false,
    };
    is_id && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    const NUMBER: u64 = 861_821_726_232;

    #[test]
    fn numbers_in_texts_are_masked() {
        for (text, masked) in [
            ("861821726232", "861******232"),
            ("/api/v1/accounts/861821726232/events", "/api/v1/accounts/861******232/events"),
            ("/accounts/861821726232x?a=44207946000", "/accounts/861******232x?a=442*****000"),
            ("861821726232 and 861821726231,+861821726230", "861******232 and 861******231,+861******230"),
            ("1234567 12345678 123456789 1234567890", "****567 1****678 12****789 123****890"),
            ("123456789012345", "123*********345"),
            ("order-861821726232", "order-861******232"),
            ("é861821726232é", "é861******232é"),
            // No numbers.
            ("", ""),
            ("8618217262321795622768581", "861*******************581"),
            ("/api/v1/keys/muster_1_AAAAAAAAAA-BBBBBBBBBB_CCCCCCCCCC0123456789/x", "/api/v1/keys/muster_***/x"),
            ("123456 muster_service 2026-11-25T04:49:29.574012Z 127.0.0.1:40000", ""),
            ("000661128d61e65a97f0755ed4db7b31", ""),
            ("01234567-89ab-7def-8123-456789012345", ""),
            ("e6416e040bd1dbf0a829b7fd1158f405fdb5cab1073d7a574e72be193e5f2c7b", ""),
            ("damaged at position 12345678: no", ""),
            // Similar to ids.
            ("000661128d61e65a97f0755ed4db7b3", "00****128d61e65a97f0755ed4db7b3"),
            ("0123456789ab-7def-8123-4567890123456", "012****789ab-7def-8123-456*******456"),
        ] {
            assert_eq!(mask(text), if masked.is_empty() { text } else { masked });
        }
    }

    #[derive(Clone, Default)]
    struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for SharedBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs the same number in every way that `tracing` offers.
    fn log_number() {
        let text = NUMBER.to_string();
        let inner = io::Error::other(text.clone());
        let error = crate::cli::Error::FileAccess { what: "read", path: format!("/{text}").into(), source: inner };
        let error = &error as &dyn Error;
        let _span = tracing::info_span!("span", of = text).entered();
        tracing::info!(text, debug = ?text, display = %text, error, quoted = format!("\"{text}\""), "of {text}");
        tracing::info!(position = NUMBER, micros = -86_182_172_i64, wide = u128::from(NUMBER), share = 0.1234567);
    }

    #[test]
    fn numbers_are_masked_and_integers_are_not() {
        let log = SharedBuffer::default();
        let text = tracing_subscriber::fmt().with_writer({
            let log = log.clone();
            move || log.clone()
        });
        tracing::subscriber::with_default(text.with_ansi(false).fmt_fields(MaskedFields).finish(), log_number);
        let json = tracing_subscriber::fmt().json().flatten_event(true).with_writer({
            let log = log.clone();
            move || MaskedJsonWriter(log.clone())
        });
        tracing::subscriber::with_default(json.finish(), log_number);
        let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        let [text, integers, json, numbers] = lines[..] else { unreachable!("{lines:?}") };
        for words in [text, json] {
            assert!(!words.contains("861821726232"), "{words}");
        }
        // The span (twice in JSON), four fields, the error with its causes, the message.
        assert_eq!(
            (text.matches("861******232").count(), json.matches("861******232").count()),
            (9, 9),
            "{text}\n{json}"
        );
        for words in ["position=861821726232", "micros=-86182172", "wide=861821726232", "share=0.1234567"] {
            assert!(integers.contains(words), "{integers}");
        }
        for words in [r#""position":861821726232,"#, r#""micros":-86182172,"#, r#""share":0.1234567,"#] {
            assert!(numbers.contains(words), "{numbers}");
        }
    }

    proptest! {
        #[test]
        fn no_account_number_is_left(
            before in "[ -~é\\n\\x01]{0,12}",
            number in "[1-9][0-9]{6,14}",
            after in "[ -~é\\n\\x01]{0,12}",
        ) {
            let text = format!("{before}{number}{after}");
            let is_digit = |letter: char| letter.is_ascii_digit();
            prop_assume!(!before.ends_with(is_digit) && !after.starts_with(is_digit) && !before.ends_with("position "));
            prop_assert!(!mask(&text).contains(&number), "{}", mask(&text));
            let masked = mask_json(&serde_json::json!({ "text": text, "number": NUMBER }).to_string());
            prop_assert!(!masked.contains(&number) || number == NUMBER.to_string(), "{}", masked);
            let read: serde_json::Value = serde_json::from_str(&masked).unwrap();
            prop_assert_eq!(read["text"].as_str().unwrap(), mask(&text));
        }
    }
}
