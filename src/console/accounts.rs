//! `/accounts`: the account list, filtered by state and number; orders to accounts; export.

use maud::{Markup, html};

use super::account_orders;
use super::components::{account_link, download_response, empty_note, online_status_badge, status_badge};
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError, with_query};
use crate::api::accounts::{self, AccountPage, AccountQuery};
use crate::api::{AccountSelection, Parameters, Problem, operation};
use crate::audit::AccountRow;
use crate::domain::{OnlineStatus, Status};
use crate::http::{CSV_LINES, JSON_LINES, LineFormat, lines_response};

/// The filters of the list, from the URL.
struct AccountListQuery<'v> {
    status: Option<&'v str>,
    online_status: Option<&'v str>,
    prefix: Option<&'v str>,
    limit: &'v str,
}

const LIMITS: [&str; 4] = ["25", "50", "100", "500"];

impl<'v> AccountListQuery<'v> {
    fn from_request(request: &'v ConsolePageRequest) -> AccountListQuery<'v> {
        let limit = request.query_value("limit").filter(|limit| LIMITS.contains(limit)).unwrap_or("50");
        let prefix = request.query_value("prefix").map(|prefix| prefix.trim().trim_start_matches('+'));
        AccountListQuery {
            status: request.query_value("status"),
            online_status: request.query_value("onlineStatus"),
            prefix,
            limit,
        }
    }

    /// The query of the API, with the most rows of a page.
    fn parse(&self, cursor: Option<&str>) -> Result<(AccountQuery, usize), Problem> {
        let AccountListQuery { status, online_status, prefix, limit } = *self;
        let what = [("status", status), ("onlineStatus", online_status), ("prefix", prefix)];
        let fields = what.into_iter().chain([("limit", Some(limit)), ("cursor", cursor)]);
        let parameters = Parameters::from_fields(fields);
        let (filter, cursor) = (parameters.account_filter()?, parameters.number("cursor")?);
        Ok((AccountQuery { filter, cursor }, parameters.limit()?))
    }

    fn selection(&self) -> AccountSelection {
        self.prefix.map_or(AccountSelection::All, |prefix| AccountSelection::Prefix(prefix.to_owned()))
    }

    /// The URL of the list from a cursor on.
    fn url(&self, path: &str, cursor: Option<&str>) -> String {
        let AccountListQuery { status, online_status, prefix, limit } = *self;
        let what = [("status", status), ("onlineStatus", online_status), ("prefix", prefix)];
        with_query(path, &[what[0], what[1], what[2], ("limit", Some(limit)), ("cursor", cursor)])
    }

    /// The URL of the whole list as a file in this format.
    fn export_url(&self, form: &str) -> String {
        let AccountListQuery { status, online_status, prefix, .. } = *self;
        let what = [("status", status), ("onlineStatus", online_status), ("prefix", prefix)];
        with_query("/accounts/export", &[what[0], what[1], what[2], ("form", Some(form))])
    }
}

pub(super) async fn page(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let filter = AccountListQuery::from_request(request);
    if let Some(path) = request.bound_accounts_path().filter(|_| filter.prefix.is_none()) {
        return Ok(PageResponse::Redirect(path));
    }
    let cursor = request.query_value("cursor");
    let call = request.call_on(operation::LIST_ACCOUNTS, filter.selection())?;
    let (query, limit) = filter.parse(cursor)?;
    let found = accounts::list_accounts(request.api(), &call, query, limit).await?;
    let content = html! {
        h1 { "Accounts" }
        (filter_form(&filter))
        @if found.accounts.is_empty() {
            (empty_note("No account matches."))
        } @else {
            form method="post" action="/accounts" {
                (account_orders::order_fields(request, "the selected accounts"))
                (account_table(&found.accounts))
            }
        }
        (pagination(&filter, cursor, &found))
        p {
            "Download all matches: "
            a href=(filter.export_url("csv")) { "CSV" } " or " a href=(filter.export_url("jsonl")) { "JSON lines" }
        }
    };
    Ok(PageResponse::Page(PageContent { title: "Accounts".to_owned(), nav_path: "/accounts", content }))
}

fn filter_form(filter: &AccountListQuery<'_>) -> Markup {
    let states = [Status::Normal, Status::Banned].map(|status| (status.code().to_string(), status.name()));
    let online = [OnlineStatus::OnlineComing, OnlineStatus::Online, OnlineStatus::OfflineComing, OnlineStatus::Offline]
        .map(|online| (online.code().to_string(), online.name()));
    html! {
        form.filter method="get" action="/accounts" role="search" {
            div {
                label for="prefix" { "Number begins with" }
                input #prefix name="prefix" inputmode="numeric" maxlength="16" value=[filter.prefix] placeholder="8618…";
            }
            div { label for="status" { "Status" } (select_field("status", &states, filter.status)) }
            div { label for="onlineStatus" { "Online status" } (select_field("onlineStatus", &online, filter.online_status)) }
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

fn select_field(name: &str, choices: &[(String, &str)], chosen: Option<&str>) -> Markup {
    html! {
        select id=(name) name=(name) {
            option value="" { "any" }
            @for (code, words) in choices {
                option value=(code) selected[chosen == Some(code.as_str())] { (words) }
            }
        }
    }
}

fn account_table(rows: &[AccountRow]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Accounts" {
            table {
                thead { tr {
                    th scope="col" {
                        input type="checkbox" data-all aria-label="Select all accounts on this page" hidden;
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
                            td { (account_link(&row.whats_app)) }
                            td { (status_badge(row.status)) }
                            td { (online_status_badge(row.online_status)) }
                            td.number { (row.version) }
                        }
                    }
                }
            }
        }
    }
}

/// Links to the pages of the list. A link that leads nowhere is disabled.
fn pagination(filter: &AccountListQuery<'_>, cursor: Option<&str>, found: &AccountPage) -> Markup {
    let way = |name: &str, path: Option<String>| {
        html! { @match path { Some(path) => a href=(path) { (name) }, None => span aria-disabled="true" { (name) } } }
    };
    html! {
        nav.ways aria-label="Pages of the list" {
            (way("First", cursor.map(|_| filter.url("/accounts", None))))
            (way("Next", found.next.as_deref().map(|next| filter.url("/accounts", Some(next)))))
        }
    }
}

/// Brings selected accounts online or recycles them.
pub(super) async fn submit_order(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let ordered = account_orders::submit_order(request).await?;
    Ok(PageResponse::Page(PageContent { title: "Result".to_owned(), nav_path: "/accounts", content: ordered }))
}

/// Exports the list as a file.
pub(super) fn export(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let filter = AccountListQuery::from_request(request);
    let (format, to_line, ending): (LineFormat, fn(&AccountRow) -> Vec<u8>, _) = match request.query_value("form") {
        Some("csv") => (CSV_LINES, AccountRow::to_csv, "csv"),
        _ => (JSON_LINES, AccountRow::to_json, "jsonl"),
    };
    let call = request.call_on(operation::LIST_ACCOUNTS, filter.selection())?;
    let (query, _) = filter.parse(None)?;
    let rows = accounts::read_accounts(request.api(), &call, query, u64::MAX)?;
    Ok(download_response(lines_response(rows, format, to_line), &format!("muster-accounts.{ending}"), &call))
}
