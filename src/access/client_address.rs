//! The address by which a client is counted. Pure.

use std::net::{IpAddr, Ipv6Addr};

use crate::limits::IPV6_CLIENT_BITS;

/// The address that represents all addresses of one client.
///
/// An IPv4 address, mapped to IPv6 or not, represents itself. Any other IPv6 address is replaced by its network, because a
/// client can use any address of its network.
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
    fn addresses_are_reduced_to_their_client() {
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
