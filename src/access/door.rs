//! Who comes in. Whoever asks too often, or shows keys that are none, waits; others never wait for them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::rate::{Rates, Who};
use super::sessions::Sessions;
use super::{Denied, Keys, Pass, Token, one_client};
use crate::clock;
use crate::limits::{FAILED_KEY_WAIT, FAILED_KEY_WAIT_MAX, FAILED_KEYS_ADDRESSES, FAILED_KEYS_FORGOTTEN};
use crate::vault;

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    keys: Keys,
    failed: Arc<DashMap<IpAddr, Failed>>,
    rates: Arc<Rates>,
    sessions: Sessions,
}

/// What somebody shows who wants to come in.
#[derive(Clone, Copy)]
pub enum Shown<'h> {
    /// Nothing.
    Nothing,
    /// The text of an API key.
    Key(&'h str),
    /// The token of a tenant.
    Token(Token<'h>),
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
struct Failed {
    count: u32,
    last: Instant,
}

impl Door {
    /// The way in for those who have one of the keys, so many requests a second for each key and each address.
    pub fn new(keys: Keys, per_second: usize) -> Door {
        Door { keys, failed: Arc::default(), rates: Arc::new(Rates::new(per_second)), sessions: Sessions::default() }
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Counts a request whose key is in it, and none of ours; an error if there are too many from its address.
    pub fn knock(&self, from: IpAddr) -> Result<(), Denied> {
        let taken = self.rates.take(Who::Address(one_client(from)), Instant::now());
        taken.map_err(|wait| Denied::TooMany { wait })
    }

    /// Lets somebody in who shows this.
    pub async fn enter(&self, shown: Shown<'_>, from: IpAddr) -> Result<Pass, Denied> {
        let now = Instant::now();
        let too_many = |wait| Denied::TooMany { wait };
        self.rates.take(Who::Address(one_client(from)), now).map_err(too_many)?;
        let pass = match shown {
            Shown::Nothing => self.keys.pass(None, clock::trusted()),
            Shown::Key(key) => self.keys.pass(Some(key), clock::trusted()),
            Shown::Token(token) => self.keys.pass_token(token, clock::now(), clock::trusted()),
            // A cookie of another time, or of another service on this machine, keeps nobody out of what is open.
            Shown::Session { .. } if self.keys.is_open() => Ok(Pass::ANONYMOUS),
            Shown::Session { text, is_use } => {
                self.sessions.key(text, is_use, now).map_or(Err(Denied::SignedOut), |(key, end)| {
                    match self.keys.pass_again(key, clock::trusted()) {
                        Ok(pass) => Ok(Pass { session: Some(end), ..pass }),
                        Err(_) => Err(Denied::SignedOut),
                    }
                })
            }
        };
        match &pass {
            Ok(pass) if pass.key() > 0 => self.rates.take(Who::Key(pass.key()), now).map_err(too_many)?,
            Err(denied) if denied.is_guess() => {
                let (count, wait) = self.failed(one_client(from));
                tracing::warn!(%from, count, %denied, "an API key or a token was refused");
                sleep(wait).await;
            }
            Err(denied) => tracing::debug!(%from, %denied, "somebody was not let in"),
            Ok(_) => {}
        }
        pass
    }

    /// Begins a session for somebody who was let in by a key.
    pub fn sign_in(&self, pass: &Pass) -> Result<Zeroizing<String>, vault::Error> {
        self.sessions.begin(pass.key(), Instant::now())
    }

    /// Ends a session.
    pub fn sign_out(&self, session: &str) {
        self.sessions.end(session);
    }

    /// Counts somebody who was not let in.
    pub fn count(&self, denied: Denied) {
        self.keys.count(denied);
    }

    /// One more key from this client's address that is none: how many there were of late, and how long the answer waits.
    fn failed(&self, from: IpAddr) -> (u32, Duration) {
        let now = Instant::now();
        let is_recent = |failed: &Failed| now - failed.last < FAILED_KEYS_FORGOTTEN;
        if self.failed.len() >= FAILED_KEYS_ADDRESSES {
            self.failed.retain(|_, failed| is_recent(failed));
        }
        if self.failed.len() >= FAILED_KEYS_ADDRESSES {
            // Nobody has so many addresses by chance.
            return (0, FAILED_KEY_WAIT_MAX);
        }
        let mut failed = self.failed.entry(from).or_insert(Failed { count: 0, last: now });
        failed.count = if is_recent(&failed) { failed.count.saturating_add(1) } else { 1 };
        failed.last = now;
        (failed.count, FAILED_KEY_WAIT.saturating_mul(failed.count).min(FAILED_KEY_WAIT_MAX))
    }
}
