//! What pages are put together from.

use maud::{Markup, html};
use serde_json::Value;
use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::frame::secure;
use super::visit::{Trouble, Visit};
use crate::audit::name_in;
use crate::domain::{AccountNumber, Need, OnlineStatus, Status};

/// A time in UTC, as the API has it: `2026-11-28T01:39:26.061937Z`. A page shows it to the millisecond, and whole on hover.
pub(super) fn time(text: &str) -> Markup {
    let shown = text.split_once('T').and_then(|(day, clock)| Some(format!("{day} {}", clock.get(..12)?)));
    html! { time datetime=(text) title=(text) { (shown.as_deref().unwrap_or(text)) } }
}

/// Whether an account is banned.
pub(super) fn status(code: u8) -> Markup {
    match Status::from_code(code) {
        Some(status @ Status::Normal) => html! { span.badge.calm { (status.name()) } },
        Some(status @ Status::Banned) => html! { span.badge.bad { (status.name()) } },
        None => html! { span.badge { "status " (code) } },
    }
}

/// Whether an account is online.
pub(super) fn presence(code: u8) -> Markup {
    let Some(presence) = OnlineStatus::from_code(code) else { return html! { span.badge { "online status " (code) } } };
    let class = match presence {
        OnlineStatus::Online => "good",
        OnlineStatus::OnlineComing | OnlineStatus::OfflineComing => "coming",
        OnlineStatus::Offline => "calm",
    };
    html! { span.badge.(class) { (presence.name()) } }
}

/// A link to an account's page.
pub(super) fn account(number: &str) -> Markup {
    html! { a.number href=(format!("/accounts/{number}")) { (number) } }
}

/// An account number in a path, if it is one.
pub(super) fn number(text: &str) -> Option<AccountNumber> {
    text.parse().ok()
}

/// A type of event as people read it: `came online` for `muster.account.came_online.v1`.
pub(super) fn kind(name: &str) -> String {
    name_in(name).replace('_', " ")
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
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

/// Bytes in a unit that people read.
pub(super) fn bytes(number: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut scaled, mut unit) = (number as f64, 0);
    while scaled >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{scaled:.1} {}", units[unit]) }
}

/// A button that asks for something to be done. For a reader who may not do it, it is not active, and says why.
pub(super) fn action(visit: &Visit, need: Need, name: &str, value: Option<(&str, &str)>) -> Markup {
    let why = visit.forbids(need);
    html! {
        button name=[value.map(|(field, _)| field)] value=[value.map(|(_, value)| value)] disabled[why.is_some()]
            title=[why.as_deref()] { (name) }
    }
}

/// Why some of the buttons of a page are not active, if they are not.
pub(super) fn why_not(visit: &Visit, need: Need) -> Markup {
    html! { @if let Some(why) = visit.forbids(need) { p.note.why { (why) } } }
}

/// A value of the API, as people read it.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => "(none)".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// What stands where a list has nothing.
pub(super) fn nothing(words: &str) -> Markup {
    html! { p.nothing { (words) } }
}

/// An answer of the API as it comes: a file of this name, to be kept.
pub(super) fn passed_on(mut answer: Response, name: &str) -> Result<Response, Trouble> {
    let status = answer.status();
    if !status.is_success() {
        return Err(Trouble { status, words: "The file could not be made; ask /api/v1 for the reason.".to_owned() });
    }
    secure(&mut answer);
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    answer.headers_mut().extend(name.map(|name| (header::CONTENT_DISPOSITION, name)).ok());
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read() {
        assert_eq!(kind("muster.account.came_online.v1"), "came online");
        assert_eq!(kind("registered"), "registered");
        assert_eq!(count(1), "1");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        let shown = time("2026-11-28T01:39:26.061937Z").into_string();
        assert!(shown.contains(">2026-11-28 01:39:26.061<"), "{shown}");
        assert!(time("soon").into_string().contains(">soon<"));
        assert!(time("<b>").into_string().contains("&lt;b&gt;"));
    }
}
