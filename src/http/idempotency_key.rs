//! `Idempotency-Key`: a repeated request is executed once and gets the same response.
//!
//! Module `idempotency` stores the responses. This file decides what must be equal in a repeated request, which responses are
//! stored, and how a request resumes that started but got no response.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::Instrument;
use warp::http::{HeaderMap, HeaderName, HeaderValue};

use super::Api;
use super::contract_envelope::{CallOutcome, EndpointResponse, render_outcome};
use super::contract_error::Error;
use super::contract_handlers::{self, ContractCall, ContractOperation};
use super::contract_requests;
use super::validation_error::ValidationError;
use crate::actors;
use crate::api::ItemError;
use crate::domain::{AccountNumber, Event};
use crate::idempotency::{InFlightRecord, KeyLookup, KeyScope, RequestIntent};
use crate::journal::{JournalRecord, StreamId};
use crate::limits::{IDEMPOTENCY_KEY_BYTES, INLINE_BODY_BYTES};
use crate::vault::RequestFingerprint;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What happens to a key after its request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyOutcome {
    /// The response is final and stored.
    Final,
    /// Nothing was done. The key is free for any request.
    Released,
    /// Some of it may have been done. The key stays bound to the same request, which resumes.
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
    call: ContractCall,
) -> Result<EndpointResponse, Error> {
    let api = api.clone();
    tokio::spawn(async move { execute_once(&api, &key, call).await }.in_current_span()).await?
}

async fn execute_once(api: &Api, key: &HeaderValue, call: ContractCall) -> Result<EndpointResponse, Error> {
    let caller = call.requester.clone();
    let scope = KeyScope::of(caller.initial_context().key_id(), call.name, key.as_bytes());
    let (call, print) = fingerprint_call(api, call).await?;
    let intent = RequestIntent { request: caller.request(), position: api.journal().head() };
    let in_flight = match api.idempotency().begin(scope, print, intent).await? {
        KeyLookup::Completed(response) => {
            // `begin` may have waited for another request with this key.
            caller.authorize()?;
            return Ok(EndpointResponse::Stored { response, is_repeated: true });
        }
        KeyLookup::InFlight(in_flight) => in_flight,
    };
    let (kind, result) = (call.kind, execute_or_recover(api, call, &in_flight).await);
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
async fn execute_or_recover(api: &Api, call: ContractCall, in_flight: &InFlightRecord) -> Result<CallOutcome, Error> {
    let intent = in_flight.intent();
    if in_flight.is_resumed {
        tracing::info!(request = %call.requester.request(), begun_as = %intent.request, "continues a request that got \
            no response");
        let done = match call.operation {
            ContractOperation::SubmitPhone => {
                let account = contract_requests::parse_submit_phone(&call.body)?.account;
                let registered = |event: &Event| {
                    let Event::RegistrationRequested { task, .. } = event else { return None };
                    Some(CallOutcome::Task(*task))
                };
                find_earlier_result(api, account, intent, registered).await?
            }
            ContractOperation::SubmitVerifyCode => {
                let account = contract_requests::parse_submit_verify_code(&call.body)?.account;
                let submitted =
                    |event: &Event| matches!(event, Event::CodeSubmitted { .. }).then_some(CallOutcome::Success);
                find_earlier_result(api, account, intent, submitted).await?
            }
            ContractOperation::Import(_) | ContractOperation::Recycle => None,
        };
        if let Some(answer) = done {
            return Ok(answer);
        }
    }
    let caller = call.requester.with_request_id(intent.request);
    contract_handlers::execute_call(api, ContractCall { requester: caller, ..call }).await
}

/// The outcome of an earlier attempt, derived from the events that it recorded for the account.
async fn find_earlier_result(
    api: &Api,
    account: AccountNumber,
    intent: RequestIntent,
    answer: impl Fn(&Event) -> Option<CallOutcome>,
) -> Result<Option<CallOutcome>, Error> {
    let journal = api.journal().clone();
    let RequestIntent { request, position } = intent;
    let since = spawn_blocking(move || journal.history_after(StreamId::Account(account), position, usize::MAX)).await?;
    let since = since.map_err(|error| actors::Error::from(Arc::new(error)))?;
    let mut made =
        since.iter().filter(|record| record.origin.request == request).filter_map(JournalRecord::account_event);
    Ok(made.find_map(|(_, event)| answer(event)))
}

/// What happens to the key of a request with this result.
pub(super) fn key_outcome(result: &Result<CallOutcome, Error>) -> KeyOutcome {
    let is_open = |it: &Result<(), ItemError>| matches!(it, Err(ItemError::Failed(_) | ItemError::Auth(_)));
    let failed = |outcomes: &[Result<(), ItemError>]| outcomes.iter().any(is_open);
    match result {
        Ok(CallOutcome::Batch { outcomes, .. }) if failed(outcomes) => KeyOutcome::Unfinished,
        Ok(_) => KeyOutcome::Final,
        Err(error) => match error.code() {
            404 | 409 => KeyOutcome::Final,
            500 => KeyOutcome::Unfinished,
            _ => KeyOutcome::Released,
        },
    }
}

/// The fingerprint of everything that must be equal in a repeated request. A large body is hashed on a blocking thread.
async fn fingerprint_call(api: &Api, call: ContractCall) -> Result<(ContractCall, RequestFingerprint), Error> {
    let details = match call.operation {
        ContractOperation::Import(_) | ContractOperation::Recycle => {
            contract_requests::parse_details_query(&call.head.query)?
        }
        // These endpoints ignore the query.
        ContractOperation::SubmitPhone | ContractOperation::SubmitVerifyCode => false,
    };
    let vault = api.vault().clone();
    let hash = move |call: ContractCall| {
        let print = vault.fingerprint_request(&[&[u8::from(details)], &call.body])?;
        Ok((call, print))
    };
    if call.body.len() <= INLINE_BODY_BYTES { hash(call) } else { spawn_blocking(move || hash(call)).await? }
}
