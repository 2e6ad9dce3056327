//! The path under which a reverse proxy serves Muster. It is removed from requests, and added to the URLs in responses.
//!
//! Proxies forward the path with this prefix or without it, so both forms are accepted. The other modules know only paths
//! without it.

use std::sync::Arc;

use http_body_util::{BodyExt, Collected};
use warp::http::uri::PathAndQuery;
use warp::http::{HeaderValue, Uri, header};
use warp::reply::Response;

/// Attributes of our pages that are URLs.
const URL_ATTRIBUTES: [&str; 5] = ["href", "src", "action", "hx-get", "data-tail"];

/// The path prefix: empty, or as in `/muster`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BasePath(Option<Arc<str>>);

impl BasePath {
    /// No prefix.
    pub(super) const NONE: BasePath = BasePath(None);

    /// The prefix of the settings.
    pub(super) fn new(path: Option<&str>) -> BasePath {
        BasePath(path.map(Arc::from))
    }

    /// The prefix; empty if there is none.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// A path with the prefix.
    pub(super) fn add_to_path(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// The target without the prefix. `None` if it has none.
    pub(super) fn remove_from(&self, target: &Uri) -> Option<Uri> {
        let rest = target.path_and_query()?.as_str().strip_prefix(self.0.as_deref()?)?;
        let rest = match rest.chars().next() {
            Some('/') => rest.to_owned(),
            None | Some('?') => format!("/{rest}"),
            Some(_) => return None,
        };
        let mut parts = target.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
        Uri::from_parts(parts).ok()
    }

    /// The response with the prefix in its `Location`, and in the URLs of its page.
    pub(super) async fn add_to(&self, mut response: Response) -> Response {
        if self.0.is_none() {
            return response;
        }
        let headers = response.headers_mut();
        let location = headers.get(header::LOCATION).and_then(|path| path.to_str().ok()).filter(|it| is_path(it));
        if let Some(location) = location.and_then(|path| HeaderValue::from_str(&self.add_to_path(path)).ok()) {
            headers.insert(header::LOCATION, location);
        }
        let is_page = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
        if headers.get(header::CONTENT_TYPE).is_some_and(is_page) {
            // Boxed, so that the future of other responses stays small.
            return Box::pin(self.add_to_page(response)).await;
        }
        response
    }

    async fn add_to_page(&self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        head.headers.remove(header::CONTENT_LENGTH);
        // Pages are complete before they are sent, so reading one cannot fail.
        let page = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let page = self.add_to_html(&String::from_utf8_lossy(&page));
        Response::from_parts(head, page.into())
    }

    /// The page with the prefix in its attributes. All text in our pages is escaped, so a quote always delimits an
    /// attribute.
    fn add_to_html(&self, page: &str) -> String {
        let (mut written, mut rest) = (String::with_capacity(page.len() + page.len() / 8), page);
        while let Some(at) = rest.find("=\"/") {
            let (before, after) = rest.split_at(at + 2);
            written += before;
            let name = rest[..at].rsplit(' ').next().unwrap_or_default();
            if URL_ATTRIBUTES.contains(&name) && is_path(after) {
                written += self.as_str();
            }
            rest = after;
        }
        written + rest
    }
}

/// Whether a URL is a path of this host. Two slashes begin a URL of another host.
fn is_path(url: &str) -> bool {
    url.starts_with('/') && !url.starts_with("//")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_removed_from_whole_segments_only() {
        let base = BasePath::new(Some("/ops/muster"));
        for (target, rest) in [
            ("/ops/muster", Some("/")),
            ("/ops/muster?a=b", Some("/?a=b")),
            ("/ops/muster/", Some("/")),
            ("/ops/muster/api/v1/events?type=banned", Some("/api/v1/events?type=banned")),
            ("http://muster.example/ops/muster/log", Some("http://muster.example/log")),
            ("/ops/muster/ops/muster/log", Some("/ops/muster/log")),
            ("/ops/mustering", None),
            ("/log", None),
            ("/", None),
        ] {
            let rest = rest.map(|rest: &str| rest.parse::<Uri>().unwrap());
            assert_eq!(base.remove_from(&target.parse().unwrap()), rest, "{target}");
        }
        assert_eq!(BasePath::NONE.remove_from(&"/log".parse().unwrap()), None);
    }

    #[tokio::test]
    async fn the_prefix_is_added_to_urls_of_pages_and_redirects() {
        let base = BasePath::new(Some("/muster"));
        let page = r##"<a href="/accounts?next=%2F">=&quot;/</a><form action="/sign-in"><input value="/log"><a
            href="//example.com/x"><a href="https://example.com/"><a href="#main"><div data-live="" hx-get="/?part=now">"##;
        let expected = page
            .replace("href=\"/accounts", "href=\"/muster/accounts")
            .replace("\"/sign-in", "\"/muster/sign-in")
            .replace("\"/?part", "\"/muster/?part");
        let mut response = Response::new(page.into());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/log"));
        let (head, body) = base.add_to(response).await.into_parts();
        assert_eq!(head.headers[header::LOCATION], "/muster/log");
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected.as_bytes());
        // A text that is no page stays as it is.
        let body = base.add_to(Response::new(page.into())).await.into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), page.as_bytes());
    }
}
