//! Parses and checks texts: addresses, URLs, durations, log filters, and settings of gateways.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::fmt::friendly::{Spacing, SpanParser, SpanPrinter};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use crate::client::parse_url;
use crate::limits::{BASE_PATH_BYTES, GRAPH_ID_DIGITS, TOKEN_BYTES};

/// Maximum length of a host name, in bytes (RFC 1035).
const HOST_BYTES: usize = 253;

/// Whether `text` is `host:port`. The host may be a name. Whether the service can listen there is known only when it
/// starts.
pub fn is_listen_address(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_name = (1..=HOST_BYTES).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        // Otherwise it is an invalid IP address.
        && host.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_name && is_digits(port) && port.parse::<u16>().is_ok()
}

/// Whether `text` is a URL for POST requests.
pub(super) fn is_receiver_url(text: &str) -> bool {
    parse_receiver_url(text).is_some()
}

/// Whether a channel's path can be appended to `text`.
pub(super) fn is_base_url(text: &str) -> bool {
    parse_receiver_url(text).is_some_and(|url| url.query().is_none())
}

/// Parses the URL of a receiver. `None` if `text` is not an http or https URL without a fragment.
pub fn parse_receiver_url(text: &str) -> Option<Url> {
    parse_url(text).filter(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none())
}

/// The modules that a log filter may name as targets.
const MODULES: [&str; 26] = [
    "access",
    "actors",
    "api",
    "audit",
    "cli",
    "client",
    "clock",
    "config",
    "conformance",
    "console",
    "demo",
    "domain",
    "files",
    "gateway",
    "http",
    "idempotency",
    "journal",
    "limits",
    "metrics",
    "projections",
    "receiver",
    "service",
    "store",
    "traces",
    "vault",
    "webhooks",
];

/// Modules that were renamed: the old and the present name. A log filter may use either.
const RENAMED_MODULES: [(&str, &str); 1] = [("answers", "idempotency")];

/// The log filter `text`, with old module names replaced by the present ones.
pub fn current_log_filter(text: &str) -> String {
    RENAMED_MODULES.iter().fold(text.to_owned(), |text, (old, present)| {
        text.replace(&format!("muster::{old}"), &format!("muster::{present}"))
    })
}

/// The first parts of Muster's own paths. A base path that begins with one would hide it.
const OWN_PATHS: [&str; 20] = [
    "accounts",
    "acts",
    "api",
    "assets",
    "docs",
    "events",
    "gateway",
    "gateways",
    "group-dispatch-api",
    "healthz",
    "keys",
    "log",
    "metrics",
    "openapi.json",
    "projections",
    "readyz",
    "settings",
    "sign-in",
    "sign-out",
    "webhooks",
];

/// Whether `text` is a path that can precede all paths of Muster, such as `/muster`.
pub(super) fn is_base_path(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_part = |part: &str| !part.bytes().all(|byte| byte == b'.') && part.bytes().all(is_letter);
    let mut parts = text.split('/');
    let is_absolute = parts.next() == Some("");
    let parts: Vec<&str> = parts.collect();
    let is_own = parts.first().is_some_and(|first| OWN_PATHS.contains(first));
    is_absolute && !is_own && !parts.is_empty() && parts.into_iter().all(is_part) && text.len() <= BASE_PATH_BYTES
}

/// Whether `text` is a log filter that does not silence Muster by mistake.
///
/// Directives are separated by commas: a level alone, or a target with a level, as in `muster::webhooks=debug`. The
/// parser takes any other word for a target, and silences all other targets. Such a word must therefore be `muster` or one
/// of our [modules](MODULES). At least one directive must be a level alone, or have a target in Muster and no span.
/// Otherwise nothing would be logged outside of spans.
pub(super) fn is_log_filter(text: &str) -> bool {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let target = |directive: &str| directive.split(['=', '[']).next().unwrap_or_default().to_owned();
    let is_module = |path: &str| MODULES.contains(&path.split("::").next().unwrap_or_default());
    let is_ours = |directive: &str| {
        let target = target(directive);
        target.is_empty() || target == "muster" || target.strip_prefix("muster::").is_some_and(is_module)
    };
    let is_misspelt = |directive: &str| target(directive).starts_with("muster::") && !is_ours(directive);
    let has_level = |directive: &str| directive.rsplit_once('=').is_some_and(|(_, level)| is_level(level));
    let is_valid =
        |directive: &str| is_level(directive) || is_ours(directive) || has_level(directive) && !is_misspelt(directive);
    let text = &current_log_filter(text);
    let mut directives = text.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    EnvFilter::builder().parse(text).is_ok()
        && directives.clone().all(is_valid)
        && directives.any(|directive| is_level(directive) || is_ours(directive) && !directive.contains('['))
}

/// Parses a whole number in `range`. Underscores are allowed, as between digits in TOML.
pub(super) fn parse_whole_number(text: &str, range: &RangeInclusive<u64>) -> Option<u64> {
    let digits = text.replace('_', "");
    let number = is_digits(&digits).then(|| digits.parse().ok())??;
    range.contains(&number).then_some(number)
}

/// Parses a duration such as `10s`, `500ms` or `1h30m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    SpanParser::new().parse_unsigned_duration(text).ok()
}

/// Formats `duration` as [`parse_duration`] reads it.
pub(super) fn format_duration(duration: Duration) -> String {
    SpanPrinter::new().spacing(Spacing::None).unsigned_duration_to_string(&duration)
}

/// Whether a text is a Meta id: decimal digits.
pub(super) fn is_graph_id(text: &str) -> bool {
    (1..=GRAPH_ID_DIGITS).contains(&text.len()) && is_digits(text)
}

/// Whether a text is a Graph API version, as in `v23.0`.
pub(super) fn is_graph_version(text: &str) -> bool {
    let is_number = |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix('v')
        .and_then(|text| text.split_once('.'))
        .is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

/// Whether a text is a language and a country, as in `en_US`, or a language alone.
pub(super) fn is_language(text: &str) -> bool {
    let is_code = |text: &str, is_letter: fn(&u8) -> bool| text.len() == 2 && text.bytes().all(|byte| is_letter(&byte));
    let (language, country) = text.split_once('_').map_or((text, None), |(one, two)| (one, Some(two)));
    is_code(language, u8::is_ascii_lowercase) && country.is_none_or(|it| is_code(it, u8::is_ascii_uppercase))
}

/// Whether Meta can store data in the country with this code (Cloud API, registration).
pub(super) fn is_region(text: &str) -> bool {
    ["AU", "ID", "IN", "JP", "SG", "KR", "DE", "CH", "GB", "BR", "BH", "ZA", "AE", "CA"].contains(&text)
}

/// Whether a text may be a business name (Cloud API, phone numbers).
pub(super) fn is_verified_name(text: &str) -> bool {
    (2..=75).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Whether a text is a PIN: six digits.
pub(super) fn is_pin(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text looks like a token, or another secret that is sent unencoded.
pub(super) fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is a Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes.
pub(super) fn is_signing_secret(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    text.strip_prefix("whsec_").is_some_and(|rest| (32..=88).contains(&rest.len()) && rest.bytes().all(is_letter))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log filter can name every module.
    #[test]
    fn every_module_can_be_a_target() {
        let lines: Vec<&str> = include_str!("../lib.rs").lines().collect();
        let modules = lines.windows(2).filter(|pair| !pair[0].starts_with("#[cfg"));
        let modules = modules.filter_map(|pair| pair[1].strip_prefix("pub mod ")?.strip_suffix(';'));
        assert_eq!(modules.collect::<Vec<_>>(), MODULES);
    }

    #[test]
    fn a_renamed_module_is_still_a_target() {
        assert_eq!(current_log_filter("warn,muster::answers=debug"), "warn,muster::idempotency=debug");
        assert!(RENAMED_MODULES.iter().all(|(old, present)| !MODULES.contains(old) && MODULES.contains(present)));
    }

    #[test]
    fn log_filters_are_checked() {
        for text in [
            "info",
            "off",
            "muster",
            "muster=debug",
            "muster::webhooks=debug",
            "muster::webhooks::client",
            "muster::answers=debug",
            "warn,hyper=trace",
            "muster::webhooks[attempt]=trace,info",
            "[attempt{account}]=debug,warn",
        ] {
            assert!(is_log_filter(text), "{text:?}");
        }
        for text in [
            "verbose",
            "hyper=trace",
            "muster::nothing=debug",
            "muster::webhook=debug",
            "muster::webhook",
            "info,muster::webhook=debug",
            "muster::webhooks[attempt]=debug",
            "[attempt]=debug",
            "mustr::webhooks=debug",
        ] {
            assert!(!is_log_filter(text), "{text:?}");
        }
    }
}
