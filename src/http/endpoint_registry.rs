//! The list of all endpoints, and which of them a request is for.

use warp::http::Method;

use super::endpoint::Endpoint;
use super::v1::{
    accounts, api_keys, deliveries, events, gateways, log_proofs, maintenance, master_key, overview, webhooks,
};
use super::{bridge_endpoints, contract_endpoints, health_endpoints, meta_webhook};

/// All endpoints, by the file that defines them.
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

/// Why a request is for no endpoint.
pub(super) enum NoEndpoint {
    /// There is nothing under its path.
    UnknownPath,
    /// Its path takes only these methods, as `Allow` lists them.
    MethodNotAllowed {
        allow: String,
        /// One of the endpoints of the path.
        endpoint: &'static Endpoint,
    },
}

/// All endpoints.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().copied().flatten()
}

/// Finds the endpoint of a request. A literal segment takes precedence over a placeholder: `accounts/online` is no account.
pub(super) fn find_endpoint(method: &Method, path: &str) -> Result<&'static Endpoint, NoEndpoint> {
    let matching = || endpoints().filter(|endpoint| endpoint.matches(path));
    let most_literal =
        matching().min_by_key(|endpoint| endpoint.count_placeholders()).ok_or(NoEndpoint::UnknownPath)?;
    let of_path = || endpoints().filter(|endpoint| endpoint.path == most_literal.path);
    of_path().find(|endpoint| endpoint.method == *method).ok_or_else(|| {
        let allow = of_path().map(|endpoint| endpoint.method.as_str()).collect::<Vec<_>>().join(", ");
        NoEndpoint::MethodNotAllowed { allow, endpoint: most_literal }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented path, or the methods that it takes.
    fn find(method: &Method, path: &str) -> Result<&'static str, String> {
        match find_endpoint(method, path) {
            Ok(endpoint) => Ok(endpoint.path),
            Err(NoEndpoint::MethodNotAllowed { allow, .. }) => Err(allow),
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
    }

    /// Two operations with one name could not be told apart by an idempotency key or a generated client.
    #[test]
    fn an_operation_has_one_path() {
        let mut paths = std::collections::BTreeMap::new();
        for endpoint in endpoints() {
            let path = paths.entry(endpoint.operation.name).or_insert(endpoint.path);
            assert_eq!(*path, endpoint.path, "{}", endpoint.operation.name);
        }
    }
}
