//! Where a request comes from: the caller's address, scheme and host. Behind a trusted proxy, the proxy's headers say so.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use warp::http::header::HOST;
use warp::http::{HeaderMap, Version};

use super::base_path::BasePath;
use super::forwarded::{ForwardedCaller, ForwardedError, read_caller};
use crate::client::Network;

/// Headers that reverse proxies add. All that begin with `x-forwarded-` belong to them too.
const PROXY_HEADERS: [&str; 3] = ["forwarded", "via", "x-real-ip"];

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct RequestOrigin {
    /// The caller's address: the remote address of the connection, or the one that a trusted proxy names.
    pub address: IpAddr,
    /// The remote port of the connection. `None` if the address is one that a proxy names.
    pub(super) port: Option<u16>,
    /// Whether the caller uses TLS.
    pub is_tls: bool,
    /// Whether no connection on the way to the caller crosses a network in clear text.
    pub(super) is_encrypted: bool,
    /// Whether a reverse proxy passed the request on, as far as the request shows it.
    pub(super) is_proxied: bool,
    /// The host that the caller addresses, with its port.
    pub(super) host: Option<String>,
    /// The path under which callers reach the service.
    pub(super) base_path: BasePath,
}

/// Reads where requests come from.
#[derive(Clone)]
pub(super) struct OriginReader {
    trusted_proxies: Arc<[Network]>,
    is_tls: bool,
    base_path: BasePath,
}

impl RequestOrigin {
    /// A request over a connection of this machine.
    pub(super) const LOCAL: RequestOrigin = RequestOrigin {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: Some(0),
        is_tls: false,
        is_encrypted: true,
        is_proxied: false,
        host: None,
        base_path: BasePath::NONE,
    };
}

impl fmt::Display for RequestOrigin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(to),
            None => self.address.fmt(to),
        }
    }
}

impl OriginReader {
    /// A reader that trusts proxies in these networks. `is_tls` says whether the service's own connections use TLS.
    pub(super) fn new(trusted_proxies: &[Network], is_tls: bool) -> OriginReader {
        OriginReader { trusted_proxies: trusted_proxies.into(), is_tls, base_path: BasePath::NONE }
    }

    /// For a service that callers reach under this path.
    pub(super) fn with_base_path(self, base_path: BasePath) -> OriginReader {
        OriginReader { base_path, ..self }
    }

    /// The path under which callers reach the service.
    pub(super) fn base_path(&self) -> &BasePath {
        &self.base_path
    }

    /// Reads where a request over a connection from `peer` comes from. Fails if a trusted proxy sent unusable headers.
    pub(super) fn read(
        &self,
        peer: SocketAddr,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<RequestOrigin, ForwardedError> {
        let peer_address = peer.ip().to_canonical();
        let caller = if self.is_trusted(peer_address) {
            read_caller(headers, |address| self.is_trusted(address))?
        } else {
            None
        };
        Ok(self.describe(peer, version, headers, caller))
    }

    /// The other end of a connection from `peer`, whatever the headers say of the caller.
    pub(super) fn read_connection(&self, peer: SocketAddr, version: Version, headers: &HeaderMap) -> RequestOrigin {
        self.describe(peer, version, headers, None)
    }

    fn describe(
        &self,
        peer: SocketAddr,
        version: Version,
        headers: &HeaderMap,
        caller: Option<ForwardedCaller>,
    ) -> RequestOrigin {
        let peer_address = peer.ip().to_canonical();
        let address = caller.as_ref().and_then(|caller| caller.address);
        let is_tls = caller.as_ref().and_then(|caller| caller.is_tls).unwrap_or(self.is_tls);
        let host = || headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let is_local = address.unwrap_or(peer_address).is_loopback();
        RequestOrigin {
            address: address.unwrap_or(peer_address),
            port: if address.is_none() { Some(peer.port()) } else { None },
            is_tls,
            is_encrypted: (self.is_tls || peer_address.is_loopback()) && (is_tls || is_local),
            is_proxied: is_proxied(version, headers),
            host: caller.and_then(|caller| caller.host).or_else(host),
            base_path: self.base_path.clone(),
        }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Whether a request shows signs of a reverse proxy. nginx adds no header unless it is told to, but it speaks HTTP/1.0 to
/// the service, which no common client does.
fn is_proxied(version: Version, headers: &HeaderMap) -> bool {
    let is_of_proxy = |name: &str| PROXY_HEADERS.contains(&name) || name.starts_with("x-forwarded-");
    version < Version::HTTP_11 || headers.keys().any(|name| is_of_proxy(name.as_str()))
}
