//! Who comes in. Whoever asks too often, or shows keys that are none, waits; others never wait for them.

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

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    keys: ApiKeys,
    failures: Arc<DashMap<IpAddr, AddressFailures>>,
    rate_limiter: Arc<RateLimiter>,
    sessions: ConsoleSessions,
}

/// What somebody shows who wants to come in.
#[derive(Clone, Copy)]
pub enum Credentials<'h> {
    /// Nothing.
    Anonymous,
    /// The text of an API key.
    ApiKey(&'h str),
    /// The token of a tenant.
    TenantToken(TenantToken<'h>),
    /// The text of a session, and whether this is a use of it.
    Session {
        /// As the cookie has it.
        text: &'h str,
        /// Somebody does something; a page that keeps itself fresh is none.
        is_use: bool,
    },
}

/// Keys from one address that were none.
#[derive(Clone, Copy)]
struct AddressFailures {
    count: u32,
    last: Instant,
}

impl Authenticator {
    /// The way in for those who have one of the keys, so many requests a second for each key and each address.
    pub fn new(keys: ApiKeys, per_second: usize) -> Authenticator {
        Authenticator {
            keys,
            failures: Arc::default(),
            rate_limiter: Arc::new(RateLimiter::new(per_second)),
            sessions: ConsoleSessions::default(),
        }
    }

    /// The keys.
    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// Counts a request whose key is in it, and none of ours; an error if there are too many from its address.
    pub fn check_rate(&self, from: IpAddr) -> Result<(), AuthError> {
        let taken = self.rate_limiter.acquire(RateSubject::Address(client_address(from)), Instant::now());
        taken.map_err(|wait| AuthError::RateLimited { wait })
    }

    /// Lets somebody in who shows this.
    pub async fn authenticate(&self, shown: Credentials<'_>, from: IpAddr) -> Result<AuthContext, AuthError> {
        let now = Instant::now();
        let too_many = |wait| AuthError::RateLimited { wait };
        self.rate_limiter.acquire(RateSubject::Address(client_address(from)), now).map_err(too_many)?;
        let pass = match shown {
            Credentials::Anonymous => self.keys.authenticate_key(None, clock::trusted()),
            Credentials::ApiKey(key) => self.keys.authenticate_key(Some(key), clock::trusted()),
            Credentials::TenantToken(token) => self.keys.authenticate_token(token, clock::now(), clock::trusted()),
            // A cookie of another time, or of another service on this machine, keeps nobody out of what is open.
            Credentials::Session { .. } if self.keys.allows_anonymous() => Ok(AuthContext::ANONYMOUS),
            Credentials::Session { text, is_use } => {
                self.sessions.find(text, is_use, now).map_or(Err(AuthError::SignedOut), |(key, end)| {
                    match self.keys.authenticate_id(key, clock::trusted()) {
                        Ok(pass) => Ok(AuthContext { session: Some(end), ..pass }),
                        Err(_) => Err(AuthError::SignedOut),
                    }
                })
            }
        };
        match &pass {
            Ok(pass) if pass.key_id() > 0 => {
                self.rate_limiter.acquire(RateSubject::Key(pass.key_id()), now).map_err(too_many)?;
            }
            Err(denied) if denied.is_guess() => {
                let (count, wait) = self.record_failure(client_address(from));
                tracing::warn!(%from, count, %denied, "an API key or a token was refused");
                sleep(wait).await;
            }
            Err(denied) => tracing::debug!(%from, %denied, "somebody was not let in"),
            Ok(_) => {}
        }
        pass
    }

    /// Begins a session for somebody who was let in by a key.
    pub fn sign_in(&self, pass: &AuthContext) -> Result<Zeroizing<String>, vault::Error> {
        self.sessions.sign_in(pass.key_id(), Instant::now())
    }

    /// Ends a session.
    pub fn sign_out(&self, session: &str) {
        self.sessions.sign_out(session);
    }

    /// Counts somebody who was not let in.
    pub fn count_error(&self, denied: AuthError) {
        self.keys.count_error(denied);
    }

    /// One more key from this client's address that is none: how many there were of late, and how long the answer waits.
    fn record_failure(&self, from: IpAddr) -> (u32, Duration) {
        let now = Instant::now();
        let is_recent = |failed: &AddressFailures| now - failed.last < FAILED_KEYS_MEMORY;
        if self.failures.len() >= FAILED_KEYS_ADDRESSES {
            self.failures.retain(|_, failed| is_recent(failed));
        }
        if self.failures.len() >= FAILED_KEYS_ADDRESSES {
            // Nobody has so many addresses by chance.
            return (0, FAILED_KEY_DELAY_MAX);
        }
        let mut failed = self.failures.entry(from).or_insert(AddressFailures { count: 0, last: now });
        failed.count = if is_recent(&failed) { failed.count.saturating_add(1) } else { 1 };
        failed.last = now;
        (failed.count, FAILED_KEY_DELAY.saturating_mul(failed.count).min(FAILED_KEY_DELAY_MAX))
    }
}
