//! Accounts, their state, their history.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use warp::reply::Response;

use super::Desk;
use super::events::EventPage;
use super::form::Form;
use super::parameters::{Parameters, account};
use super::problem::Problem;
use super::streams::{JSON, Lines, NDJSON_LINES, json, paged, raw, whole};
use crate::audit::{self, AccountRow, Change};
use crate::http::requests::Query;

/// The account list as CSV (RFC 4180).
const CSV_LINES: Lines = Lines { content_type: "text/csv; charset=utf-8", head: AccountRow::CSV_HEAD, end: b"\r\n" };

/// A page of the account list.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AccountPage {
    /// The oldest first.
    #[schema(value_type = Vec<AccountRow>)]
    accounts: Vec<Box<RawValue>>,
    /// What to ask for as `cursor` next; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// What changed in an account between two of its versions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Difference {
    /// The account number.
    whats_app: String,
    /// The one version.
    from: u64,
    /// The other.
    to: u64,
    /// The fields that differ.
    changes: Vec<Change>,
}

/// `GET /accounts`: a page, or everything as lines or as CSV.
pub(super) fn list(desk: &Desk, query: &Query, form: Form) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["status", "onlineStatus", "prefix", "cursor", "limit"])?;
    let (wanted, from) = (parameters.accounts()?, parameters.number("cursor")?);
    let (lines, written): (_, fn(&AccountRow) -> Vec<u8>) = match form {
        Form::Page | Form::Live => {
            let found = desk.audit().accounts(&wanted, from.unwrap_or(0), parameters.limit()?, AccountRow::json);
            return Ok(json(&AccountPage {
                accounts: raw(found.lines),
                next: found.next.map(|next| next.to_string()),
            }));
        }
        Form::Lines => (NDJSON_LINES, AccountRow::json),
        Form::Csv => (CSV_LINES, AccountRow::csv),
    };
    let (audit, most) = (desk.audit().clone(), parameters.number("limit")?.unwrap_or(u64::MAX));
    Ok(paged(desk.place()?, lines, from, most, move |from, limit| -> Result<_, audit::Error> {
        Ok(audit.accounts(&wanted, from.unwrap_or(0), limit, written))
    }))
}

/// `GET /accounts/{n}`
pub(super) fn state(desk: &Desk, number: &str, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["at", "version"])?;
    let mut line = desk.audit().state_line(account("account", number)?, parameters.as_of()?)?;
    line.push(b'\n');
    Ok(whole(JSON, line))
}

/// `GET /accounts/{n}/events`: a page, or everything as lines.
pub(super) fn history(desk: &Desk, number: &str, query: &Query, form: Form) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["order", "type", "since", "until", "cursor", "limit"])?;
    let (account, order, filter) = (account("account", number)?, parameters.order()?, parameters.filter()?);
    let cursor = parameters.number("cursor")?;
    if form != Form::Lines {
        let found = desk.audit().history(account, order, cursor, &filter, parameters.limit()?)?;
        return Ok(json(&EventPage::of(found)));
    }
    let most = parameters.number("limit")?.unwrap_or(u64::MAX);
    let audit = desk.audit().clone();
    // An account that is unknown is told before anything is sent.
    audit.history(account, order, cursor, &filter, 1)?;
    Ok(paged(desk.place()?, NDJSON_LINES, cursor, most, move |cursor, limit| {
        audit.history(account, order, cursor, &filter, limit)
    }))
}

/// `GET /accounts/{n}/diff`
pub(super) fn diff(desk: &Desk, number: &str, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["from", "to"])?;
    let (from, to) = (parameters.required("from")?, parameters.required("to")?);
    let changes = desk.audit().diff(account("account", number)?, from, to)?;
    Ok(json(&Difference { whats_app: number.to_owned(), from, to, changes }))
}
