//! Authentication of a request by its headers.

use std::net::{IpAddr, Ipv6Addr};

use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};

use super::request_head::RequestHead;
use super::request_origin::RequestOrigin;
use crate::access::{AuthContext, AuthError, Authenticator, Credentials, TenantToken};

/// The session cookie without TLS.
const SESSION_COOKIE: &str = "muster_session";
/// The session cookie with TLS. The prefix keeps neighbouring hosts from setting it.
const HOST_SESSION_COOKIE: &str = "__Host-muster_session";
/// The session cookie with TLS under a base path: browsers accept the prefix `__Host-` for the path `/` only.
const SECURE_SESSION_COOKIE: &str = "__Secure-muster_session";

/// Ids of the page elements that refresh themselves.
const LIVE_ELEMENT_IDS: [&str; 2] = ["live", "now"];

/// Authenticates a request by its API key. While no key exists, every request except a cross-origin one is accepted.
pub(super) async fn authenticate(
    authenticator: &Authenticator,
    request: &RequestHead,
) -> Result<AuthContext, AuthError> {
    let headers = &request.headers;
    let credentials = api_key_from_headers(headers).map_or(Credentials::Anonymous, Credentials::ApiKey);
    let auth = authenticate_with(authenticator, credentials, request).await;
    let has_only_token = || authenticator.keys().has_tenants() && token_from_headers(headers).is_some();
    auth.map_err(
        |error| if error == AuthError::MissingKey && has_only_token() { AuthError::TokenNotAccepted } else { error },
    )
}

/// Authenticates a request to a documented endpoint, by API key or tenant token. The API key takes precedence.
pub(super) async fn authenticate_contract(
    authenticator: &Authenticator,
    request: &RequestHead,
) -> Result<AuthContext, AuthError> {
    let headers = &request.headers;
    let credentials = match (api_key_from_headers(headers), token_from_headers(headers)) {
        (Some(key), _) => Credentials::ApiKey(key),
        (None, Some(token)) if authenticator.keys().has_tenants() => Credentials::TenantToken(token),
        (None, Some(_) | None) => Credentials::Anonymous,
    };
    authenticate_with(authenticator, credentials, request).await
}

/// Authenticates a request for a console page, by API key or browser session. With `is_change`, the request must come from
/// one of our pages, because browsers also send the cookie with requests from pages of neighbouring hosts.
pub async fn authenticate_page(
    authenticator: &Authenticator,
    request: &RequestHead,
    is_change: bool,
) -> Result<AuthContext, AuthError> {
    let headers = &request.headers;
    if is_change && !is_same_origin(request) {
        return Err(AuthError::ForeignOrigin);
    }
    // An element that refreshes itself sends its id. A refresh does not count as use of the session.
    let is_use = header_text(headers, "hx-trigger").is_none_or(|id| !LIVE_ELEMENT_IDS.contains(&id));
    let session =
        session_from_cookie(request).map_or(Credentials::Anonymous, |text| Credentials::Session { text, is_use });
    authenticate_with(authenticator, api_key_from_headers(headers).map_or(session, Credentials::ApiKey), request).await
}

/// The session in a request's cookie. Over TLS the cookie without a prefix does not count, because a neighbouring host can
/// set it.
pub fn session_from_cookie(request: &RequestHead) -> Option<&str> {
    find_session(&request.headers, session_cookie_name(&request.origin))
}

fn find_session<'h>(headers: &'h HeaderMap, cookie: &str) -> Option<&'h str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie).map(|(_, session)| session)
}

/// The `Set-Cookie` header that stores `session` in the browser. An empty `session` deletes the cookie.
pub fn session_cookie(session: &str, origin: &RequestOrigin) -> String {
    let (name, secure) = (session_cookie_name(origin), if origin.is_tls { "; Secure" } else { "" });
    let path = Some(origin.base_path.as_str()).filter(|path| !path.is_empty()).unwrap_or("/");
    let age = if session.is_empty() { "; Max-Age=0" } else { "" };
    format!("{name}={session}; Path={path}; HttpOnly; SameSite=Strict{secure}{age}")
}

fn session_cookie_name(origin: &RequestOrigin) -> &'static str {
    match (origin.is_tls, origin.base_path.as_str()) {
        (false, _) => SESSION_COOKIE,
        (true, "") => HOST_SESSION_COOKIE,
        (true, _) => SECURE_SESSION_COOKIE,
    }
}

/// Whether the browser reports that one of our pages sent the request. All current browsers send `Sec-Fetch-Site` or
/// `Origin`, so a request without either does not count as ours.
pub fn is_same_origin(request: &RequestHead) -> bool {
    is_from_own_page(&request.headers, request.origin.host.as_deref())
}

fn is_from_own_page(headers: &HeaderMap, own_host: Option<&str>) -> bool {
    match (header_text(headers, "sec-fetch-site"), header_text(headers, ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, host)| Some(host) == own_host),
        (None, None) => false,
    }
}

async fn authenticate_with(
    authenticator: &Authenticator,
    credentials: Credentials<'_>,
    request: &RequestHead,
) -> Result<AuthContext, AuthError> {
    let RequestHead { headers, origin, .. } = request;
    let auth = if !authenticator.keys().allows_anonymous() {
        authenticator.authenticate(credentials, origin.address).await
    } else if origin.is_proxied {
        Err(AuthError::Proxied)
    } else if is_cross_origin(headers) {
        Err(AuthError::ForeignOrigin)
    } else {
        authenticator.authenticate(credentials, origin.address).await
    };
    auth.inspect_err(|error| authenticator.count_error(*error))
}

/// The tenant token of a request, if it has at least one of the three headers.
fn token_from_headers(headers: &HeaderMap) -> Option<TenantToken<'_>> {
    let names = ["tenant_id", "timestamp", "token"];
    // A header that is not text becomes "?", which no verification accepts. A repeated or empty header counts as missing.
    let value_of = |name| match (header_text(headers, name), headers.get_all(name).iter().count()) {
        (Some(value), 1) => Some(value).filter(|value| !value.is_empty()),
        (None, 1) => Some("?"),
        (_, _) => None,
    };
    let [tenant, timestamp, token] = names.map(value_of);
    names.iter().any(|name| headers.contains_key(*name)).then_some(TenantToken { tenant, timestamp, token })
}

/// The API key in a request's headers.
pub(super) fn api_key_from_headers(headers: &HeaderMap) -> Option<&str> {
    let bearer = header_text(headers, AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| header_text(headers, "x-api-key").filter(|key| !key.is_empty()))
}

/// Whether a browser sends the request for a foreign page, or under a foreign host name for this machine (DNS rebinding).
/// Such a request could act with the rights of the browser's user.
pub(super) fn is_cross_origin(headers: &HeaderMap) -> bool {
    let host = header_text(headers, HOST.as_str());
    let is_foreign_host = host.is_some_and(|host| !is_loopback_host(host));
    let origin =
        header_text(headers, ORIGIN.as_str()).map(|origin| origin.split_once("://").map_or(origin, |(_, rest)| rest));
    let is_foreign_page =
        header_text(headers, "sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    is_foreign_host || is_foreign_page || origin.is_some_and(|origin| Some(origin) != host)
}

/// Whether a `Host` names this machine, with a port or without. Longer names, such as `[::1].example.com` or
/// `localhost:80@example.com`, may belong to another machine.
fn is_loopback_host(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback());
    }
    let name = name.to_ascii_lowercase();
    let is_address = name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_address || (is_name && (name == "localhost" || name.ends_with(".localhost")))
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::http::base_path::BasePath;

    #[test]
    fn cross_origin_requests_are_detected() {
        for (headers, expected) in [
            (&[("host", "127.0.0.1:8080")][..], false),
            (&[("host", "localhost")], false),
            (&[("host", "[::1]:8080")], false),
            (&[("host", "muster.localhost:8080"), ("sec-fetch-site", "none")], false),
            (
                &[("host", "localhost:8080"), ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")],
                false,
            ),
            (&[], false),
            (&[("host", "localhost:8080"), ("origin", "https://example.com")], true),
            (&[("host", "localhost:8080"), ("origin", "http://localhost:3000")], true),
            (&[("host", "localhost:8080"), ("origin", "null")], true),
            (&[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "localhost:8080"), ("sec-fetch-site", "same-site")], true),
            (&[("host", "example.com:8080"), ("origin", "http://example.com:8080")], true),
            (&[("host", "localhost.example.com")], true),
            (&[("host", "localhost:")], false),
            (&[("host", "localhost:80@example.com")], true),
            (&[("host", "localhost:8080:8080")], true),
            (&[("host", "[::1].example.com")], true),
            (&[("host", "[::1]")], false),
            (&[("host", "::1")], true),
            (&[("host", "example.com/.localhost")], true),
            (&[("host", "192.0.2.1")], true),
        ] {
            let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(is_cross_origin(&HeaderMap::from_iter(pairs)), expected, "{headers:?}");
        }
    }

    #[test]
    fn same_origin_requests_are_detected() {
        for (headers, expected) in [
            (&[("host", "muster.example"), ("origin", "https://muster.example")][..], true),
            (&[("host", "muster.example"), ("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[("host", "muster.example")], false),
            (&[("host", "muster.example"), ("origin", "https://example.com")], false),
            (&[("host", "muster.example"), ("origin", "null")], false),
            (
                &[("host", "muster.example"), ("sec-fetch-site", "same-site"), ("origin", "https://muster.example")],
                false,
            ),
            (&[("host", "muster.example"), ("sec-fetch-site", "none")], false),
        ] {
            let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(is_from_own_page(&HeaderMap::from_iter(pairs), Some("muster.example")), expected, "{headers:?}");
        }
    }

    #[test]
    fn session_cookie_depends_on_tls() {
        let tls = RequestOrigin { is_tls: true, ..RequestOrigin::LOCAL };
        for (cookies, origin, session) in [
            (&["theme=dark; muster_session=abc"][..], &RequestOrigin::LOCAL, Some("abc")),
            (&["theme=dark", "__Host-muster_session=abc"], &tls, Some("abc")),
            (&["muster_session=planted; __Host-muster_session=abc"], &tls, Some("abc")),
            (&["muster_session=planted"], &tls, None),
            (&["__Host-muster_session=abc"], &RequestOrigin::LOCAL, None),
            (&["muster_session"], &RequestOrigin::LOCAL, None),
            (&["xmuster_session=abc"], &RequestOrigin::LOCAL, None),
        ] {
            let pairs = cookies.iter().map(|value| (COOKIE, value.parse().unwrap()));
            let found = find_session(&HeaderMap::from_iter(pairs), session_cookie_name(origin)).map(str::to_owned);
            assert_eq!(found.as_deref(), session, "{cookies:?}");
        }
        assert_eq!(
            session_cookie("abc", &RequestOrigin::LOCAL),
            "muster_session=abc; Path=/; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            session_cookie("", &tls),
            "__Host-muster_session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
        );
        let base_path = BasePath::new(Some("/muster"));
        assert_eq!(
            session_cookie("abc", &RequestOrigin { base_path, ..tls }),
            "__Secure-muster_session=abc; Path=/muster; HttpOnly; SameSite=Strict; Secure"
        );
    }

    #[test]
    fn api_keys_are_read_from_two_headers() {
        for (headers, key) in [
            (&[("authorization", "Bearer muster_1_x")][..], Some("muster_1_x")),
            (&[("authorization", "bearer  muster_1_x ")], Some("muster_1_x")),
            (&[("x-api-key", "muster_2_y")], Some("muster_2_y")),
            (&[("authorization", "Basic eDp5"), ("x-api-key", "muster_2_y")], Some("muster_2_y")),
            (&[("authorization", "Bearer muster_1_x"), ("x-api-key", "muster_2_y")], Some("muster_1_x")),
            (&[("authorization", "muster_1_x")], None),
            (&[], None),
        ] {
            let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(api_key_from_headers(&HeaderMap::from_iter(pairs)), key, "{headers:?}");
        }
    }
}
