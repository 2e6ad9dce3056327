//! The way out: HTTP clients that do what they are told and nothing by themselves.
//!
//! Receivers, gateways and our own command line are all reached through it.
//!
//! | file | what it knows |
//! |---|---|
//! | `guard` | which addresses may be reached |
//! | `failure` | why a request got no answer, by class |
//! | `answer` | what an answer says: `Retry-After`, a body that is nearly JSON |

mod answer;
mod failure;
mod guard;

use std::time::Duration;

use reqwest::{ClientBuilder, redirect, retry};

pub use answer::{json_text, retry_after, text};
pub use failure::{Class, class};
pub use guard::{Forbidden, Guard, Network, Unresolved};

/// A client in the making. It follows no redirect, tries nothing again, and asks the environment for no proxy: attempts
/// are counted and addresses are checked by whoever uses it. TLS is rustls with ring.
pub fn builder(connect_timeout: Duration) -> ClientBuilder {
    // Whoever came first has installed the same.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(connect_timeout)
}
