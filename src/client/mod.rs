//! HTTP clients for all outgoing requests: to receivers, gateways and collectors, and from our own command line.
//!
//! | file | contents |
//! |---|---|
//! | `http_client` | a request and its response, within one deadline |
//! | `connection` | makes connections and tracks their use |
//! | `resolver` | resolves names to addresses |
//! | `address_guard` | which addresses may be reached |
//! | `failure_class` | why a request failed, by class |
//! | `response_parsing` | `Retry-After`, and bodies that are almost JSON |
//! | `url_redaction` | parses URLs strictly, and redacts their secrets |

mod address_guard;
mod connection;
mod failure_class;
mod http_client;
mod resolver;
mod response_parsing;
mod url_redaction;

#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::{ClientBuilder, redirect, retry};

pub use address_guard::{AddressGuard, ForbiddenAddress, Network};
pub use connection::TlsSetupError;
pub use failure_class::{FailureClass, classify_reqwest};
pub use http_client::{ClientOptions, Error, HttpClient, HttpResponse, get, post, request};
pub use hyper::http::request::Builder as RequestBuilder;
pub use resolver::{ResolveError, Resolver};
pub use response_parsing::{json_text, lossy_text, retry_after};
pub use url_redaction::{NOT_A_URL, parse_url, redact_url};

/// The `User-Agent`.
const AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// The builder of a client for our own service, whose responses may be endless streams.
///
/// It follows no redirects, repeats no request and uses no proxy of the environment, because the caller counts attempts and
/// checks addresses. TLS is rustls with ring.
pub fn streaming_client_builder(connect_timeout: Duration) -> ClientBuilder {
    // Fails if a provider is installed already; it is the same one.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(connect_timeout)
}
