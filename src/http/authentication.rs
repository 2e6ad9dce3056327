//! Who is asking, as far as the headers of a request say.

use std::net::{IpAddr, Ipv6Addr};

use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};

use crate::access::{AuthContext, AuthError, Authenticator, Credentials, TenantToken};

/// The cookie that a browser has a session in, where there is TLS and where there is none. The first name keeps pages of
/// neighbouring hosts from setting it.
const SESSION_COOKIES: [&str; 2] = ["__Host-muster_session", "muster_session"];

/// The ids of those parts of pages that keep themselves fresh.
const LIVE_ELEMENT_IDS: [&str; 2] = ["live", "now"];

/// Lets somebody in by the API key that the request shows; while there is no key, whoever is no web page.
pub(super) async fn authenticate(
    door: &Authenticator,
    headers: &HeaderMap,
    from: IpAddr,
) -> Result<AuthContext, AuthError> {
    let pass = authenticate_with(
        door,
        api_key_from_headers(headers).map_or(Credentials::Anonymous, Credentials::ApiKey),
        headers,
        from,
    )
    .await;
    let is_token_alone = || door.keys().has_tenants() && token_from_headers(headers).is_some();
    pass.map_err(
        |denied| if denied == AuthError::MissingKey && is_token_alone() { AuthError::TokenNotAccepted } else { denied },
    )
}

/// Likewise into a documented endpoint, where the token of a tenant does too. An API key beside it is what counts.
pub(super) async fn authenticate_contract(
    door: &Authenticator,
    headers: &HeaderMap,
    from: IpAddr,
) -> Result<AuthContext, AuthError> {
    let shown = match (api_key_from_headers(headers), token_from_headers(headers)) {
        (Some(key), _) => Credentials::ApiKey(key),
        (None, Some(token)) if door.keys().has_tenants() => Credentials::TenantToken(token),
        (None, Some(_) | None) => Credentials::Anonymous,
    };
    authenticate_with(door, shown, headers, from).await
}

/// Likewise to a page, where the session of a browser does too. Whatever a browser asks to be done must come from a page of
/// ours: it sends the cookie along with whatever it asks.
pub async fn authenticate_page(
    door: &Authenticator,
    headers: &HeaderMap,
    from: IpAddr,
    is_tls: bool,
    changes: bool,
) -> Result<AuthContext, AuthError> {
    if changes && !is_same_origin(headers) {
        return Err(AuthError::ForeignOrigin);
    }
    // A part of a page that asks for itself says which it is.
    let is_use = header_text(headers, "hx-trigger").is_none_or(|part| !LIVE_ELEMENT_IDS.contains(&part));
    let session = session_from_cookie(headers, is_tls)
        .map_or(Credentials::Anonymous, |text| Credentials::Session { text, is_use });
    authenticate_with(door, api_key_from_headers(headers).map_or(session, Credentials::ApiKey), headers, from).await
}

/// The session that a request shows: in the cookie of this way alone, because whoever may set the one without TLS, as a
/// neighbouring host may, is not to say who somebody is with it.
pub fn session_from_cookie(headers: &HeaderMap, is_tls: bool) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == session_cookie_name(is_tls)).map(|(_, session)| session)
}

/// The `Set-Cookie` that keeps a session in a browser, or ends it there where it is empty.
pub fn session_cookie(session: &str, is_tls: bool) -> String {
    let (name, secure) = (session_cookie_name(is_tls), if is_tls { "; Secure" } else { "" });
    let age = if session.is_empty() { "; Max-Age=0" } else { "" };
    format!("{name}={session}; Path=/; HttpOnly; SameSite=Strict{secure}{age}")
}

fn session_cookie_name(is_tls: bool) -> &'static str {
    let [with_tls, without] = SESSION_COOKIES;
    if is_tls { with_tls } else { without }
}

/// Whether a browser says that a page of ours sends this. What says nothing of the kind is no browser of our time.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    match (header_text(headers, "sec-fetch-site"), header_text(headers, ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.split_once("://").map(|(_, host)| host) == header_text(headers, HOST.as_str()),
        (None, None) => false,
    }
}

async fn authenticate_with(
    door: &Authenticator,
    shown: Credentials<'_>,
    headers: &HeaderMap,
    from: IpAddr,
) -> Result<AuthContext, AuthError> {
    let pass = if door.keys().allows_anonymous() && is_cross_origin(headers) {
        Err(AuthError::ForeignOrigin)
    } else {
        door.authenticate(shown, from).await
    };
    pass.inspect_err(|denied| door.count_error(*denied))
}

/// The token that a request shows: that of whoever sends any of its three headers.
fn token_from_headers(headers: &HeaderMap) -> Option<TenantToken<'_>> {
    let names = ["tenant_id", "timestamp", "token"];
    // What is no text is no number either, and what is given twice is nothing that can be judged.
    let shown = |name| match (header_text(headers, name), headers.get_all(name).iter().count()) {
        (Some(shown), 1) => Some(shown).filter(|shown| !shown.is_empty()),
        (None, 1) => Some("?"),
        (_, _) => None,
    };
    let [tenant, timestamp, token] = names.map(shown);
    names.iter().any(|name| headers.contains_key(*name)).then_some(TenantToken { tenant, timestamp, token })
}

/// The API key that a request shows.
pub(super) fn api_key_from_headers(headers: &HeaderMap) -> Option<&str> {
    let bearer = header_text(headers, AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| header_text(headers, "x-api-key").filter(|key| !key.is_empty()))
}

/// Whether a browser sends it for a page that is not ours, or for a name that somebody else has for this machine (DNS
/// rebinding). Either may do what the person at the browser may.
pub(super) fn is_cross_origin(headers: &HeaderMap) -> bool {
    let host = header_text(headers, HOST.as_str());
    let is_elsewhere = host.is_some_and(|host| !is_loopback_host(host));
    let origin =
        header_text(headers, ORIGIN.as_str()).map(|origin| origin.split_once("://").map_or(origin, |(_, rest)| rest));
    let is_cross = header_text(headers, "sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    is_elsewhere || is_cross || origin.is_some_and(|origin| Some(origin) != host)
}

/// Whether a `Host` names this machine alone, port or not. What is more than that, as in `[::1].example.com` or
/// `localhost:80@example.com`, is another name to somebody.
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

    #[test]
    fn who_is_a_web_page() {
        for (headers, is_page) in [
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
            let named = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(is_cross_origin(&HeaderMap::from_iter(named)), is_page, "{headers:?}");
        }
    }

    #[test]
    fn what_a_page_of_ours_sends() {
        for (headers, is_own) in [
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
            let named = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(is_same_origin(&HeaderMap::from_iter(named)), is_own, "{headers:?}");
        }
    }

    #[test]
    fn a_session_is_in_its_cookie() {
        for (cookies, is_tls, session) in [
            (&["theme=dark; muster_session=abc"][..], false, Some("abc")),
            (&["theme=dark", "__Host-muster_session=abc"], true, Some("abc")),
            (&["muster_session=planted; __Host-muster_session=abc"], true, Some("abc")),
            (&["muster_session=planted"], true, None),
            (&["__Host-muster_session=abc"], false, None),
            (&["muster_session"], false, None),
            (&["xmuster_session=abc"], false, None),
        ] {
            let named = cookies.iter().map(|value| (COOKIE, value.parse().unwrap()));
            assert_eq!(session_from_cookie(&HeaderMap::from_iter(named), is_tls), session, "{cookies:?}");
        }
        assert_eq!(session_cookie("abc", false), "muster_session=abc; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(
            session_cookie("", true),
            "__Host-muster_session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
        );
    }

    #[test]
    fn keys_are_shown_in_two_ways() {
        for (headers, key) in [
            (&[("authorization", "Bearer muster_1_x")][..], Some("muster_1_x")),
            (&[("authorization", "bearer  muster_1_x ")], Some("muster_1_x")),
            (&[("x-api-key", "muster_2_y")], Some("muster_2_y")),
            (&[("authorization", "Basic eDp5"), ("x-api-key", "muster_2_y")], Some("muster_2_y")),
            (&[("authorization", "Bearer muster_1_x"), ("x-api-key", "muster_2_y")], Some("muster_1_x")),
            (&[("authorization", "muster_1_x")], None),
            (&[], None),
        ] {
            let named = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(api_key_from_headers(&HeaderMap::from_iter(named)), key, "{headers:?}");
        }
    }
}
