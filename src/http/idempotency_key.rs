//! `Idempotency-Key`: a repeated request is executed once and gets the same response.
//!
//! Module `idempotency` stores the responses. This file decides what must be equal in a repeated request, and which responses
//! are stored. It also resumes a request that was started but got no final response.

use tokio::task::spawn_blocking;
use tracing::Instrument;
use warp::http::{HeaderMap, HeaderName, HeaderValue};

use super::Api;
use super::contract_envelope::{CallOutcome, EndpointResponse, render_outcome};
use super::contract_error::Error;
use super::contract_handlers::{ContractOperation, execute_request};
use super::contract_parsing::{parse_details_query, parse_submit_phone, parse_submit_verify_code};
use super::contract_request::ContractRequest;
use super::validation_error::ValidationError;
use crate::api::{ContractCallError, ItemError, find_submitted_phone, has_submitted_code};
use crate::idempotency::{IdempotencyLookup, InFlightRecord, KeyScope, RequestStart};
use crate::limits::{IDEMPOTENCY_KEY_BYTES, INLINE_BODY_BYTES};
use crate::vault::RequestFingerprint;

// Frozen: callers send this header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What happens to a key after its request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyOutcome {
    /// The response is final and stored.
    Final,
    /// Nothing was done. The key is free for any request.
    Released,
    /// The request may have been carried out in part. The key stays bound to it, and a retry resumes it.
    Unfinished,
}

/// The validated key of a request; `None` if it has no key.
pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<HeaderValue>, ValidationError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(ValidationError::at_field("Idempotency-Key", "is given twice in the headers; give it once"));
    }
    if !(1..=IDEMPOTENCY_KEY_BYTES).contains(&key.len()) || !key.as_bytes().iter().all(u8::is_ascii_graphic) {
        let words = format_args!("must be 1 to {IDEMPOTENCY_KEY_BYTES} visible ASCII characters, such as a UUID");
        return Err(ValidationError::at_field("Idempotency-Key", words));
    }
    Ok(Some(key.clone()))
}

/// Executes a call with a key. It completes even if the caller disconnects, so that a retry finds the response.
pub(super) async fn handle_with_key(
    api: &Api,
    key: HeaderValue,
    operation: ContractOperation,
    request: ContractRequest,
) -> Result<EndpointResponse, Error> {
    let api = api.clone();
    tokio::spawn(async move { execute_once(&api, &key, operation, request).await }.in_current_span()).await?
}

async fn execute_once(
    api: &Api,
    key: &HeaderValue,
    operation: ContractOperation,
    request: ContractRequest,
) -> Result<EndpointResponse, Error> {
    let (kind, caller) = (request.kind, request.requester.clone());
    let scope = KeyScope::of(caller.initial_context().key_id(), request.name, key.as_bytes());
    let (request, fingerprint) = fingerprint_request(api, operation, request).await?;
    let intent = RequestStart { request: caller.request(), position: api.journal().head() };
    let in_flight = match api.idempotency().begin(scope, fingerprint, intent).await? {
        IdempotencyLookup::Completed(response) => {
            // `begin` may have waited for another request with this key.
            caller.authorize()?;
            return Ok(EndpointResponse::Stored { response, is_repeated: true });
        }
        IdempotencyLookup::InFlight(in_flight) => in_flight,
    };
    let result = execute_or_recover(api, operation, request, &in_flight).await;
    match key_outcome(&result) {
        KeyOutcome::Released if !in_flight.is_resumed => {
            in_flight.cancel()?;
            result.map(EndpointResponse::Outcome)
        }
        // An earlier attempt may have had an effect, so the key stays.
        KeyOutcome::Released | KeyOutcome::Unfinished => result.map(EndpointResponse::Outcome),
        KeyOutcome::Final => {
            let response = render_outcome(kind, &result);
            in_flight.complete(response.clone()).await?;
            Ok(EndpointResponse::Stored { response, is_repeated: false })
        }
    }
}

/// Executes a call under the request id of its first attempt. A resumed call that is not idempotent is first looked up in
/// the account's history.
async fn execute_or_recover(
    api: &Api,
    operation: ContractOperation,
    request: ContractRequest,
    in_flight: &InFlightRecord,
) -> Result<CallOutcome, Error> {
    let intent = in_flight.intent();
    if in_flight.is_resumed {
        tracing::info!(request = %request.requester.request(), begun_as = %intent.request, "continues a request that got \
            no response");
        let journal = api.journal();
        let done = match operation {
            ContractOperation::SubmitPhone => {
                let account = parse_submit_phone(&request.body)?.account;
                find_submitted_phone(journal, account, intent).await?.map(CallOutcome::Task)
            }
            ContractOperation::SubmitVerifyCode => {
                let account = parse_submit_verify_code(&request.body)?.account;
                has_submitted_code(journal, account, intent).await?.then_some(CallOutcome::Success)
            }
            ContractOperation::Import(_) | ContractOperation::Recycle => None,
        };
        if let Some(outcome) = done {
            return Ok(outcome);
        }
    }
    let requester = request.requester.with_request_id(intent.request);
    execute_request(api, operation, ContractRequest { requester, ..request }).await
}

/// What happens to the key of a request with this result.
pub(super) fn key_outcome(result: &Result<CallOutcome, Error>) -> KeyOutcome {
    let is_unfinished =
        |outcome: &Result<(), ItemError>| matches!(outcome, Err(ItemError::Failed(_) | ItemError::Auth(_)));
    let has_unfinished = |outcomes: &[Result<(), ItemError>]| outcomes.iter().any(is_unfinished);
    match result {
        Ok(CallOutcome::Batch { outcomes, .. }) if has_unfinished(outcomes) => KeyOutcome::Unfinished,
        Ok(_) => KeyOutcome::Final,
        Err(error) => match error.code() {
            404 | 409 => KeyOutcome::Final,
            500 => KeyOutcome::Unfinished,
            _ => KeyOutcome::Released,
        },
    }
}

/// The fingerprint of everything that must be equal in a repeated request. A large body is hashed on a blocking thread.
async fn fingerprint_request(
    api: &Api,
    operation: ContractOperation,
    request: ContractRequest,
) -> Result<(ContractRequest, RequestFingerprint), Error> {
    let details = match operation {
        ContractOperation::Import(_) | ContractOperation::Recycle => parse_details_query(&request.head.query)?,
        // These endpoints ignore the query.
        ContractOperation::SubmitPhone | ContractOperation::SubmitVerifyCode => false,
    };
    let vault = api.service().vault.clone();
    let hash = move |request: ContractRequest| {
        let fingerprint =
            vault.fingerprint_request(&[&[u8::from(details)], &request.body]).map_err(ContractCallError::Vault)?;
        Ok((request, fingerprint))
    };
    if request.body.len() <= INLINE_BODY_BYTES { hash(request) } else { spawn_blocking(move || hash(request)).await? }
}
