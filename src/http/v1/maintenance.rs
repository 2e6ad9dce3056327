//! Projections, verification, replay and backup.

use futures_util::FutureExt;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::response_body::{json_response, json_response_with, stream_response};
use super::shared_docs::UNKNOWN_ACCOUNT;
use crate::api::maintenance::{self, ProjectionsResponse, RebuildResponse};
use crate::api::{Problem, operation};
use crate::audit::{ReplayReport, VerificationReport};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::operation_doc::{content, response_with_id};
use crate::http::parameter_schemas::{account_digits, binary, text};
use crate::http::v1_request::V1Request;

const BUSY_READING: &str = "The whole journal is being read for another request.";

pub(in crate::http) static ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/projections",
        operation: operation::SHOW_PROJECTIONS,
        tag: Tag::Upkeep,
        summary: "Show the projections",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| show_projections(request).boxed()),
        document: |operation| {
            operation.json_response::<ProjectionsResponse>(
                200,
                "The head of the journal, and how far the account list is behind it.",
            )
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/projections/{name}/rebuild",
        operation: operation::REBUILD_PROJECTION,
        tag: Tag::Upkeep,
        summary: "Rebuild the account list",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| rebuild_projection(request).boxed()),
        document: |operation| {
            operation
                .describe("The old list is served until the rebuild is complete.")
                .json_response::<RebuildResponse>(202, "The rebuild has started.")
                .problem(404, "There is no such projection.")
                .problem(409, "A rebuild is already running.")
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/verify",
        operation: operation::VERIFY,
        tag: Tag::Upkeep,
        summary: "Verify the journal",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| verify_journal(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "Checks every record, chain and root, every history against the rules, and the last \
                    checkpoint. A long journal takes long.",
                )
                .json_response::<VerificationReport>(200, "The journal is complete and unchanged.")
                .problem(409, BUSY_READING)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/replay",
        operation: operation::REPLAY,
        tag: Tag::Upkeep,
        summary: "Replay the journal",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| replay_journal(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "Folds all events again, and compares the result with the served state if the replay goes to the \
                     end. It contacts no gateway and no receiver.",
                )
                .query_parameter("until", text(), "The last position or time to fold; the end by default.")
                .query_parameter("account", account_digits(), "Show the state of this account.")
                .json_response::<ReplayReport>(200, "The result of the replay.")
                .problem(409, BUSY_READING)
                .problem(404, UNKNOWN_ACCOUNT)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/backup",
        operation: operation::BACKUP,
        tag: Tag::Upkeep,
        summary: "Back up the store",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| create_backup(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "The backup has everything except the master key. `muster restore` makes a data directory \
                    from it. If the backup fails, the connection closes before its end.",
                )
                .response(200, response_with_id("The backup.").content("application/octet-stream", content(binary())))
                .problem(409, "A rotation of the master key is running.")
        },
    },
];

async fn show_projections(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&maintenance::show_projections(&request.call).await?))
}

async fn rebuild_projection(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let response = maintenance::rebuild_projection(&request.call, request.head.path_parameter("name")).await?;
    Ok(json_response_with(StatusCode::ACCEPTED, &response))
}

async fn verify_journal(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&maintenance::verify_journal(&request.call).await?))
}

async fn replay_journal(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.parameters(&["until", "account"])?;
    let (account, until) = (parameters.account()?, parameters.replay_end()?);
    Ok(json_response(&maintenance::replay_journal(&request.call, until, account).await?))
}

async fn create_backup(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(stream_response("application/octet-stream", maintenance::create_backup(&request.call).await?))
}
