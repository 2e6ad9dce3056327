//! `/accounts`: which accounts there are, found by state and number, ordered about, taken along as a file.

use maud::{Markup, html};
use serde::Deserialize;

use super::frame::{Answer, Page};
use super::orders;
use super::parts::{account, nothing, passed_on, presence, status};
use super::visit::{Trouble, Visit, with_query};
use crate::domain::{OnlineStatus, Status};

/// `GET /accounts`
#[derive(Deserialize)]
struct Accounts {
    accounts: Vec<Row>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    whats_app: String,
    status: u8,
    online_status: u8,
    version: u64,
}

/// What the list is looked through for. It stands in the URL.
struct Filter<'v> {
    status: Option<&'v str>,
    online_status: Option<&'v str>,
    prefix: Option<&'v str>,
    limit: &'v str,
}

const LIMITS: [&str; 4] = ["25", "50", "100", "500"];

impl<'v> Filter<'v> {
    fn of(visit: &'v Visit) -> Filter<'v> {
        let limit = visit.asked("limit").filter(|limit| LIMITS.contains(limit)).unwrap_or("50");
        let prefix = visit.asked("prefix").map(|prefix| prefix.trim().trim_start_matches('+'));
        Filter { status: visit.asked("status"), online_status: visit.asked("onlineStatus"), prefix, limit }
    }

    /// The list from a place on, here or as the API has it.
    fn at(&self, path: &str, cursor: Option<&str>) -> String {
        let Filter { status, online_status, prefix, limit } = *self;
        let what = [("status", status), ("onlineStatus", online_status), ("prefix", prefix)];
        with_query(path, &[what[0], what[1], what[2], ("limit", Some(limit)), ("cursor", cursor)])
    }

    /// All of the list, as a file of this form.
    fn export(&self, form: &str) -> String {
        let Filter { status, online_status, prefix, .. } = *self;
        let what = [("status", status), ("onlineStatus", online_status), ("prefix", prefix)];
        with_query("/accounts/export", &[what[0], what[1], what[2], ("form", Some(form))])
    }
}

pub(super) async fn page(visit: &Visit) -> Result<Answer, Trouble> {
    let filter = Filter::of(visit);
    if let Some(path) = visit.instead_of_all().filter(|_| filter.prefix.is_none()) {
        return Ok(Answer::To(path));
    }
    let cursor = visit.asked("cursor");
    let found: Accounts = visit.get(&filter.at("accounts", cursor)).await?;
    let content = html! {
        h1 { "Accounts" }
        (asked(&filter))
        @if found.accounts.is_empty() {
            (nothing("No account is so."))
        } @else {
            form method="post" action="/accounts" {
                (orders::fields(visit, "the selected accounts"))
                (list(&found.accounts))
            }
        }
        (ways_on(&filter, cursor, &found))
        p {
            "All that are so, as a file: "
            a href=(filter.export("csv")) { "CSV" } " or " a href=(filter.export("jsonl")) { "JSON lines" }
        }
    };
    Ok(Answer::Page(Page { title: "Accounts".to_owned(), at: "/accounts", content }))
}

fn asked(filter: &Filter<'_>) -> Markup {
    let states = [Status::Normal, Status::Banned].map(|status| (status.code().to_string(), status.name()));
    let online = [OnlineStatus::OnlineComing, OnlineStatus::Online, OnlineStatus::OfflineComing, OnlineStatus::Offline]
        .map(|online| (online.code().to_string(), online.name()));
    html! {
        form.filter method="get" action="/accounts" role="search" {
            div {
                label for="prefix" { "Number begins with" }
                input #prefix name="prefix" inputmode="numeric" maxlength="16" value=[filter.prefix] placeholder="8618…";
            }
            div { label for="status" { "Status" } (choice("status", &states, filter.status)) }
            div { label for="onlineStatus" { "Online status" } (choice("onlineStatus", &online, filter.online_status)) }
            div {
                label for="limit" { "To a page" }
                select #limit name="limit" {
                    @for limit in LIMITS { option selected[limit == filter.limit] { (limit) } }
                }
            }
            div { button.primary { "Show" } }
        }
    }
}

fn choice(name: &str, choices: &[(String, &str)], chosen: Option<&str>) -> Markup {
    html! {
        select id=(name) name=(name) {
            option value="" { "any" }
            @for (code, words) in choices {
                option value=(code) selected[chosen == Some(code.as_str())] { (words) }
            }
        }
    }
}

fn list(rows: &[Row]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Accounts" {
            table {
                thead { tr {
                    th scope="col" {
                        input type="checkbox" data-all aria-label="Select all accounts of this page" hidden;
                    }
                    th scope="col" { "account" } th scope="col" { "status" } th scope="col" { "online status" }
                    th.number scope="col" { "version" }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            td {
                                input type="checkbox" name="account" value=(row.whats_app)
                                    aria-label=(format!("Select {}", row.whats_app));
                            }
                            td { (account(&row.whats_app)) }
                            td { (status(row.status)) }
                            td { (presence(row.online_status)) }
                            td.number { (row.version) }
                        }
                    }
                }
            }
        }
    }
}

/// The ways through the list; each has its place, there or not.
fn ways_on(filter: &Filter<'_>, cursor: Option<&str>, found: &Accounts) -> Markup {
    let way = |name: &str, path: Option<String>| {
        html! { @match path { Some(path) => a href=(path) { (name) }, None => span aria-disabled="true" { (name) } } }
    };
    html! {
        nav.ways aria-label="Parts of the list" {
            (way("First", cursor.map(|_| filter.at("/accounts", None))))
            (way("Next", found.next.as_deref().map(|next| filter.at("/accounts", Some(next)))))
        }
    }
}

/// Accounts of a list, or one, are brought online or recycled.
pub(super) async fn order(visit: &Visit) -> Result<Answer, Trouble> {
    let ordered = orders::carry_out(visit).await?;
    Ok(Answer::Page(Page { title: "Ordered".to_owned(), at: "/accounts", content: ordered }))
}

/// The list as a file.
pub(super) async fn export(visit: &Visit) -> Result<Answer, Trouble> {
    let filter = Filter::of(visit);
    let (accept, ending) = match visit.asked("form") {
        Some("csv") => ("text/csv", "csv"),
        _ => ("application/x-ndjson", "jsonl"),
    };
    let what = [("status", filter.status), ("onlineStatus", filter.online_status), ("prefix", filter.prefix)];
    let answer = visit.open(&with_query("accounts", &what), accept).await?;
    passed_on(answer, &format!("muster-accounts.{ending}")).map(Answer::Other)
}
