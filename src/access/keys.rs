//! The keys that there are: given, taken away, checked.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use super::expiry::Expiry;
use super::shown::{Made, Shown};
use super::token::{self, Token};
use super::{Authorized, Denied, Holder, Pass, text};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{Act, Deed, Grant, Proof, Role, Timestamp, is_line};
use crate::journal::{self, Asker, Fact, Journal, Recorded, Stream};
use crate::limits::{
    ACCOUNT_DIGITS_MAX, API_KEY_ACCOUNTS, API_KEY_NAME_BYTES, API_KEYS, TENANT_ID_BYTES, TENANT_SECRET_BYTES,
};
use crate::vault::{self, Vault};

/// The keys. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    journal: Journal,
    /// Has the secrets of tenants. None where the master key is not there: then no token is let in.
    vault: Option<Vault>,
    keys: Arc<DashMap<u64, Key>>,
    /// The last key that each tenant was given.
    tenants: Arc<DashMap<String, u64>>,
    expiry: Expiry,
    /// Held by whoever gives a key or takes one away.
    changing: Arc<Mutex<()>>,
    /// Told each time.
    changes: watch::Sender<()>,
}

/// A key.
#[derive(Clone)]
struct Key {
    grant: Arc<Grant>,
    /// What a tenant makes its tokens with.
    secret: Option<Arc<Zeroizing<String>>>,
    created: Timestamp,
    revoked: Option<Timestamp>,
}

/// What a new key is to be for. It has no `Debug`.
pub struct Wanted {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The first digits of the accounts that it is bound to; all accounts if there are none.
    pub accounts: Vec<String>,
    /// When it ends, if it does.
    pub expires: Option<Timestamp>,
    /// The tenant that is to show it by tokens, if it is for one.
    pub tenant: Option<String>,
    /// What the tenant makes them with; drawn if it is for a tenant and this is none.
    pub secret: Option<Zeroizing<String>>,
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
    /// Whoever asks may not, by now.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No random bytes.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// It cannot be recorded.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Keys {
    /// Counts somebody who is not let in, or no more.
    pub(super) fn count(&self, denied: Denied) {
        let metrics = self.journal.metrics();
        if let Denied::TooMany { .. } = denied {
            metrics.rate_limited.inc();
        }
        denied.failure().map(|reason| metrics.auth_failures.at(reason).inc());
    }

    /// The keys as the journal has them, and the secrets of tenants as the vault has them.
    pub fn open(journal: &Journal, vault: Option<Vault>) -> Result<Keys, journal::Error> {
        let keys = Keys {
            journal: journal.clone(),
            vault,
            keys: Arc::default(),
            tenants: Arc::default(),
            expiry: Expiry::open(journal.store())?,
            changing: Arc::default(),
            changes: watch::Sender::default(),
        };
        let mut acts = journal.history_back(Stream::Administration).collect::<Result<Vec<_>, _>>()?;
        acts.reverse();
        acts.iter().for_each(|record| keys.apply(record));
        if let Some(Err(error)) = keys.vault.as_ref().map(|vault| keys.sweep(vault)) {
            tracing::error!(%error, "secrets of tenants whose keys were revoked are left in the store");
        }
        Ok(keys)
    }

    /// Whether nobody was ever given a key, so that everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who shows this key. `now` is [`clock::trusted`].
    pub fn pass(&self, shown: Option<&str>, now: Timestamp) -> Result<Pass, Denied> {
        if self.is_open() {
            return Ok(Pass::ANONYMOUS);
        }
        let (id, hash) = text::read(shown.ok_or(Denied::Missing)?).ok_or(Denied::Unknown)?;
        let key = self.keys.get(&id).ok_or(Denied::Unknown)?;
        match &key.grant.proof {
            Proof::Hash(expected) if text::is_equal(expected, &hash) => self.pass_of(&key, now),
            // A tenant's key has no text.
            Proof::Hash(_) | Proof::Tenant(_) => Err(Denied::Unknown),
        }
    }

    /// Whoever has shown the key with this number before.
    pub(super) fn pass_again(&self, id: u64, now: Timestamp) -> Result<Pass, Denied> {
        self.pass_of(&*self.keys.get(&id).ok_or(Denied::Unknown)?, now)
    }

    fn pass_of(&self, key: &Key, now: Timestamp) -> Result<Pass, Denied> {
        match (key.revoked, self.expiry.has_expired(&key.grant, now)) {
            (Some(_), _) => Err(Denied::Revoked),
            (None, true) => Err(Denied::Expired),
            (None, false) => Ok(Pass { session: None, holder: Holder::Key(key.grant.clone()) }),
        }
    }

    /// Whether a tenant was ever given a key; until then nobody looks at tokens.
    pub fn knows_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Who shows this token. Which tenants there are is not told, by the answer or by its time. The token has the time of
    /// the caller's wall clock, so it is held against `wall`; the tenant's key ends by `now`, which is [`clock::trusted`].
    pub fn pass_token(&self, token: Token<'_>, wall: Timestamp, now: Timestamp) -> Result<Pass, Denied> {
        let token = token.timely(wall)?;
        let id = self.tenants.get(token.tenant).map(|id| *id);
        let key = id.and_then(|id| self.keys.get(&id)).map(|key| (key.grant.clone(), key.secret.clone()));
        let (grant, secret) = key.unzip();
        let secret = secret.flatten();
        let is_right = token.is_made_with(secret.as_ref().map_or(NOBODYS, |secret| secret.as_str()));
        match (grant, secret) {
            (Some(grant), Some(_)) if is_right && self.expiry.has_expired(&grant, now) => Err(Denied::TenantExpired),
            (Some(grant), Some(_)) if is_right => Ok(Pass { session: None, holder: Holder::Key(grant) }),
            (Some(_) | None, Some(_) | None) => Err(Denied::WrongToken),
        }
    }

    /// Changes each time that a key is given or taken away.
    pub(super) fn follow(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Gives a key to somebody who may give one at that moment: of several who ask for the first one, only one may.
    pub async fn create<E: From<Refused>>(
        &self,
        wanted: Wanted,
        authorize: impl FnOnce() -> Result<Authorized, E>,
    ) -> Result<Made, E> {
        wanted.check()?;
        let _changing = self.changing.lock().await;
        // No key comes or goes until this one is recorded.
        let asker = authorize()?.into_asker();
        Ok(self.give(wanted, asker).await?)
    }

    /// Creates a key. The lock keeps other changes of keys out meanwhile.
    async fn give(&self, wanted: Wanted, asker: Asker) -> Result<Made, Refused> {
        let Wanted { name, role, accounts, expires, tenant, secret } = wanted;
        if self.keys.is_empty() && (role != Role::Admin || !accounts.is_empty() || expires.is_some()) {
            let words = "must be admin, bound to no accounts and without end, for the first key: with it nobody is let in \
                         any more without one, and only an admin gives further ones";
            return Err(Refused::Field { field: "role", words: words.to_owned() });
        }
        if self.keys.len() >= API_KEYS {
            return Err(Refused::Conflict(format!("there are {API_KEYS} API keys already, revoked ones included")));
        }
        let id = self.keys.iter().map(|key| *key.key()).max().unwrap_or(0) + 1;
        let drawn = vault::draw_secret()?;
        let (proof, made) = match tenant {
            None => {
                let made = Made { id, key: Some(text::written(id, &drawn)), tenant: None, secret: None };
                (Proof::Hash(text::hash(&drawn)), made)
            }
            Some(tenant) => {
                let drawn = secret.is_none().then(|| token::secret(&drawn));
                self.keep(id, &tenant, secret.as_ref().or(drawn.as_ref()).map_or("", |secret| secret))?;
                let made = Made { id, key: None, tenant: Some(tenant.clone()), secret: drawn };
                (Proof::Tenant(tenant), made)
            }
        };
        self.record(Deed::ApiKeyCreated(Grant { id, name, role, accounts, expires, proof }), asker).await?;
        Ok(made)
    }

    /// Keeps the secret of a tenant for the key that it is about to get, which makes it durable.
    fn keep(&self, id: u64, tenant: &str, secret: &str) -> Result<(), Refused> {
        let last = self.tenants.get(tenant).and_then(|last| self.keys.get(&last));
        let is_valid = |last: &Key| last.revoked.is_none() && !self.expiry.has_expired(&last.grant, clock::trusted());
        if let Some(last) = last.filter(|last| is_valid(last)) {
            let words = format!("the tenant {tenant} has the API key {} already; revoke that one first", last.grant.id);
            return Err(Refused::Conflict(words));
        }
        let locked = "a tenant's secret is sealed with the master key, which is not there; say where it is (--config)";
        let vault = self.vault.as_ref().ok_or_else(|| Refused::Conflict(locked.to_owned()))?;
        Ok(vault.keep_tenant(id, secret)?)
    }

    /// Erases secrets that nothing is to be proved with any more: a crash, or a lack of the master key, has left them.
    fn sweep(&self, vault: &Vault) -> Result<(), vault::Error> {
        let is_needed = |id: &u64| self.keys.get(id).is_some_and(|key| key.secret.is_some());
        vault.tenants()?.into_iter().filter(|id| !is_needed(id)).try_for_each(|id| vault.erase_tenant(id))
    }

    /// Takes a key away, at once, for somebody who may do so at that moment.
    pub async fn revoke<E: From<Refused>>(
        &self,
        id: u64,
        authorize: impl FnOnce() -> Result<Authorized, E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock().await;
        let asker = authorize()?.into_asker();
        Ok(self.take_away(id, asker).await?)
    }

    async fn take_away(&self, id: u64, asker: Asker) -> Result<(), Refused> {
        let key = self.keys.get(&id).map(|key| key.revoked).ok_or(Refused::NoSuchKey(id))?;
        if key.is_some() {
            return Err(Refused::Conflict(format!("the API key {id} is revoked already")));
        }
        // Before the record, which makes it durable too.
        self.vault.as_ref().map_or(Ok(()), |vault| vault.erase_tenant(id))?;
        self.record(Deed::ApiKeyRevoked { id }, asker).await
    }

    /// All keys that there ever were, the first one first.
    pub fn list(&self, now: Timestamp) -> Vec<Shown> {
        let mut keys: Vec<Key> = self.keys.iter().map(|key| key.clone()).collect();
        keys.sort_unstable_by_key(|key| key.grant.id);
        keys.into_iter().map(|key| self.shown(key, now)).collect()
    }

    fn shown(&self, key: Key, now: Timestamp) -> Shown {
        let Key { grant, created, revoked, .. } = key;
        let state = match (revoked, self.expiry.has_expired(&grant, now)) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "valid",
        };
        Shown {
            id: grant.id,
            name: grant.name.clone(),
            role: grant.role.name(),
            tenant: grant.tenant().map(str::to_owned),
            accounts: grant.accounts.clone(),
            state,
            created: write_time(created),
            expires: grant.expires.map(write_time),
            revoked: revoked.map(write_time),
        }
    }

    async fn record(&self, deed: Deed, asker: Asker) -> Result<(), Refused> {
        let Asker { origin, from } = asker;
        let recorded = self.journal.record_act(Act { deed, from }, origin, clock::now()).await?;
        recorded.iter().for_each(|record| self.apply(record));
        self.changes.send_replace(());
        Ok(())
    }

    /// The secret that is kept for a key; none if there is none. One that does not open is no reason to keep others out.
    fn secret_of(&self, id: u64) -> Option<Arc<Zeroizing<String>>> {
        let kept = self.vault.as_ref()?.kept_tenant(id).unwrap_or_else(|error| {
            tracing::error!(%error, "a tenant's tokens are not let in");
            None
        });
        kept.map(Arc::new)
    }

    fn apply(&self, record: &Recorded) {
        let Fact::Act(Act { deed, .. }) = &record.fact else { return };
        match deed {
            Deed::ApiKeyCreated(grant) => {
                let secret = grant.tenant().and_then(|tenant| {
                    self.tenants.insert(tenant.to_owned(), grant.id);
                    self.secret_of(grant.id)
                });
                let key = Key { grant: Arc::new(grant.clone()), secret, created: record.at, revoked: None };
                self.keys.insert(grant.id, key);
            }
            Deed::ApiKeyRevoked { id } => {
                if let Some(mut key) = self.keys.get_mut(id) {
                    key.revoked = Some(record.at);
                    key.secret = None;
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
            | Deed::WebhookClosed { .. }
            | Deed::MasterKeyRotated { .. }
            | Deed::MasterKeyRotationAborted { .. }
            | Deed::MasterKeyRotationFinished { .. }
            | Deed::AccountsOrdered { .. }
            | Deed::ReconciliationOrdered { .. } => {}
        }
    }
}

/// What a token is held against if there is no such tenant.
const NOBODYS: &str = "00000000000000000000000000000000";

/// Whether what is wanted for a tenant, if it is, is as it must be.
fn check_tenant(role: Role, tenant: Option<&str>, secret: Option<&str>) -> Result<(), Refused> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_tenant = |id: &str| (1..=TENANT_ID_BYTES).contains(&id.len()) && id.bytes().all(is_id);
    let is_secret =
        |text: &str| TENANT_SECRET_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let (least, most) = (TENANT_SECRET_BYTES.start(), TENANT_SECRET_BYTES.end());
    let (field, words) = match (tenant, secret) {
        (Some(id), _) if !is_tenant(id) => {
            ("tenant", format!("must be 1 to {TENANT_ID_BYTES} letters, digits, dots, dashes or underscores"))
        }
        (Some(_), _) if role != Role::Caller => ("role", "must be caller, for a tenant".to_owned()),
        (None, Some(_)) => {
            ("secret", "is what a tenant makes tokens with; say which (tenant), or leave it out".to_owned())
        }
        (_, Some(text)) if !is_secret(text) => {
            ("secret", format!("must be {least} to {most} visible ASCII characters"))
        }
        (Some(_) | None, Some(_) | None) => return Ok(()),
    };
    Err(Refused::Field { field, words })
}

impl Wanted {
    /// Whether it is as it must be.
    fn check(&self) -> Result<(), Refused> {
        let Wanted { name, role, accounts, expires, tenant, secret } = self;
        let field = |field, words: String| Err(Refused::Field { field, words });
        if !is_line(name, API_KEY_NAME_BYTES) {
            return field("name", format!("must be 1 to {API_KEY_NAME_BYTES} bytes of text on one line"));
        }
        let is_prefix = |first: &String| {
            (1..=ACCOUNT_DIGITS_MAX).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_digit())
        };
        if accounts.len() > API_KEY_ACCOUNTS || !accounts.iter().all(is_prefix) {
            return field(
                "accounts",
                format!("must be at most {API_KEY_ACCOUNTS} beginnings of numbers, each by itself, as in 8618"),
            );
        }
        if expires.is_some_and(|end| end <= clock::trusted()) {
            return field("expires", "must be in the future".to_owned());
        }
        check_tenant(*role, tenant.as_deref(), secret.as_deref().map(String::as_str))
    }
}
