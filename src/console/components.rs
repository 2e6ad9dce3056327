//! HTML components that pages share.

use maud::{Markup, Render, html};
use serde_json::Value;

use crate::api::Problem;
use crate::audit::{LabelsView, parse_event_type};
use crate::domain::{EventId, EventType, OnlineStatus, Status};

/// A UTC time as the API writes it: `2026-11-28T01:39:26.061937Z`. The page shows it to the millisecond, and in full on
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
    match OnlineStatus::from_code(code) {
        Some(online) => html! { span.badge.(online_status_class(online)) { (online.name()) } },
        None => html! { span.badge { "online status " (code) } },
    }
}

/// The style class of an online status.
pub(super) fn online_status_class(online: OnlineStatus) -> &'static str {
    match online {
        OnlineStatus::Online => "good",
        OnlineStatus::OnlineComing | OnlineStatus::OfflineComing => "coming",
        OnlineStatus::Offline => "calm",
    }
}

/// The labels of an account, each as a badge.
pub(super) fn label_badges(labels: &LabelsView) -> Markup {
    html! {
        @for (name, value) in labels.0.iter() {
            span.badge { (name) @if !value.is_empty() { ":" (value) } } " "
        }
    }
}

/// A value, highlighted if it shows that something is wrong.
pub(super) fn bad_if(is_bad: bool, value: impl Render) -> Markup {
    html! { @if is_bad { strong.bad { (value) } } @else { (value) } }
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
    match (number / 1_000, number % 1_000) {
        (0, units) => units.to_string(),
        (thousands, units) => format!("{}\u{202f}{units:03}", format_count(thousands)),
    }
}

/// A number of events, which the API writes as text: as a number, or as the id of the last event.
pub(super) fn format_position(position: &str) -> String {
    format_count(position.parse().map_or(0, |id: EventId| id.position))
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

/// A JSON value as text.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => "(none)".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A sentence in place of an empty list.
pub(super) fn empty_note(message: &str) -> Markup {
    html! { p.nothing { (message) } }
}

/// What went wrong, in place of what should be shown.
pub(super) fn error_note(problem: &Problem) -> Markup {
    html! { p.error role="alert" { (problem.detail) } }
}

/// A part of a page that `console.js` refreshes: it takes the element with this id from `url`.
pub(super) fn live_part(id: &str, url: &str, content: impl Render) -> Markup {
    html! {
        div id=(id) hx-get=(url) hx-select={ "#" (id) } hx-swap="outerHTML" hx-trigger="refresh" data-live { (content) }
    }
}

/// Links to the pages of a list: name and URL. A link without a URL is disabled.
pub(super) fn page_links(label: &str, links: &[(&str, Option<String>)]) -> Markup {
    html! { nav.ways aria-label=(label) { @for (name, url) in links { (page_link(name, url.as_deref())) } } }
}

/// A link to a page of a list; disabled without a URL.
pub(super) fn page_link(name: &str, url: Option<&str>) -> Markup {
    html! { @match url { Some(url) => a href=(url) { (name) }, None => span aria-disabled="true" { (name) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_readable() {
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
