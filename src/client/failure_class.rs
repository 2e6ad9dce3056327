//! Why a request got no answer, by class.

use std::error::Error;
use std::io;

use super::address_guard::ForbiddenAddress;
use super::resolver::ResolveError;

/// What went wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The name has no address.
    Dns,
    /// The address may not be reached ([`Guard`](super::Guard)).
    Forbidden,
    /// Nobody listens there.
    Refused,
    /// The connection was closed or reset before the answer was whole.
    Reset,
    /// No TLS, or a certificate that is not to be trusted.
    Tls,
    /// Not in time.
    Timeout,
    /// The answer is longer than it may be.
    TooLong,
    /// Something else: no route, no HTTP.
    Network,
}

/// The class of an error, and its innermost words: the outer ones repeat the URL, which may hold a password.
pub fn classify_reqwest(error: &reqwest::Error) -> (FailureClass, String) {
    match (error.is_timeout(), classify(error.source())) {
        (true, (_, words)) => (FailureClass::Timeout, words),
        (false, classified) => classified,
    }
}

/// The class of a chain of causes, and the words of the innermost.
pub(super) fn classify(mut at: Option<&(dyn Error + 'static)>) -> (FailureClass, String) {
    let (mut class, mut words) = (None, None);
    while let Some(error) = at {
        class = classify_cause(error).or(class);
        words = Some(error.to_string());
        // What an IO error was made of is not its source.
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        at = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    (class.unwrap_or(FailureClass::Network), words.unwrap_or_else(|| "no reason is known".to_owned()))
}

/// What one link in the chain of causes says of the class.
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
        // One that was closed before anything was sent on it is no other case.
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
