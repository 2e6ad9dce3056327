//! The requests that callers, operators and gateways can make, over HTTP, in the console or at the command line.
//!
//! `http` and `console` are adapters: they authenticate the requester, parse the request into types, create the [`Call`],
//! and render its typed result. The command line uses this module to work on a data directory without a running service.
//!
//! | file | what it knows |
//! |---|---|
//! | `operation` | every operation: its name, who may call it, which accounts it touches, whether it writes |
//! | `call` | one call of an operation: its requester, and the check of the permission |
//! | `problem` | why a call was not carried out (RFC 9457) |
//! | `parameters` | parses and validates parameters, which arrive as text |
//! | `api_state` | the state that all calls share, and the limits on costly calls |
//! | `item_error` | why the command for one account of a batch was not executed |
//! | `account_batches` | batchInsert, batchOnline, batchRecycle: one outcome for each account |
//! | `registrations` | submitPhone, submitVerifyCode |
//! | `contract_call_error` | why one of the documented calls was not carried out |
//! | `accounts` | accounts, their state, their history |
//! | `account_labels` | replaces the labels of an account |
//! | `account_orders` | an operator's orders to bring accounts online or recycle them |
//! | `account_secrets` | erasure of an account's secrets |
//! | `api_keys` | API keys |
//! | `events` | events: pages, and the live tail; the audit log |
//! | `gateways` | gateways, their health, reconciliation |
//! | `log_proofs` | checkpoints and proofs; the check of a kept checkpoint |
//! | `maintenance` | projections, verification, replay, export, backup |
//! | `master_key` | the master key: status and rotation |
//! | `overview` | the state of the service in one response; the settings |
//! | `streams` | responses that are too long for one page; they are produced while the client reads them |
//! | `webhook_requests` | requests about the webhooks |
//! | `webhook_resync` | sends the present state of accounts to a receiver again |
//! | `webhooks` | webhooks: receivers, secrets, deliveries, dead letters |

mod account_batches;
pub mod account_labels;
pub mod account_orders;
pub mod account_secrets;
pub mod accounts;
pub mod api_keys;
mod api_state;
mod call;
mod contract_call_error;

pub mod events;
pub mod gateways;
mod item_error;
pub mod log_proofs;
pub mod maintenance;
pub mod master_key;
pub mod operation;
pub mod overview;
mod parameters;
mod problem;
mod registrations;
mod streams;
// The code that utoipa derives for optional fields has unnecessary qualifications.
#[allow(unused_qualifications)]
pub mod webhook_requests;
#[allow(unused_qualifications)]
pub mod webhook_resync;
pub mod webhooks;

pub use account_batches::{
    AccountCommands, AccountImport, ContentSealing, ImportKind, import_accounts, recycle_accounts, seal_imports,
};
pub use api_state::{ApiState, ServiceHandles};
pub use call::{Call, run_to_completion};
pub use contract_call_error::{BatchError, ContractCallError};
pub use item_error::{
    INTERNAL_ERROR_MESSAGE, ItemError, actors_error_code, actors_error_message, item_outcomes, rejection_code,
};
pub use operation::{Access, AccountScope, AccountSelection, Effect, Operation, TimeLimit};
pub use parameters::{LABEL_PARAMETER, Parameters, parse_account, parse_event_id, parse_reason, parse_time_parameter};
pub use problem::{Problem, printable_path};
pub use registrations::{
    PhoneRegistration, find_submitted_phone, has_submitted_code, submit_phone, submit_verify_code,
};
pub use streams::{ByteSource, PageReader, StreamPermit};
