//! Parses URLs strictly, and redacts their secrets for display.

use url::Url;

use crate::limits::{SHOWN_SEGMENT_CHARACTERS, SHOWN_SEGMENT_PREFIX};

/// Replaces a text that is not a URL, because any part of it may be a secret.
pub const NOT_A_URL: &str = "(not a URL)";

/// Parses an absolute URL with a host. `None` for a text that browsers would correct, such as `https:example.com`, so that
/// the operator sees the mistake.
pub fn parse_url(text: &str) -> Option<Url> {
    let (scheme, _) = text.split_once("://")?;
    let url = Url::parse(text).ok()?;
    let is_plain = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    (is_plain && url.scheme().eq_ignore_ascii_case(scheme) && url.has_host()).then_some(url)
}

/// The URL for display: scheme, host, port and path, as parsed for requests.
///
/// User, password, query and fragment are left out. Path segments that may contain an address or a token are cut.
/// A text that is not a URL becomes [`NOT_A_URL`]. Every log line, error, response and record uses this function.
pub fn redact_url(text: &str) -> String {
    let Some(url) = parse_url(text) else { return NOT_A_URL.to_owned() };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    // A URL without a path equals the one with `/`.
    let path = if url.path() == "/" { "" } else { url.path() };
    let path: Vec<String> = path.split('/').map(cut_segment).collect();
    format!("{}://{host}{port}{}", url.scheme(), path.join("/"))
}

/// A path segment. It is cut if it contains an `@`, plain or encoded, or is as long as a token.
fn cut_segment(segment: &str) -> String {
    let has_at = segment.contains('@') || segment.contains("%40");
    if !has_at && segment.chars().count() <= SHOWN_SEGMENT_CHARACTERS {
        return segment.to_owned();
    }
    segment.chars().take(SHOWN_SEGMENT_PREFIX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_by_their_parsed_parts() {
        for (url, shown) in [
            ("https://example.com", "https://example.com"),
            ("https://example.com/?a=b", "https://example.com"),
            ("HTTPS://Example.COM:443/Hooks", "https://example.com/Hooks"),
            ("http://127.0.0.1:9/hook?account=me@corp.example&sig=TOPSECRET", "http://127.0.0.1:9/hook"),
            ("http://127.0.0.1:8080/@hooks.mycompany.example/status", "http://127.0.0.1:8080/@hoo…/status"),
            ("https://user:pass@word@example.com/a#b", "https://example.com/a"),
            ("https://user@[::1]:8443/a", "https://[::1]:8443/a"),
            ("https://evil.example\\@good.example/", "https://evil.example/@goo…/"),
            ("https://example.com/me%40corp.example/a", "https://example.com/me%4…/a"),
            ("https://example.com/123456789012345678901234", "https://example.com/123456789012345678901234"),
            ("https://example.com/1234567890123456789012345/b", "https://example.com/1234…/b"),
            ("https://user:123/word@example.com", "https://user:123/word…"),
            ("https://user:pass/word@example.com", NOT_A_URL),
            ("https:/user:password@example.com", NOT_A_URL),
            ("user:password@example.com", NOT_A_URL),
            ("mailto:me@corp.example", NOT_A_URL),
            ("https://example.com/\u{1b}[31m", NOT_A_URL),
            ("https://", NOT_A_URL),
            ("", NOT_A_URL),
        ] {
            assert_eq!(redact_url(url), shown, "{url}");
        }
    }
}
