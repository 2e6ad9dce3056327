//! Lenient readers of the Graph's responses: Meta's two specifications disagree, and proxies may respond for Meta. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::meta_codes::{self, GraphError, StatusMeaning, VerificationStatus};
use crate::client::json_text;
use crate::domain::AccountNumber;
use crate::limits::{GRAPH_ID_BYTES, GRAPH_RATE_PAUSE, GRAPH_RATE_PAUSE_MAX};

/// Why a response is not a success.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum GraphResponseError {
    /// Meta refused the call.
    Graph(GraphError),
    /// The body is no response of the Graph.
    Malformed {
        /// The HTTP status.
        status: u16,
        /// What is wrong with the body.
        why: &'static str,
    },
}

/// A phone number, as the Graph returns it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PhoneNumber {
    /// Meta's id of the number.
    pub(super) id: String,
    /// The number as Meta shows it. `None` if no account can have such a number.
    pub(super) shown: Option<AccountNumber>,
    /// `status`, as Meta sent it.
    pub(super) status: String,
    /// `code_verification_status`.
    pub(super) verification: VerificationStatus,
}

/// One page of the list of numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PhoneNumberPage {
    /// The numbers on the page.
    pub(super) numbers: Vec<PhoneNumber>,
    /// The cursor of the next page. `None` on the last page.
    pub(super) next_cursor: Option<String>,
}

/// Reads a response as an object. Fails if it is an error, no object, or has no success status.
pub(super) fn parse_response(status: u16, body: &[u8]) -> Result<Value, GraphResponseError> {
    let malformed = |why| GraphResponseError::Malformed { status, why };
    let answer: Value = serde_json::from_str(&json_text(body)).map_err(|_| malformed("it is not JSON"))?;
    match answer.get("error") {
        Some(error) if error.is_object() => return Err(GraphResponseError::Graph(read_error(status, error))),
        Some(_) => return Err(malformed("its error is not an object")),
        None => {}
    }
    if !(200..300).contains(&status) {
        return Err(malformed("its status is not success, and it has no error"));
    }
    if !answer.is_object() {
        return Err(malformed("it is not an object"));
    }
    Ok(answer)
}

/// Checks that a response reports success.
pub(super) fn parse_success(status: u16, body: &[u8]) -> Result<(), GraphResponseError> {
    match parse_response(status, body)?.get("success") {
        None | Some(Value::Bool(true)) => Ok(()),
        Some(_) => Err(GraphResponseError::Malformed { status, why: "it has neither success nor error" }),
    }
}

/// Reads the id of a created object.
pub(super) fn parse_created_id(status: u16, body: &[u8]) -> Result<String, GraphResponseError> {
    let answer = parse_response(status, body)?;
    id(answer.get("id")).ok_or(GraphResponseError::Malformed { status, why: "it has no id" })
}

/// Reads one number.
pub(super) fn parse_phone_number(status: u16, body: &[u8]) -> Result<PhoneNumber, GraphResponseError> {
    let answer = parse_response(status, body)?;
    number_of(&answer).ok_or(GraphResponseError::Malformed { status, why: "it has no id or no number" })
}

/// Reads one page of the list. A number without id or display number makes the page malformed, so that no list is
/// partial.
pub(super) fn parse_page(status: u16, body: &[u8]) -> Result<PhoneNumberPage, GraphResponseError> {
    let malformed = |why| GraphResponseError::Malformed { status, why };
    let answer = parse_response(status, body)?;
    let data = answer.get("data").and_then(Value::as_array).ok_or(malformed("it has no list"))?;
    let numbers: Option<Vec<PhoneNumber>> = data.iter().map(number_of).collect();
    let numbers = numbers.ok_or(malformed("an entry of its list has no id or no number"))?;
    // The last page has cursors too; only `next` says whether another page follows.
    let paging = answer.get("paging");
    let is_last = paging.and_then(|paging| paging.get("next")).is_none_or(Value::is_null);
    let after = || id(paging?.get("cursors")?.get("after"));
    let after =
        if is_last { None } else { Some(after().ok_or(malformed("it has a next page, but no cursor for it"))?) };
    Ok(PhoneNumberPage { numbers, next_cursor: after })
}

fn number_of(value: &Value) -> Option<PhoneNumber> {
    let text = |field| value.get(field).and_then(Value::as_str);
    Some(PhoneNumber {
        id: id(value.get("id"))?,
        shown: parse_shown_number(text("display_phone_number")?),
        status: text("status").unwrap_or_default().chars().take(64).collect(),
        verification: meta_codes::verification_status(text("code_verification_status").unwrap_or_default()),
    })
}

impl PhoneNumber {
    /// The meaning of its status.
    pub(super) fn status_meaning(&self) -> StatusMeaning {
        meta_codes::status_meaning(&self.status)
    }
}

/// A number as Meta shows it: `+1 631-555-5555` in responses, digits only in webhooks. It may be another form of the number that
/// was dialled.
pub(super) fn parse_shown_number(text: &str) -> Option<AccountNumber> {
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// An id or a cursor: an integer, or a text that is safe in a URL.
fn id(value: Option<&Value>) -> Option<String> {
    let is_id = |text: &str| {
        (1..=GRAPH_ID_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte))
    };
    match value? {
        Value::String(text) if is_id(text) => Some(text.clone()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn read_error(status: u16, error: &Value) -> GraphError {
    // Some proxies of Meta's partners write numbers as strings.
    let number = |field: &str| match error.get(field)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    GraphError {
        http_status: status,
        code: number("code"),
        subcode: number("error_subcode"),
        is_transient: error.get("is_transient").and_then(Value::as_bool).unwrap_or(false),
        trace_id: id(error.get("fbtrace_id")).filter(|trace| trace.len() <= 64),
    }
}

/// One entry of `X-Business-Use-Case-Usage`.
#[derive(Deserialize)]
struct UsageEntry {
    #[serde(default)]
    estimated_time_to_regain_access: Value,
}

/// How long calls must pause, according to the two usage headers. `None` if no pause is needed.
///
/// `X-App-Usage` has shares in percent and no time. `X-Business-Use-Case-Usage` has a list of entries per business. Each
/// entry gives the minutes after which Meta accepts calls again.
pub(super) fn usage_pause(app: Option<&str>, business: Option<&str>) -> Option<Duration> {
    let is_used_up = |app: &str| {
        let shares: Option<serde_json::Map<String, Value>> = serde_json::from_str(app).ok();
        shares.is_some_and(|shares| shares.values().any(|share| amount(share).is_some_and(|share| share >= 100.0)))
    };
    let app = app.filter(|app| is_used_up(app)).map(|_| GRAPH_RATE_PAUSE);
    let entries = |business: &str| serde_json::from_str::<BTreeMap<String, Vec<UsageEntry>>>(business).ok();
    let minutes = business.and_then(entries).into_iter().flatten().flat_map(|(_, entries)| entries);
    let minutes = minutes.filter_map(|it| amount(&it.estimated_time_to_regain_access)).fold(0.0, f64::max);
    let business = (minutes > 0.0).then(|| {
        let most = GRAPH_RATE_PAUSE_MAX.as_secs_f64();
        Duration::from_secs_f64((minutes * 60.0).min(most))
    });
    app.max(business)
}

fn amount(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number| number.is_finite())
}
