//! `/`: what needs attention, accounts by state, throughput.

use maud::{Markup, html};

use super::chart::chart;
use super::components::{
    empty_note, format_bytes, format_count, format_position, live_part, online_status_badge, status_badge, time_element,
};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, with_query};
use super::webhooks::{channel_table, events_without_receiver};
use crate::api::operation;
use crate::api::overview::{self, CheckpointView, Overview, StateCountView};
use crate::domain::{OnlineStatus, Status};
use crate::webhooks::ChannelView;

/// Something that an operator should look at.
struct AttentionItem {
    /// Whether deliveries fail, or events wait for a receiver.
    is_urgent: bool,
    message: String,
    path: String,
}

pub(super) async fn page(request: &ConsoleRequest) -> PageResult {
    if let Some(path) = request.bound_accounts_path() {
        return Ok(PageResponse::Redirect(path));
    }
    let call = request.call(operation::SHOW_OVERVIEW)?;
    let overview = overview::show_overview(&call).await?;
    let content = html! {
        h1 { "Overview" }
        (live_part("live", "/", html! {
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
                (channel_table(&overview.webhooks))
            }
            section aria-labelledby="journal" {
                h2 #journal { "Journal" }
                (journal_section(&overview))
            }
        }))
    };
    Ok(PageResponse::page("Overview", "/", content))
}

/// What needs attention, urgent items first.
fn attention_items(overview: &Overview, request: &ConsoleRequest) -> Vec<AttentionItem> {
    let mut items: Vec<AttentionItem> = overview.webhooks.iter().flat_map(channel_items).collect();
    let mut add = |message: String, path: String| items.push(AttentionItem { is_urgent: false, message, path });
    let banned = Some(Status::Banned.code());
    match count_accounts(overview, banned, None) {
        0 => {}
        1 => add("1 account is banned".to_owned(), accounts_path(banned, None)),
        accounts => add(format!("{} accounts are banned", format_count(accounts)), accounts_path(banned, None)),
    }
    if overview.vault.rotation != "none" && overview.vault.rotation != "done" {
        add(format!("a rotation of the master key is {}", overview.vault.rotation), "/settings".to_owned());
    }
    if request.signed_in_key().is_none() {
        let message = "there is no API key; everyone on this machine may do everything";
        add(message.to_owned(), "/keys".to_owned());
    }
    items.sort_by_key(|item| !item.is_urgent);
    items
}

/// What needs attention at a webhook channel.
fn channel_items(channel: &ChannelView) -> impl Iterator<Item = AttentionItem> {
    let ChannelView { configuration_id: name, blocked, dead_letters, breaker, .. } = channel;
    let waiting = events_without_receiver(channel).filter(|events| *events > 0);
    let urgent = [
        (*blocked > 0).then(|| format!("{name}: {} accounts are blocked by a failed delivery", format_count(*blocked))),
        (*dead_letters > 0)
            .then(|| format!("{name}: {} dead letters; replay or drop them", format_count(*dead_letters))),
        (breaker.state != "closed")
            .then(|| format!("{name}: the circuit breaker is {}; the receiver fails", breaker.state)),
        waiting.map(|events| format!("{name} has no receiver; {} events wait for one", format_count(events))),
    ];
    let others = [
        channel.paused.as_ref().map(|_| format!("{name} is paused; events wait")),
        (waiting.is_none() && channel.state == "off").then(|| format!("{name} has no receiver; changes are not sent")),
    ];
    let messages = urgent.map(|message| (true, message)).into_iter().chain(others.map(|message| (false, message)));
    let path = format!("/webhooks/{}", channel.channel);
    messages.filter_map(move |(is_urgent, message)| {
        Some(AttentionItem { is_urgent, message: message?, path: path.clone() })
    })
}

/// The number of accounts in these states; `None` stands for any.
fn count_accounts(overview: &Overview, status: Option<u8>, online_status: Option<u8>) -> u64 {
    let is_counted = |state: &&StateCountView| {
        status.is_none_or(|status| state.status == status)
            && online_status.is_none_or(|online_status| state.online_status == online_status)
    };
    overview.accounts.by_state.iter().filter(is_counted).map(|state| state.accounts).sum()
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
    let [normal, banned] = [Status::Normal, Status::Banned].map(|status| Some(status.code()));
    let online = [OnlineStatus::Online, OnlineStatus::OnlineComing, OnlineStatus::OfflineComing, OnlineStatus::Offline];
    let online = || online.map(|online| Some(online.code())).into_iter().chain([None]);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Accounts by state" {
            table.states {
                thead { tr {
                    th scope="col" { "" }
                    @for online in online() {
                        th.number scope="col" { @match online { Some(code) => (online_status_badge(code)), None => "all" } }
                    }
                } }
                tbody {
                    @for status in [normal, banned, None] {
                        tr.sum[status.is_none()] {
                            th scope="row" { @match status { Some(code) => (status_badge(code)), None => "all" } }
                            @for online in online() {
                                td.number {
                                    a href=(accounts_path(status, online)) { (format_count(count_accounts(overview, status, online))) }
                                }
                            }
                        }
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
    with_query("/accounts", [("status", status.as_deref()), ("onlineStatus", online_status.as_deref())])
}

fn journal_section(overview: &Overview) -> Markup {
    let Overview { journal, checkpoint, projections, .. } = overview;
    html! {
        dl.facts {
            div { dt { "Events" } dd { a href="/events" { (format_position(&journal.position)) } } }
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
