//! Accounts: their state, their history, an operator's orders, the erasure of their secrets.

use futures_util::FutureExt;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::{Ref, Required};
use warp::http::Method;
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::{JSON_LINES, LineFormat, json_response, lines_response};
use super::response_format::ResponseFormat;
use super::shared_docs::{NDJSON, NO_SERVICE, UNKNOWN_ACCOUNT, event_responses, with_streams};
use crate::api::account_labels::{self, AccountLabelsResponse, ChangeLabelsRequest};
use crate::api::account_orders::{self, AccountOrderRequest, AccountOrderResponse};
use crate::api::account_secrets::{self, EraseSecretsRequest, EraseSecretsResponse};
use crate::api::accounts::{self, AccountDiff, AccountPage, AccountQuery, HistoryQuery, HistoryStart};
use crate::api::events::EventPage;
use crate::api::{LABEL_PARAMETER, Problem, operation};
use crate::audit::{AccountRow, AccountStateView, CloudEvent, EventView, LabelsView, OnlineStatusCode, StatusCode};
use crate::domain::AccountOrder;
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::label_entries::LabelEntries;
use crate::http::operation_doc::{OperationDoc, content, response_with_id};
use crate::http::parameter_schemas::{digits, event_id, label_filters, number, one_of, prefix, text, time};
use crate::http::v1_request::V1Request;
use crate::limits::{BULK_ACTION_BYTES, WEBHOOK_REQUEST_BYTES};

pub(in crate::http) static ENDPOINTS: [Endpoint; 8] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/accounts",
        operation: operation::LIST_ACCOUNTS,
        tag: Tag::Accounts,
        summary: "List accounts",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| list_accounts(request).boxed()),
        document: |operation| {
            operation
                .describe("In the order of their first import.")
                .query_parameter("status", Ref::from_schema_name(StatusCode::name()), "Only accounts with this status.")
                .query_parameter(
                    "onlineStatus",
                    Ref::from_schema_name(OnlineStatusCode::name()),
                    "Only accounts with this online status.",
                )
                .register_schema::<StatusCode>()
                .register_schema::<OnlineStatusCode>()
                .query_parameter("prefix", prefix(), "Only account numbers that begin with these digits.")
                .query_parameter(
                    LABEL_PARAMETER,
                    label_filters(),
                    "Only accounts with this label, written `name:value`, or `name` for any value. Repeat it to \
                     require several labels.",
                )
                .query_parameter("cursor", digits(), "The `next` of the previous page.")
                .page_limit("The maximum number of accounts.")
                .describe(
                    "With `Accept: application/x-ndjson` or `text/csv` the response has all accounts, one a \
                    line, up to `limit`.",
                )
                .register_schema::<AccountPage>()
                .register_schema::<AccountRow>()
                .response(
                    200,
                    with_streams(
                        response_with_id("The page; or one account a line; or CSV with a header.")
                            .content("application/json", content(Ref::from_schema_name("AccountPage"))),
                        [(NDJSON, Ref::from_schema_name("AccountRow").into()), (CSV_LINES.content_type, text().into())],
                    ),
                )
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/accounts/online",
        operation: operation::ORDER_ONLINE,
        tag: Tag::Accounts,
        summary: "Bring accounts online",
        body: BodyLimit::Bytes(BULK_ACTION_BYTES),
        handler: Handler::V1(|request| order_accounts(request, AccountOrder::Online).boxed()),
        document: document_order,
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/accounts/recycle",
        operation: operation::ORDER_RECYCLE,
        tag: Tag::Accounts,
        summary: "Recycle accounts",
        body: BodyLimit::Bytes(BULK_ACTION_BYTES),
        handler: Handler::V1(|request| order_accounts(request, AccountOrder::Recycle).boxed()),
        document: document_order,
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/accounts/{account}",
        operation: operation::SHOW_ACCOUNT,
        tag: Tag::Accounts,
        summary: "Show an account's state, now or in the past",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| show_account(request).boxed()),
        document: |operation| {
            operation
                .describe("With the events that led to it. Secrets appear as fingerprints only.")
                .query_parameter("at", time(), "The state at this time. It excludes `version`.")
                .query_parameter(
                    "version",
                    number(1),
                    "The state after this number of events, or \
                    after this `x-muster-account-version`.",
                )
                .json_response::<AccountStateView<'_>>(200, "The account's state.")
                .problem(404, UNKNOWN_ACCOUNT)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/accounts/{account}/events",
        operation: operation::SHOW_HISTORY,
        tag: Tag::Accounts,
        summary: "List an account's events",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| show_history(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "The response is a page. With `Accept: application/x-ndjson` it has all events, one a line, \
                    up to `limit`.",
                )
                .query_parameter(
                    "order",
                    one_of(["asc", "desc"]),
                    "`asc` (the default): oldest first; `desc`: newest first.",
                )
                .event_filters()
                .query_parameter("cursor", event_id(), "The `next` of the previous page, which is a version.")
                .page_limit("The maximum number of events; a stream of lines may have any.")
                .register_schema::<EventPage>()
                .register_schema::<CloudEvent<'_>>()
                .response(200, event_responses("The page; or one event a line.", [NDJSON]))
                .problem(404, UNKNOWN_ACCOUNT)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/accounts/{account}/diff",
        operation: operation::DIFF_ACCOUNT,
        tag: Tag::Accounts,
        summary: "Compare two versions of an account",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| diff_account(request).boxed()),
        document: |operation| {
            operation
                .required_query_parameter("from", number(1), "The first version.")
                .required_query_parameter("to", number(1), "The second version.")
                .json_response::<AccountDiff>(200, "The fields that changed.")
                .problem(404, UNKNOWN_ACCOUNT)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::PUT,
        path: "/api/v1/accounts/{account}/labels",
        operation: operation::CHANGE_LABELS,
        tag: Tag::Accounts,
        summary: "Replace an account's labels",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| change_labels(request).boxed()),
        document: |operation| {
            operation
                .describe("Equal labels succeed, and nothing is recorded. `{}` removes all labels.")
                .json_body::<LabelsBody>(Required::True, "All labels after the change.")
                .json_response::<AccountLabelsResponse>(200, "The account's labels.")
                .problem(409, NO_SERVICE)
                .problem(404, UNKNOWN_ACCOUNT)
        },
    },
    Endpoint {
        method: Method::DELETE,
        path: "/api/v1/accounts/{account}/secrets",
        operation: operation::ERASE_SECRETS,
        tag: Tag::Accounts,
        summary: "Erase an account's secrets",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| erase_secrets(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "Destroys the account's data key, so that its secrets cannot be read any more. A registration that \
                     waits for its code fails, and the account goes offline. batchOnline is rejected until batchInsert \
                     imports new content.",
                )
                .json_body::<EraseSecretsRequest>(Required::True, "The reason. It cannot be changed later.")
                .json_response::<EraseSecretsResponse>(200, "The secrets are erased.")
                .problem(409, "The account's state does not allow it, or no service is running.")
                .problem(404, UNKNOWN_ACCOUNT)
        },
    },
];

/// The account list as CSV (RFC 4180).
pub const CSV_LINES: LineFormat =
    LineFormat { content_type: "text/csv; charset=utf-8", head: AccountRow::CSV_HEADER, end: b"\r\n" };

/// Returns a page, or all accounts as JSON lines or CSV.
async fn list_accounts(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.parameters(&["status", "onlineStatus", "prefix", LABEL_PARAMETER, "cursor", "limit"])?;
    let query = AccountQuery { filter: parameters.account_filter()?, cursor: parameters.number("cursor")? };
    let call = &request.call;
    let formats = [ResponseFormat::JsonPage, ResponseFormat::NdJson, ResponseFormat::Csv];
    let (lines, write): (_, fn(&AccountRow) -> Vec<u8>) =
        match ResponseFormat::negotiate(&formats, &request.head.headers) {
            ResponseFormat::JsonPage | ResponseFormat::EventStream => {
                return Ok(json_response(&accounts::list_accounts(call, query, parameters.limit()?).await?));
            }
            ResponseFormat::NdJson => (JSON_LINES, AccountRow::to_json),
            ResponseFormat::Csv => (CSV_LINES, AccountRow::to_csv),
        };
    let most = parameters.number("limit")?.unwrap_or(u64::MAX);
    Ok(lines_response(accounts::read_accounts(call, query, most)?, lines, write))
}

async fn order_accounts(request: V1Request, order: AccountOrder) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let body = parse_body(&request.body, r#"{"accounts":["861821726232"],"reason":"maintenance"}"#)?;
    Ok(json_response(&account_orders::order_accounts(&request.call, order, body).await?))
}

fn document_order(operation: OperationDoc) -> OperationDoc {
    operation
        .describe(
            "The reason is recorded for good before anything else is done. The events of the accounts have the same \
             request id.",
        )
        .json_body::<AccountOrderRequest>(Required::True, "The account numbers and the reason.")
        .json_response::<AccountOrderResponse>(200, "The result for each account.")
        .problem(409, NO_SERVICE)
}

async fn show_account(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.parameters(&["at", "version"])?;
    let (account, as_of) = (request.account()?, parameters.as_of()?);
    Ok(json_response(&accounts::show_account(&request.call, account, as_of).await?))
}

/// Returns a page, or all events as JSON lines.
async fn show_history(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.filter_parameters(&["order", "cursor", "limit"])?;
    let query = HistoryQuery {
        account: request.account()?,
        order: parameters.order()?,
        filter: parameters.event_filter()?,
        start: parameters.event_id("cursor")?.map_or(HistoryStart::First, HistoryStart::Cursor),
    };
    let (call, formats) = (&request.call, [ResponseFormat::JsonPage, ResponseFormat::NdJson]);
    if ResponseFormat::negotiate(&formats, &request.head.headers) != ResponseFormat::NdJson {
        return Ok(json_response(&accounts::show_history(call, query, parameters.limit()?).await?));
    }
    let most = parameters.number("limit")?.unwrap_or(u64::MAX);
    Ok(lines_response(accounts::read_history(call, query, most).await?, JSON_LINES, EventView::to_json))
}

async fn diff_account(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.parameters(&["from", "to"])?;
    let (from, to) = (parameters.required_number("from")?, parameters.required_number("to")?);
    Ok(json_response(&accounts::diff_account(&request.call, request.account()?, from, to).await?))
}

/// The new labels of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeLabels, example = json!({"labels": {"team": "care"}, "reason": "moved to another team"}))]
struct LabelsBody {
    #[schema(value_type = LabelsView)]
    labels: LabelEntries,
    /// The reason: up to 256 bytes of text on one line; left out or empty if there is none. It cannot be changed later.
    #[serde(default)]
    #[schema(max_length = 256)]
    reason: String,
}

async fn change_labels(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let account = request.account()?;
    let LabelsBody { labels, reason } =
        parse_body(&request.body, r#"{"labels":{"team":"care"},"reason":"moved to another team"}"#)?;
    let labels = labels.parse().map_err(|invalid| Problem::invalid_parameter("labels", invalid))?;
    let change = ChangeLabelsRequest { labels, reason };
    Ok(json_response(&account_labels::change_labels(&request.call, account, change).await?))
}

async fn erase_secrets(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let account = request.account()?;
    let erasure = parse_body(&request.body, r#"{"reason":"the customer asked for it"}"#)?;
    Ok(json_response(&account_secrets::erase_secrets(&request.call, account, erasure).await?))
}
