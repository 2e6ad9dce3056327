//! `/openapi.json`, and Swagger UI at `/docs`. All files are in the binary; the page loads nothing from other hosts.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use utoipa_swagger_ui::{Config, serve};
use warp::http::{HeaderValue, Method, StatusCode, header};
use warp::path::Tail;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::super::base_path::BasePath;
use super::render_openapi_at;

const OPENAPI_PATH: &str = "/openapi.json";

/// Allows what Swagger UI needs: its own files, inline styles, and icons as `data:` URLs. Framing and requests to other
/// hosts are forbidden.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Routes of the document and of Swagger UI. They need no key, because they contain no secrets.
pub(in crate::http) fn routes(
    base_path: BasePath,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    // The validator would send the document to a third party.
    let config = Arc::new(Config::from(base_path.add_to_path(OPENAPI_PATH)).validator_url("none"));
    // Rendered on the first request, because rendering would delay the start.
    let document = Arc::new(OnceLock::new());
    let json = warp::path("openapi.json").and(warp::path::end()).map(move || {
        let json = document.get_or_init(|| Bytes::from(render_openapi_at(base_path.as_str())));
        file_response("application/json", json.clone())
    });
    let pages = warp::path("docs").and(warp::path::tail()).and(warp::path::full()).map(
        move |tail: Tail, full: warp::path::FullPath| match tail.as_str() {
            // The page links to its files by relative URLs.
            "" if !full.as_str().ends_with('/') => redirect("/docs/"),
            name => swagger_file(name, config.clone()),
        },
    );
    json.or(pages).unify().and(warp::method()).map(|response: Response, method: Method| match method {
        Method::GET | Method::HEAD => response,
        _ => method_not_allowed(),
    })
}

/// One of the files of Swagger UI.
fn swagger_file(name: &str, config: Arc<Config<'static>>) -> Response {
    match serve(name, config) {
        Ok(Some(found)) => file_response(&found.content_type, Bytes::from(found.bytes.into_owned())),
        Ok(None) => empty_response(StatusCode::NOT_FOUND),
        Err(error) => {
            tracing::error!(error, "a documentation page cannot be rendered");
            empty_response(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn file_response(content_type: &str, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(content_type).ok().map(|kind| (header::CONTENT_TYPE, kind)));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The browser must ask again, because another version of the program has other files.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn redirect(to: &'static str) -> Response {
    let mut response = empty_response(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}

fn method_not_allowed() -> Response {
    let mut response = empty_response(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn empty_response(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
