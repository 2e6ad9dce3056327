//! Whose an address is, as far as clients are counted by it. Pure.

use std::net::{IpAddr, Ipv6Addr};

use crate::limits::IPV6_CLIENT_BITS;

/// The address that stands for all addresses that one client has: an IPv4 address for itself, also where it is written
/// as an IPv6 address; any other IPv6 address for its network, in which its owner may take as many as it likes.
pub fn client_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::MAX.checked_shl(u128::BITS - IPV6_CLIENT_BITS).unwrap_or_default();
            Ipv6Addr::from_bits(address.to_bits() & network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_addresses_are() {
        for (address, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            let [address, client]: [IpAddr; 2] = [address, client].map(|text| text.parse().unwrap());
            assert_eq!(client_address(address), client, "{address}");
        }
    }
}
