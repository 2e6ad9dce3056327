//! `/gateways`: the health and sessions of each gateway, and a button that starts a reconciliation.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::components::{action_button, format_count, permission_note, time_element};
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError};
use crate::domain::Permission;
use crate::limits::OPERATOR_REASON_BYTES;

/// `GET /gateways`
#[derive(Deserialize)]
struct GatewayListJson {
    gateways: Vec<GatewayJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewayJson {
    name: String,
    is_default: bool,
    state: String,
    #[serde(rename = "says")]
    message: String,
    accounts: GatewayAccountsJson,
    calls: Option<GatewayCallsJson>,
    reconciliation: Option<ReconciliationJson>,
    errors: Vec<GatewayErrorJson>,
    work_queued: Option<u64>,
    report_lag_ms: Option<u64>,
    ignored_reports: Vec<IgnoredReportJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewayAccountsJson {
    total: u64,
    online_coming: u64,
    online: u64,
    offline_coming: u64,
    offline: u64,
    banned: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewayCallsJson {
    in_flight: u64,
    answered: u64,
    failed: u64,
    breaker: String,
    open_until: Option<String>,
    last_answer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReconciliationJson {
    is_under_way: bool,
    last: Option<LastReconciliationJson>,
    failure: Option<ReconciliationFailureJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastReconciliationJson {
    at: String,
    took_ms: u64,
    sessions: u64,
    differences: DifferencesJson,
    #[serde(rename = "strangers")]
    unknown_sessions: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DifferencesJson {
    connected: u64,
    disconnected: u64,
    not_begun: u64,
    unwanted: u64,
    banned: u64,
    ban_lifted: u64,
}

#[derive(Deserialize)]
struct ReconciliationFailureJson {
    since: String,
    #[serde(rename = "why")]
    reason: String,
    failed: u64,
}

#[derive(Deserialize)]
struct GatewayErrorJson {
    at: String,
    #[serde(rename = "what")]
    message: String,
}

#[derive(Deserialize)]
struct IgnoredReportJson {
    at: String,
    stream: String,
    sequence: u64,
    account: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "why")]
    reason: String,
}

/// `/gateways`
pub(super) async fn page(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let GatewayListJson { gateways } = request.get_json("gateways").await?;
    let compared = || gateways.iter().filter(|gateway| gateway.reconciliation.is_some());
    let content = html! {
        h1 { "Gateways" }
        div #live hx-get="/gateways" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live {
            @for gateway in &gateways { (gateway_section(gateway)) }
        }
        @for gateway in compared() { (reconcile_form(request, &gateway.name)) }
        @if compared().next().is_some() { (permission_note(request, Permission::Operate)) }
        p.note {
            "The sessions of a gateway are compared with what is shown at the start, from time to time, and when it is back. "
            "While it is away, accounts stay as they were shown last."
        }
    };
    Ok(PageResponse::Page(PageContent { title: "Gateways".to_owned(), nav_path: "/gateways", content }))
}

fn reconcile_form(request: &ConsolePageRequest, name: &str) -> Markup {
    let (id, why) = (format!("reason-{name}"), request.permission_error(Permission::Operate));
    html! {
        form method="post" action="/gateways" {
            input type="hidden" name="gateway" value=(name);
            fieldset.order {
                legend { "Compare the sessions of " (name) " now" }
                label for=(id) { "Reason" }
                input id=(id) name="reason" maxlength=(OPERATOR_REASON_BYTES) required disabled[why.is_some()] autocomplete="off"
                    placeholder="it stands in the history";
                (action_button(request, Permission::Operate, "Compare", None))
            }
        }
    }
}

fn gateway_section(gateway: &GatewayJson) -> Markup {
    let GatewayAccountsJson { total, online_coming, online, offline_coming, offline, banned } = &gateway.accounts;
    let class = match gateway.state.as_str() {
        "up" => "good",
        "away" => "bad",
        _ => "calm",
    };
    html! {
        section aria-label=(gateway.name) {
            h2 { (gateway.name) " " span.badge.(class) { (gateway.state.replace('_', " ")) } }
            p.error[class == "bad"] { (gateway.message) @if gateway.is_default { " It serves accounts that no rule names." } }
            dl.facts {
                div { dt { "Accounts" } dd {
                    (format_count(*total)) ": " (format_count(*online)) " online, " (format_count(*online_coming)) " coming online, "
                    (format_count(*offline_coming)) " going offline, " (format_count(*offline)) " offline, " (format_count(*banned)) " banned"
                } }
                @if let Some(calls) = &gateway.calls { (call_fields(calls)) }
                @if let Some(queued) = gateway.work_queued { div { dt { "Work queued" } dd { (format_count(queued)) } } }
                @if let Some(lag) = gateway.report_lag_ms { div { dt { "Report lag" } dd { (format_count(lag)) " ms" } } }
                @if let Some(reconciliation) = &gateway.reconciliation { (reconciliation_fields(reconciliation)) }
            }
            @if !gateway.errors.is_empty() {
                h3 { "Last errors" }
                ul { @for error in &gateway.errors { li { (time_element(&error.at)) " " (error.message) } } }
            }
            @if !gateway.ignored_reports.is_empty() {
                h3 { "Last reports that changed nothing" }
                ul { @for report in &gateway.ignored_reports { (ignored_report(report)) } }
            }
        }
    }
}

fn ignored_report(
    IgnoredReportJson { at, stream, sequence, account, kind, reason: why }: &IgnoredReportJson,
) -> Markup {
    let why = why.replace('_', " ");
    html! {
        li { (time_element(at)) " " code { (kind) } @if !account.is_empty() { " of " (account) } ": " (why) " (stream " code { (stream) } ", " (sequence) ")" }
    }
}

fn call_fields(calls: &GatewayCallsJson) -> Markup {
    html! {
        div { dt { "Calls" } dd {
            (format_count(calls.in_flight)) " under way, " (format_count(calls.answered)) " answered, " (format_count(calls.failed)) " found it away"
        } }
        div { dt { "Breaker" } dd {
            (calls.breaker) @if let Some(until) = &calls.open_until { " until " (time_element(until)) }
        } }
        div { dt { "Last answer" } dd {
            @match &calls.last_answer { Some(at) => (time_element(at)), None => "none since the start" }
        } }
    }
}

fn reconciliation_fields(ReconciliationJson { is_under_way, last, failure }: &ReconciliationJson) -> Markup {
    html! {
        div { dt { "Last comparison" } dd {
            @match last {
                Some(last) => (reconciliation_summary(last)),
                None => "none since the start",
            }
            @if *is_under_way { "; one is under way" }
        } }
        @if let Some(ReconciliationFailureJson { since, reason, failed }) = failure {
            div { dt { "Comparisons fail" } dd.bad { "since " (time_element(since)) ", " (format_count(*failed)) " times: " (reason) } }
        }
    }
}

fn reconciliation_summary(
    LastReconciliationJson { at, took_ms, sessions, differences, unknown_sessions: strangers }: &LastReconciliationJson,
) -> Markup {
    let DifferencesJson { connected, disconnected, not_begun, unwanted, banned, ban_lifted } = differences;
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
        (time_element(at)) ", " (format_count(*took_ms)) " ms, " (format_count(*sessions)) " sessions: "
        @if found().next().is_none() { "all as shown" }
        @for (at, (accounts, words)) in found().enumerate() { @if at > 0 { ", " } (format_count(**accounts)) " " (words) }
        @if *strangers > 0 { "; " (format_count(*strangers)) " of accounts that it does not serve" }
    }
}

/// Starts a reconciliation.
pub(super) async fn submit_reconcile(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let name =
        request.form_value("gateway").filter(is_name).ok_or_else(|| PageError::bad_request("Say which gateway."))?;
    let body = json!({"reason": request.form_value("reason").unwrap_or_default()});
    request.send_json("POST", &format!("gateways/{name}/reconcile"), &body).await?;
    Ok(PageResponse::Redirect("/gateways".to_owned()))
}
