//! Authenticates requests. Too many requests are rejected, wrong keys are answered late; others never wait for them.

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
        /// Whether a person acts. A page that refreshes itself does not extend the session.
        is_use: bool,
    },
}

/// The failed attempts from one address.
#[derive(Clone, Copy)]
struct AddressFailures {
    count: u32,
    last: Instant,
}

impl Authenticator {
    /// An authenticator for these keys. It accepts `per_second` requests a second for each key and each address.
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

    /// Counts a request against the limit of its address. For requests without these credentials, such as signed webhooks.
    pub fn check_rate(&self, from: IpAddr) -> Result<(), AuthError> {
        let acquired = self.rate_limiter.acquire(RateSubject::Address(client_address(from)), Instant::now());
        acquired.map_err(|wait| AuthError::RateLimited { wait })
    }

    /// Authenticates a request from the address `from`. A wrong key or token is answered with a delay.
    pub async fn authenticate(&self, credentials: Credentials<'_>, from: IpAddr) -> Result<AuthContext, AuthError> {
        let now = Instant::now();
        let too_many = |wait| AuthError::RateLimited { wait };
        self.rate_limiter.acquire(RateSubject::Address(client_address(from)), now).map_err(too_many)?;
        let context = match credentials {
            Credentials::Anonymous => self.keys.authenticate_key(None, clock::trusted()),
            Credentials::ApiKey(key) => self.keys.authenticate_key(Some(key), clock::trusted()),
            Credentials::TenantToken(token) => self.keys.authenticate_token(token, clock::now(), clock::trusted()),
            // An old cookie, or one of another service on this machine, does not matter while no key exists.
            Credentials::Session { .. } if self.keys.allows_anonymous() => Ok(AuthContext::ANONYMOUS),
            Credentials::Session { text, is_use } => {
                self.sessions.find(text, is_use, now).map_or(Err(AuthError::SignedOut), |(key, end)| {
                    match self.keys.authenticate_id(key, clock::trusted()) {
                        Ok(context) => Ok(AuthContext { session: Some(end), ..context }),
                        Err(_) => Err(AuthError::SignedOut),
                    }
                })
            }
        };
        match &context {
            Ok(context) if context.key_id() > 0 => {
                self.rate_limiter.acquire(RateSubject::Key(context.key_id()), now).map_err(too_many)?;
            }
            Err(denied) if denied.is_guess() => {
                let (count, wait) = self.record_failure(client_address(from));
                tracing::warn!(%from, count, %denied, "an API key or a token was rejected");
                sleep(wait).await;
            }
            Err(denied) => tracing::debug!(%from, %denied, "a request was rejected"),
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
    pub fn count_error(&self, denied: AuthError) {
        self.keys.count_error(denied);
    }

    /// Counts a wrong key from a client address. Returns the recent number of them and the delay of the response.
    fn record_failure(&self, from: IpAddr) -> (u32, Duration) {
        let now = Instant::now();
        let is_recent = |failed: &AddressFailures| now - failed.last < FAILED_KEYS_MEMORY;
        if self.failures.len() >= FAILED_KEYS_ADDRESSES {
            self.failures.retain(|_, failed| is_recent(failed));
        }
        if self.failures.len() >= FAILED_KEYS_ADDRESSES {
            // Failures from this many addresses are an attack: use the longest delay.
            return (0, FAILED_KEY_DELAY_MAX);
        }
        let mut failed = self.failures.entry(from).or_insert(AddressFailures { count: 0, last: now });
        failed.count = if is_recent(&failed) { failed.count.saturating_add(1) } else { 1 };
        failed.last = now;
        (failed.count, FAILED_KEY_DELAY.saturating_mul(failed.count).min(FAILED_KEY_DELAY_MAX))
    }
}
