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
pub enum Need {
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
    pub expires: Option<Timestamp>,
    /// What shows that somebody has it.
    pub proof: Proof,
}

/// What shows that somebody has a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
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
    pub fn may(self, need: Need) -> bool {
        match (self, need) {
            (Role::Admin, Need::Call | Need::Read | Need::Operate | Need::Administer)
            | (Role::Caller, Need::Call)
            | (Role::Operator, Need::Read | Need::Operate)
            | (Role::Auditor, Need::Read) => true,
            (Role::Caller, Need::Read | Need::Operate | Need::Administer)
            | (Role::Operator, Need::Call | Need::Administer)
            | (Role::Auditor, Need::Call | Need::Operate | Need::Administer) => false,
        }
    }
}

impl Need {
    /// The roles that are enough, in words.
    pub fn roles(self) -> String {
        let enough = Role::ALL.into_iter().filter(|role| role.may(self)).map(Role::name);
        enough.collect::<Vec<_>>().join(" or ")
    }
}

impl Grant {
    /// The tenant whose tokens show it, if it is a tenant's.
    pub fn tenant(&self) -> Option<&str> {
        match &self.proof {
            Proof::Hash(_) => None,
            Proof::Tenant(tenant) => Some(tenant),
        }
    }

    /// Whether the key is for this account too.
    pub fn covers(&self, account: AccountNumber) -> bool {
        self.accounts.is_empty() || self.accounts.iter().any(|first| account.to_string().starts_with(first.as_str()))
    }

    /// Whether it is over at a time.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}
