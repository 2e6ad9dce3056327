//! Authentication and authorization: who makes a request, and what they may do.
//!
//! | file | contents |
//! |---|---|
//! | `client_address` | the address by which a client is counted: its IPv4 address or its IPv6 network. Pure |
//! | `authenticator` | authenticates requests; limits their rate, and delays the responses to wrong keys |
//! | `key_text` | formats and parses the text of an API key. Pure |
//! | `tenant_token` | checks the token that a tenant makes for each request. Pure |
//! | `rate_limit` | limits the requests per second of each key and each address. Pure |
//! | `api_keys` | the API keys: create, revoke, authenticate |
//! | `key_request` | a request for a new key, its validation, and the errors of keys |
//! | `expiry` | remembers expired keys, so that they stay expired when the clock is set back |
//! | `requester` | authorizes a requester again, right before the action |
//! | `console_sessions` | the sessions of browsers that are signed in to the console |
//! | `key_view` | API keys as the API returns them |
//! | `fuzz` | fuzz targets of the parsers; only tests compile it |
//!
//! In this module a key is an API key. It is stored as administrative events in the journal, with only a hash of its
//! secret. A tenant's key has no text: the tenant sends tokens instead, and the vault holds the secret that makes them.
//! Until the first key is created, requests without a key are allowed, and the service listens on loopback only.

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

pub use api_keys::ApiKeys;
pub use authenticator::{Authenticator, Credentials};
pub use client_address::client_address;
pub use key_request::{KeyError, KeyRequest};
pub use key_view::{CreatedKey, KeyView};
pub use requester::{Authorization, Requester};
pub use tenant_token::TenantToken;

use console_sessions::SessionExpiry;

use crate::domain::{AccountNumber, Grant, Permission, Role};
use crate::limits::TOKEN_WINDOW;
use crate::metrics::AuthFailure;

/// Who an authenticated requester is, and what it may do. Cheap to clone.
#[derive(Clone)]
pub struct AuthContext {
    /// The end of the console session, if the requester used one.
    session: Option<SessionExpiry>,
    identity: AuthIdentity,
}

/// The identity of an authenticated requester.
#[derive(Clone)]
enum AuthIdentity {
    /// Someone with access to the data directory.
    Owner,
    /// Any requester, until the first key is created.
    Anonymous,
    /// The holder of an API key with this grant.
    Key(Arc<Grant>),
}

/// Why a request is not authenticated or not authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The request comes from another site's web page, or is for another host. This matters while no key exists, and
    /// for forms of the console.
    #[error(
        "the request comes from another site's web page, or is for another host; use the console's own pages, or send \
         an API key. While there are no keys, programs can use localhost; `muster keys create` creates one"
    )]
    ForeignOrigin,
    /// A reverse proxy passed the request on. This matters while no key exists, because everyone who reaches the proxy
    /// would be taken for somebody on this machine.
    #[error(
        "the request came through a reverse proxy, and there is no API key yet, so everyone who reaches the proxy could \
         do everything; create the first key on this machine with `muster keys create --name admin --role admin`, and \
         send it with each request"
    )]
    Proxied,
    /// The request has no key.
    #[error("an API key is missing; send it as Authorization: Bearer muster_…, or as X-API-Key")]
    MissingKey,
    /// No key with this text was ever created.
    #[error("this API key is unknown here; ask the administrator for one")]
    UnknownKey,
    /// The key was revoked.
    #[error("this API key was revoked; ask the administrator for another")]
    Revoked,
    /// The key has expired.
    #[error("this API key has expired; ask the administrator for another")]
    Expired,
    /// The session has ended.
    #[error("you are signed out; sign in with an API key")]
    SignedOut,
    /// The endpoint does not accept tenant tokens.
    #[error(
        "tenant_id, timestamp and token are for the six documented endpoints only; send an API key here, as \
         Authorization: Bearer muster_…, or as X-API-Key"
    )]
    TokenNotAccepted,
    /// The token has no `tenant_id`.
    #[error("the header tenant_id is missing; send the tenant's id with token and timestamp")]
    MissingTenant,
    /// The token has no `timestamp`.
    #[error("the header timestamp is missing; send the Unix time in milliseconds that the token contains")]
    MissingTimestamp,
    /// `tenant_id` or `timestamp` came without `token`.
    #[error("the header token is missing; send the MD5 of tenant_id, timestamp and secret in lower-case hex digits")]
    MissingToken,
    /// The `timestamp` is not a number.
    #[error("the header timestamp is malformed; it must be the Unix time in milliseconds, digits only")]
    MalformedTimestamp,
    /// The `timestamp` is too far in the past or future.
    #[error(
        "the header timestamp is more than {} min from now; make a token for each request from the current \
         milliseconds, and correct the clock", TOKEN_WINDOW.as_secs() / 60
    )]
    StaleTimestamp,
    /// The token was not made with the tenant's secret, or the tenant does not exist.
    #[error(
        "the header token is wrong; it must be the MD5 of tenant_id, timestamp and secret in lower-case hex digits"
    )]
    WrongToken,
    /// The tenant's key has expired.
    #[error("the key of this tenant has expired; ask the administrator for another")]
    TenantExpired,
    /// Too many requests with one key, or from one address.
    #[error("too many requests; send fewer a second, with more accounts in each")]
    RateLimited {
        /// The time until the next request is accepted.
        wait: Duration,
    },
    /// The role of the key does not allow this.
    #[error("an API key with the role {} lacks the permission; use one with the role \
        {}", .role.name(), .required.allowed_roles())]
    WrongRole {
        /// The role of the key.
        role: Role,
        /// The required permission.
        required: Permission,
    },
    /// The key covers only some accounts, and the request is about all.
    #[error("this API key is limited to some accounts, and the request is about all; request one account")]
    BoundKey,
    /// The key does not cover the account.
    #[error("{account} is not among the accounts of this API key")]
    OtherAccount {
        /// The account of the request.
        account: AccountNumber,
    },
}

impl AuthError {
    /// The HTTP status.
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
            | AuthError::Proxied
            | AuthError::WrongRole { .. }
            | AuthError::BoundKey
            | AuthError::OtherAccount { .. } => 403,
            AuthError::RateLimited { .. } => 429,
        }
    }

    /// The code in the body: the contract's code if the contract defines one for the error, and otherwise the HTTP status.
    pub fn code(self) -> u16 {
        match self {
            AuthError::StaleTimestamp => 502,
            AuthError::MissingTimestamp => 518,
            AuthError::MalformedTimestamp => 519,
            AuthError::WrongToken | AuthError::TenantExpired => 522,
            AuthError::MissingTenant => 523,
            AuthError::MissingToken => 525,
            AuthError::ForeignOrigin
            | AuthError::Proxied
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

    /// Whether the key or token was rejected. The response is then delayed, because the requester may be guessing.
    pub(crate) fn delays_response(self) -> bool {
        matches!(
            self,
            AuthError::UnknownKey
                | AuthError::Revoked
                | AuthError::Expired
                | AuthError::WrongToken
                | AuthError::TenantExpired
        )
    }

    /// The reason label in the metrics. `None` if the authorization failed, or the rate was too high.
    pub(crate) fn metric_reason(self) -> Option<AuthFailure> {
        match self {
            AuthError::ForeignOrigin => Some(AuthFailure::Foreign),
            AuthError::Proxied => Some(AuthFailure::Proxied),
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

    /// The value of `Retry-After` in seconds; `None` if waiting does not help.
    pub fn retry_after(self) -> Option<u64> {
        if let AuthError::RateLimited { wait } = self { Some(wait.as_secs() + 1) } else { None }
    }
}

impl AuthContext {
    /// The context of someone with access to the data directory, who may do everything.
    pub const OWNER: AuthContext = AuthContext { session: None, identity: AuthIdentity::Owner };
    /// The context of a requester without a key.
    pub const ANONYMOUS: AuthContext = AuthContext { session: None, identity: AuthIdentity::Anonymous };

    /// The grant of the requester's key, if it has one.
    fn grant(&self) -> Option<&Arc<Grant>> {
        match &self.identity {
            AuthIdentity::Owner | AuthIdentity::Anonymous => None,
            AuthIdentity::Key(grant) => Some(grant),
        }
    }

    /// The number of the requester's key; 0 without a key.
    pub fn key_id(&self) -> u64 {
        self.grant().map_or(0, |grant| grant.id)
    }

    /// The name and role of the requester's key, if it has one.
    pub fn key_name_and_role(&self) -> Option<(&str, Role)> {
        self.grant().map(|grant| (grant.name.as_str(), grant.role))
    }

    /// Fails if the role of the key lacks the permission. Succeeds without a key.
    pub fn require(&self, required: Permission) -> Result<(), AuthError> {
        match self.grant() {
            Some(grant) if !grant.role.has_permission(required) => {
                Err(AuthError::WrongRole { role: grant.role, required })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Fails if the key does not cover this account.
    pub fn require_account(&self, account: AccountNumber) -> Result<(), AuthError> {
        if self.may_access(account) { Ok(()) } else { Err(AuthError::OtherAccount { account }) }
    }

    /// Fails if the key covers only some accounts.
    pub fn require_all_accounts(&self) -> Result<(), AuthError> {
        if self.account_prefixes().is_empty() { Ok(()) } else { Err(AuthError::BoundKey) }
    }

    /// Whether the key covers this account.
    pub fn may_access(&self, account: AccountNumber) -> bool {
        self.grant().is_none_or(|grant| grant.covers(account))
    }

    /// The number prefixes of the accounts that the key covers; empty if it covers all.
    pub fn account_prefixes(&self) -> &[String] {
        self.grant().map_or(&[], |grant| &grant.accounts)
    }
}
