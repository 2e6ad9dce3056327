//! `/api/v1`, for auditors and operators: the calls of [`api`](crate::api) over HTTP. It uses real HTTP statuses, and problem
//! details (RFC 9457) for errors.
//!
//! | file | what it knows |
//! |---|---|
//! | `endpoint_list` | paths, methods, required permissions |
//! | `routes` | routing of requests, with authentication, deadline and log line |
//! | `request_context` | a request for its handler |
//! | `json_body` | parses a JSON body |
//! | `response_format` | content negotiation by `Accept` |
//! | `problem` | errors as problem details |
//! | `accounts` | accounts, their state, their history |
//! | `events` | events: pages, streams, the live tail; the audit log |
//! | `log_proofs` | checkpoints and proofs |
//! | `webhooks` | webhooks: receivers, secrets, deliveries, dead letters |
//! | `api_keys` | API keys |
//! | `account_orders` | an operator's orders to bring accounts online or recycle them |
//! | `gateways` | gateways, their health, reconciliation |
//! | `overview` | the state of the service in one response; the settings |
//! | `account_secrets` | erasure of an account's secrets |
//! | `master_key` | the master key: status and rotation |
//! | `maintenance` | projections, verification, replay, export, backup |
//! | `response_body` | response bodies, whole and streamed |

mod account_orders;
mod account_secrets;
mod accounts;
mod api_keys;
mod endpoint_list;
mod events;
mod gateways;
mod json_body;
mod log_proofs;
mod maintenance;
mod master_key;
mod overview;
pub(super) mod problem;
mod request_context;
mod response_body;
mod response_format;
mod routes;
mod webhooks;

use warp::reply::Response;

pub use accounts::CSV_LINES;
pub use endpoint_list::{API_ENDPOINTS, ApiEndpoint};
pub use events::{event_stream_response, last_event_id};
pub use response_body::{JSON, JSON_LINES, LineFormat, bytes_response, lines_response};
pub use routes::routes;

use crate::api::Problem;

/// The response when the task of a request panicked.
pub(super) fn task_failure_response(error: &tokio::task::JoinError) -> Response {
    Problem::task_failed(error).respond()
}
