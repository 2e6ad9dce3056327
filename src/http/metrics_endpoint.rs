//! `GET /metrics`: each module updates its gauges, then all metrics are rendered as text.

use tokio::task::spawn_blocking;
use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::Api;
use super::error::Error;
use crate::metrics::CONTENT_TYPE;

pub(super) async fn handle(api: &Api) -> Result<Response, Error> {
    // On an error the last values stay: the other metrics matter most when something is wrong.
    if let Err(error) = api.webhooks().update_metrics().await {
        tracing::warn!(%error, "the webhooks do not say how they are");
    }
    let api = api.clone();
    let text = spawn_blocking(move || {
        let (journal, metrics) = (api.journal(), api.metrics());
        metrics.ready.set(u64::from(api.is_ready()));
        journal.update_metrics();
        api.accounts().update_metrics();
        api.roster().update_metrics(metrics, journal.head());
        api.vault().update_metrics();
        api.gateways().update_metrics(metrics);
        metrics.to_prometheus_text()
    });
    let mut response = Response::new(text.await?.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(response)
}
