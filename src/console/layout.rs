//! The frame around every page: where one is, who one is, and what browsers may do with it.

use maud::{DOCTYPE, Markup, html};
use warp::http::{HeaderName, HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::assets;
use super::page_request::{ConsolePageRequest, PageError};
use crate::access::AuthError;

/// What a browser is given.
pub(super) enum PageResponse {
    /// A page.
    Page(PageContent),
    /// Another page, to be asked for.
    Redirect(String),
    /// Something that is no page: a file, a stream.
    Raw(Response),
}

/// A page in its frame.
pub(super) struct PageContent {
    /// What it is about, for the browser's tab.
    pub(super) title: String,
    /// The entry of the navigation that it belongs to.
    pub(super) nav_path: &'static str,
    pub(super) content: Markup,
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
    ("/acts", "Acts"),
    ("/keys", "Keys"),
    ("/settings", "Settings"),
];

/// Browsers take nothing from elsewhere, and run nothing that stands in a page: so a text that looks like a script is text.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'";

/// Nothing is made from texts that might be scripts, no styles are put into pages, and no page is kept in the browser.
const HTMX_CONFIG: &str =
    r#"{"allowEval":false,"includeIndicatorStyles":false,"historyCacheSize":0,"selfRequestsOnly":true}"#;

/// An answer to somebody who was let in.
pub(super) fn respond(answer: PageResponse, visit: &ConsolePageRequest) -> Response {
    match answer {
        PageResponse::Page(PageContent { title, nav_path: at, content }) => {
            html_response(StatusCode::OK, &title, &with_navigation(at, visit, &content))
        }
        PageResponse::Redirect(path) => redirect(&path),
        PageResponse::Raw(response) => response,
    }
}

/// Why there is no page, as a page.
pub(super) fn error_page(trouble: &PageError, visit: Option<&ConsolePageRequest>) -> Response {
    let PageError { status, message: words } = trouble;
    let title = status.canonical_reason().unwrap_or("Trouble");
    let content = html! {
        div.card {
            h1 { (title) }
            p.error role="alert" { (words) }
            p { a href="/" { "Overview" } }
        }
    };
    match visit {
        Some(visit) => html_response(*status, title, &with_navigation("", visit, &content)),
        None => signed_out_page(title, *status, &content),
    }
}

/// Why somebody is not let in, as a page.
pub(super) fn auth_error_page(denied: AuthError) -> Response {
    let mut response = error_page(&denied.into(), None);
    response.headers_mut().extend(denied.retry_after().map(|wait| (header::RETRY_AFTER, HeaderValue::from(wait))));
    response
}

/// A page for somebody who is nobody yet.
pub(super) fn signed_out_page(title: &str, status: StatusCode, content: &Markup) -> Response {
    let body = html! {
        header.top { a.brand href="/" { "Muster" } }
        main #main { (content) }
    };
    html_response(status, title, &body)
}

/// Sends a browser to a path of this console.
pub(super) fn redirect(path: &str) -> Response {
    let mut response = Response::new(Vec::new().into());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().extend(HeaderValue::from_str(path).map(|path| (header::LOCATION, path)).ok());
    set_security_headers(&mut response);
    response
}

fn with_navigation(at: &str, visit: &ConsolePageRequest, content: &Markup) -> Markup {
    html! {
        a.skip href="#main" { "Skip to the content" }
        header.top {
            a.brand href="/" { "Muster" }
            nav aria-label="Pages" {
                ul {
                    @for (path, name) in NAVIGATION {
                        li { a href=(path) aria-current=[(path == at).then_some("page")] { (name) } }
                    }
                }
            }
            div.who {
                @match visit.signed_in_key() {
                    Some((name, role)) => {
                        span title="The API key that you are signed in with, and its role" { (name) " · " (role.name()) }
                        form method="post" action="/sign-out" { button.quiet { "Sign out" } }
                    }
                    None => {
                        span title="There is no API key yet, so everybody on this machine may do everything" { "no keys yet" }
                    }
                }
            }
        }
        p.offline role="status" hidden { "The service does not answer; what you see is not live." }
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
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    set_security_headers(&mut response);
    response
}

/// What browsers are told of everything here.
pub(super) fn set_security_headers(response: &mut Response) {
    let told: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        // What is shown is somebody's business alone, and old a moment later.
        (header::CACHE_CONTROL, "no-store"),
    ];
    response.headers_mut().extend(told.map(|(name, value)| (name, HeaderValue::from_static(value))));
}
