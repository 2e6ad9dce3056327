//! `Forwarded` (RFC 7239) and `X-Forwarded-*`: what reverse proxies say about the caller. Pure.
//!
//! Each proxy appends what it sees, and the caller may have sent a header of its own. So the lists are read from the right,
//! as long as the proxy that added an entry is trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use warp::http::HeaderMap;
use warp::http::uri::Authority;

use crate::limits::FORWARDED_BYTES;

const FORWARDED: &str = "forwarded";
const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// The caller, as the trusted proxies describe it. `None` for what they do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForwardedCaller {
    /// The address.
    pub(super) address: Option<IpAddr>,
    /// Whether the caller uses TLS.
    pub(super) is_tls: Option<bool>,
    /// The host that the caller addresses, with its port.
    pub(super) host: Option<String>,
}

/// Why the headers of a trusted proxy cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardedError {
    /// A header has another form than its standard demands.
    #[error("the header {header}, which the reverse proxy sent, is malformed; {expected}")]
    Malformed {
        /// The header.
        header: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The values of a header have more than [`FORWARDED_BYTES`] together.
    #[error(
        "the header {header}, which the reverse proxy sent, has more than {FORWARDED_BYTES} bytes; configure the proxy \
         to replace it instead of appending to it"
    )]
    TooLong {
        /// The header.
        header: &'static str,
    },
    /// `Forwarded` and `X-Forwarded-*` contradict each other.
    #[error(
        "the headers Forwarded and X-Forwarded-* name different callers; configure the reverse proxy to set one kind and \
         to remove the other"
    )]
    Disagreement,
}

/// One entry of `Forwarded`.
#[derive(Default)]
struct ForwardedEntry {
    node: Option<String>,
    proto: Option<String>,
    host: Option<String>,
}

/// Reads the caller from the headers of a trusted proxy. `None` if it sent no such header.
pub(super) fn read_caller(
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Option<ForwardedCaller>, ForwardedError> {
    match (read_forwarded(headers, &is_trusted)?, read_x_forwarded(headers, &is_trusted)?) {
        (Some(one), Some(other)) if one != other => Err(ForwardedError::Disagreement),
        (one, other) => Ok(one.or(other)),
    }
}

fn read_forwarded(
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Option<ForwardedCaller>, ForwardedError> {
    let malformed = |expected| ForwardedError::Malformed { header: "Forwarded", expected };
    let Some(text) = header_list(headers, FORWARDED, "Forwarded")? else { return Ok(None) };
    let entries = parse_entries(&text)
        .ok_or_else(|| malformed("it must be a list as RFC 7239 defines it, such as for=192.0.2.7;proto=https"))?;
    let nodes = entries.iter().map(|entry| entry.node.as_deref().unwrap_or_default());
    let (distance, address) = find_caller(nodes, is_trusted)
        .ok_or_else(|| malformed("for must be an IP address in each entry of a trusted proxy"))?;
    let Some(entry) = entries.iter().rev().nth(distance) else { return Ok(None) };
    Ok(Some(ForwardedCaller {
        address: Some(address),
        is_tls: entry.proto.as_deref().map(|proto| parse_proto(proto, "Forwarded")).transpose()?,
        host: entry.host.as_deref().map(|host| parse_host(host, "Forwarded")).transpose()?,
    }))
}

fn read_x_forwarded(
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Option<ForwardedCaller>, ForwardedError> {
    let nodes = header_list(headers, X_FORWARDED_FOR, "X-Forwarded-For")?;
    let protos = header_list(headers, X_FORWARDED_PROTO, "X-Forwarded-Proto")?;
    let hosts = header_list(headers, X_FORWARDED_HOST, "X-Forwarded-Host")?;
    if nodes.is_none() && protos.is_none() && hosts.is_none() {
        return Ok(None);
    }
    let caller = nodes
        .map(|nodes| {
            let expected = "it must be a list of IP addresses, such as 192.0.2.7, 10.0.0.5";
            let malformed = ForwardedError::Malformed { header: "X-Forwarded-For", expected };
            find_caller(list_entries(&nodes), is_trusted).ok_or(malformed)
        })
        .transpose()?;
    let (distance, address) = caller.map_or((0, None), |(distance, address)| (distance, Some(address)));
    let proto = protos.as_deref().map(|list| pick_entry(list, distance, "X-Forwarded-Proto")).transpose()?;
    let host = hosts.as_deref().map(|list| pick_entry(list, distance, "X-Forwarded-Host")).transpose()?;
    Ok(Some(ForwardedCaller {
        address,
        is_tls: proto.map(|proto| parse_proto(proto, "X-Forwarded-Proto")).transpose()?,
        host: host.map(|host| parse_host(host, "X-Forwarded-Host")).transpose()?,
    }))
}

/// The first address from the right that is not trusted, with its distance from the right. If all are trusted, the caller
/// is itself in a trusted network: the leftmost address. `None` if an address on the way is malformed.
fn find_caller<'t>(
    nodes: impl DoubleEndedIterator<Item = &'t str>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Option<(usize, IpAddr)> {
    let mut caller = None;
    for (distance, node) in nodes.rev().enumerate() {
        let address = parse_node(node)?;
        caller = Some((distance, address));
        if !is_trusted(address) {
            break;
        }
    }
    caller
}

/// All values of a header as one list. `None` if it is missing or empty.
fn header_list(headers: &HeaderMap, name: &str, header: &'static str) -> Result<Option<String>, ForwardedError> {
    let mut list = String::new();
    for value in headers.get_all(name) {
        if list.len() + value.len() > FORWARDED_BYTES {
            return Err(ForwardedError::TooLong { header });
        }
        let expected = "it must be visible ASCII characters";
        let text = value.to_str().map_err(|_| ForwardedError::Malformed { header, expected })?;
        if !list.is_empty() {
            list.push(',');
        }
        list += text;
    }
    let is_empty = list_entries(&list).next().is_none();
    Ok((!is_empty).then_some(list))
}

fn list_entries(list: &str) -> impl DoubleEndedIterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// The entry of a list at the distance of the caller's address. A list with one entry holds for the whole way.
fn pick_entry<'l>(list: &'l str, distance: usize, header: &'static str) -> Result<&'l str, ForwardedError> {
    let entries: Vec<&str> = list_entries(list).rev().collect();
    let at = if entries.len() == 1 { 0 } else { distance };
    let expected = "it must have one entry, or one for each entry of X-Forwarded-For";
    entries.get(at).copied().ok_or(ForwardedError::Malformed { header, expected })
}

/// The address of a node: with or without a port; an IPv6 address may stand in brackets.
fn parse_node(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

fn parse_proto(text: &str, header: &'static str) -> Result<bool, ForwardedError> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Ok(true),
        "http" => Ok(false),
        _ => Err(ForwardedError::Malformed { header, expected: "the scheme must be http or https" }),
    }
}

fn parse_host(text: &str, header: &'static str) -> Result<String, ForwardedError> {
    let is_host = |host: &Authority| !host.host().is_empty() && !text.contains('@');
    let host = text.parse().ok().filter(is_host).map(|_: Authority| text.to_owned());
    host.ok_or(ForwardedError::Malformed {
        header,
        expected: "the host must be a name or an address, with a port or without",
    })
}

/// The entries of `Forwarded`. `None` if the list is malformed.
fn parse_entries(text: &str) -> Option<Vec<ForwardedEntry>> {
    let (mut entries, mut entry) = (Vec::new(), None::<ForwardedEntry>);
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix([',', ';']) {
            if rest.starts_with(',') {
                entries.extend(entry.take());
            }
            rest = after.trim_start();
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = parse_value(after)?;
        let (entry, mut ignored) = (entry.get_or_insert_default(), None);
        let field = match name.to_ascii_lowercase().as_str() {
            "for" => &mut entry.node,
            "proto" => &mut entry.proto,
            "host" => &mut entry.host,
            other if is_token(other) => &mut ignored,
            _ => return None,
        };
        if field.replace(value).is_some() {
            return None;
        }
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            return None;
        }
    }
    entries.extend(entry);
    Some(entries)
}

/// Whether a text is a token of HTTP.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A value at the beginning of `text`, quoted or not, and what follows it. Addresses with a port must be quoted, but some
/// proxies do not quote them.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', '"', ' ', '\t']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}
