//! Who is asking, and whether they may.
//!
//! | file | what it knows |
//! |---|---|
//! | `address` | whose an address is, as far as clients are counted by it. Pure |
//! | `door` | who comes in, and how fast those are answered who guess |
//! | `text` | a key as text, which is shown once. Pure |
//! | `token` | the token of a tenant, which is made anew for each request. Pure |
//! | `rate` | how many requests one key, or one address, may make a second. Pure |
//! | `keys` | the keys that there are: given, taken away, checked |
//! | `expiry` | which keys have expired, for good |
//! | `requester` | whether somebody who was let in may still do it, right before it is done |
//! | `sessions` | who is signed in with a browser |
//! | `shown` | keys as others see them |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Keys are acts in the journal, as all that is done to the service itself; what proves a key is there as a hash only.
//! A tenant's key has no text: its tokens show it, and the secret that they are made with is in the vault.
//! As long as none was ever given everybody may do everything, and the service answers on loopback only.

mod address;
mod door;
mod expiry;
mod keys;
mod rate;
mod requester;
mod sessions;
mod shown;
mod text;
mod token;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use address::one_client;
pub use door::{Door, Shown};
pub use keys::{Keys, Refused, Wanted};
pub use requester::{Authorized, Requester};
pub use shown::{Made, Shown as ShownKey};
pub use token::Token;

use sessions::SessionEnd;

use crate::domain::{AccountNumber, Grant, Need, Role};
use crate::limits::TOKEN_WINDOW;
use crate::metrics::AuthFailure;

/// Who is let in: what their key was given for. Cheap to clone.
#[derive(Clone)]
pub struct Pass {
    /// The session that they were let in by, if it was one.
    session: Option<SessionEnd>,
    holder: Holder,
}

/// What somebody was let in for.
#[derive(Clone)]
enum Holder {
    /// They have the data directory itself.
    Owner,
    /// No key was ever given.
    Anonymous,
    /// Their key, which was given for this.
    Key(Arc<Grant>),
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no key yet, and a web page asks.
    #[error(
        "this comes from a web page elsewhere, or is for another host; use the console's own pages, or ask as a program: with an \
         API key, or, as long as there is none, on localhost; `muster keys create` makes one"
    )]
    Foreign,
    /// There is no key in the request.
    #[error("an API key is missing; send it as Authorization: Bearer muster_…, or as X-API-Key")]
    Missing,
    /// There never was such a key.
    #[error("this is no API key of this service; ask its administrator for one")]
    Unknown,
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
    OnlyToken,
    /// A token is shown without its tenant.
    #[error("the header tenant_id is missing; send the tenant's id with token and timestamp")]
    NoTenant,
    /// A token is shown without its time.
    #[error("the header timestamp is missing; send the Unix time in milliseconds that the token is made with")]
    NoTimestamp,
    /// No token is shown with its tenant or time.
    #[error("the header token is missing; send the MD5 of tenant_id, timestamp and secret in lower-case hex digits")]
    NoToken,
    /// The time of a token is none.
    #[error("the header timestamp is malformed; it must be the Unix time in milliseconds, digits only")]
    MalformedTimestamp,
    /// The time of a token is long ago, or yet to come.
    #[error(
        "the header timestamp is more than {} min from now; make a token for each request, from milliseconds, and set the \
         clock", TOKEN_WINDOW.as_secs() / 60
    )]
    OldTimestamp,
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
    TooMany {
        /// After how long the next one is taken.
        wait: Duration,
    },
    /// It is for something else.
    #[error("an API key of the role {} does not do this; it takes one of the role {}", .role.name(), .need.roles())]
    Role {
        /// Its role.
        role: Role,
        /// What is needed.
        need: Need,
    },
    /// It is bound to some accounts, and this is about others too.
    #[error("this API key is bound to some accounts, and this is about all; ask for one account")]
    Bound,
    /// It is bound to other accounts.
    #[error("{account} is none of the accounts that this API key is bound to")]
    Account {
        /// Which account.
        account: AccountNumber,
    },
}

impl Denied {
    /// The status of HTTP for it.
    pub fn status(self) -> u16 {
        match self {
            Denied::Missing
            | Denied::Unknown
            | Denied::Revoked
            | Denied::Expired
            | Denied::SignedOut
            | Denied::OnlyToken
            | Denied::NoTenant
            | Denied::NoTimestamp
            | Denied::NoToken
            | Denied::MalformedTimestamp
            | Denied::OldTimestamp
            | Denied::WrongToken
            | Denied::TenantExpired => 401,
            Denied::Foreign | Denied::Role { .. } | Denied::Bound | Denied::Account { .. } => 403,
            Denied::TooMany { .. } => 429,
        }
    }

    /// The contract's code for it: that of HTTP, or of the family for a token.
    pub fn code(self) -> u16 {
        match self {
            Denied::OldTimestamp => 502,
            Denied::NoTimestamp => 518,
            Denied::MalformedTimestamp => 519,
            Denied::WrongToken | Denied::TenantExpired => 522,
            Denied::NoTenant => 523,
            Denied::NoToken => 525,
            Denied::Foreign
            | Denied::Missing
            | Denied::Unknown
            | Denied::Revoked
            | Denied::Expired
            | Denied::SignedOut
            | Denied::OnlyToken
            | Denied::TooMany { .. }
            | Denied::Role { .. }
            | Denied::Bound
            | Denied::Account { .. } => self.status(),
        }
    }

    /// Whether whoever is refused so may have guessed.
    pub(crate) fn is_guess(self) -> bool {
        matches!(self, Denied::Unknown | Denied::Revoked | Denied::Expired | Denied::WrongToken | Denied::TenantExpired)
    }

    /// What it is counted as, where it is about who asks and not about what they ask.
    pub(crate) fn failure(self) -> Option<AuthFailure> {
        match self {
            Denied::Foreign => Some(AuthFailure::Foreign),
            Denied::Missing | Denied::OnlyToken => Some(AuthFailure::Missing),
            Denied::Unknown => Some(AuthFailure::Unknown),
            Denied::Revoked => Some(AuthFailure::Revoked),
            Denied::Expired => Some(AuthFailure::Expired),
            Denied::SignedOut => Some(AuthFailure::SignedOut),
            Denied::NoTenant => Some(AuthFailure::NoTenant),
            Denied::NoTimestamp => Some(AuthFailure::NoTimestamp),
            Denied::NoToken => Some(AuthFailure::NoToken),
            Denied::MalformedTimestamp => Some(AuthFailure::MalformedTimestamp),
            Denied::OldTimestamp => Some(AuthFailure::OldTimestamp),
            Denied::WrongToken => Some(AuthFailure::WrongToken),
            Denied::TenantExpired => Some(AuthFailure::TenantExpired),
            Denied::TooMany { .. } | Denied::Role { .. } | Denied::Bound | Denied::Account { .. } => None,
        }
    }

    /// After how many seconds the same request may be let in, if it may be.
    pub fn retry_after(self) -> Option<u64> {
        if let Denied::TooMany { wait } = self { Some(wait.as_secs() + 1) } else { None }
    }
}

impl Pass {
    /// That of somebody who has the data directory, and so may do everything.
    pub const OWNER: Pass = Pass { session: None, holder: Holder::Owner };
    /// That of anybody while no key was ever given: it is over once one is.
    pub const ANONYMOUS: Pass = Pass { session: None, holder: Holder::Anonymous };

    /// What the key was given for, if there is one.
    fn grant(&self) -> Option<&Arc<Grant>> {
        match &self.holder {
            Holder::Owner | Holder::Anonymous => None,
            Holder::Key(grant) => Some(grant),
        }
    }

    /// The number of the key; 0 for none.
    pub fn key(&self) -> u64 {
        self.grant().map_or(0, |grant| grant.id)
    }

    /// What people call the key, and what it is for; none if none is needed.
    pub fn holder(&self) -> Option<(&str, Role)> {
        self.grant().map(|grant| (grant.name.as_str(), grant.role))
    }

    /// Lets nobody through whose key is not enough.
    pub fn needs(&self, need: Need) -> Result<(), Denied> {
        match self.grant() {
            Some(grant) if !grant.role.may(need) => Err(Denied::Role { role: grant.role, need }),
            Some(_) | None => Ok(()),
        }
    }

    /// Lets nobody through whose key is bound to other accounts.
    pub fn needs_account(&self, account: AccountNumber) -> Result<(), Denied> {
        if self.sees(account) { Ok(()) } else { Err(Denied::Account { account }) }
    }

    /// Lets nobody through whose key is bound to some accounts.
    pub fn needs_all(&self) -> Result<(), Denied> {
        if self.bound().is_empty() { Ok(()) } else { Err(Denied::Bound) }
    }

    /// Whether the key is for this account too.
    pub fn sees(&self, account: AccountNumber) -> bool {
        self.grant().is_none_or(|grant| grant.covers(account))
    }

    /// The first digits of the accounts that the key is bound to; none if it is for all.
    pub fn bound(&self) -> &[String] {
        self.grant().map_or(&[], |grant| &grant.accounts)
    }
}
