//! Who is asking, and whether they may.
//!
//! | file | what it knows |
//! |---|---|
//! | `client_address` | whose an address is, as far as clients are counted by it. Pure |
//! | `authenticator` | who comes in, and how fast those are answered who guess |
//! | `key_text` | a key as text, which is shown once. Pure |
//! | `tenant_token` | the token of a tenant, which is made anew for each request. Pure |
//! | `rate_limit` | how many requests one key, or one address, may make a second. Pure |
//! | `api_keys` | the keys that there are: given, taken away, checked |
//! | `key_request` | what a new key is to be for, and the rules for it |
//! | `expiry` | which keys have expired, for good |
//! | `requester` | whether somebody who was let in may still do it, right before it is done |
//! | `console_sessions` | who is signed in with a browser |
//! | `key_view` | keys as others see them |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Keys are acts in the journal, as all that is done to the service itself; what proves a key is there as a hash only.
//! A tenant's key has no text: its tokens show it, and the secret that they are made with is in the vault.
//! As long as none was ever given everybody may do everything, and the service answers on loopback only.

mod api_keys;
mod authenticator;
mod client_address;
mod console_sessions;
mod expiry;
mod key_request;
mod key_text;
mod key_view;
mod rate_limit;
mod requester;
mod tenant_token;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use api_keys::{ApiKeys, KeyError};
pub use authenticator::{Authenticator, Credentials};
pub use client_address::client_address;
pub use key_request::KeyRequest;
pub use key_view::{CreatedKey, KeyView};
pub use requester::{Authorization, Requester};
pub use tenant_token::TenantToken;

use console_sessions::SessionExpiry;

use crate::domain::{AccountNumber, Grant, Permission, Role};
use crate::limits::TOKEN_WINDOW;
use crate::metrics::AuthFailure;

/// Who is let in: what their key was given for. Cheap to clone.
#[derive(Clone)]
pub struct AuthContext {
    /// The session that they were let in by, if it was one.
    session: Option<SessionExpiry>,
    identity: AuthIdentity,
}

/// What somebody was let in for.
#[derive(Clone)]
enum AuthIdentity {
    /// They have the data directory itself.
    Owner,
    /// No key was ever given.
    Anonymous,
    /// Their key, which was given for this.
    Key(Arc<Grant>),
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no key yet, and a web page asks.
    #[error(
        "this comes from a web page elsewhere, or is for another host; use the console's own pages, or ask as a program: with an \
         API key, or, as long as there is none, on localhost; `muster keys create` makes one"
    )]
    ForeignOrigin,
    /// There is no key in the request.
    #[error("an API key is missing; send it as Authorization: Bearer muster_…, or as X-API-Key")]
    MissingKey,
    /// There never was such a key.
    #[error("this is no API key of this service; ask its administrator for one")]
    UnknownKey,
    /// It was taken away.
    #[error("this API key was revoked; ask the administrator for another")]
    Revoked,
    /// It is over.
    #[error("this API key has expired; ask the administrator for another")]
    Expired,
    /// Nobody is signed in so, any more.
    #[error("you are signed out; sign in with an API key")]
    SignedOut,
    /// The headers of a token are shown where they open nothing.
    #[error(
        "tenant_id, timestamp and token open the six documented endpoints alone; send an API key here, as \
         Authorization: Bearer muster_…, or as X-API-Key"
    )]
    TokenNotAccepted,
    /// A token is shown without its tenant.
    #[error("the header tenant_id is missing; send the tenant's id with token and timestamp")]
    MissingTenant,
    /// A token is shown without its time.
    #[error("the header timestamp is missing; send the Unix time in milliseconds that the token is made with")]
    MissingTimestamp,
    /// No token is shown with its tenant or time.
    #[error("the header token is missing; send the MD5 of tenant_id, timestamp and secret in lower-case hex digits")]
    MissingToken,
    /// The time of a token is none.
    #[error("the header timestamp is malformed; it must be the Unix time in milliseconds, digits only")]
    MalformedTimestamp,
    /// The time of a token is long ago, or yet to come.
    #[error(
        "the header timestamp is more than {} min from now; make a token for each request, from milliseconds, and set the \
         clock", TOKEN_WINDOW.as_secs() / 60
    )]
    StaleTimestamp,
    /// The token is not what the tenant's secret gives, or there is no such tenant.
    #[error(
        "the header token is wrong; it must be the MD5 of tenant_id, timestamp and secret in lower-case hex digits"
    )]
    WrongToken,
    /// The key of the tenant is over.
    #[error("the key of this tenant has expired; ask the administrator for another")]
    TenantExpired,
    /// Too many requests of one key, or from one address.
    #[error("too many requests; send fewer a second, with more accounts in each")]
    RateLimited {
        /// After how long the next one is taken.
        wait: Duration,
    },
    /// It is for something else.
    #[error("an API key of the role {} does not do this; it takes one of the role {}", .role.name(), .need.allowed_roles())]
    WrongRole {
        /// Its role.
        role: Role,
        /// What is needed.
        need: Permission,
    },
    /// It is bound to some accounts, and this is about others too.
    #[error("this API key is bound to some accounts, and this is about all; ask for one account")]
    BoundKey,
    /// It is bound to other accounts.
    #[error("{account} is none of the accounts that this API key is bound to")]
    OtherAccount {
        /// Which account.
        account: AccountNumber,
    },
}

impl AuthError {
    /// The status of HTTP for it.
    pub fn status(self) -> u16 {
        match self {
            AuthError::MissingKey
            | AuthError::UnknownKey
            | AuthError::Revoked
            | AuthError::Expired
            | AuthError::SignedOut
            | AuthError::TokenNotAccepted
            | AuthError::MissingTenant
            | AuthError::MissingTimestamp
            | AuthError::MissingToken
            | AuthError::MalformedTimestamp
            | AuthError::StaleTimestamp
            | AuthError::WrongToken
            | AuthError::TenantExpired => 401,
            AuthError::ForeignOrigin
            | AuthError::WrongRole { .. }
            | AuthError::BoundKey
            | AuthError::OtherAccount { .. } => 403,
            AuthError::RateLimited { .. } => 429,
        }
    }

    /// The contract's code for it: that of HTTP, or of the family for a token.
    pub fn code(self) -> u16 {
        match self {
            AuthError::StaleTimestamp => 502,
            AuthError::MissingTimestamp => 518,
            AuthError::MalformedTimestamp => 519,
            AuthError::WrongToken | AuthError::TenantExpired => 522,
            AuthError::MissingTenant => 523,
            AuthError::MissingToken => 525,
            AuthError::ForeignOrigin
            | AuthError::MissingKey
            | AuthError::UnknownKey
            | AuthError::Revoked
            | AuthError::Expired
            | AuthError::SignedOut
            | AuthError::TokenNotAccepted
            | AuthError::RateLimited { .. }
            | AuthError::WrongRole { .. }
            | AuthError::BoundKey
            | AuthError::OtherAccount { .. } => self.status(),
        }
    }

    /// Whether whoever is refused so may have guessed.
    pub(crate) fn is_guess(self) -> bool {
        matches!(
            self,
            AuthError::UnknownKey
                | AuthError::Revoked
                | AuthError::Expired
                | AuthError::WrongToken
                | AuthError::TenantExpired
        )
    }

    /// What it is counted as, where it is about who asks and not about what they ask.
    pub(crate) fn metric_reason(self) -> Option<AuthFailure> {
        match self {
            AuthError::ForeignOrigin => Some(AuthFailure::Foreign),
            AuthError::MissingKey | AuthError::TokenNotAccepted => Some(AuthFailure::Missing),
            AuthError::UnknownKey => Some(AuthFailure::Unknown),
            AuthError::Revoked => Some(AuthFailure::Revoked),
            AuthError::Expired => Some(AuthFailure::Expired),
            AuthError::SignedOut => Some(AuthFailure::SignedOut),
            AuthError::MissingTenant => Some(AuthFailure::NoTenant),
            AuthError::MissingTimestamp => Some(AuthFailure::NoTimestamp),
            AuthError::MissingToken => Some(AuthFailure::NoToken),
            AuthError::MalformedTimestamp => Some(AuthFailure::MalformedTimestamp),
            AuthError::StaleTimestamp => Some(AuthFailure::OldTimestamp),
            AuthError::WrongToken => Some(AuthFailure::WrongToken),
            AuthError::TenantExpired => Some(AuthFailure::TenantExpired),
            AuthError::RateLimited { .. }
            | AuthError::WrongRole { .. }
            | AuthError::BoundKey
            | AuthError::OtherAccount { .. } => None,
        }
    }

    /// After how many seconds the same request may be let in, if it may be.
    pub fn retry_after(self) -> Option<u64> {
        if let AuthError::RateLimited { wait } = self { Some(wait.as_secs() + 1) } else { None }
    }
}

impl AuthContext {
    /// That of somebody who has the data directory, and so may do everything.
    pub const OWNER: AuthContext = AuthContext { session: None, identity: AuthIdentity::Owner };
    /// That of anybody while no key was ever given: it is over once one is.
    pub const ANONYMOUS: AuthContext = AuthContext { session: None, identity: AuthIdentity::Anonymous };

    /// What the key was given for, if there is one.
    fn grant(&self) -> Option<&Arc<Grant>> {
        match &self.identity {
            AuthIdentity::Owner | AuthIdentity::Anonymous => None,
            AuthIdentity::Key(grant) => Some(grant),
        }
    }

    /// The number of the key; 0 for none.
    pub fn key_id(&self) -> u64 {
        self.grant().map_or(0, |grant| grant.id)
    }

    /// What people call the key, and what it is for; none if none is needed.
    pub fn key_name_and_role(&self) -> Option<(&str, Role)> {
        self.grant().map(|grant| (grant.name.as_str(), grant.role))
    }

    /// Lets nobody through whose key is not enough.
    pub fn require(&self, need: Permission) -> Result<(), AuthError> {
        match self.grant() {
            Some(grant) if !grant.role.has_permission(need) => Err(AuthError::WrongRole { role: grant.role, need }),
            Some(_) | None => Ok(()),
        }
    }

    /// Lets nobody through whose key is bound to other accounts.
    pub fn require_account(&self, account: AccountNumber) -> Result<(), AuthError> {
        if self.may_access(account) { Ok(()) } else { Err(AuthError::OtherAccount { account }) }
    }

    /// Lets nobody through whose key is bound to some accounts.
    pub fn require_all_accounts(&self) -> Result<(), AuthError> {
        if self.account_prefixes().is_empty() { Ok(()) } else { Err(AuthError::BoundKey) }
    }

    /// Whether the key is for this account too.
    pub fn may_access(&self, account: AccountNumber) -> bool {
        self.grant().is_none_or(|grant| grant.covers(account))
    }

    /// The first digits of the accounts that the key is bound to; none if it is for all.
    pub fn account_prefixes(&self) -> &[String] {
        self.grant().map_or(&[], |grant| &grant.accounts)
    }
}
