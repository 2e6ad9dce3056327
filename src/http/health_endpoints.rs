//! `/healthz`, `/readyz` and `/metrics`, for load balancers and Prometheus.

use futures_util::FutureExt;
use tokio::task::spawn_blocking;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, ResponseBuilder};
use warp::http::{HeaderValue, Method, header};
use warp::reply::Response;

use super::Api;
use super::contract_docs::{BUSY, FAILED, FORBIDDEN, TOO_MANY, envelope_response};
use super::contract_envelope::{CallOutcome, EndpointResponse, EnvelopeKind};
use super::contract_error::Error;
use super::endpoint::{BodyLimit, ContractHandler, Endpoint, Handler, Tag};
use super::operation_doc::{OperationDoc, content, response_with_id, retry_after_header, text_header};
use super::parameter_schemas::text;
use crate::api::{Operation, operation};
use crate::metrics::CONTENT_TYPE;

pub(super) static ENDPOINTS: [Endpoint; 6] = [
    health(Method::GET),
    health(Method::HEAD),
    ready(Method::GET),
    ready(Method::HEAD),
    metrics(Method::GET),
    metrics(Method::HEAD),
];

const fn health(method: Method) -> Endpoint {
    let answer: ContractHandler = |_, _| async { Ok(EndpointResponse::Outcome(CallOutcome::Success)) }.boxed();
    endpoint(method, "/healthz", operation::HEALTH, "Check that the process runs", answer, |operation| {
        document_probe(operation).describe("Succeeds as long as the process answers requests.")
    })
}

const fn ready(method: Method) -> Endpoint {
    let answer: ContractHandler = |api, _| {
        async move {
            if api.is_ready() { Ok(EndpointResponse::Outcome(CallOutcome::Success)) } else { Err(Error::NotReady) }
        }
        .boxed()
    };
    endpoint(method, "/readyz", operation::READY, "Check that the service accepts requests", answer, |operation| {
        let response = probe_response(&operation, "The service is starting or stopping.");
        document_probe(operation)
            .describe("Fails while the service starts or stops. A load balancer then sends requests elsewhere.")
            .response(503, response.header("Retry-After", retry_after_header()))
    })
}

const fn metrics(method: Method) -> Endpoint {
    let answer: ContractHandler = |api, _| render_metrics(api).boxed();
    endpoint(method, "/metrics", operation::METRICS, "Read the metrics for Prometheus", answer, document_metrics)
}

const fn endpoint(
    method: Method,
    path: &'static str,
    operation: Operation,
    summary: &'static str,
    answer: ContractHandler,
    document: fn(OperationDoc) -> OperationDoc,
) -> Endpoint {
    let handler = Handler::Contract(EnvelopeKind::Plain, answer);
    Endpoint { method, path, operation, tag: Tag::Health, summary, body: BodyLimit::Unread, handler, document }
}

/// Each module updates its gauges, then all metrics are rendered as text.
async fn render_metrics(api: Api) -> Result<EndpointResponse, Error> {
    if let Ok(webhooks) = api.state().webhooks() {
        // On an error these gauges keep their last values: the other metrics matter most when something is wrong.
        let updated = webhooks.update_metrics().await;
        updated.unwrap_or_else(|error| tracing::warn!(%error, "the webhooks' state cannot be read"));
    }
    let text = spawn_blocking(move || {
        let (service, journal, metrics) = (api.service(), api.journal(), api.metrics());
        metrics.ready.set(u64::from(api.is_ready()));
        journal.update_metrics();
        service.accounts.update_metrics();
        service.roster.update_metrics(metrics, journal.head());
        service.vault.update_metrics();
        service.gateways.update_metrics(metrics);
        metrics.to_prometheus_text()
    });
    let mut response = Response::new(text.await?.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(EndpointResponse::Raw(response))
}

/// A response in an envelope; without a body for `HEAD`.
fn probe_response(operation: &OperationDoc, words: &str) -> ResponseBuilder {
    let is_head = matches!(operation.method, HttpMethod::Head);
    if is_head { response_with_id(words) } else { envelope_response(EnvelopeKind::Plain, words) }
}

fn document_probe(operation: OperationDoc) -> OperationDoc {
    let response = probe_response(&operation, "The check succeeded.");
    // The request has nothing else that could be wrong. No endpoint sees it, so it has no request id.
    let too_long = ResponseBuilder::new().description("The request's target is too long. The connection closes.");
    operation.security(vec![SecurityRequirement::default()]).response(200, response).response(414, too_long)
}

fn document_metrics(operation: OperationDoc) -> OperationDoc {
    let is_head = matches!(operation.method, HttpMethod::Head);
    let response = if is_head {
        response_with_id("The headers of the metrics.")
    } else {
        response_with_id("The metrics.").content(CONTENT_TYPE, content(text()))
    };
    let errors = [
        (401, "The API key is missing or not accepted.", Some(("WWW-Authenticate", text_header("`Bearer`.")))),
        (403, FORBIDDEN, None),
        (429, TOO_MANY, Some(("Retry-After", retry_after_header()))),
        (500, FAILED, None),
        (503, BUSY, Some(("Retry-After", retry_after_header()))),
    ];
    let operation =
        operation.describe("The Prometheus text format; the README lists the metrics.").response(200, response);
    errors.into_iter().fold(operation, |operation, (status, words, header)| {
        let response = probe_response(&operation, words);
        let response = header.into_iter().fold(response, |response, (name, header)| response.header(name, header));
        operation.response(status, response)
    })
}
