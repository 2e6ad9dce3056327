//! HTML components that pages share.

use maud::{Markup, html};
use serde_json::Value;
use warp::http::header;
use warp::reply::Response;

use super::layout::PageResponse;
use super::page_request::ConsolePageRequest;
use super::response_headers::{set_header, set_security_headers};
use crate::api::Call;
use crate::audit::parse_event_type;
use crate::domain::{EventType, OnlineStatus, Permission, Status};
use crate::http::abort_when_key_ends;

/// A UTC time as the API writes it: `2026-11-28T01:39:26.061937Z`. The page shows milliseconds, and the full time on
/// hover.
pub(super) fn time_element(text: &str) -> Markup {
    let shown = text.split_once('T').and_then(|(day, clock)| Some(format!("{day} {}", clock.get(..12)?)));
    html! { time datetime=(text) title=(text) { (shown.as_deref().unwrap_or(text)) } }
}

/// The badge of an account's status.
pub(super) fn status_badge(code: u8) -> Markup {
    match Status::from_code(code) {
        Some(status @ Status::Normal) => html! { span.badge.calm { (status.name()) } },
        Some(status @ Status::Banned) => html! { span.badge.bad { (status.name()) } },
        None => html! { span.badge { "status " (code) } },
    }
}

/// The badge of an account's online status.
pub(super) fn online_status_badge(code: u8) -> Markup {
    let Some(presence) = OnlineStatus::from_code(code) else { return html! { span.badge { "online status " (code) } } };
    let class = match presence {
        OnlineStatus::Online => "good",
        OnlineStatus::OnlineComing | OnlineStatus::OfflineComing => "coming",
        OnlineStatus::Offline => "calm",
    };
    html! { span.badge.(class) { (presence.name()) } }
}

/// A link to an account's page.
pub(super) fn account_link(number: &str) -> Markup {
    html! { a.number href=(format!("/accounts/{number}")) { (number) } }
}

/// The `type` of an event as a label: `came online` for `muster.account.came_online.v1`.
pub(super) fn event_label(kind: &str) -> String {
    parse_event_type(kind).map_or_else(|| kind.to_owned(), EventType::label)
}

/// A number with thousands separators.
pub(super) fn format_count(number: u64) -> String {
    let digits = number.to_string();
    let mut parts: Vec<&str> = Vec::new();
    let mut left = digits.as_str();
    while left.len() > 3 {
        let (rest, part) = left.split_at(left.len() - 3);
        parts.push(part);
        left = rest;
    }
    parts.push(left);
    parts.reverse();
    parts.join("\u{202f}")
}

/// A number of bytes in a readable unit.
pub(super) fn format_bytes(number: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut scaled, mut unit) = (number as f64, 0);
    while scaled >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{scaled:.1} {}", units[unit]) }
}

/// A button that submits an action. It is disabled, and says why, if the requester may not do it.
pub(super) fn action_button(
    request: &ConsolePageRequest,
    need: Permission,
    name: &str,
    value: Option<(&str, &str)>,
) -> Markup {
    let why = request.permission_error(need);
    html! {
        button name=[value.map(|(field, _)| field)] value=[value.map(|(_, value)| value)] disabled[why.is_some()]
            title=[why.as_deref()] { (name) }
    }
}

/// Why some buttons of a page are disabled; empty if the requester may do everything.
pub(super) fn permission_note(request: &ConsolePageRequest, need: Permission) -> Markup {
    html! { @if let Some(why) = request.permission_error(need) { p.note.why { (why) } } }
}

/// A JSON value as text.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => "(none)".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Shown in place of an empty list.
pub(super) fn empty_note(words: &str) -> Markup {
    html! { p.nothing { (words) } }
}

/// Turns a response into a download with this file name. It breaks off when the key of the call ends.
pub(super) fn download_response(response: Response, name: &str, call: &Call) -> PageResponse {
    let mut response = abort_when_key_ends(response, call.requester().clone());
    set_security_headers(&mut response);
    set_header(&mut response, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    PageResponse::Raw(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read() {
        assert_eq!(event_label("muster.account.came_online.v1"), "came online");
        assert_eq!(event_label("registered"), "registered");
        assert_eq!(format_count(1), "1");
        assert_eq!(format_count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(format_bytes(1_023), "1023 B");
        assert_eq!(format_bytes(1_572_864), "1.5 MiB");
        let shown = time_element("2026-11-28T01:39:26.061937Z").into_string();
        assert!(shown.contains(">2026-11-28 01:39:26.061<"), "{shown}");
        assert!(time_element("soon").into_string().contains(">soon<"));
        assert!(time_element("<b>").into_string().contains("&lt;b&gt;"));
    }
}
