//! Signing in with an API key, which starts a session, and signing out.

use maud::html;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;
use zeroize::Zeroizing;

use super::Console;
use super::components::error_note;
use super::layout::{self, redirect};
use super::page_request::{FormFields, first_value, page_failed, with_query};
use super::response_headers::set_header;
use crate::access::{AuthError, Credentials};
use crate::api::Problem;
use crate::domain::Permission;
use crate::http::{RequestHead, is_same_origin, session_cookie, session_from_cookie};

/// Redirects a visitor who is not signed in to the sign-in page, which leads back to this page.
pub(super) fn redirect_to_sign_in(request: &RequestHead) -> Response {
    let RequestHead { path, query, headers, .. } = request;
    let page_url = with_query(path, query.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))));
    let to = with_query("/sign-in", [("next", Some(page_url.as_str()).filter(|page_url| *page_url != "/"))]);
    let is_stream = headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    if !is_stream && !headers.contains_key("hx-request") {
        return redirect(&to);
    }
    // A script would put the form into part of a page. The header makes it reload the whole page.
    let mut response = Response::new(Vec::new().into());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert("hx-refresh", HeaderValue::from_static("true"));
    response
}

/// `/sign-in`: shows the form and handles it.
pub(super) async fn sign_in(console: &Console, request: &RequestHead, form: &FormFields, changes: bool) -> Response {
    let RequestHead { query, origin, .. } = request;
    let next = safe_return_path(first_value(if changes { form } else { query }, "next").unwrap_or_default());
    if console.inner.api.authenticator().keys().allows_anonymous() {
        return redirect(&next);
    }
    if !changes {
        return sign_in_page(&next, None);
    }
    if !is_same_origin(request) {
        return layout::auth_error_page(AuthError::ForeignOrigin);
    }
    let key = first_value(form, "key").unwrap_or_default();
    let authenticator = &console.inner.api.authenticator();
    let auth = match authenticator.authenticate(Credentials::ApiKey(key.trim()), origin.address).await {
        Ok(auth) => auth,
        Err(denied) => {
            authenticator.count_error(denied);
            return sign_in_page(&next, Some(&denied.into()));
        }
    };
    if let Err(denied) = auth.require(Permission::Read) {
        return sign_in_page(&next, Some(&denied.into()));
    }
    match authenticator.sign_in(&auth) {
        Ok(session) => {
            let mut response = redirect(&next);
            let cookie = Zeroizing::new(session_cookie(&session, origin));
            set_header(&mut response, header::SET_COOKIE, &cookie);
            response
        }
        Err(error) => layout::error_page(&page_failed(&error), None),
    }
}

/// `/sign-out`
pub(super) fn sign_out(console: &Console, request: &RequestHead, changes: bool) -> Response {
    if !changes {
        return redirect("/");
    }
    if let Some(session) = session_from_cookie(request) {
        console.inner.api.authenticator().sign_out(session);
    }
    let mut response = redirect("/sign-in");
    set_header(&mut response, header::SET_COOKIE, &session_cookie("", &request.origin));
    response
}

/// The path to open after signing in. It is always a page of this console, whatever the URL says.
fn safe_return_path(path: &str) -> String {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_local { path.to_owned() } else { "/".to_owned() }
}

fn sign_in_page(next: &str, error: Option<&Problem>) -> Response {
    let status = error.map_or(StatusCode::OK, layout::status_code);
    let content = html! {
        form.card.sign-in method="post" action="/sign-in" {
            h1 { "Sign in" }
            p { "Sign in with an API key of the role auditor, operator or admin. The key is not stored: this browser gets a session that ends "
                "after half an hour without use, after twelve hours, or when the key expires or is revoked." }
            @if let Some(error) = error { (error_note(error)) }
            label for="key" { "API key" }
            input #key name="key" type="password" autocomplete="current-password" spellcheck="false" required
                autofocus placeholder="muster_1_…" aria-invalid=[error.map(|_| "true")];
            input type="hidden" name="next" value=(next);
            button.primary { "Sign in" }
        }
    };
    layout::signed_out_page("Sign in", status, &content)
}

#[cfg(test)]
mod tests {
    use super::safe_return_path;

    #[test]
    fn sign_in_returns_to_a_page_of_the_console_only() {
        for (path, expected) in [
            ("/accounts?status=2", "/accounts?status=2"),
            ("", "/"),
            ("https://example.com", "/"),
            ("//example.com", "/"),
            ("/\\example.com", "/"),
            ("/\r\nset-cookie: x", "/"),
            ("/\t/example.com", "/"),
        ] {
            assert_eq!(safe_return_path(path), expected, "{path:?}");
        }
    }
}
