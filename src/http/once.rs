//! `Idempotency-Key`: a request that is sent again is answered as it was, and is carried out once.
//!
//! What is kept, and for how long, is the matter of `answers`; here is what of a request must be the same, which of its
//! answers are kept, and how it goes on where it was begun and nobody was answered.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::Instrument;
use warp::http::{HeaderMap, HeaderName, HeaderValue};

use super::Api;
use super::envelope::{Answer, Reply, render};
use super::error::{Error, Undone};
use super::fault::Fault;
use super::handlers::{self, Call, Post};
use super::requests;
use crate::actors;
use crate::answers::{Asked, Begun, Intent, Scope};
use crate::domain::{AccountNumber, Event};
use crate::journal::{Recorded, Stream};
use crate::limits::{IDEMPOTENCY_KEY_BYTES, INLINE_BODY_BYTES};
use crate::vault::RequestFingerprint;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What becomes of a key once its request was carried out, or was not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The answer is final.
    Kept,
    /// Nothing was done. The key may be used for anything.
    Free,
    /// Some of it may have been done: the same request goes on with it.
    Open,
}

/// The key of a request, if it has one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<HeaderValue>, Fault> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Fault::at("Idempotency-Key", "is given twice in the headers; give it once"));
    }
    if !(1..=IDEMPOTENCY_KEY_BYTES).contains(&key.len()) || !key.as_bytes().iter().all(u8::is_ascii_graphic) {
        let words = format_args!("must be 1 to {IDEMPOTENCY_KEY_BYTES} visible ASCII characters; a UUID will do");
        return Err(Fault::at("Idempotency-Key", words));
    }
    Ok(Some(key.clone()))
}

/// Answers a call with a key. It goes on to its end though its caller has gone, so that the caller finds its answer.
pub(super) async fn answer(api: &Api, key: HeaderValue, call: Call) -> Result<Reply, Error> {
    let api = api.clone();
    tokio::spawn(async move { answer_once(&api, &key, call).await }.in_current_span()).await?
}

async fn answer_once(api: &Api, key: &HeaderValue, call: Call) -> Result<Reply, Error> {
    let caller = call.caller.clone();
    let scope = Scope::of(caller.admitted().key(), call.post.name(), key.as_bytes());
    let (call, print) = fingerprint(api, call).await?;
    let intent = Intent { request: caller.request(), position: api.journal().head() };
    let begun = match api.answers().ask(scope, print, intent).await? {
        Asked::Answered(given) => {
            // Another request with the key may have been waited for.
            caller.authorize()?;
            return Ok(Reply::Kept { given, is_repeated: true });
        }
        Asked::Begun(begun) => begun,
    };
    let (endpoint, result) = (call.endpoint, carry_out(api, call, &begun).await);
    match fate(&result) {
        Fate::Free if !begun.is_old => {
            begun.withdraw()?;
            result.map(Reply::Answer)
        }
        // What was begun before may have been done before.
        Fate::Free | Fate::Open => result.map(Reply::Answer),
        Fate::Kept => {
            let given = render(endpoint, &result);
            begun.answer(given.clone()).await?;
            Ok(Reply::Kept { given, is_repeated: false })
        }
    }
}

/// Carries a call out, under the request id with which it was begun. One that may have been carried out before, and that
/// does not come to the same when it is done twice, is looked for in the history first.
async fn carry_out(api: &Api, call: Call, begun: &Begun) -> Result<Answer, Error> {
    let intent = begun.intent();
    if begun.is_old {
        tracing::info!(request = %call.caller.request(), begun_as = %intent.request, "goes on with what nobody was answered");
        let done = match call.post {
            Post::Phone => {
                let account = requests::registration(&call.body)?.account;
                let registered = |event: &Event| {
                    let Event::RegistrationRequested { task, .. } = event else { return None };
                    Some(Answer::Task(*task))
                };
                look_back(api, account, intent, registered).await?
            }
            Post::Code => {
                let account = requests::code(&call.body)?.account;
                let submitted = |event: &Event| matches!(event, Event::CodeSubmitted { .. }).then_some(Answer::Success);
                look_back(api, account, intent, submitted).await?
            }
            Post::Import(_) | Post::Recycle => None,
        };
        if let Some(answer) = done {
            return Ok(answer);
        }
    }
    let caller = call.caller.going_on_with(intent.request);
    handlers::carry_out(api, Call { caller, ..call }).await
}

/// The answer that a request which was begun so would have got, by what it made happen to an account.
async fn look_back(
    api: &Api,
    account: AccountNumber,
    intent: Intent,
    answer: impl Fn(&Event) -> Option<Answer>,
) -> Result<Option<Answer>, Error> {
    let journal = api.journal().clone();
    let Intent { request, position } = intent;
    let since = spawn_blocking(move || journal.history_after(Stream::Account(account), position, usize::MAX)).await?;
    let since = since.map_err(|error| actors::Error::from(Arc::new(error)))?;
    let mut made = since.iter().filter(|record| record.origin.request == request).filter_map(Recorded::event);
    Ok(made.find_map(|(_, event)| answer(event)))
}

/// What becomes of the key of a request that came to this.
pub(super) fn fate(result: &Result<Answer, Error>) -> Fate {
    let is_open = |it: &Result<(), Undone>| matches!(it, Err(Undone::Failed(_) | Undone::Denied(_)));
    let failed = |outcomes: &[Result<(), Undone>]| outcomes.iter().any(is_open);
    match result {
        Ok(Answer::Batch { outcomes, .. }) if failed(outcomes) => Fate::Open,
        Ok(_) => Fate::Kept,
        Err(error) => match error.code() {
            404 | 409 => Fate::Kept,
            500 => Fate::Open,
            _ => Fate::Free,
        },
    }
}

/// The fingerprint of all that must be the same. A large body is hashed on a thread for blocking work.
async fn fingerprint(api: &Api, call: Call) -> Result<(Call, RequestFingerprint), Error> {
    let details = match call.post {
        Post::Import(_) | Post::Recycle => requests::wants_details(&call.query)?,
        // They do not look at the query.
        Post::Phone | Post::Code => false,
    };
    let vault = api.vault().clone();
    let hash = move |call: Call| {
        let print = vault.fingerprint_request(&[&[u8::from(details)], &call.body])?;
        Ok((call, print))
    };
    if call.body.len() <= INLINE_BODY_BYTES { hash(call) } else { spawn_blocking(move || hash(call)).await? }
}
