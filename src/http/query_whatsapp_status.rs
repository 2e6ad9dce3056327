//! queryWhatsAppStatus: the account list, with entity tags and gzip.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use warp::Reply;
use warp::http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::Api;
use super::contract_envelope::{LIST_HEAD, LIST_TAIL};
use super::contract_error::Error;
use super::contract_parsing::{Query, parse_account_query};
use crate::access::AuthContext;

/// The content coding of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentCoding {
    Identity,
    Gzip,
}

/// Responds with the list, or 304 if the caller's entity tag is current.
pub(super) async fn handle(
    api: &Api,
    query: &Query,
    headers: &HeaderMap,
    auth: &AuthContext,
) -> Result<Response, Error> {
    let roster = &api.service().roster;
    let list = match parse_account_query(query)? {
        Some(account) => {
            auth.require_account(account)?;
            roster.list_one(account)
        }
        None if auth.account_prefixes().is_empty() => roster.list(),
        None => roster.list_matching(&auth.account_prefixes().join("."), |account| auth.may_access(account)),
    };
    let coding = if accepts_gzip(headers) { ContentCoding::Gzip } else { ContentCoding::Identity };
    let etag = coding.etag(&list.etag());
    if matches_if_none_match(headers, &etag) {
        let mut response = Response::new("".into());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        set_cache_headers(&mut response, &etag);
        return Ok(response);
    }
    let pieces = match coding {
        ContentCoding::Identity => list.render(LIST_HEAD, LIST_TAIL),
        // Compressing a long list takes a while if all of it changed.
        ContentCoding::Gzip => tokio::task::spawn_blocking(move || list.render_gzip(LIST_HEAD, LIST_TAIL)).await?,
    };
    let mut response = stream_response(pieces);
    set_cache_headers(&mut response, &etag);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if coding == ContentCoding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Streams the pieces, with their total length. The list is never copied into one buffer.
fn stream_response(pieces: Vec<Bytes>) -> Response {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut response = warp::reply::stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn set_cache_headers(response: &mut Response, etag: &str) {
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // Caches may store the list but must revalidate it: callers must see every command that was answered before.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

impl ContentCoding {
    /// The strong entity tag for this coding. The bytes differ by coding, so each coding needs its own tag.
    fn etag(self, list_etag: &str) -> String {
        match self {
            ContentCoding::Identity => list_etag.to_owned(),
            ContentCoding::Gzip => format!("{}-gzip\"", list_etag.strip_suffix('"').unwrap_or(list_etag)),
        }
    }
}

/// Whether `If-None-Match` contains `etag`, by weak comparison (RFC 9110).
pub(super) fn matches_if_none_match(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    // Our tags contain no comma, so splitting at commas cannot break them.
    lines
        .flat_map(|line| line.split(',').map(str::trim))
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Whether `Accept-Encoding` accepts gzip and does not prefer the plain form.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    for (coding, quality) in lines.flat_map(|line| line.split(',')).map(parse_coding) {
        match coding {
            coding if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => {
                gzip = Some(quality);
            }
            coding if coding.eq_ignore_ascii_case("identity") => identity = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// Splits `gzip;q=0.5` into coding and quality. An invalid quality counts as 0.
fn parse_coding(item: &str) -> (&str, f32) {
    let (coding, parameters) = item.split_once(';').unwrap_or((item, "q=1"));
    let quality = parameters.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    let quality = quality.and_then(|quality| quality.trim().parse().ok()).filter(|q| (0.0..=1.0).contains(q));
    (coding.trim(), quality.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_chosen_by_quality() {
        let check = |accepted: &'static str, expected: bool| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(accepts_gzip(&headers), expected, "{accepted:?}");
        };
        assert!(!accepts_gzip(&HeaderMap::new()));
        check("", false);
        check("gzip", true);
        check("deflate, GZIP;q=0.5", true);
        check("br;q=1.0, x-gzip;q=0.8, *;q=0.1", true);
        check("*", true);
        check("*;q=0", false);
        check("gzip;q=0, *", false);
        check("gzip; q = 0.000", false);
        check("gzip;q=0.5, identity", false);
        check("identity;q=0.5, gzip;q=0.5", true);
        check("gzip;q=NaN", false);
        check("gzip;level=9", false);
    }

    #[test]
    fn entity_tags_compare_weakly() {
        let check = |value: &'static str, expected: bool| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
            assert_eq!(matches_if_none_match(&headers, r#""7f-3""#), expected, "{value:?}");
        };
        assert!(!matches_if_none_match(&HeaderMap::new(), r#""7f-3""#));
        check(r#""7f-3""#, true);
        check(r#"W/"7f-3""#, true);
        check(r#""a,b", W/"c" ,"7f-3""#, true);
        check("*", true);
        check(r#""7f-3-gzip""#, false);
        check("7f-3", false);
        assert_eq!(ContentCoding::Gzip.etag(r#""7f-3""#), r#""7f-3-gzip""#);
    }
}
