//! `Idempotency-Key`: a request that is sent again is answered as it was, and is carried out once.
//!
//! What is kept, and for how long, is the matter of `answers`; here is what of a request must be the same, which of its
//! answers are kept, and how it goes on where it was begun and nobody was answered.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::Instrument;
use warp::http::{HeaderMap, HeaderName, HeaderValue};

use super::Api;
use super::contract_handlers::{self, ContractCall, ContractOperation};
use super::contract_requests;
use super::envelope::{CallOutcome, EndpointResponse, render_outcome};
use super::error::{Error, ItemError};
use super::validation_error::ValidationError;
use crate::actors;
use crate::answers::{InFlightRecord, KeyLookup, KeyScope, RequestIntent};
use crate::domain::{AccountNumber, Event};
use crate::journal::{JournalRecord, StreamId};
use crate::limits::{IDEMPOTENCY_KEY_BYTES, INLINE_BODY_BYTES};
use crate::vault::RequestFingerprint;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What becomes of a key once its request was carried out, or was not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyOutcome {
    /// The answer is final.
    Final,
    /// Nothing was done. The key may be used for anything.
    Released,
    /// Some of it may have been done: the same request goes on with it.
    Unfinished,
}

/// The key of a request, if it has one.
pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<HeaderValue>, ValidationError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(ValidationError::at_field("Idempotency-Key", "is given twice in the headers; give it once"));
    }
    if !(1..=IDEMPOTENCY_KEY_BYTES).contains(&key.len()) || !key.as_bytes().iter().all(u8::is_ascii_graphic) {
        let words = format_args!("must be 1 to {IDEMPOTENCY_KEY_BYTES} visible ASCII characters; a UUID will do");
        return Err(ValidationError::at_field("Idempotency-Key", words));
    }
    Ok(Some(key.clone()))
}

/// Answers a call with a key. It goes on to its end though its caller has gone, so that the caller finds its answer.
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
    let scope = KeyScope::of(caller.initial_context().key_id(), call.operation.name(), key.as_bytes());
    let (call, print) = fingerprint_call(api, call).await?;
    let intent = RequestIntent { request: caller.request(), position: api.journal().head() };
    let begun = match api.idempotency().begin(scope, print, intent).await? {
        KeyLookup::Completed(given) => {
            // Another request with the key may have been waited for.
            caller.authorize()?;
            return Ok(EndpointResponse::Stored { given, is_repeated: true });
        }
        KeyLookup::InFlight(begun) => begun,
    };
    let (endpoint, result) = (call.endpoint, execute_or_recover(api, call, &begun).await);
    match key_outcome(&result) {
        KeyOutcome::Released if !begun.is_resumed => {
            begun.cancel()?;
            result.map(EndpointResponse::Outcome)
        }
        // What was begun before may have been done before.
        KeyOutcome::Released | KeyOutcome::Unfinished => result.map(EndpointResponse::Outcome),
        KeyOutcome::Final => {
            let given = render_outcome(endpoint, &result);
            begun.complete(given.clone()).await?;
            Ok(EndpointResponse::Stored { given, is_repeated: false })
        }
    }
}

/// Carries a call out, under the request id with which it was begun. One that may have been carried out before, and that
/// does not come to the same when it is done twice, is looked for in the history first.
async fn execute_or_recover(api: &Api, call: ContractCall, begun: &InFlightRecord) -> Result<CallOutcome, Error> {
    let intent = begun.intent();
    if begun.is_resumed {
        tracing::info!(request = %call.requester.request(), begun_as = %intent.request, "goes on with what nobody was answered");
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

/// The answer that a request which was begun so would have got, by what it made happen to an account.
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

/// What becomes of the key of a request that came to this.
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

/// The fingerprint of all that must be the same. A large body is hashed on a thread for blocking work.
async fn fingerprint_call(api: &Api, call: ContractCall) -> Result<(ContractCall, RequestFingerprint), Error> {
    let details = match call.operation {
        ContractOperation::Import(_) | ContractOperation::Recycle => {
            contract_requests::parse_details_query(&call.query)?
        }
        // They do not look at the query.
        ContractOperation::SubmitPhone | ContractOperation::SubmitVerifyCode => false,
    };
    let vault = api.vault().clone();
    let hash = move |call: ContractCall| {
        let print = vault.fingerprint_request(&[&[u8::from(details)], &call.body])?;
        Ok((call, print))
    };
    if call.body.len() <= INLINE_BODY_BYTES { hash(call) } else { spawn_blocking(move || hash(call)).await? }
}
