//! The list of all endpoints. Finds the endpoint of a request.
//!
//! Frozen: methods, paths, parameters and fields of every endpoint, because callers and scripts use them. New ones are
//! optional.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use matchit::Router;
use strsim::levenshtein;
use warp::http::Method;

use super::endpoint::{Endpoint, Tag};
use super::v1::{
    accounts, api_keys, deliveries, events, gateways, log_proofs, maintenance, master_key, overview, webhooks,
};
use super::{bridge_endpoints, contract_endpoints, health_endpoints, meta_webhook};

/// All endpoints, grouped by the file that defines them.
static ENDPOINTS: [&[Endpoint]; 14] = [
    &contract_endpoints::ENDPOINTS,
    &health_endpoints::ENDPOINTS,
    &accounts::ENDPOINTS,
    &events::ENDPOINTS,
    &log_proofs::ENDPOINTS,
    &overview::ENDPOINTS,
    &gateways::ENDPOINTS,
    &maintenance::ENDPOINTS,
    &webhooks::ENDPOINTS,
    &deliveries::ENDPOINTS,
    &master_key::ENDPOINTS,
    &api_keys::ENDPOINTS,
    &bridge_endpoints::ENDPOINTS,
    &meta_webhook::ENDPOINTS,
];

/// The endpoints of one path.
struct Route {
    endpoints: Vec<&'static Endpoint>,
    /// Their methods, as `Allow` lists them.
    allow: String,
}

/// Finds the route of a path. A literal segment takes precedence over a placeholder: `accounts/online` is no account.
static ROUTER: LazyLock<Router<Route>> = LazyLock::new(build_router);

/// The endpoint of a request, with the path segments at its placeholders.
pub(super) struct EndpointMatch {
    pub(super) endpoint: &'static Endpoint,
    /// Name and segment of each placeholder.
    pub(super) path_parameters: Vec<(String, String)>,
}

/// Why a request has no endpoint.
pub(super) enum NoEndpoint {
    /// No endpoint has the path.
    UnknownPath,
    /// The path has endpoints, but only for other methods.
    MethodNotAllowed {
        /// The methods of the path, as `Allow` lists them.
        allow: &'static str,
        /// One of the endpoints of the path.
        endpoint: &'static Endpoint,
    },
}

/// All endpoints.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().copied().flatten()
}

/// Whether an endpoint has the path.
pub fn is_endpoint_path(path: &str) -> bool {
    ROUTER.at(path).is_ok()
}

/// Finds the endpoint of a request. The endpoint of `GET` also answers `HEAD`: hyper sends such a response without its body.
pub(super) fn find_endpoint(method: &Method, path: &str) -> Result<EndpointMatch, NoEndpoint> {
    let found = ROUTER.at(path).map_err(|_| NoEndpoint::UnknownPath)?;
    let Route { endpoints, allow } = found.value;
    let of = |method: &Method| endpoints.iter().find(|endpoint| endpoint.method == *method);
    let answers_head = || of(&Method::GET).filter(|endpoint| *method == Method::HEAD && endpoint.answers_head());
    let Some(endpoint) = of(method).or_else(answers_head) else {
        let endpoint = endpoints.first().ok_or(NoEndpoint::UnknownPath)?;
        return Err(NoEndpoint::MethodNotAllowed { allow, endpoint });
    };
    let path_parameters = found.params.iter().map(|(name, segment)| (name.to_owned(), segment.to_owned())).collect();
    Ok(EndpointMatch { endpoint, path_parameters })
}

/// The path that `path` is probably a misspelling of: one that the OpenAPI document lists, since strangers may know these.
/// Ignores case, and the first segments that `path` leaves out.
pub(super) fn suggest_path(path: &str) -> Option<&'static str> {
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    let segments = path.matches('/').count();
    let listed = endpoints().filter(|endpoint| endpoint.tag != Tag::Unlisted && !endpoint.path.contains('{'));
    let distances = listed.filter_map(|endpoint| {
        let start = endpoint.path.rmatch_indices('/').nth(segments.checked_sub(1)?)?.0;
        let end = endpoint.path[start..].to_ascii_lowercase();
        // If up to a quarter of the last segment's characters are wrong, it is a typing error. Names with another length cannot be that
        // close, so they are not compared.
        let allowed = end.rsplit('/').next().map_or(0, str::len) / 4;
        let is_near = end.len().abs_diff(path.len()) <= allowed;
        let distance = is_near.then(|| levenshtein(&path, &end)).filter(|distance| *distance <= allowed)?;
        Some((distance, endpoint.path))
    });
    distances.min().map(|(_, path)| path)
}

fn build_router() -> Router<Route> {
    let mut router = Router::new();
    let mut by_path = BTreeMap::<_, Vec<_>>::new();
    for endpoint in endpoints() {
        by_path.entry(endpoint.path).or_default().push(endpoint);
    }
    for (path, endpoints) in by_path {
        let mut methods: Vec<_> = endpoints.iter().map(|endpoint| endpoint.method.as_str()).collect();
        if let Some(get) =
            endpoints.iter().position(|endpoint| endpoint.answers_head()).filter(|_| !methods.contains(&"HEAD"))
        {
            methods.insert(get + 1, "HEAD");
        }
        let allow = methods.join(", ");
        let with_slash = endpoints.iter().any(|endpoint| endpoint.allows_trailing_slash()).then(|| format!("{path}/"));
        for path in [path.to_owned()].into_iter().chain(with_slash) {
            let inserted = router.insert(path, Route { endpoints: endpoints.clone(), allow: allow.clone() });
            debug_assert!(inserted.is_ok(), "two paths cannot be told apart: {inserted:?}");
        }
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The endpoint's path. Otherwise the methods of the path, or `unknown`.
    fn find(method: &Method, path: &str) -> Result<&'static str, String> {
        match find_endpoint(method, path) {
            Ok(found) => Ok(found.endpoint.path),
            Err(NoEndpoint::MethodNotAllowed { allow, .. }) => Err(allow.to_owned()),
            Err(NoEndpoint::UnknownPath) => Err("unknown".to_owned()),
        }
    }

    #[test]
    fn literal_segments_take_precedence() {
        assert_eq!(find(&Method::POST, "/api/v1/accounts/online"), Ok("/api/v1/accounts/online"));
        assert_eq!(find(&Method::GET, "/api/v1/accounts/861821726232"), Ok("/api/v1/accounts/{account}"));
        assert_eq!(find(&Method::GET, "/api/v1/accounts/online"), Err("POST".to_owned()));
        assert_eq!(find(&Method::PUT, "/healthz/"), Err("GET, HEAD".to_owned()));
        assert_eq!(find(&Method::GET, "/api/v1/accounts/"), Err("unknown".to_owned()));
        assert_eq!(find(&Method::HEAD, "/api/v1/accounts"), Ok("/api/v1/accounts"));
        assert_eq!(find(&Method::PUT, "/api/v1/accounts"), Err("GET, HEAD".to_owned()));
        // A gateway that fetches commands takes them.
        assert_eq!(find(&Method::HEAD, "/gateway/v1/work"), Err("GET".to_owned()));
    }

    #[test]
    fn misspelt_paths_are_recognised() {
        let insert = Some("/group-dispatch-api/whatsapp/batchInsert");
        for path in ["/batchinsert", "/whatsapp/batchInsert/", "/group-dispatch-api/whatsapp/batchInsrt"] {
            assert_eq!(suggest_path(path), insert, "{path}");
        }
        assert_eq!(suggest_path("/api/v1/acounts"), Some("/api/v1/accounts"));
        for path in ["/", "", "//", "/wp-login.php", "/batch"] {
            assert_eq!(suggest_path(path), None, "{path}");
        }
        let hidden = endpoints().filter(|endpoint| endpoint.tag == Tag::Unlisted);
        assert!(hidden.into_iter().all(|endpoint| suggest_path(endpoint.path) != Some(endpoint.path)));
    }

    /// An idempotency key or a generated client could not distinguish two operations with one name.
    #[test]
    fn an_operation_has_one_path() {
        let mut paths = BTreeMap::new();
        for endpoint in endpoints() {
            let path = paths.entry(endpoint.operation.name).or_insert(endpoint.path);
            assert_eq!(*path, endpoint.path, "{}", endpoint.operation.name);
        }
    }
}
