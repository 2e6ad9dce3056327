//! `Idempotency-Key` at `/api/v1`: a repeated request is carried out once, and gets the same response.
//!
//! Module `idempotency` stores the responses. This file decides what must be equal in a repeated request, and which responses are
//! stored. The vault seals them, because some hold a secret, such as a new API key. A response that is streamed, such as a backup, is
//! not stored: the journal tells whether its request was carried out.

use http_body_util::BodyExt;
use hyper::body::Body;
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use warp::reply::Response;

use super::contract_envelope::IDEMPOTENCY_REPLAYED;
use super::contract_error::Error;
use super::kept_response::keep_until_sent;
use super::v1_request::V1Request;
use crate::api::Problem;
use crate::api::events::has_recorded_act;
use crate::idempotency::{IdempotencyLookup, InFlightRecord, KeyScope, RequestStart, StoredResponse};
use crate::vault::Vault;

/// Why a stored response cannot be sent again.
const RESPONSE_IS_SEALED: &str = "this request was carried out, but its response can no longer be opened: the secrets of an account \
    were erased since, and with them the key of stored responses";
/// Why a request is not carried out again.
const CARRIED_OUT: &str = "this request was carried out, at least in part, and its response was lost or is too long to be stored; \
    GET /api/v1/acts?requestid=";

/// Carries out a request with `key` once. The caller runs this to completion, so that a repeated request finds the response.
pub(super) async fn respond_once(
    key: HeaderValue,
    request: V1Request,
    carry_out: impl AsyncFnOnce(V1Request) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let V1Request { call, head, body } = request;
    let service = call.api().service()?.clone();
    let (vault, method) = (&service.vault, head.method.clone());
    let scope = KeyScope::of(call.requester().initial_context().key_id(), call.operation().name, key.as_bytes());
    let query = head.raw_query.as_deref().unwrap_or_default();
    let parts = [method.as_str().as_bytes(), head.path.as_bytes(), query.as_bytes(), &body];
    let fingerprint = vault.fingerprint_request(&parts)?;
    let intent = RequestStart { request: call.requester().request(), position: call.api().audit().journal().head() };
    let in_flight = match service.idempotency.begin(scope, fingerprint, intent).await.map_err(Error::from)? {
        IdempotencyLookup::Completed(stored) => {
            // `begin` may have waited for another request with this key.
            call.authorize()?;
            return open_response(vault, scope, &stored);
        }
        IdempotencyLookup::InFlight(in_flight) => in_flight,
    };
    let intent = in_flight.intent();
    if in_flight.is_resumed {
        tracing::info!(request = %call.requester().request(), begun_as = %intent.request, "continues a request that got no response");
        // A repeated PUT or DELETE changes nothing more.
        if method == Method::POST && has_recorded_act(call.api(), intent).await? {
            return Err(Problem::new(409, format!("{CARRIED_OUT}{} shows what was done", intent.request)));
        }
    }
    let call = call.with_request_id(intent.request);
    let result = carry_out(V1Request { call, head, body }).await;
    let response = match &result {
        Ok(response) if response.body().size_hint().exact().is_none() => {
            // A repeated request waits until it is sent.
            return result.map(|response| keep_until_sent(response, in_flight));
        }
        Ok(_) => result?,
        Err(problem) => match problem.status {
            // After an earlier attempt, which may have had an effect, an error is not what the request led to.
            404 | 409 | 410 if in_flight.is_resumed => return result,
            404 | 409 | 410 => problem.respond(),
            500 => return result,
            _ => {
                // An earlier attempt may have had an effect, so its key stays.
                if !in_flight.is_resumed {
                    in_flight.cancel().map_err(Error::from)?;
                }
                return result;
            }
        },
    };
    store_response(vault, scope, in_flight, response).await
}

async fn store_response(
    vault: &Vault,
    scope: KeyScope,
    in_flight: InFlightRecord,
    response: Response,
) -> Result<Response, Problem> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Problem::internal())?.to_bytes();
    let sealed = vault.seal_response(scope.as_bytes(), &encode(&head.headers, &body))?;
    let stored = StoredResponse { code: head.status.as_u16(), body: sealed.into() };
    in_flight.complete(stored).await.map_err(Error::from)?;
    Ok(Response::from_parts(head, body.into()))
}

/// The response to a repeated request.
fn open_response(vault: &Vault, scope: KeyScope, stored: &StoredResponse) -> Result<Response, Problem> {
    let clear = vault.open_response(scope.as_bytes(), &stored.body)?;
    let response = clear.and_then(|clear| decode(stored.code, &clear));
    response.ok_or_else(|| Problem::new(409, RESPONSE_IS_SEALED))
}

/// The headers, a line each, an empty line, and the body.
///
/// Frozen: stored responses have this form.
fn encode(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let lines = headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"]);
    lines.chain([b"\n", body]).collect::<Vec<_>>().concat()
}

/// Reverses [`encode`], and says that the response is repeated.
fn decode(code: u16, clear: &[u8]) -> Option<Response> {
    let mut rest = clear;
    let mut headers = HeaderMap::from_iter([(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"))]);
    loop {
        let (line, after) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'\n')?)?;
        rest = &after[1..];
        if line.is_empty() {
            break;
        }
        let colon = line.windows(2).position(|two| two == b": ")?;
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 2..]));
        headers.append(name.ok()?, value.ok()?);
    }
    let mut response = Response::new(rest.to_vec().into());
    *response.status_mut() = StatusCode::from_u16(code).ok()?;
    *response.headers_mut() = headers;
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stored_responses_are_repeated_as_they_were() {
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("content-type"), HeaderValue::from_static("application/json")),
            (HeaderName::from_static("x-empty"), HeaderValue::from_static("")),
        ]);
        let encoded = encode(&headers, b"{\n\n}");
        assert_eq!(encoded, b"content-type: application/json\nx-empty: \n\n{\n\n}");
        let response = decode(201, &encoded).unwrap();
        assert_eq!((response.status().as_u16(), response.headers().len()), (201, 3));
        assert!(headers.iter().all(|(name, value)| response.headers()[name] == value));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\n\n}");
        for cut in ["", "content-type", "content-type: text/plain\n"] {
            assert!(decode(200, cut.as_bytes()).is_none(), "{cut}");
        }
    }
}
