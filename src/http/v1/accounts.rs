//! Accounts, their state, their history.

use warp::reply::Response;

use super::request_context::RequestContext;
use super::response_body::{JSON_LINES, LineFormat, json_response, lines_response};
use super::response_format::ResponseFormat;
use crate::api::accounts::{self, AccountQuery, HistoryQuery};
use crate::api::{ApiState, Problem, parse_account};
use crate::audit::{AccountRow, EventView};

/// The account list as CSV (RFC 4180).
pub const CSV_LINES: LineFormat =
    LineFormat { content_type: "text/csv; charset=utf-8", head: AccountRow::CSV_HEADER, end: b"\r\n" };

/// `GET /accounts`: a page, or everything as lines or as CSV.
pub(super) async fn list_accounts(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["status", "onlineStatus", "prefix", "cursor", "limit"])?;
    let query = AccountQuery { filter: parameters.account_filter()?, cursor: parameters.number("cursor")? };
    let call = &context.call;
    let format = context.format(&[ResponseFormat::JsonPage, ResponseFormat::NdJson, ResponseFormat::Csv]);
    let (lines, write): (_, fn(&AccountRow) -> Vec<u8>) = match format {
        ResponseFormat::JsonPage | ResponseFormat::EventStream => {
            return Ok(json_response(&accounts::list_accounts(api, call, query, parameters.limit()?).await?));
        }
        ResponseFormat::NdJson => (JSON_LINES, AccountRow::to_json),
        ResponseFormat::Csv => (CSV_LINES, AccountRow::to_csv),
    };
    let most = parameters.number("limit")?.unwrap_or(u64::MAX);
    Ok(lines_response(accounts::read_accounts(api, call, query, most)?, lines, write))
}

/// `GET /accounts/{n}`
pub(super) async fn show_account(api: &ApiState, number: &str, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["at", "version"])?;
    let (account, as_of) = (parse_account("account", number)?, parameters.as_of()?);
    Ok(json_response(&accounts::show_account(api, &context.call, account, as_of).await?))
}

/// `GET /accounts/{n}/events`: a page, or everything as lines.
pub(super) async fn show_history(api: &ApiState, number: &str, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["order", "type", "since", "until", "cursor", "limit"])?;
    let query = HistoryQuery {
        account: parse_account("account", number)?,
        order: parameters.order()?,
        filter: parameters.event_filter()?,
        cursor: parameters.number("cursor")?,
    };
    let call = &context.call;
    if context.format(&[ResponseFormat::JsonPage, ResponseFormat::NdJson]) != ResponseFormat::NdJson {
        return Ok(json_response(&accounts::show_history(api, call, query, parameters.limit()?).await?));
    }
    let most = parameters.number("limit")?.unwrap_or(u64::MAX);
    Ok(lines_response(accounts::read_history(api, call, query, most).await?, JSON_LINES, EventView::to_json))
}

/// `GET /accounts/{n}/diff`
pub(super) async fn diff_account(api: &ApiState, number: &str, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["from", "to"])?;
    let (from, to) = (parameters.required_number("from")?, parameters.required_number("to")?);
    let account = parse_account("account", number)?;
    Ok(json_response(&accounts::diff_account(api, &context.call, account, from, to).await?))
}
