//! The way out: HTTP clients that do what they are told and nothing by themselves.
//!
//! Receivers, gateways and our own command line are all reached through it.
//!
//! | file | what it knows |
//! |---|---|
//! | `exchange` | a request and its answer, before one deadline |
//! | `connection` | connections: how they are made, and what came on them |
//! | `resolver` | the addresses of names |
//! | `guard` | which addresses may be reached |
//! | `failure` | why a request got no answer, by class |
//! | `answer` | what an answer says: `Retry-After`, a body that is nearly JSON |
//! | `url_text` | URLs as texts: parsed strictly, and shown without secrets |

mod answer;
mod connection;
mod exchange;
mod failure;
mod guard;
mod resolver;
mod url_text;

#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::{ClientBuilder, redirect, retry};

pub use answer::{json_text, retry_after, text};
pub use connection::SetupError;
pub use exchange::{Answer, Client, Error, Options, get, post, request};
pub use failure::{Class, class};
pub use guard::{Forbidden, Guard, Network};
pub use hyper::http::request::Builder as RequestBuilder;
pub use resolver::{Resolver, Unresolved};
pub use url_text::{NOT_A_URL, parse_url, redact_url};

/// Who asks.
const AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// A client of our own service in the making, whose answers may have no end. It follows no redirect, tries nothing again, and asks the environment for no proxy: attempts
/// are counted and addresses are checked by whoever uses it. TLS is rustls with ring.
pub fn builder(connect_timeout: Duration) -> ClientBuilder {
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
