//! Accounts, their state, their history.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use warp::reply::Response;

use super::ApiState;
use super::events::EventPage;
use super::problem::Problem;
use super::query_parameters::{QueryParameters, parse_account};
use super::response_body::{JSON, LineFormat, NDJSON_LINES, bytes_response, json_response, stream_pages, to_raw_json};
use super::response_format::ResponseFormat;
use crate::audit::{self, AccountRow, FieldChange};
use crate::http::contract_requests::Query;

/// The account list as CSV (RFC 4180).
const CSV_LINES: LineFormat =
    LineFormat { content_type: "text/csv; charset=utf-8", head: AccountRow::CSV_HEADER, end: b"\r\n" };

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
#[schema(as = Difference)]
pub(in crate::http) struct AccountDiff {
    /// The account number.
    whats_app: String,
    /// The one version.
    from: u64,
    /// The other.
    to: u64,
    /// The fields that differ.
    changes: Vec<FieldChange>,
}

/// `GET /accounts`: a page, or everything as lines or as CSV.
pub(super) fn list_accounts(state: &ApiState, query: &Query, form: ResponseFormat) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["status", "onlineStatus", "prefix", "cursor", "limit"])?;
    let (wanted, from) = (parameters.account_filter()?, parameters.number("cursor")?);
    let (lines, written): (_, fn(&AccountRow) -> Vec<u8>) = match form {
        ResponseFormat::JsonPage | ResponseFormat::EventStream => {
            let found = state.audit().accounts(&wanted, from.unwrap_or(0), parameters.limit()?, AccountRow::to_json);
            return Ok(json_response(&AccountPage {
                accounts: to_raw_json(found.lines),
                next: found.next.map(|next| next.to_string()),
            }));
        }
        ResponseFormat::NdJson => (NDJSON_LINES, AccountRow::to_json),
        ResponseFormat::Csv => (CSV_LINES, AccountRow::to_csv),
    };
    let (audit, most) = (state.audit().clone(), parameters.number("limit")?.unwrap_or(u64::MAX));
    Ok(stream_pages(state.acquire_stream_permit()?, lines, from, most, move |from, limit| -> Result<_, audit::Error> {
        Ok(audit.accounts(&wanted, from.unwrap_or(0), limit, written))
    }))
}

/// `GET /accounts/{n}`
pub(super) fn show_account(state: &ApiState, number: &str, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["at", "version"])?;
    let mut line = state.audit().state_json(parse_account("account", number)?, parameters.as_of()?)?;
    line.push(b'\n');
    Ok(bytes_response(JSON, line))
}

/// `GET /accounts/{n}/events`: a page, or everything as lines.
pub(super) fn show_history(
    state: &ApiState,
    number: &str,
    query: &Query,
    form: ResponseFormat,
) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["order", "type", "since", "until", "cursor", "limit"])?;
    let (account, order, filter) = (parse_account("account", number)?, parameters.order()?, parameters.filter()?);
    let cursor = parameters.number("cursor")?;
    if form != ResponseFormat::NdJson {
        let found = state.audit().history(account, order, cursor, &filter, parameters.limit()?)?;
        return Ok(json_response(&EventPage::from_page(found)));
    }
    let most = parameters.number("limit")?.unwrap_or(u64::MAX);
    let audit = state.audit().clone();
    // An unknown account must be reported before the response starts.
    audit.history(account, order, cursor, &filter, 1)?;
    Ok(stream_pages(state.acquire_stream_permit()?, NDJSON_LINES, cursor, most, move |cursor, limit| {
        audit.history(account, order, cursor, &filter, limit)
    }))
}

/// `GET /accounts/{n}/diff`
pub(super) fn diff_account(state: &ApiState, number: &str, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["from", "to"])?;
    let (from, to) = (parameters.required_number("from")?, parameters.required_number("to")?);
    let changes = state.audit().diff(parse_account("account", number)?, from, to)?;
    Ok(json_response(&AccountDiff { whats_app: number.to_owned(), from, to, changes }))
}
