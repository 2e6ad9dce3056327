//! The roles of API keys, and the permissions that each role has.
//!
//! `api::operation` says which permission an operation needs.

use super::{AccountNumber, Timestamp};

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The six endpoints of the contract.
    Caller,
    /// Reads, replays, backups, and everything about webhooks.
    Operator,
    /// Reads.
    Auditor,
    /// Everything, including API keys.
    Admin,
}

/// The permission that a request needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Call an endpoint of the contract.
    Call,
    /// Read accounts, events, proofs, deliveries.
    Read,
    /// Operate the service.
    Operate,
    /// Change the labels of accounts.
    Label,
    /// Manage API keys.
    Administer,
}

/// What an API key grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The key's number, from 1.
    pub id: u64,
    /// Its display name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Prefixes of the account numbers that it covers; all accounts if empty.
    pub accounts: Vec<String>,
    /// When it expires, if it does.
    pub expires_at: Option<Timestamp>,
    /// What verifies the credentials.
    pub verifier: CredentialVerifier,
}

/// What verifies the credentials of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialVerifier {
    /// The SHA-256 of its secret, which is 256 random bits.
    Hash([u8; 32]),
    /// Tokens signed with the secret of the tenant with this id, as in the contract's family.
    Tenant(String),
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 4] = [Role::Caller, Role::Operator, Role::Auditor, Role::Admin];

    /// Its one-word name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Caller => "caller",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    /// Whether a key of this role has the permission.
    pub fn has_permission(self, need: Permission) -> bool {
        match (self, need) {
            (
                Role::Admin,
                Permission::Call | Permission::Read | Permission::Operate | Permission::Label | Permission::Administer,
            )
            | (Role::Caller, Permission::Call | Permission::Label)
            | (Role::Operator, Permission::Read | Permission::Operate | Permission::Label)
            | (Role::Auditor, Permission::Read) => true,
            (Role::Caller, Permission::Read | Permission::Operate | Permission::Administer)
            | (Role::Operator, Permission::Call | Permission::Administer)
            | (Role::Auditor, Permission::Call | Permission::Operate | Permission::Label | Permission::Administer) => {
                false
            }
        }
    }
}

impl Permission {
    /// The roles that have the permission, in words.
    pub fn allowed_roles(self) -> String {
        let enough = Role::ALL.into_iter().filter(|role| role.has_permission(self)).map(Role::name);
        enough.collect::<Vec<_>>().join(" or ")
    }
}

impl Grant {
    /// The tenant whose tokens authenticate this key. `None` for a key with a secret of its own.
    pub fn tenant(&self) -> Option<&str> {
        match &self.verifier {
            CredentialVerifier::Hash(_) => None,
            CredentialVerifier::Tenant(tenant) => Some(tenant),
        }
    }

    /// Whether the key covers this account.
    pub fn covers(&self, account: AccountNumber) -> bool {
        self.accounts.is_empty() || self.accounts.iter().any(|first| account.to_string().starts_with(first.as_str()))
    }

    /// Whether the key has expired at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}
