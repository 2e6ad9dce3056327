//! Who may do what with an API key.

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
    /// Everything, keys too.
    Admin,
}

/// What a request needs its key to be for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// An endpoint of the contract.
    Call,
    /// Reading accounts, events, proofs, deliveries.
    Read,
    /// Running the service.
    Operate,
    /// Saying who may do what.
    Administer,
}

/// What was granted with a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The key's number, from 1.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The first digits of the accounts that it is bound to; all accounts if there are none.
    pub accounts: Vec<String>,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// What shows that somebody has it.
    pub verifier: CredentialVerifier,
}

/// What shows that somebody has a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialVerifier {
    /// Its secret, of which this is the SHA-256; it is 256 random bits.
    Hash([u8; 32]),
    /// Tokens that are made with the secret of the tenant with this id, in the way of the contract's family.
    Tenant(String),
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Caller, Role::Operator, Role::Auditor, Role::Admin];

    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Caller => "caller",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    /// Whether a key of this role is enough for what is needed.
    pub fn has_permission(self, need: Permission) -> bool {
        match (self, need) {
            (Role::Admin, Permission::Call | Permission::Read | Permission::Operate | Permission::Administer)
            | (Role::Caller, Permission::Call)
            | (Role::Operator, Permission::Read | Permission::Operate)
            | (Role::Auditor, Permission::Read) => true,
            (Role::Caller, Permission::Read | Permission::Operate | Permission::Administer)
            | (Role::Operator, Permission::Call | Permission::Administer)
            | (Role::Auditor, Permission::Call | Permission::Operate | Permission::Administer) => false,
        }
    }
}

impl Permission {
    /// The roles that are enough, in words.
    pub fn allowed_roles(self) -> String {
        let enough = Role::ALL.into_iter().filter(|role| role.has_permission(self)).map(Role::name);
        enough.collect::<Vec<_>>().join(" or ")
    }
}

impl Grant {
    /// The tenant whose tokens show it, if it is a tenant's.
    pub fn tenant(&self) -> Option<&str> {
        match &self.verifier {
            CredentialVerifier::Hash(_) => None,
            CredentialVerifier::Tenant(tenant) => Some(tenant),
        }
    }

    /// Whether the key is for this account too.
    pub fn covers(&self, account: AccountNumber) -> bool {
        self.accounts.is_empty() || self.accounts.iter().any(|first| account.to_string().starts_with(first.as_str()))
    }

    /// Whether it is over at a time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}
