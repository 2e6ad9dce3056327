//! Gateways and their health, and an operator's order to reconcile a gateway's sessions.

use futures_util::FutureExt;
use utoipa::openapi::Required;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::{json_response, json_response_with};
use super::shared_docs::NO_SERVICE;
use crate::api::gateways::{self, GatewayList, ReconcileRequest, ReconcileResponse};
use crate::api::{Problem, operation};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::v1_request::V1Request;
use crate::limits::WEBHOOK_REQUEST_BYTES;

pub(in crate::http) static ENDPOINTS: [Endpoint; 2] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/gateways",
        operation: operation::LIST_GATEWAYS,
        tag: Tag::Gateways,
        summary: "List the gateways",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| list_gateways(request).boxed()),
        document: |operation| {
            operation
                .describe("Each gateway with its health, accounts, calls, last reconciliation and last errors.")
                .json_response::<GatewayList>(200, "The gateways.")
                .problem(409, NO_SERVICE)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/gateways/{name}/reconcile",
        operation: operation::RECONCILE_GATEWAY,
        tag: Tag::Gateways,
        summary: "Reconcile a gateway",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| reconcile_gateway(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "Compares the gateway's sessions with the account list now, as at the start, at intervals, and \
                     when the gateway is back. The reason is recorded for good first.",
                )
                .json_body::<ReconcileRequest>(Required::True, "The reason.")
                .json_response::<ReconcileResponse>(
                    202,
                    "The reconciliation has started; the list of gateways shows its result.",
                )
                .problem(404, "There is no such gateway.")
                .problem(409, "The gateway is not set up, or no service is running.")
        },
    },
];

async fn list_gateways(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&gateways::list_gateways(&request.call).await?))
}

async fn reconcile_gateway(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let gateway = gateways::parse_gateway(request.head.path_parameter("name"))?;
    let body = parse_body(&request.body, r#"{"reason":"the gateway was restored from a backup"}"#)?;
    let response = gateways::reconcile_gateway(&request.call, gateway, body).await?;
    Ok(json_response_with(StatusCode::ACCEPTED, &response))
}
