//! `/gateways`: how each way to WhatsApp is, and an order to compare its sessions with what is shown.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::frame::{Answer, Page};
use super::parts::{action, count, time, why_not};
use super::visit::{Trouble, Visit};
use crate::domain::Need;
use crate::limits::REMARK_BYTES;

/// `GET /gateways`
#[derive(Deserialize)]
struct Found {
    gateways: Vec<Gateway>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gateway {
    name: String,
    is_default: bool,
    state: String,
    says: String,
    accounts: Accounts,
    calls: Option<Calls>,
    reconciliation: Option<Reconciliation>,
    errors: Vec<Error>,
    work_queued: Option<u64>,
    report_lag_ms: Option<u64>,
    ignored_reports: Vec<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accounts {
    total: u64,
    online_coming: u64,
    online: u64,
    offline_coming: u64,
    offline: u64,
    banned: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calls {
    in_flight: u64,
    answered: u64,
    failed: u64,
    breaker: String,
    open_until: Option<String>,
    last_answer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reconciliation {
    is_under_way: bool,
    last: Option<Last>,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    at: String,
    took_ms: u64,
    sessions: u64,
    differences: Differences,
    strangers: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Differences {
    connected: u64,
    disconnected: u64,
    not_begun: u64,
    unwanted: u64,
    banned: u64,
    ban_lifted: u64,
}

#[derive(Deserialize)]
struct Failure {
    since: String,
    why: String,
    failed: u64,
}

#[derive(Deserialize)]
struct Error {
    at: String,
    what: String,
}

#[derive(Deserialize)]
struct Ignored {
    at: String,
    stream: String,
    sequence: u64,
    account: String,
    #[serde(rename = "type")]
    kind: String,
    why: String,
}

/// `/gateways`
pub(super) async fn page(visit: &Visit) -> Result<Answer, Trouble> {
    let Found { gateways } = visit.get("gateways").await?;
    let compared = || gateways.iter().filter(|gateway| gateway.reconciliation.is_some());
    let content = html! {
        h1 { "Gateways" }
        div #live hx-get="/gateways" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live {
            @for gateway in &gateways { (shown(gateway)) }
        }
        @for gateway in compared() { (order(visit, &gateway.name)) }
        @if compared().next().is_some() { (why_not(visit, Need::Operate)) }
        p.note {
            "The sessions of a gateway are compared with what is shown at the start, from time to time, and when it is back. "
            "While it is away, accounts stay as they were shown last."
        }
    };
    Ok(Answer::Page(Page { title: "Gateways".to_owned(), at: "/gateways", content }))
}

fn order(visit: &Visit, name: &str) -> Markup {
    let (id, why) = (format!("reason-{name}"), visit.forbids(Need::Operate));
    html! {
        form method="post" action="/gateways" {
            input type="hidden" name="gateway" value=(name);
            fieldset.order {
                legend { "Compare the sessions of " (name) " now" }
                label for=(id) { "Reason" }
                input id=(id) name="reason" maxlength=(REMARK_BYTES) required disabled[why.is_some()] autocomplete="off"
                    placeholder="it stands in the history";
                (action(visit, Need::Operate, "Compare", None))
            }
        }
    }
}

fn shown(gateway: &Gateway) -> Markup {
    let Accounts { total, online_coming, online, offline_coming, offline, banned } = &gateway.accounts;
    let class = match gateway.state.as_str() {
        "up" => "good",
        "away" => "bad",
        _ => "calm",
    };
    html! {
        section aria-label=(gateway.name) {
            h2 { (gateway.name) " " span.badge.(class) { (gateway.state.replace('_', " ")) } }
            p.error[class == "bad"] { (gateway.says) @if gateway.is_default { " It serves accounts that no rule names." } }
            dl.facts {
                div { dt { "Accounts" } dd {
                    (count(*total)) ": " (count(*online)) " online, " (count(*online_coming)) " coming online, "
                    (count(*offline_coming)) " going offline, " (count(*offline)) " offline, " (count(*banned)) " banned"
                } }
                @if let Some(calls) = &gateway.calls { (called(calls)) }
                @if let Some(queued) = gateway.work_queued { div { dt { "Work queued" } dd { (count(queued)) } } }
                @if let Some(lag) = gateway.report_lag_ms { div { dt { "Report lag" } dd { (count(lag)) " ms" } } }
                @if let Some(reconciliation) = &gateway.reconciliation { (compared(reconciliation)) }
            }
            @if !gateway.errors.is_empty() {
                h3 { "Last errors" }
                ul { @for error in &gateway.errors { li { (time(&error.at)) " " (error.what) } } }
            }
            @if !gateway.ignored_reports.is_empty() {
                h3 { "Last reports that changed nothing" }
                ul { @for report in &gateway.ignored_reports { (ignored(report)) } }
            }
        }
    }
}

fn ignored(Ignored { at, stream, sequence, account, kind, why }: &Ignored) -> Markup {
    let why = why.replace('_', " ");
    html! {
        li { (time(at)) " " code { (kind) } @if !account.is_empty() { " of " (account) } ": " (why) " (stream " code { (stream) } ", " (sequence) ")" }
    }
}

fn called(calls: &Calls) -> Markup {
    html! {
        div { dt { "Calls" } dd {
            (count(calls.in_flight)) " under way, " (count(calls.answered)) " answered, " (count(calls.failed)) " found it away"
        } }
        div { dt { "Breaker" } dd {
            (calls.breaker) @if let Some(until) = &calls.open_until { " until " (time(until)) }
        } }
        div { dt { "Last answer" } dd {
            @match &calls.last_answer { Some(at) => (time(at)), None => "none since the start" }
        } }
    }
}

fn compared(Reconciliation { is_under_way, last, failure }: &Reconciliation) -> Markup {
    html! {
        div { dt { "Last comparison" } dd {
            @match last {
                Some(last) => (differences(last)),
                None => "none since the start",
            }
            @if *is_under_way { "; one is under way" }
        } }
        @if let Some(Failure { since, why, failed }) = failure {
            div { dt { "Comparisons fail" } dd.bad { "since " (time(since)) ", " (count(*failed)) " times: " (why) } }
        }
    }
}

fn differences(Last { at, took_ms, sessions, differences, strangers }: &Last) -> Markup {
    let Differences { connected, disconnected, not_begun, unwanted, banned, ban_lifted } = differences;
    let named = [
        (connected, "had come online"),
        (disconnected, "had gone offline"),
        (not_begun, "asked for again"),
        (unwanted, "closed"),
        (banned, "banned"),
        (ban_lifted, "banned no more"),
    ];
    let found = || named.iter().filter(|(accounts, _)| **accounts > 0);
    html! {
        (time(at)) ", " (count(*took_ms)) " ms, " (count(*sessions)) " sessions: "
        @if found().next().is_none() { "all as shown" }
        @for (at, (accounts, words)) in found().enumerate() { @if at > 0 { ", " } (count(**accounts)) " " (words) }
        @if *strangers > 0 { "; " (count(*strangers)) " of accounts that it does not serve" }
    }
}

/// A comparison is ordered.
pub(super) async fn reconcile(visit: &Visit) -> Result<Answer, Trouble> {
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let name = visit.sent("gateway").filter(is_name).ok_or_else(|| Trouble::wrong("Say which gateway."))?;
    let body = json!({"reason": visit.sent("reason").unwrap_or_default()});
    visit.send("POST", &format!("gateways/{name}/reconcile"), &body).await?;
    Ok(Answer::To("/gateways".to_owned()))
}
