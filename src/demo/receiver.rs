//! A receiver of both webhooks, as a caller's back-end has one.

use std::time::Instant;

use serde_json::Value;
use tokio::sync::mpsc;
use warp::{Filter, Rejection, Reply};

/// A webhook that arrived.
pub(super) struct Told {
    pub(super) at: Instant,
    pub(super) body: Value,
}

/// Takes every webhook, passes it on, and answers as the contract wants it.
pub(super) fn routes(
    told: mpsc::UnboundedSender<Told>,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::post().and(warp::body::json()).map(move |body| {
        // Nobody listens any more once the story is told.
        let _told = told.send(Told { at: Instant::now(), body });
        warp::reply::with_header(r#"{"data":"","code":200,"message":"success"}"#, "content-type", "application/json")
    })
}
