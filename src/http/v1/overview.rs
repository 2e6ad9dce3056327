//! The state of the service in one response, and its settings.

use futures_util::FutureExt;
use warp::http::Method;
use warp::reply::Response;

use super::response_body::json_response;
use super::shared_docs::NO_SERVICE;
use crate::api::overview::{self, Overview, SettingsView};
use crate::api::{Problem, operation};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::v1_request::V1Request;

pub(in crate::http) static ENDPOINTS: [Endpoint; 2] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/overview",
        operation: operation::SHOW_OVERVIEW,
        tag: Tag::Upkeep,
        summary: "Show the state of the service",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| show_overview(request).boxed()),
        document: |operation| {
            operation
                .describe("Accounts by state, the journal, its last checkpoint, the webhooks and the master key.")
                .json_response::<Overview>(200, "The state of the service.")
                .problem(409, NO_SERVICE)
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/settings",
        operation: operation::LIST_SETTINGS,
        tag: Tag::Upkeep,
        summary: "List the settings in effect",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| list_settings(request).boxed()),
        document: |operation| {
            operation
                .describe("Each setting with its source, as `muster config` shows it. Secrets are redacted.")
                .json_response::<SettingsView>(200, "The settings.")
                .problem(409, NO_SERVICE)
        },
    },
];

async fn show_overview(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&overview::show_overview(&request.call).await?))
}

async fn list_settings(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&overview::list_settings(&request.call).await?))
}
