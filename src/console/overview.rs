//! `/`: what needs a person, how the accounts are, what flows.

use maud::{Markup, html};
use serde::Deserialize;

use super::chart::chart;
use super::frame::{Answer, Page};
use super::parts::{bytes, count, nothing, presence, status, time};
use super::visit::{Trouble, Visit, with_query};
use super::webhooks::{self, Shown};
use crate::domain::{OnlineStatus, Status};

/// `GET /overview`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    accounts: Accounts,
    registering: u64,
    dropped: u64,
    journal: Journal,
    checkpoint: Option<Checkpoint>,
    projections: Projections,
    webhooks: Vec<Shown>,
    vault: Vault,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accounts {
    total: String,
    by_state: Vec<Share>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    status: u8,
    online_status: u8,
    accounts: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Journal {
    position: String,
    moved_at: Option<String>,
    bytes: u64,
}

#[derive(Deserialize)]
struct Checkpoint {
    size: String,
    root: String,
}

#[derive(Deserialize)]
struct Projections {
    lag: u64,
}

#[derive(Deserialize)]
struct Vault {
    rotation: String,
}

/// Something that a person should look at.
struct Matter {
    /// Whether it will not mend itself.
    is_bad: bool,
    words: String,
    path: String,
}

pub(super) async fn page(visit: &Visit) -> Result<Answer, Trouble> {
    if let Some(path) = visit.instead_of_all() {
        return Ok(Answer::To(path));
    }
    let overview: Overview = visit.get("overview").await?;
    let content = html! {
        h1 { "Overview" }
        div #live hx-get="/" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live {
            (matters(&overview.matters(visit)))
            section aria-labelledby="accounts" {
                h2 #accounts { "Accounts" }
                (accounts(&overview))
            }
            section aria-labelledby="flow" {
                h2 #flow { "What flows" }
                div.charts {
                    @let [events, webhooks] = visit.console.inner.counting.points();
                    (chart("Events", &events))
                    (chart("Webhooks", &webhooks))
                }
                (webhooks::table(&overview.webhooks))
            }
            section aria-labelledby="journal" {
                h2 #journal { "Journal" }
                (journal(&overview))
            }
        }
    };
    Ok(Answer::Page(Page { title: "Overview".to_owned(), at: "/", content }))
}

impl Overview {
    /// What needs a person, the worst first.
    fn matters(&self, visit: &Visit) -> Vec<Matter> {
        let mut matters = Vec::new();
        let mut say = |is_bad, words: String, path: String| matters.push(Matter { is_bad, words, path });
        for channel in &self.webhooks {
            let (name, path) = (&channel.configuration_id, format!("/webhooks/{}", channel.channel));
            if channel.blocked > 0 {
                let words = format!(
                    "{name}: {} accounts are blocked by a delivery that was never taken",
                    count(channel.blocked)
                );
                say(true, words, path.clone());
            }
            if channel.dead_letters > 0 {
                let words = format!("{name}: {} deliveries are dead; replay or drop them", count(channel.dead_letters));
                say(true, words, path.clone());
            }
            if channel.breaker.state != "closed" {
                let words = format!("{name}: the breaker is {}: its receiver fails", channel.breaker.state);
                say(true, words, path.clone());
            }
            if channel.paused.is_some() {
                say(false, format!("{name} is paused; events wait"), path.clone());
            }
            match channel.unreceived() {
                Some(events) if events > 0 => {
                    let words = format!("{name} has no receiver: {} events wait for one", count(events));
                    say(true, words, path);
                }
                Some(_) | None if channel.state == "off" => {
                    say(false, format!("{name} has no receiver: nobody is told of changes"), path);
                }
                Some(_) | None => {}
            }
        }
        let banned = self.accounts(|share| share.status == Status::Banned.code());
        if banned > 0 {
            let words = if banned == 1 {
                "1 account is banned".to_owned()
            } else {
                format!("{} accounts are banned", count(banned))
            };
            say(false, words, of_state(Some(Status::Banned.code()), None));
        }
        if self.vault.rotation != "none" && self.vault.rotation != "done" {
            say(false, format!("a rotation of the master key is {}", self.vault.rotation), "/settings".to_owned());
        }
        if visit.holder().is_none() {
            let words = "there is no API key: everybody on this machine may do everything".to_owned();
            say(false, words, "/keys".to_owned());
        }
        matters.sort_by_key(|matter| !matter.is_bad);
        matters
    }

    fn accounts(&self, is_meant: impl Fn(&Share) -> bool) -> u64 {
        self.accounts.by_state.iter().filter(|share| is_meant(share)).map(|share| share.accounts).sum()
    }
}

fn matters(matters: &[Matter]) -> Markup {
    html! {
        section aria-labelledby="person" {
            h2 #person { "Needs a person" }
            @if matters.is_empty() {
                (nothing("Nothing does."))
            } @else {
                ul.matters {
                    @for matter in matters {
                        li.bad[matter.is_bad] { a href=(matter.path) { (matter.words) } }
                    }
                }
            }
        }
    }
}

/// Every number is a link to those that it counts.
fn accounts(overview: &Overview) -> Markup {
    let states = [Status::Normal, Status::Banned].map(Status::code);
    let online = [OnlineStatus::Online, OnlineStatus::OnlineComing, OnlineStatus::OfflineComing, OnlineStatus::Offline];
    let online = online.map(OnlineStatus::code);
    let link = |path: String, number: u64| html! { a href=(path) { (count(number)) } };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Accounts by state" {
            table.states {
                thead { tr {
                    th scope="col" { "" }
                    @for code in online { th.number scope="col" { (presence(code)) } }
                    th.number scope="col" { "all" }
                } }
                tbody {
                    @for code in states {
                        tr {
                            th scope="row" { (status(code)) }
                            @for online in online {
                                td.number {
                                    (link(of_state(Some(code), Some(online)),
                                        overview.accounts(|share| share.status == code && share.online_status == online)))
                                }
                            }
                            td.number { (link(of_state(Some(code), None), overview.accounts(|share| share.status == code))) }
                        }
                    }
                    tr.sum {
                        th scope="row" { "all" }
                        @for code in online {
                            td.number {
                                (link(of_state(None, Some(code)), overview.accounts(|share| share.online_status == code)))
                            }
                        }
                        td.number { (link(of_state(None, None), overview.accounts.total.parse().unwrap_or(0))) }
                    }
                }
            }
        }
        p.note {
            (count(overview.registering)) " registrations wait for their code or its answer; "
            (count(overview.dropped)) " accounts were dropped and would come back."
        }
    }
}

fn of_state(status: Option<u8>, online_status: Option<u8>) -> String {
    let [status, online_status] = [status, online_status].map(|code| code.map(|code| code.to_string()));
    with_query("/accounts", &[("status", status.as_deref()), ("onlineStatus", online_status.as_deref())])
}

fn journal(overview: &Overview) -> Markup {
    let Overview { journal, checkpoint, projections, .. } = overview;
    html! {
        dl.facts {
            div { dt { "Events" } dd { a href="/events" { (count(journal.position.parse().unwrap_or(0))) } } }
            div { dt { "Last event" } dd { @match &journal.moved_at { Some(at) => (time(at)), None => "none yet" } } }
            div { dt { "Size on the disk" } dd { (bytes(journal.bytes)) } }
            div { dt { "Account list behind by" } dd { a href="/projections" { (count(projections.lag)) " events" } } }
            div.wide {
                dt { "Last signed checkpoint" }
                dd {
                    @match checkpoint {
                        Some(Checkpoint { size, root }) => {
                            a href="/log" { "size " (size) } " " code title="root hash" { (root) }
                        }
                        None => "none yet",
                    }
                }
            }
        }
    }
}
