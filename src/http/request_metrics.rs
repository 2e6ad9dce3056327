//! Counts and times all requests.

use std::convert::Infallible;
use std::time::Instant;

use hyper::body::Body;
use hyper::service::{Service, service_fn};
use warp::http::{Request, StatusCode};
use warp::reply::Response;

use super::contract_envelope::IntendedStatus;
use crate::metrics::{Metrics, Route, StatusClass};

/// Response extension that marks console pages and their files. The metrics count them as one route.
#[derive(Clone, Copy)]
pub struct ConsoleResponse;

/// Wraps `service` so that its requests are measured.
pub(super) fn with_metrics<S, B: Body + 'static>(
    service: S,
    metrics: Metrics,
) -> impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
where
    S: Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    service_fn(move |request: Request<B>| {
        let (started, route) = (Instant::now(), metric_route(request.uri().path()));
        let in_flight = InFlightGuard::start(&metrics);
        let call = service.call(request);
        async move {
            let response = call.await?;
            let metrics = &in_flight.metrics;
            let route = if response.extensions().get::<ConsoleResponse>().is_some() { Route::Console } else { route };
            let status = response.extensions().get().map_or(response.status(), |IntendedStatus(status)| *status);
            metrics.http_requests.with((route, status_class(status))).inc();
            metrics.http_seconds.with(route).observe_duration(started.elapsed());
            Ok(response)
        }
    })
}

/// Counts a request as in flight until the response head is ready or the caller disconnects.
struct InFlightGuard {
    metrics: Metrics,
}

impl InFlightGuard {
    fn start(metrics: &Metrics) -> InFlightGuard {
        metrics.http_in_flight.inc();
        InFlightGuard { metrics: metrics.clone() }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.metrics.http_in_flight.dec();
    }
}

/// The route label of a path.
fn metric_route(path: &str) -> Route {
    let is_under =
        |route: &&Route| path.strip_prefix(route.label()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    Route::ALL.iter().find(is_under).copied().unwrap_or(Route::Other)
}

fn status_class(status: StatusCode) -> StatusClass {
    match status.as_u16() {
        ..200 => StatusClass::Informational,
        200..300 => StatusClass::Success,
        300..400 => StatusClass::Redirection,
        400..500 => StatusClass::ClientError,
        500.. => StatusClass::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::endpoint::Tag;
    use crate::http::{Endpoint, endpoints};

    #[test]
    fn unknown_paths_share_a_route_label() {
        for (path, expected) in [
            ("/group-dispatch-api/whatsapp/batchOnline", Route::BatchOnline),
            ("/api/v1/accounts", Route::Accounts),
            ("/api/v1/accounts/861821726232/events", Route::Accounts),
            ("/api/v1/accountsandmore", Route::Other),
            ("/metrics", Route::Metrics),
            ("/861821726232", Route::Other),
            ("/", Route::Other),
            ("other", Route::Other),
        ] {
            assert_eq!(metric_route(path), expected, "{path}");
        }
    }

    /// No endpoint of the API may be counted as `other`.
    #[test]
    fn every_area_has_its_route() {
        for Endpoint { path, .. } in endpoints().filter(|endpoint| endpoint.tag != Tag::Unlisted) {
            assert_ne!(metric_route(path), Route::Other, "{path}");
        }
    }
}
