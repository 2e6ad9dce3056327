//! The layout of every page, with navigation and requester, and the responses that carry pages.

use maud::{DOCTYPE, Markup, html};
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::assets;
use super::components::error_note;
use super::page_request::ConsoleRequest;
use super::response_headers::{set_header, set_security_headers};
use crate::access::AuthError;
use crate::api::{Call, Problem};
use crate::http::abort_when_key_ends;

/// The result of a page's handler.
pub(super) type PageResult = Result<PageResponse, Problem>;

/// The response to a page request.
pub(super) enum PageResponse {
    /// A page without its layout.
    Page { title: String, nav_path: &'static str, content: Markup },
    /// A redirect (303) to another page.
    Redirect(String),
    /// A file or a stream.
    Raw(Response),
}

impl PageResponse {
    /// A page. Its title is for the browser's tab; the navigation highlights `nav_path`.
    pub(super) fn page(title: impl Into<String>, nav_path: &'static str, content: Markup) -> PageResponse {
        PageResponse::Page { title: title.into(), nav_path, content }
    }

    /// The streamed answer to a call. It breaks off when the key of the call ends.
    pub(super) fn stream(answer: Response, call: &Call) -> PageResponse {
        let mut response = abort_when_key_ends(answer, call.requester().clone());
        set_security_headers(&mut response);
        PageResponse::Raw(response)
    }

    /// As [`stream`](PageResponse::stream), but browsers save it as a file of this name.
    pub(super) fn download(mut answer: Response, name: &str, call: &Call) -> PageResponse {
        set_header(&mut answer, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
        PageResponse::stream(answer, call)
    }
}

/// The navigation: paths and names.
const NAVIGATION: [(&str, &str); 10] = [
    ("/", "Overview"),
    ("/accounts", "Accounts"),
    ("/events", "Events"),
    ("/webhooks", "Webhooks"),
    ("/gateways", "Gateways"),
    ("/projections", "Projections"),
    ("/log", "Log"),
    ("/acts", "Audit log"),
    ("/keys", "Keys"),
    ("/settings", "Settings"),
];

/// htmx evaluates no text as a script, adds no inline styles, and keeps no page in the browser's history cache.
const HTMX_CONFIG: &str =
    r#"{"allowEval":false,"includeIndicatorStyles":false,"historyCacheSize":0,"selfRequestsOnly":true}"#;

/// The response to an authenticated requester.
pub(super) fn respond(answer: PageResponse, request: &ConsoleRequest) -> Response {
    match answer {
        PageResponse::Page { title, nav_path, content } => {
            html_response(StatusCode::OK, &title, &with_navigation(nav_path, request, &content))
        }
        PageResponse::Redirect(path) => redirect(&path),
        PageResponse::Raw(response) => response,
    }
}

/// A problem as a page.
pub(super) fn error_page(problem: &Problem, request: Option<&ConsoleRequest>) -> Response {
    let status = status_code(problem);
    let title = status.canonical_reason().unwrap_or("Error");
    let content = html! {
        div.card {
            h1 { (title) }
            (error_note(problem))
            p { a href="/" { "Overview" } }
        }
    };
    match request {
        Some(request) => html_response(status, title, &with_navigation("", request, &content)),
        None => signed_out_page(title, status, &content),
    }
}

/// An authentication error as a page.
pub(super) fn auth_error_page(denied: AuthError) -> Response {
    let mut response = error_page(&denied.into(), None);
    response.headers_mut().extend(denied.retry_after().map(|wait| (header::RETRY_AFTER, HeaderValue::from(wait))));
    response
}

/// The status of a problem.
pub(super) fn status_code(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A page for a visitor who is not signed in.
pub(super) fn signed_out_page(title: &str, status: StatusCode, content: &Markup) -> Response {
    let body = html! {
        header.top { a.brand href="/" { "Muster" } }
        main #main { (content) }
    };
    html_response(status, title, &body)
}

/// Redirects to a path of this console.
pub(super) fn redirect(path: &str) -> Response {
    let mut response = Response::new(Vec::new().into());
    *response.status_mut() = StatusCode::SEE_OTHER;
    set_header(&mut response, header::LOCATION, path);
    set_security_headers(&mut response);
    response
}

fn with_navigation(nav_path: &str, request: &ConsoleRequest, content: &Markup) -> Markup {
    html! {
        a.skip href="#main" { "Skip to the content" }
        header.top {
            a.brand href="/" { "Muster" }
            nav aria-label="Pages" {
                ul {
                    @for (path, name) in NAVIGATION {
                        li { a href=(path) aria-current=[(path == nav_path).then_some("page")] { (name) } }
                    }
                }
            }
            div.who {
                @match request.signed_in_key() {
                    Some((name, role)) => {
                        span title="Your API key and its role" { (name) " · " (role.name()) }
                        form method="post" action="/sign-out" { button.quiet { "Sign out" } }
                    }
                    None => {
                        span title="There is no API key yet, so everyone on this machine may do everything" { "no keys yet" }
                    }
                }
            }
        }
        p.offline role="status" hidden { "The service does not respond; this page is not live." }
        main #main { (content) }
    }
}

fn html_response(status: StatusCode, title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX_CONFIG);
                title { (title) " · Muster" }
                link rel="icon" type="image/svg+xml" href=(assets::asset_path("icon.svg"));
                link rel="stylesheet" href=(assets::asset_path("console.css"));
                script src=(assets::asset_path("htmx.min.js")) defer {}
                script src=(assets::asset_path("console.js")) defer {}
            }
            body { (body) }
        }
    };
    let mut response = Response::new(page.into_string().into());
    *response.status_mut() = status;
    set_header(&mut response, header::CONTENT_TYPE, "text/html; charset=utf-8");
    set_security_headers(&mut response);
    response
}
