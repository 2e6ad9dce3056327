//! The endpoints of `/api/v1`, for auditors and operators: the calls of [`api`](crate::api) over HTTP. They use HTTP
//! statuses even with `http.always_200`, and problem details (RFC 9457) for errors. A file lists its endpoints first, then
//! their handlers.
//!
//! | file | what it knows |
//! |---|---|
//! | `json_body` | parses a JSON body; errors do not repeat secrets |
//! | `response_format` | the response format that `Accept` requests |
//! | `problem` | errors as problem details |
//! | `shared_docs` | what all operations share in the OpenAPI document |
//! | `accounts` | accounts, their state, their history; orders; erasure of secrets |
//! | `events` | events: pages, streams, the live tail, exports; the audit log |
//! | `log_proofs` | checkpoints and proofs; the check of a kept checkpoint |
//! | `overview` | the state of the service in one response; the settings |
//! | `gateways` | gateways, their health, reconciliation |
//! | `maintenance` | projections, verification, replay, backup |
//! | `webhooks` | webhook channels: receivers, secrets, pause |
//! | `deliveries` | deliveries of webhooks, dead letters, redelivery |
//! | `master_key` | the master key: status and rotation |
//! | `api_keys` | API keys |
//! | `response_body` | response bodies, whole and streamed |

pub(super) mod accounts;
pub(super) mod api_keys;
pub(super) mod deliveries;
pub(super) mod events;
pub(super) mod gateways;
mod json_body;
pub(super) mod log_proofs;
pub(super) mod maintenance;
pub(super) mod master_key;
pub(super) mod overview;
pub(super) mod problem;
mod response_body;
mod response_format;
pub(super) mod shared_docs;
pub(super) mod webhooks;

pub use accounts::CSV_LINES;
pub use events::{event_stream_response, last_event_id};
pub use response_body::{JSON, JSON_LINES, LineFormat, bytes_response, lines_response};
