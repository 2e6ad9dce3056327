//! Resolves names to the addresses that may be reached.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::lookup_host;
use url::{Host, Url};

use super::address_guard::{AddressGuard, ForbiddenAddress};

/// Resolves names.
#[derive(Clone)]
pub struct Resolver {
    /// `None` allows every address.
    guard: Option<AddressGuard>,
    look_up: LookupFn,
}

/// A function that returns the addresses of a name. Port 0 stands for the port of the URL.
pub type LookupFn = fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// A name has no address.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved: {0}")]
pub struct ResolveError(#[source] pub io::Error);

impl Resolver {
    /// A resolver that uses the system's resolver.
    pub fn system(guard: Option<AddressGuard>) -> Resolver {
        Resolver::new(guard, |name| async move { Ok(lookup_host((name, 0)).await?.collect()) }.boxed())
    }

    /// A resolver that uses `look_up`.
    pub fn new(guard: Option<AddressGuard>, look_up: LookupFn) -> Resolver {
        Resolver { guard, look_up }
    }

    /// The allowed addresses of `name`; the inner error if all are forbidden. `localhost` is always this machine
    /// (RFC 6761, 6.3).
    pub(super) async fn resolve(&self, name: &str) -> Result<Result<Vec<SocketAddr>, ForbiddenAddress>, ResolveError> {
        let found = match name {
            "localhost" => vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()],
            name => (self.look_up)(name.to_owned()).await.map_err(ResolveError)?,
        };
        Ok(match &self.guard {
            Some(guard) => guard.filter_allowed(name, found),
            None => Ok(found),
        })
    }
}

impl AddressGuard {
    /// As [`check_url`](AddressGuard::check_url), but resolves a name. A name without an address passes: it may get one
    /// later.
    pub async fn check_resolved(&self, url: &Url) -> Result<(), ForbiddenAddress> {
        self.check_url(url)?;
        match url.host() {
            Some(Host::Domain(name)) => match Resolver::system(Some(self.clone())).resolve(name).await {
                Ok(Err(forbidden)) => Err(forbidden),
                Ok(Ok(_)) | Err(ResolveError(_)) => Ok(()),
            },
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_checked_where_they_are_resolved() {
        let url = "http://localhost:1/".parse().unwrap();
        assert_eq!(AddressGuard::allow_private().check_resolved(&url).await, Ok(()));
        let words = AddressGuard::new([]).check_resolved(&url).await.unwrap_err().to_string();
        assert!(words.starts_with("localhost, which resolves to ") && words.contains("a loopback address"), "{words}");
        let refused = Resolver::system(Some(AddressGuard::new([]))).resolve("localhost").await.unwrap();
        assert_eq!(refused.unwrap_err().to_string(), words, "the same words when it is sent");
    }
}
