//! The keys that there are: given, taken away, checked.

use std::sync::Arc;

use dashmap::DashMap;
use serde::Serialize;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Denied, Pass, text};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{Act, Deed, Grant, Role, Timestamp, is_line};
use crate::journal::{self, Asker, Fact, Journal, Recorded, Stream};
use crate::limits::{ACCOUNT_DIGITS_MAX, API_KEY_ACCOUNTS, API_KEY_LOOK, API_KEY_NAME_BYTES, API_KEYS};
use crate::vault;

/// The keys. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    journal: Journal,
    keys: Arc<DashMap<u64, Key>>,
    /// Held by whoever gives a key or takes one away.
    changing: Arc<Mutex<()>>,
    /// Told each time.
    changes: watch::Sender<()>,
}

/// A key.
#[derive(Clone)]
struct Key {
    grant: Arc<Grant>,
    created: Timestamp,
    revoked: Option<Timestamp>,
}

/// What a new key is to be for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The first digits of the accounts that it is bound to; all accounts if there are none.
    pub accounts: Vec<String>,
    /// When it ends, if it does.
    pub expires: Option<Timestamp>,
}

/// A key that was given. It has no `Debug`.
#[derive(Serialize)]
pub struct Made {
    /// The key's number.
    pub id: u64,
    /// The key, which is nowhere else.
    pub key: Zeroizing<String>,
}

/// A key as it is shown.
#[derive(Debug, Serialize)]
pub struct Shown {
    id: u64,
    name: String,
    role: &'static str,
    accounts: Vec<String>,
    state: &'static str,
    created: String,
    expires: Option<String>,
    revoked: Option<String>,
}

/// Why a key is not given, or not taken away.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Something that was asked for is not as it must be; the words go on from its name.
    #[error("{field} {words}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it, and the mend.
        words: String,
    },
    /// There is no such key.
    #[error("there is no API key {0}; `muster keys list` shows them")]
    NoSuchKey(u64),
    /// It is taken away already, or there are too many.
    #[error("{0}")]
    Conflict(String),
    /// No random bytes.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// It cannot be recorded.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Keys {
    /// The keys as the journal has them.
    pub fn open(journal: &Journal) -> Result<Keys, journal::Error> {
        let keys = Keys {
            journal: journal.clone(),
            keys: Arc::default(),
            changing: Arc::default(),
            changes: watch::Sender::default(),
        };
        let mut acts = journal.history_back(Stream::Administration).collect::<Result<Vec<_>, _>>()?;
        acts.reverse();
        acts.iter().for_each(|record| keys.apply(record));
        Ok(keys)
    }

    /// Whether nobody was ever given a key, so that everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who shows this key.
    pub fn pass(&self, shown: Option<&str>, now: Timestamp) -> Result<Pass, Denied> {
        if self.is_open() {
            return Ok(Pass::ALL);
        }
        let (id, hash) = text::read(shown.ok_or(Denied::Missing)?).ok_or(Denied::Unknown)?;
        let key = self.keys.get(&id).ok_or(Denied::Unknown)?;
        let Key { grant, revoked, .. } = &*key;
        if !text::is_equal(&grant.hash, &hash) {
            return Err(Denied::Unknown);
        }
        match (revoked, grant.is_over(now)) {
            (Some(_), _) => Err(Denied::Revoked),
            (None, true) => Err(Denied::Expired),
            (None, false) => Ok(Pass { grant: Some(grant.clone()) }),
        }
    }

    /// Waits until somebody who was let in would be let in no more.
    pub async fn ended(&self, pass: Pass) {
        let mut changes = self.changes.subscribe();
        loop {
            let now = clock::now();
            let left = match &pass.grant {
                None if !self.is_open() => return,
                None => None,
                Some(grant) if grant.is_over(now) || self.is_revoked(grant.id) => return,
                Some(grant) => grant.expires.map(|end| end.since(now)),
            };
            // The wall clock may be set meanwhile.
            let left = left.map_or(API_KEY_LOOK, |left| left.min(API_KEY_LOOK));
            let _either = timeout(left, changes.changed()).await;
        }
    }

    fn is_revoked(&self, id: u64) -> bool {
        self.keys.get(&id).is_none_or(|key| key.revoked.is_some())
    }

    /// Gives a key.
    pub async fn create(&self, wanted: Wanted, asker: Asker) -> Result<Made, Refused> {
        let Wanted { name, role, accounts, expires } = wanted;
        let field = |field, words: String| Err(Refused::Field { field, words });
        if !is_line(&name, API_KEY_NAME_BYTES) {
            return field("name", format!("must be 1 to {API_KEY_NAME_BYTES} bytes of text on one line"));
        }
        let is_prefix = |first: &String| {
            (1..=ACCOUNT_DIGITS_MAX).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_digit())
        };
        if accounts.len() > API_KEY_ACCOUNTS || !accounts.iter().all(is_prefix) {
            return field("accounts", format!("must be at most {API_KEY_ACCOUNTS} beginnings of numbers, as in 8618"));
        }
        if expires.is_some_and(|end| end <= clock::now()) {
            return field("expires", "must be in the future".to_owned());
        }
        let _changing = self.changing.lock().await;
        if self.keys.is_empty() && (role != Role::Admin || !accounts.is_empty() || expires.is_some()) {
            let words = "must be admin, bound to no accounts and without end, for the first key: with it nobody is let in \
                         any more without one, and only an admin gives further ones";
            return field("role", words.to_owned());
        }
        if self.keys.len() >= API_KEYS {
            return Err(Refused::Conflict(format!("there are {API_KEYS} API keys already, revoked ones included")));
        }
        let id = self.keys.iter().map(|key| *key.key()).max().unwrap_or(0) + 1;
        let secret = vault::draw_secret()?;
        let hash = text::hash(&secret);
        self.record(Deed::ApiKeyCreated(Grant { id, name, role, accounts, expires, hash }), asker).await?;
        Ok(Made { id, key: text::written(id, &secret) })
    }

    /// Takes a key away, at once.
    pub async fn revoke(&self, id: u64, asker: Asker) -> Result<(), Refused> {
        let _changing = self.changing.lock().await;
        self.keys.get(&id).ok_or(Refused::NoSuchKey(id))?;
        if self.is_revoked(id) {
            return Err(Refused::Conflict(format!("the API key {id} is revoked already")));
        }
        self.record(Deed::ApiKeyRevoked { id }, asker).await
    }

    /// All keys that there ever were, the first one first.
    pub fn list(&self, now: Timestamp) -> Vec<Shown> {
        let mut keys: Vec<Key> = self.keys.iter().map(|key| key.clone()).collect();
        keys.sort_unstable_by_key(|key| key.grant.id);
        keys.into_iter().map(|key| key.shown(now)).collect()
    }

    async fn record(&self, deed: Deed, asker: Asker) -> Result<(), Refused> {
        let Asker { origin, from } = asker;
        let recorded = self.journal.record_act(Act { deed, from }, origin, clock::now()).await?;
        recorded.iter().for_each(|record| self.apply(record));
        self.changes.send_replace(());
        Ok(())
    }

    fn apply(&self, record: &Recorded) {
        let Fact::Act(Act { deed, .. }) = &record.fact else { return };
        match deed {
            Deed::ApiKeyCreated(grant) => {
                let key = Key { grant: Arc::new(grant.clone()), created: record.at, revoked: None };
                self.keys.insert(grant.id, key);
            }
            Deed::ApiKeyRevoked { id } => {
                if let Some(mut key) = self.keys.get_mut(id) {
                    key.revoked = Some(record.at);
                }
            }
            Deed::ProjectionRebuilt { .. }
            | Deed::BackupTaken { .. }
            | Deed::Restored { .. }
            | Deed::WebhookUrlSet { .. }
            | Deed::WebhookSecretSet { .. }
            | Deed::WebhookPaused { .. }
            | Deed::WebhookResumed { .. }
            | Deed::WebhookRedelivered { .. }
            | Deed::WebhookLettersDropped { .. }
            | Deed::MasterKeyRotated { .. } => {}
        }
    }
}

impl Key {
    fn shown(self, now: Timestamp) -> Shown {
        let Key { grant, created, revoked } = self;
        let state = match (revoked, grant.is_over(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "valid",
        };
        Shown {
            id: grant.id,
            name: grant.name.clone(),
            role: grant.role.name(),
            accounts: grant.accounts.clone(),
            state,
            created: write_time(created),
            expires: grant.expires.map(write_time),
            revoked: revoked.map(write_time),
        }
    }
}
