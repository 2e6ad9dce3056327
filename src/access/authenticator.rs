//! Authenticates requests. Rejects requests above the rate limit. Delays the response to a wrong key; other requests
//! do not wait for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::console_sessions::ConsoleSessions;
use super::rate_limit::{RateLimiter, RateSubject};
use super::{ApiKeys, AuthContext, AuthError, TenantToken, client_address};
use crate::clock;
use crate::limits::{FAILED_KEY_DELAY, FAILED_KEY_DELAY_MAX, FAILED_KEYS_ADDRESSES, FAILED_KEYS_MEMORY};
use crate::vault;

/// Authenticates requests by key, token or session. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    keys: ApiKeys,
    failures: Arc<DashMap<IpAddr, AddressFailures>>,
    rate_limiter: Arc<RateLimiter>,
    sessions: ConsoleSessions,
}

/// The credentials of a request.
#[derive(Clone, Copy)]
pub enum Credentials<'h> {
    /// No credentials.
    Anonymous,
    /// The text of an API key.
    ApiKey(&'h str),
    /// The token of a tenant.
    TenantToken(TenantToken<'h>),
    /// A console session.
    Session {
        /// The text in the cookie.
        text: &'h str,
        /// Whether a person made the request, which extends the session. False when a page refreshes itself.
        is_use: bool,
    },
}

/// The wrong keys and tokens from one address.
#[derive(Clone, Copy)]
struct AddressFailures {
    count: u32,
    last: Instant,
}

impl Authenticator {
    /// An authenticator for these keys. It accepts `per_second` requests a second for each key, and from each
    /// address for requests without a valid key.
    pub fn new(keys: ApiKeys, per_second: usize) -> Authenticator {
        Authenticator {
            keys,
            failures: Arc::default(),
            rate_limiter: Arc::new(RateLimiter::new(per_second)),
            sessions: ConsoleSessions::default(),
        }
    }

    /// The API keys.
    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// Counts a request against the rate limit of its address. Use it for requests that a signature authenticates.
    pub fn check_rate(&self, from: IpAddr) -> Result<(), AuthError> {
        let acquired = self.rate_limiter.acquire(RateSubject::Address(client_address(from)), Instant::now());
        acquired.map_err(|wait| AuthError::RateLimited { wait })
    }

    /// Authenticates a request from the address `from`. The response to a wrong key or token is delayed.
    pub async fn authenticate(&self, credentials: Credentials<'_>, from: IpAddr) -> Result<AuthContext, AuthError> {
        let now = Instant::now();
        let context = match credentials {
            Credentials::Anonymous => self.keys.authenticate_key(None, clock::trusted()),
            Credentials::ApiKey(key) => self.keys.authenticate_key(Some(key), clock::trusted()),
            Credentials::TenantToken(token) => self.keys.authenticate_token(token, clock::now(), clock::trusted()),
            // An old cookie, or one of another service on this machine, does not matter while no key exists.
            Credentials::Session { .. } if self.keys.allows_anonymous() => Ok(AuthContext::ANONYMOUS),
            Credentials::Session { text, is_use } => {
                self.sessions.find(text, is_use, now).map_or(Err(AuthError::SignedOut), |(key_id, end)| {
                    match self.keys.authenticate_id(key_id, clock::trusted()) {
                        Ok(context) => Ok(AuthContext { session: Some(end), ..context }),
                        Err(_) => Err(AuthError::SignedOut),
                    }
                })
            }
        };
        // A good key is counted alone. Otherwise strangers at its address, such as behind one proxy, use up its requests.
        let subject = match &context {
            Ok(context) if context.key_id() > 0 => RateSubject::Key(context.key_id()),
            Ok(_) | Err(_) => RateSubject::Address(client_address(from)),
        };
        self.rate_limiter.acquire(subject, now).map_err(|wait| AuthError::RateLimited { wait })?;
        match &context {
            Err(error) if error.delays_response() => {
                let (count, wait) = self.record_failure(client_address(from));
                tracing::warn!(%from, count, denied = %error, "an API key or a token was rejected");
                sleep(wait).await;
            }
            Err(error) => tracing::debug!(%from, denied = %error, "a request was rejected"),
            Ok(_) => {}
        }
        context
    }

    /// Begins a session for an authenticated key. Returns the text for the cookie.
    pub fn sign_in(&self, context: &AuthContext) -> Result<Zeroizing<String>, vault::Error> {
        self.sessions.sign_in(context.key_id(), Instant::now())
    }

    /// Ends a session.
    pub fn sign_out(&self, session: &str) {
        self.sessions.sign_out(session);
    }

    /// Counts a rejection in the metrics.
    pub fn count_error(&self, error: AuthError) {
        self.keys.count_error(error);
    }

    /// Counts a wrong key or token from a client address. Returns the number of recent ones, and the delay of the response.
    fn record_failure(&self, from: IpAddr) -> (u32, Duration) {
        let now = Instant::now();
        let is_recent = |failures: &AddressFailures| now - failures.last < FAILED_KEYS_MEMORY;
        if self.failures.len() >= FAILED_KEYS_ADDRESSES {
            self.failures.retain(|_, failures| is_recent(failures));
        }
        if self.failures.len() >= FAILED_KEYS_ADDRESSES {
            // Failures from this many addresses are an attack: use the longest delay.
            return (0, FAILED_KEY_DELAY_MAX);
        }
        let mut failures = self.failures.entry(from).or_insert(AddressFailures { count: 0, last: now });
        failures.count = if is_recent(&failures) { failures.count.saturating_add(1) } else { 1 };
        failures.last = now;
        (failures.count, FAILED_KEY_DELAY.saturating_mul(failures.count).min(FAILED_KEY_DELAY_MAX))
    }
}
