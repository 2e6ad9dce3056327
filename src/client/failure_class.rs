//! Why a request failed, by class.

use std::error::Error;
use std::io;

use super::address_guard::ForbiddenAddress;
use super::resolver::ResolveError;

/// The class of a network failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The name has no address.
    Dns,
    /// The address is forbidden by the [`AddressGuard`](super::AddressGuard).
    Forbidden,
    /// The connection was refused.
    Refused,
    /// The connection was closed or reset before the response was complete.
    Reset,
    /// TLS failed, or the certificate is not trusted.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The response is too long.
    TooLong,
    /// Another failure: no route, or not HTTP.
    Network,
}

/// The class of an error, and the message of its innermost cause. Outer messages repeat the URL, which may contain a
/// password.
pub fn classify_reqwest(error: &reqwest::Error) -> (FailureClass, String) {
    match (error.is_timeout(), classify(error.source())) {
        (true, (_, words)) => (FailureClass::Timeout, words),
        (false, classified) => classified,
    }
}

/// The class of a chain of causes, and the message of the innermost cause.
pub(super) fn classify(mut next: Option<&(dyn Error + 'static)>) -> (FailureClass, String) {
    let (mut class, mut words) = (None, None);
    while let Some(error) = next {
        class = classify_cause(error).or(class);
        words = Some(error.to_string());
        // The inner error of an `io::Error` is not its `source`.
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    (class.unwrap_or(FailureClass::Network), words.unwrap_or_else(|| "the reason is unknown".to_owned()))
}

/// The class that one error of the chain indicates, if any.
fn classify_cause(error: &(dyn Error + 'static)) -> Option<FailureClass> {
    if error.is::<ForbiddenAddress>() {
        return Some(FailureClass::Forbidden);
    }
    if error.is::<ResolveError>() {
        return Some(FailureClass::Dns);
    }
    if error.is::<rustls::Error>() {
        return Some(FailureClass::Tls);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_parse_too_large() {
            return Some(FailureClass::TooLong);
        }
        // A connection that closes before anything is sent counts as reset too.
        let is_broken = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        return is_broken.then_some(FailureClass::Reset);
    }
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof};
    let kind = error.downcast_ref::<io::Error>()?.kind();
    let broken = [ConnectionReset, ConnectionAborted, BrokenPipe, UnexpectedEof];
    let known = [(ConnectionRefused, FailureClass::Refused), (TimedOut, FailureClass::Timeout)];
    let known =
        broken.map(|kind| (kind, FailureClass::Reset)).into_iter().chain(known).find(|(known, _)| *known == kind);
    known.map(|(_, class)| class)
}
