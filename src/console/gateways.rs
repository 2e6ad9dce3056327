//! `/gateways`: the health and sessions of each gateway, and a button that starts a reconciliation.

use maud::{Markup, html};

use super::components::{format_count, live_part, time_element};
use super::forms::{action_button, permission_note, reason_field};
use super::layout::{PageResponse, PageResult};
use super::page_request::ConsoleRequest;
use crate::api::gateways::{self, GatewayList, ReconcileRequest};
use crate::api::{Problem, operation};
use crate::domain::Permission;
use crate::gateway::{
    AccountsServed, CallsView, DifferenceCounts, GatewayView, IgnoredReportView, LastReconciliationView,
    ReconciliationFailureView, ReconciliationView,
};

/// `/gateways`
pub(super) async fn page(request: &ConsoleRequest) -> PageResult {
    let call = request.call(operation::LIST_GATEWAYS)?;
    let GatewayList { gateways } = gateways::list_gateways(&call).await?;
    let compared = || gateways.iter().filter(|gateway| gateway.reconciliation.is_some());
    let content = html! {
        h1 { "Gateways" }
        (live_part("live", "/gateways", html! { @for gateway in &gateways { (gateway_section(gateway)) } }))
        @for gateway in compared() { (reconcile_form(request, gateway.name)) }
        @if compared().next().is_some() { (permission_note(request, Permission::Operate)) }
        p.note {
            "Muster reconciles a gateway's sessions with the account list at the start, at intervals, and when the gateway is back. "
            "While a gateway is away, its accounts keep their last state."
        }
    };
    Ok(PageResponse::page("Gateways", "/gateways", content))
}

fn reconcile_form(request: &ConsoleRequest, name: &str) -> Markup {
    html! {
        form method="post" action="/gateways" {
            input type="hidden" name="gateway" value=(name);
            fieldset.order {
                legend { "Reconcile " (name) " now" }
                (reason_field(request, &format!("reason-{name}"), "recorded for good", true))
                (action_button(request, Permission::Operate, "Reconcile", None))
            }
        }
    }
}

fn gateway_section(gateway: &GatewayView) -> Markup {
    let AccountsServed { total, online_coming, online, offline_coming, offline, banned } = &gateway.accounts;
    let class = match gateway.state {
        "up" => "good",
        "away" => "bad",
        _ => "calm",
    };
    html! {
        section aria-label=(gateway.name) {
            h2 { (gateway.name) " " span.badge.(class) { (gateway.state.replace('_', " ")) } }
            p.error[class == "bad"] { (gateway.summary) @if gateway.is_default { " It is the default for accounts without a rule." } }
            dl.facts {
                div { dt { "Accounts" } dd {
                    (format_count(*total)) ": " (format_count(*online)) " online, " (format_count(*online_coming)) " coming online, "
                    (format_count(*offline_coming)) " going offline, " (format_count(*offline)) " offline, " (format_count(*banned)) " banned"
                } }
                @if let Some(calls) = &gateway.calls { (call_fields(calls)) }
                @if let Some(queued) = gateway.work_queued { div { dt { "Queued commands" } dd { (format_count(queued)) } } }
                @if let Some(lag) = gateway.report_lag_ms { div { dt { "Report lag" } dd { (format_count(lag)) " ms" } } }
                @if let Some(reconciliation) = &gateway.reconciliation { (reconciliation_fields(reconciliation)) }
            }
            @if !gateway.errors.is_empty() {
                h3 { "Last errors" }
                ul { @for error in &gateway.errors { li { (time_element(&error.at)) " " (error.what) } } }
            }
            @if !gateway.ignored_reports.is_empty() {
                h3 { "Last ignored reports" }
                ul { @for report in &gateway.ignored_reports { (ignored_report(report)) } }
            }
        }
    }
}

fn ignored_report(report: &IgnoredReportView) -> Markup {
    let IgnoredReportView { at, stream, sequence, account, kind, why, .. } = report;
    let why = why.name().replace('_', " ");
    html! {
        li { (time_element(at)) " " code { (kind) } @if !account.is_empty() { " of " (account) } ": " (why) " (stream " code { (stream) } ", " (sequence) ")" }
    }
}

fn call_fields(calls: &CallsView) -> Markup {
    html! {
        div { dt { "Calls" } dd {
            (format_count(calls.in_flight as u64)) " in flight, " (format_count(calls.answered)) " answered, " (format_count(calls.failed)) " failed"
        } }
        div { dt { "Circuit breaker" } dd {
            (calls.breaker) @if let Some(until) = &calls.open_until { " until " (time_element(until)) }
        } }
        div { dt { "Last response" } dd {
            @match &calls.last_answer { Some(at) => (time_element(at)), None => "none since the start" }
        } }
    }
}

fn reconciliation_fields(ReconciliationView { is_running, last, failure }: &ReconciliationView) -> Markup {
    html! {
        div { dt { "Last reconciliation" } dd {
            @match last {
                Some(last) => (reconciliation_summary(last)),
                None => "none since the start",
            }
            @if *is_running { "; one is running" }
        } }
        @if let Some(ReconciliationFailureView { since, why, failed }) = failure {
            div { dt { "Reconciliations fail" } dd.bad { "since " (time_element(since)) ", " (format_count(u64::from(*failed))) " times: " (why) } }
        }
    }
}

fn reconciliation_summary(
    LastReconciliationView { at, took_ms, sessions, differences, unknown_sessions }: &LastReconciliationView,
) -> Markup {
    let DifferenceCounts { connected, disconnected, not_begun, unwanted, banned, ban_lifted } = differences;
    let named = [
        (connected, "came online"),
        (disconnected, "went offline"),
        (not_begun, "requested again"),
        (unwanted, "closed"),
        (banned, "banned"),
        (ban_lifted, "ban lifted"),
    ];
    let found = || named.iter().filter(|(accounts, _)| **accounts > 0);
    html! {
        (time_element(at)) ", " (format_count(*took_ms)) " ms, " (format_count(*sessions)) " sessions: "
        @if found().next().is_none() { "no differences" }
        @for (at, (accounts, words)) in found().enumerate() { @if at > 0 { ", " } (format_count(**accounts)) " " (words) }
        @if *unknown_sessions > 0 { "; " (format_count(*unknown_sessions)) " unknown sessions" }
    }
}

/// Starts a reconciliation.
pub(super) async fn submit_reconcile(request: &ConsoleRequest) -> PageResult {
    let name = request.form_value("gateway").ok_or_else(|| Problem::malformed("Name the gateway."))?;
    let wanted = ReconcileRequest { reason: request.reason() };
    let call = request.call(operation::RECONCILE_GATEWAY)?;
    gateways::reconcile_gateway(&call, gateways::parse_gateway(name)?, wanted).await?;
    Ok(PageResponse::Redirect("/gateways".to_owned()))
}
