//! Which addresses may be reached, so that a receiver's URL cannot point to something that only this machine can reach.
//!
//! The rule is about addresses, not names. It is checked when a URL is set, and again at each connection: the client
//! resolves names through a [`Resolver`](super::Resolver) that drops forbidden addresses. So a name that moves to another
//! address later (DNS rebinding) does not help an attacker.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

/// Decides which addresses may be reached. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressGuard {
    allowed_networks: Arc<[Network]>,
}

/// A network, as in `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why an address may not be reached. The message is the same when a URL is set and when it is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {what}{}", if *.is_listable { "; list its network in webhooks.allow_networks if a receiver is \
    there" } else { ", which is not allowed for receivers" })]
pub struct ForbiddenAddress {
    /// The host of the URL, and for a name also its address.
    pub host: String,
    /// The kind of address, as in `a private address`.
    pub what: &'static str,
    /// Whether listing its network would allow it.
    pub is_listable: bool,
}

/// The kind of an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AddressKind {
    /// An address of the internet.
    Public,
    /// An address of an operator's own network, allowed if the operator lists it.
    Private(&'static str),
    /// An address that no receiver can have.
    Never(&'static str),
}

/// Metadata services of clouds, which give a machine's secrets to every process on it. Others have link-local addresses.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

impl AddressGuard {
    /// Allows public addresses, and private ones in these networks.
    pub fn new(allowed: impl IntoIterator<Item = Network>) -> AddressGuard {
        AddressGuard { allowed_networks: allowed.into_iter().collect() }
    }

    /// Allows all private addresses too, for a service that only this machine can reach.
    pub fn allow_private() -> AddressGuard {
        AddressGuard::new([Network::all(Ipv4Addr::UNSPECIFIED.into()), Network::all(Ipv6Addr::UNSPECIFIED.into())])
    }

    /// Checks whether `address` may be reached.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let forbidden = |what, is_listable| Err(ForbiddenAddress { host: address.to_string(), what, is_listable });
        let is_allowed = || self.allowed_networks.iter().any(|network| network.contains(address));
        match kind(address) {
            AddressKind::Public => Ok(()),
            AddressKind::Private(_) if is_allowed() => Ok(()),
            AddressKind::Private(what) => forbidden(what, true),
            AddressKind::Never(what) => forbidden(what, false),
        }
    }

    /// Checks the host of `url` if it is an address. A name is checked when it is resolved.
    pub fn check_url(&self, url: &Url) -> Result<(), ForbiddenAddress> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// The allowed addresses of `name`. If all are forbidden, fails with the error of the first.
    pub(super) fn filter_allowed(
        &self,
        name: &str,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
        let mut first_error = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(forbidden) => first_error = first_error.or(Some(forbidden)),
            }
        }
        match first_error {
            Some(error) if allowed.is_empty() => {
                Err(ForbiddenAddress { host: format!("{name}, which resolves to {},", error.host), ..error })
            }
            Some(_) | None => Ok(allowed),
        }
    }
}

impl Network {
    /// Every address of one family.
    const fn all(address: IpAddr) -> Network {
        Network { address, prefix: 0 }
    }

    /// Whether the address is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(ours) & mask == u32::from(other) & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(ours) & mask == u128::from(other) & mask
            }
            (IpAddr::V4(_), IpAddr::V6(other)) => match other.to_ipv4_mapped() {
                Some(other) => self.contains(other.into()),
                None => false,
            },
            (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(max), |prefix| prefix.parse().map_err(|_| ()))?;
        if prefix <= max { Ok(Network { address, prefix }) } else { Err(()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.address, self.prefix)
    }
}

/// The kind of an address, by the special-purpose registries (RFC 6890).
fn kind(address: IpAddr) -> AddressKind {
    match address {
        _ if METADATA.contains(&address) => AddressKind::Never("a cloud's metadata service"),
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> AddressKind {
    let [first, second, third, _] = address.octets();
    match (first, second, third) {
        (0, ..) => AddressKind::Never("an unspecified address"),
        (127, ..) => AddressKind::Private("a loopback address"),
        (169, 254, _) => AddressKind::Never("a link-local address"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => AddressKind::Private("a private address"),
        (100, 64..=127, _) => AddressKind::Private("an address behind a provider's NAT"),
        (192, 0, 0 | 2) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) => {
            AddressKind::Private("a special-purpose address")
        }
        (224..=239, ..) => AddressKind::Never("a multicast address"),
        (240..=255, ..) => AddressKind::Never("a reserved address"),
        (1..=9 | 11..=99 | 100..=126 | 128..=168 | 169..=223, ..) => AddressKind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> AddressKind {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        kind(Ipv4Addr::new(a, b, c, d).into())
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Never("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Private("a loopback address"),
        // An embedded IPv4 address: mapped, compatible, translated (NAT64), 6to4.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => AddressKind::Private("a special-purpose address"),
        // Teredo, whose IPv4 address is obfuscated.
        [0x2001, 0, ..] => AddressKind::Never("a tunnel address"),
        [0x2001, 0xdb8, ..] | [0x100, 0, 0, 0, ..] => AddressKind::Private("a special-purpose address"),
        [0xfe80..=0xfebf, ..] => AddressKind::Never("a link-local address"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => AddressKind::Private("a private address"),
        [0xff00..=0xffff, ..] => AddressKind::Never("a multicast address"),
        [0..=0xfbff, ..] | [0xfe00..=0xfe7f, ..] => AddressKind::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `goes` for an allowed URL, else the error.
    fn check_text(guard: &AddressGuard, url: &str) -> String {
        let checked = guard.check_url(&url.parse().unwrap());
        checked.map_or_else(|forbidden| forbidden.to_string(), |()| "goes".to_owned())
    }

    #[test]
    fn addresses_in_every_disguise() {
        let (strict, own) = (AddressGuard::new([]), AddressGuard::allow_private());
        let listed = AddressGuard::new(["10.1.0.0/16".parse().unwrap(), "fd12::/16".parse().unwrap()]);
        let mut words = String::new();
        for host in [
            "8.8.8.8",
            "[2606:4700::1111]",
            "127.0.0.1",
            "0x7f000001",
            "2130706433",
            "127.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "10.1.2.3",
            "10.2.2.3",
            "172.31.0.1",
            "172.32.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "[fd12::1]",
            "[fd13::1]",
            "169.254.169.254",
            "0xa9fea9fe",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[2002:808:808::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "[::]",
            "224.0.0.1",
            "[ff02::1]",
            "255.255.255.255",
            "198.18.0.1",
            "203.0.113.9",
            "[2001:db8::1]",
            "[2001::1]",
            "example.com",
        ] {
            let url = format!("http://{host}/hook");
            let [strict, listed, own] = [&strict, &listed, &own].map(|guard| check_text(guard, &url));
            words += &format!("{host}\n  {strict}\n");
            if listed != strict {
                words += &format!("  listed: {listed}\n");
            }
            if own != strict {
                words += &format!("  on this machine: {own}\n");
            }
        }
        insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("client_guard", words);
        });
    }

    #[test]
    fn networks() {
        for good in ["10.0.0.0/8", "10.0.0.7", "::/0", "fd00::/8"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "all", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
