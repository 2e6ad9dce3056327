//! `/`: what needs attention, accounts by state, throughput.

use maud::{Markup, html};

use super::chart::chart;
use super::components::{empty_note, format_bytes, format_count, online_status_badge, status_badge, time_element};
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError, with_query};
use super::webhooks::{events_without_receiver, webhook_table};
use crate::api::operation;
use crate::api::overview::{self, CheckpointView, Overview, StateCountView};
use crate::domain::{OnlineStatus, Status};

/// Something that an operator should look at.
struct AttentionItem {
    /// Whether it persists until somebody acts.
    is_urgent: bool,
    message: String,
    path: String,
}

pub(super) async fn page(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    if let Some(path) = request.bound_accounts_path() {
        return Ok(PageResponse::Redirect(path));
    }
    let call = request.call(operation::SHOW_OVERVIEW)?;
    let overview = overview::show_overview(request.api(), &call).await?;
    let content = html! {
        h1 { "Overview" }
        div #live hx-get="/" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live {
            (attention_section(&attention_items(&overview, request)))
            section aria-labelledby="accounts" {
                h2 #accounts { "Accounts" }
                (accounts_table(&overview))
            }
            section aria-labelledby="flow" {
                h2 #flow { "Throughput" }
                div.charts {
                    @let [events, webhooks] = request.console.inner.throughput.points();
                    (chart("Events", &events))
                    (chart("Webhooks", &webhooks))
                }
                (webhook_table(&overview.webhooks))
            }
            section aria-labelledby="journal" {
                h2 #journal { "Journal" }
                (journal_section(&overview))
            }
        }
    };
    Ok(PageResponse::Page(PageContent { title: "Overview".to_owned(), nav_path: "/", content }))
}

/// What needs attention, urgent items first.
fn attention_items(overview: &Overview, request: &ConsolePageRequest) -> Vec<AttentionItem> {
    let mut items = Vec::new();
    let mut say =
        |is_bad, words: String, path: String| items.push(AttentionItem { is_urgent: is_bad, message: words, path });
    for channel in &overview.webhooks {
        let (name, path) = (&channel.configuration_id, format!("/webhooks/{}", channel.channel));
        if channel.blocked > 0 {
            let words = format!("{name}: {} accounts are blocked by a failed delivery", format_count(channel.blocked));
            say(true, words, path.clone());
        }
        if channel.dead_letters > 0 {
            let words = format!("{name}: {} dead letters; replay or drop them", format_count(channel.dead_letters));
            say(true, words, path.clone());
        }
        if channel.breaker.state != "closed" {
            let words = format!("{name}: the circuit breaker is {}; the receiver fails", channel.breaker.state);
            say(true, words, path.clone());
        }
        if channel.paused.is_some() {
            say(false, format!("{name} is paused; events wait"), path.clone());
        }
        match events_without_receiver(channel) {
            Some(events) if events > 0 => {
                let words = format!("{name} has no receiver; {} events wait for one", format_count(events));
                say(true, words, path);
            }
            Some(_) | None if channel.state == "off" => {
                say(false, format!("{name} has no receiver; changes are not sent"), path);
            }
            Some(_) | None => {}
        }
    }
    let banned = count_accounts(overview, |share| share.status == Status::Banned.code());
    if banned > 0 {
        let words = if banned == 1 {
            "1 account is banned".to_owned()
        } else {
            format!("{} accounts are banned", format_count(banned))
        };
        say(false, words, accounts_path(Some(Status::Banned.code()), None));
    }
    if overview.vault.rotation != "none" && overview.vault.rotation != "done" {
        say(false, format!("a rotation of the master key is {}", overview.vault.rotation), "/settings".to_owned());
    }
    if request.signed_in_key().is_none() {
        let words = "there is no API key; everyone on this machine may do everything".to_owned();
        say(false, words, "/keys".to_owned());
    }
    items.sort_by_key(|item| !item.is_urgent);
    items
}

fn count_accounts(overview: &Overview, is_meant: impl Fn(&StateCountView) -> bool) -> u64 {
    overview.accounts.by_state.iter().filter(|share| is_meant(share)).map(|share| share.accounts).sum()
}

fn attention_section(items: &[AttentionItem]) -> Markup {
    html! {
        section aria-labelledby="person" {
            h2 #person { "Needs attention" }
            @if items.is_empty() {
                (empty_note("Nothing needs attention."))
            } @else {
                ul.matters {
                    @for item in items {
                        li.bad[item.is_urgent] { a href=(item.path) { (item.message) } }
                    }
                }
            }
        }
    }
}

/// The table of accounts by state. Every number links to the accounts that it counts.
fn accounts_table(overview: &Overview) -> Markup {
    let states = [Status::Normal, Status::Banned].map(Status::code);
    let online = [OnlineStatus::Online, OnlineStatus::OnlineComing, OnlineStatus::OfflineComing, OnlineStatus::Offline];
    let online = online.map(OnlineStatus::code);
    let link = |path: String, number: u64| html! { a href=(path) { (format_count(number)) } };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Accounts by state" {
            table.states {
                thead { tr {
                    th scope="col" { "" }
                    @for code in online { th.number scope="col" { (online_status_badge(code)) } }
                    th.number scope="col" { "all" }
                } }
                tbody {
                    @for code in states {
                        tr {
                            th scope="row" { (status_badge(code)) }
                            @for online in online {
                                td.number {
                                    (link(accounts_path(Some(code), Some(online)),
                                        count_accounts(overview, |share| share.status == code && share.online_status == online)))
                                }
                            }
                            td.number { (link(accounts_path(Some(code), None), count_accounts(overview, |share| share.status == code))) }
                        }
                    }
                    tr.sum {
                        th scope="row" { "all" }
                        @for code in online {
                            td.number {
                                (link(accounts_path(None, Some(code)), count_accounts(overview, |share| share.online_status == code)))
                            }
                        }
                        td.number { (link(accounts_path(None, None), overview.accounts.total.parse().unwrap_or(0))) }
                    }
                }
            }
        }
        p.note {
            (format_count(overview.registering as u64)) " registrations wait for a code or its result; "
            (format_count(overview.dropped as u64)) " accounts dropped offline and may come back."
        }
    }
}

fn accounts_path(status: Option<u8>, online_status: Option<u8>) -> String {
    let [status, online_status] = [status, online_status].map(|code| code.map(|code| code.to_string()));
    with_query("/accounts", &[("status", status.as_deref()), ("onlineStatus", online_status.as_deref())])
}

fn journal_section(overview: &Overview) -> Markup {
    let Overview { journal, checkpoint, projections, .. } = overview;
    html! {
        dl.facts {
            div { dt { "Events" } dd { a href="/events" { (format_count(journal.position.parse().unwrap_or(0))) } } }
            div { dt { "Last event" } dd { @match &journal.moved_at { Some(at) => (time_element(at)), None => "none yet" } } }
            div { dt { "Size on disk" } dd { (format_bytes(journal.bytes)) } }
            div { dt { "Lag of the account list" } dd { a href="/projections" { (format_count(projections.lag)) " events" } } }
            div.wide {
                dt { "Last signed checkpoint" }
                dd {
                    @match checkpoint {
                        Some(CheckpointView { size, root }) => {
                            a href="/log" { "size " (size) } " " code title="root hash" { (root) }
                        }
                        None => "none yet",
                    }
                }
            }
        }
    }
}
