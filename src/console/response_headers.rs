//! The security headers of every response, and a way to set other headers.

use warp::http::{HeaderName, HeaderValue, header};
use warp::reply::Response;

/// Browsers load nothing from elsewhere and run no inline script, so a text that looks like a script stays text.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'";

/// The headers of every response of the console.
const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    // Pages are private, and out of date a moment later.
    (header::CACHE_CONTROL, "no-store"),
];

/// Sets the security headers, each once: a streamed response may have one already.
pub(super) fn set_security_headers(response: &mut Response) {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Sets a header, in place of an earlier value. A value that no header can have is left out.
pub(super) fn set_header(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
