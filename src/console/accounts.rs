//! `/accounts`: the account list, filtered by state and number; orders to accounts; export.

use maud::{Markup, Render, html};

use super::account_orders;
use super::components::{account_link, empty_note, label_badges, online_status_badge, page_links, status_badge};
use super::forms::select;
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, with_query};
use super::table::TableBuilder;
use crate::api::accounts::{self, AccountQuery};
use crate::api::{AccountSelection, LABEL_PARAMETER, Parameters, Problem, operation};
use crate::audit::AccountRow;
use crate::domain::{OnlineStatus, Status};
use crate::http::{CSV_LINES, JSON_LINES, LineFormat, lines_response};

/// The filters of the list, from the URL.
struct AccountListQuery<'v> {
    status: Option<&'v str>,
    online_status: Option<&'v str>,
    prefix: Option<&'v str>,
    /// Each is `name:value` or `name`.
    labels: Vec<&'v str>,
    limit: &'v str,
}

const LIMITS: [&str; 4] = ["25", "50", "100", "500"];

impl<'v> AccountListQuery<'v> {
    fn from_request(request: &'v ConsoleRequest) -> AccountListQuery<'v> {
        let limit = request.query_value("limit").filter(|limit| LIMITS.contains(limit)).unwrap_or("50");
        let prefix = request.query_value("prefix").map(|prefix| prefix.trim().trim_start_matches('+'));
        AccountListQuery {
            status: request.query_value("status"),
            online_status: request.query_value("onlineStatus"),
            prefix,
            labels: request.query_values(LABEL_PARAMETER).map(str::trim).filter(|label| !label.is_empty()).collect(),
            limit,
        }
    }

    /// The fields of the filter, named as in the API.
    fn fields(&self) -> impl Iterator<Item = (&'v str, Option<&'v str>)> {
        let labels = self.labels.iter().map(|label| (LABEL_PARAMETER, Some(*label)));
        let others = [("status", self.status), ("onlineStatus", self.online_status), ("prefix", self.prefix)];
        others.into_iter().chain(labels)
    }

    /// The fields of the page that begins at a cursor.
    fn page_fields<'c>(&'c self, cursor: Option<&'c str>) -> impl Iterator<Item = (&'c str, Option<&'c str>)> {
        self.fields().chain([("limit", Some(self.limit)), ("cursor", cursor)])
    }

    /// The query of the API, with the page size.
    fn parse(&self, cursor: Option<&str>) -> Result<(AccountQuery, usize), Problem> {
        let parameters = Parameters::from_fields(self.page_fields(cursor));
        let (filter, cursor) = (parameters.account_filter()?, parameters.number("cursor")?);
        Ok((AccountQuery { filter, cursor }, parameters.limit()?))
    }

    fn selection(&self) -> AccountSelection {
        self.prefix.map_or(AccountSelection::All, |prefix| AccountSelection::Prefix(prefix.to_owned()))
    }

    /// The URL of the page that begins at a cursor.
    fn page_url(&self, cursor: Option<&str>) -> String {
        with_query("/accounts", self.page_fields(cursor))
    }

    /// The URL of the whole list as a file in this format.
    fn export_url(&self, format: &str) -> String {
        with_query("/accounts/export", self.fields().chain([("form", Some(format))]))
    }
}

pub(super) async fn page(request: &ConsoleRequest) -> PageResult {
    let filter = AccountListQuery::from_request(request);
    if let Some(path) = request.bound_accounts_path().filter(|_| filter.prefix.is_none()) {
        return Ok(PageResponse::Redirect(path));
    }
    let cursor = request.query_value("cursor");
    let call = request.call_on(operation::LIST_ACCOUNTS, filter.selection())?;
    let (query, limit) = filter.parse(cursor)?;
    let found = accounts::list_accounts(&call, query, limit).await?;
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
        (page_links("Pages of the list", &[
            ("First", cursor.map(|_| filter.page_url(None))),
            ("Next", found.next.as_deref().map(|next| filter.page_url(Some(next)))),
        ]))
        p {
            "Download all matches: "
            a href=(filter.export_url("csv")) { "CSV" } " or " a href=(filter.export_url("jsonl")) { "JSON lines" }
        }
    };
    Ok(PageResponse::page("Accounts", "/accounts", content))
}

fn filter_form(filter: &AccountListQuery<'_>) -> Markup {
    let states = [Status::Normal, Status::Banned].map(|status| (status.code().to_string(), status.name()));
    let online = [OnlineStatus::OnlineComing, OnlineStatus::Online, OnlineStatus::OfflineComing, OnlineStatus::Offline];
    let online = online.map(|online| (online.code().to_string(), online.name()));
    html! {
        form.filter method="get" action="/accounts" role="search" {
            div {
                label for="prefix" { "Number begins with" }
                input #prefix name="prefix" inputmode="numeric" maxlength="16" value=[filter.prefix] placeholder="8618…";
            }
            div {
                label for="label" { "Label" }
                @for label in &filter.labels { input name=(LABEL_PARAMETER) value=(label) aria-label="Label"; }
                input #label name=(LABEL_PARAMETER) maxlength="129" placeholder="team:sales";
            }
            div { label for="status" { "Status" } (select("status", "status", states, filter.status)) }
            div { label for="onlineStatus" { "Online status" } (select("onlineStatus", "onlineStatus", online, filter.online_status)) }
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

fn account_table(rows: &[AccountRow]) -> impl Render {
    TableBuilder::new("Accounts", rows)
        .select_boxes("Select all accounts on this page", "account", |it| &it.whats_app)
        .text("account", |it| account_link(&it.whats_app))
        .text("status", |it| status_badge(it.status))
        .text("online status", |it| online_status_badge(it.online_status))
        .number("version", |it| it.version)
        .text("labels", |it| label_badges(&it.labels))
}

/// Exports the list as a file.
pub(super) fn export(request: &ConsoleRequest) -> PageResult {
    let filter = AccountListQuery::from_request(request);
    let (format, to_line, ending): (LineFormat, fn(&AccountRow) -> Vec<u8>, _) = match request.query_value("form") {
        Some("csv") => (CSV_LINES, AccountRow::to_csv, "csv"),
        _ => (JSON_LINES, AccountRow::to_json, "jsonl"),
    };
    let call = request.call_on(operation::LIST_ACCOUNTS, filter.selection())?;
    let (query, _) = filter.parse(None)?;
    let rows = accounts::read_accounts(&call, query, u64::MAX)?;
    let name = format!("muster-accounts.{ending}");
    Ok(PageResponse::download(lines_response(rows, format, to_line), &name, &call))
}
