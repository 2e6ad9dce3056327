//! Callers behind trusted proxies: which header counts, and which is rejected.

use std::net::{IpAddr, SocketAddr};

use warp::http::{HeaderMap, HeaderName, Version};

use crate::client::Network;
use crate::http::request_origin::{OriginReader, RequestOrigin};
use crate::limits::FORWARDED_BYTES;

/// The trusted proxies are 10.0.0.0/8 and fd00::/8; the service has no TLS.
fn read(peer: &str, headers: &[(&str, &str)]) -> Result<RequestOrigin, String> {
    let networks: [Network; 2] = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    let mut all = HeaderMap::new();
    for (name, value) in [("host", "muster.internal:8080")].iter().chain(headers) {
        all.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
    OriginReader::new(&networks, false).read(peer, Version::HTTP_11, &all).map_err(|error| error.to_string())
}

/// The caller as `address scheme host`.
fn describe(origin: &RequestOrigin) -> String {
    let scheme = if origin.is_tls { "https" } else { "http" };
    format!("{origin} {scheme} {}", origin.host.as_deref().unwrap_or_default())
}

#[test]
fn the_caller_is_the_first_untrusted_hop_from_the_right() {
    let direct = "10.0.0.1:40000 http muster.internal:8080";
    for (headers, caller) in [
        (&[][..], direct),
        (&[("x-forwarded-for", "192.0.2.7")], "192.0.2.7 http muster.internal:8080"),
        // What the caller itself claims is left of its address.
        (&[("x-forwarded-for", "127.0.0.1, not an address, 192.0.2.7")], "192.0.2.7 http muster.internal:8080"),
        (&[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "192.0.2.7")], "192.0.2.7 http muster.internal:8080"),
        // Trusted hops are skipped. A caller that is itself in a trusted network is the leftmost.
        (&[("x-forwarded-for", "127.0.0.1, 192.0.2.7, 10.0.0.9,10.0.0.8")], "192.0.2.7 http muster.internal:8080"),
        (&[("x-forwarded-for", "10.7.7.7, 10.0.0.9")], "10.7.7.7 http muster.internal:8080"),
        (&[("x-forwarded-for", "[2001:db8::7]:4711, fd00::1")], "2001:db8::7 http muster.internal:8080"),
        (&[("x-forwarded-for", "::ffff:192.0.2.7")], "192.0.2.7 http muster.internal:8080"),
        // A list without entries counts as no header.
        (&[("x-forwarded-for", "")], direct),
        (&[("x-forwarded-for", " , "), ("x-forwarded-for", "")], direct),
        (&[("forwarded", "")], direct),
        (&[("x-forwarded-for", ""), ("forwarded", "for=192.0.2.7")], "192.0.2.7 http muster.internal:8080"),
        // Headers of one vendor.
        (&[("x-real-ip", "192.0.2.7"), ("cf-connecting-ip", "192.0.2.7"), ("true-client-ip", "192.0.2.7")], direct),
        (
            &[
                ("x-forwarded-for", "192.0.2.7, 10.0.0.9"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "muster.example"),
            ],
            "192.0.2.7 https muster.example",
        ),
        // Lists are read at the same distance as the address.
        (
            &[
                ("x-forwarded-for", "192.0.2.7, 10.0.0.9"),
                ("x-forwarded-proto", "http, https, http"),
                ("x-forwarded-host", "forged.example, muster.example:8443, inner"),
            ],
            "192.0.2.7 https muster.example:8443",
        ),
        (&[("x-forwarded-proto", "HTTPS")], "10.0.0.1:40000 https muster.internal:8080"),
        (&[("forwarded", "for=192.0.2.7")], "192.0.2.7 http muster.internal:8080"),
        (
            &[(
                "forwarded",
                "for=127.0.0.1, FOR=\"[2001:db8::7]:4711\" ; Proto=https;host=\"muster.example:8443\" , for=10.0.0.9;by=_x",
            )],
            "2001:db8::7 https muster.example:8443",
        ),
        (&[("forwarded", "for=\"192.0.2\\.7\";secret=\"a,;=b\"")], "192.0.2.7 http muster.internal:8080"),
        // Both kinds may be there if they say the same.
        (
            &[
                ("forwarded", "for=\"192.0.2.7:4711\";proto=https"),
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-proto", "https"),
            ],
            "192.0.2.7 https muster.internal:8080",
        ),
    ] {
        assert_eq!(read("10.0.0.1", headers).as_ref().map(describe), Ok(caller.to_owned()), "{headers:?}");
    }
}

#[test]
fn headers_of_others_say_nothing() {
    for headers in [
        &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "muster.example")][..],
        &[("forwarded", "for=127.0.0.1;proto=https;host=muster.example")],
        &[("forwarded", "= malformed"), ("x-forwarded-for", "malformed")],
    ] {
        let origin = read("192.0.2.9", headers).unwrap();
        assert_eq!(describe(&origin), "192.0.2.9:40000 http muster.internal:8080");
        assert!(origin.is_proxied && !origin.is_encrypted, "they show that a proxy may be there");
    }
}

#[test]
fn unusable_headers_are_rejected_in_plain_words() {
    let long = format!("192.0.2.7{}", " ".repeat(FORWARDED_BYTES));
    for (headers, word) in [
        (&[("x-forwarded-for", "192.0.2.7, unknown")][..], "a list of IP addresses"),
        (&[("x-forwarded-for", "192.0.2.7, malformed, 10.0.0.9")], "a list of IP addresses"),
        (&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "ftp")], "http or https"),
        (&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-host", "user@muster.example")], "a name or an address"),
        (&[("x-forwarded-for", "192.0.2.7, 10.0.0.9, 10.0.0.8"), ("x-forwarded-proto", "https, http")], "one entry"),
        (&[("x-forwarded-for", long.as_str())], "more than 8192 bytes"),
        (&[("forwarded", "for=unknown")], "an IP address in each entry"),
        (&[("forwarded", "proto=https")], "an IP address in each entry"),
        (&[("forwarded", "for=192.0.2.7;for=192.0.2.8")], "RFC 7239"),
        (&[("forwarded", "for=\"192.0.2.7")], "RFC 7239"),
        (&[("forwarded", "192.0.2.7")], "RFC 7239"),
        (&[("forwarded", "for = 192.0.2.7")], "RFC 7239"),
        (&[("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "192.0.2.8")], "different callers"),
        // The caller sends a header that the proxy does not know, and passes on.
        (&[("forwarded", "for=192.0.2.7;host=forged.example"), ("x-forwarded-for", "192.0.2.7")], "different callers"),
    ] {
        let error = read("10.0.0.1", headers).map(|origin| describe(&origin)).unwrap_err();
        assert!(error.contains(word), "{headers:?}: {error}");
    }
}

/// Commands with secrets are sent only if every connection on the way is encrypted, or stays on its machine.
#[test]
fn every_connection_must_be_encrypted() {
    let network: Network = "0.0.0.0/0".parse().unwrap();
    for (own_tls, peer, proto, caller, expected) in [
        (false, "127.0.0.1", "https", "192.0.2.7", true),
        (false, "127.0.0.1", "http", "192.0.2.7", false),
        (false, "127.0.0.1", "http", "127.0.0.1", true),
        (false, "10.0.0.1", "https", "192.0.2.7", false),
        (true, "10.0.0.1", "https", "192.0.2.7", true),
        (true, "10.0.0.1", "http", "192.0.2.7", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", caller.parse().unwrap());
        headers.insert("x-forwarded-proto", proto.parse().unwrap());
        let peer = SocketAddr::new(peer.parse::<IpAddr>().unwrap(), 1);
        let origin = OriginReader::new(&[network], own_tls).read(peer, Version::HTTP_11, &headers).unwrap();
        assert_eq!(origin.is_encrypted, expected, "{own_tls} {peer} {proto} {caller}");
    }
}

#[test]
fn signs_of_a_proxy() {
    for (version, header, expected) in [
        (Version::HTTP_11, "accept", false),
        (Version::HTTP_11, "x-forwarded-for", true),
        (Version::HTTP_11, "x-forwarded-port", true),
        (Version::HTTP_11, "x-real-ip", true),
        (Version::HTTP_11, "via", true),
        (Version::HTTP_11, "forwarded", true),
        // nginx without further configuration.
        (Version::HTTP_10, "accept", true),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header, "x".parse().unwrap());
        let origin = OriginReader::new(&[], false).read(SocketAddr::from(([127, 0, 0, 1], 1)), version, &headers);
        assert_eq!(origin.unwrap().is_proxied, expected, "{version:?} {header}");
    }
}
