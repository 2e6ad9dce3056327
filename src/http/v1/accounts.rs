//! Accounts, their state, their history.

use serde_json::json;
use warp::reply::Response;

use super::Desk;
use super::parameters::{Parameters, account};
use super::problem::Problem;
use super::streams::{JSON, NDJSON, json, page, streamed, whole};
use crate::http::requests::Query;
use crate::limits::PAGE_EVENTS;

/// `GET /accounts`
pub(super) fn list(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["status", "onlineStatus", "prefix", "cursor", "limit"])?;
    let (wanted, limit) = (parameters.accounts()?, parameters.limit()?);
    let from = parameters.number("cursor")?.unwrap_or(0);
    Ok(page("accounts", &desk.audit().accounts(&wanted, from, limit)))
}

/// `GET /accounts/{n}`
pub(super) fn state(desk: &Desk, number: &str, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["at", "version"])?;
    let mut line = desk.audit().state_line(account("account", number)?, parameters.as_of()?)?;
    line.push(b'\n');
    Ok(whole(JSON, line))
}

/// `GET /accounts/{n}/events`: a page, or everything with `Accept: application/x-ndjson`.
pub(super) fn history(desk: &Desk, number: &str, query: &Query, is_stream: bool) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["order", "type", "since", "until", "cursor", "limit"])?;
    let (account, order, filter) = (account("account", number)?, parameters.order()?, parameters.filter()?);
    let cursor = parameters.number("cursor")?;
    if !is_stream {
        let found = desk.audit().history(account, order, cursor, &filter, parameters.limit()?)?;
        return Ok(page("events", &found));
    }
    let most = parameters.number("limit")?.unwrap_or(u64::MAX);
    let audit = desk.audit().clone();
    // An account that is unknown is told before anything is sent.
    audit.history(account, order, cursor, &filter, 1)?;
    Ok(streamed(desk.place()?, NDJSON, move |writer| -> Result<(), crate::audit::Error> {
        let (mut left, mut cursor) = (most, cursor);
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_EVENTS);
            let found = audit.history(account, order, cursor, &filter, limit)?;
            left -= found.lines.len() as u64;
            let lines = found.lines.iter().flat_map(|line| [line, &b"\n"[..]]).collect::<Vec<_>>().concat();
            if !lines.is_empty() && writer.write(lines).is_break() {
                break;
            }
            match found.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Ok(())
    }))
}

/// `GET /accounts/{n}/diff`
pub(super) fn diff(desk: &Desk, number: &str, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["from", "to"])?;
    let (from, to) = (parameters.required("from")?, parameters.required("to")?);
    let changes = desk.audit().diff(account("account", number)?, from, to)?;
    Ok(json(&json!({"whatsApp": number, "from": from, "to": to, "changes": changes})))
}
