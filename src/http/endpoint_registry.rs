//! The list of all endpoints, and which of them a request is for.

use warp::http::Method;

use super::endpoint::Endpoint;
use super::v1::{
    accounts, api_keys, deliveries, events, gateways, log_proofs, maintenance, master_key, overview, webhooks,
};

/// All endpoints, by the file that defines them.
static ENDPOINTS: [&[Endpoint]; 10] = [
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
];

/// Why a request is for no endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoEndpoint {
    /// There is nothing under its path.
    UnknownPath,
    /// Its path takes only these methods, as `Allow` lists them.
    MethodNotAllowed { allow: String },
}

/// All endpoints.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().copied().flatten()
}

/// Finds the endpoint of a request. A literal segment takes precedence over a placeholder: `accounts/online` is no account.
pub(super) fn find_endpoint(method: &Method, path: &str) -> Result<&'static Endpoint, NoEndpoint> {
    let matching = || endpoints().filter(|endpoint| endpoint.matches(path));
    let placeholders = matching().map(Endpoint::count_placeholders).min().ok_or(NoEndpoint::UnknownPath)?;
    let mut allowed = Vec::new();
    for endpoint in matching().filter(|endpoint| endpoint.count_placeholders() == placeholders) {
        if endpoint.method == *method {
            return Ok(endpoint);
        }
        allowed.push(endpoint.method.as_str());
    }
    Err(NoEndpoint::MethodNotAllowed { allow: allowed.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_segments_take_precedence() {
        let path_of = |method, path: &str| find_endpoint(&method, path).map(|endpoint| endpoint.path);
        assert_eq!(path_of(Method::POST, "/api/v1/accounts/online"), Ok("/api/v1/accounts/online"));
        assert_eq!(path_of(Method::GET, "/api/v1/accounts/861821726232"), Ok("/api/v1/accounts/{account}"));
        let allow = "POST".to_owned();
        assert_eq!(path_of(Method::GET, "/api/v1/accounts/online"), Err(NoEndpoint::MethodNotAllowed { allow }));
        assert_eq!(path_of(Method::GET, "/api/v1/accounts/"), Err(NoEndpoint::UnknownPath));
    }
}
