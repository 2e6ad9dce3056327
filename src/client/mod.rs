//! The way out: HTTP clients that do what they are told and nothing by themselves.
//!
//! Receivers, gateways and our own command line are all reached through it.
//!
//! | file | what it knows |
//! |---|---|
//! | `http_client` | a request and its answer, before one deadline |
//! | `connection` | connections: how they are made, and what came on them |
//! | `resolver` | the addresses of names |
//! | `address_guard` | which addresses may be reached |
//! | `failure_class` | why a request got no answer, by class |
//! | `response_parsing` | what an answer says: `Retry-After`, a body that is nearly JSON |
//! | `url_redaction` | URLs as texts: parsed strictly, and shown without secrets |

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

/// Who asks.
const AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// A client of our own service in the making, whose answers may have no end. It follows no redirect, tries nothing again, and asks the environment for no proxy: attempts
/// are counted and addresses are checked by whoever uses it. TLS is rustls with ring.
pub fn streaming_client_builder(connect_timeout: Duration) -> ClientBuilder {
    // Whoever came first has installed the same.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(connect_timeout)
}
