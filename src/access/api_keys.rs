//! The keys that there are: given, taken away, checked.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use super::expiry::Expiry;
use super::key_request::KeyRequest;
use super::key_view::{CreatedKey, KeyView};
use super::tenant_token::{self, TenantToken};
use super::{AuthContext, AuthError, AuthIdentity, Authorization, key_text};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{AdministrativeEvent, AuditLogEntry, CredentialVerifier, Grant, Role, Timestamp};
use crate::journal::{self, Journal, JournalEvent, JournalRecord, RequesterIdentity, StreamId};
use crate::limits::API_KEYS;
use crate::vault::{self, Vault};

/// The keys. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    journal: Journal,
    /// Has the secrets of tenants. None where the master key is not there: then no token is let in.
    vault: Option<Vault>,
    keys: Arc<DashMap<u64, ApiKey>>,
    /// The last key that each tenant was given.
    tenants: Arc<DashMap<String, u64>>,
    expiry: Expiry,
    /// Held by whoever gives a key or takes one away.
    change_lock: Arc<Mutex<()>>,
    /// Told each time.
    changes: watch::Sender<()>,
}

/// A key.
#[derive(Clone)]
struct ApiKey {
    grant: Arc<Grant>,
    /// What a tenant makes its tokens with.
    secret: Option<Arc<Zeroizing<String>>>,
    created: Timestamp,
    revoked: Option<Timestamp>,
}

/// Why a key is not given, or not taken away.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Something that was asked for is not as it must be; the words go on from its name.
    #[error("{field} {words}")]
    InvalidField {
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
    Denied(#[from] AuthError),
    /// No random bytes.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// It cannot be recorded.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl ApiKeys {
    /// Counts somebody who is not let in, or no more.
    pub(super) fn count_error(&self, denied: AuthError) {
        let metrics = self.journal.metrics();
        if let AuthError::RateLimited { .. } = denied {
            metrics.rate_limited.inc();
        }
        denied.metric_reason().map(|reason| metrics.auth_failures.with(reason).inc());
    }

    /// The keys as the journal has them, and the secrets of tenants as the vault has them.
    pub fn open(journal: &Journal, vault: Option<Vault>) -> Result<ApiKeys, journal::Error> {
        let keys = ApiKeys {
            journal: journal.clone(),
            vault,
            keys: Arc::default(),
            tenants: Arc::default(),
            expiry: Expiry::open(journal.store())?,
            change_lock: Arc::default(),
            changes: watch::Sender::default(),
        };
        let mut acts = journal.history_back(StreamId::Administration).collect::<Result<Vec<_>, _>>()?;
        acts.reverse();
        acts.iter().for_each(|record| keys.apply(record));
        if let Some(Err(error)) = keys.vault.as_ref().map(|vault| keys.erase_unused_secrets(vault)) {
            tracing::error!(%error, "secrets of tenants whose keys were revoked are left in the store");
        }
        Ok(keys)
    }

    /// Whether nobody was ever given a key, so that everybody may do everything.
    pub fn allows_anonymous(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who shows this key. `now` is [`clock::trusted`].
    pub fn authenticate_key(&self, shown: Option<&str>, now: Timestamp) -> Result<AuthContext, AuthError> {
        if self.allows_anonymous() {
            return Ok(AuthContext::ANONYMOUS);
        }
        let (id, hash) = key_text::parse_key(shown.ok_or(AuthError::MissingKey)?).ok_or(AuthError::UnknownKey)?;
        let key = self.keys.get(&id).ok_or(AuthError::UnknownKey)?;
        match &key.grant.verifier {
            CredentialVerifier::Hash(expected) if key_text::constant_time_eq(expected, &hash) => {
                self.pass_of(&key, now)
            }
            // A tenant's key has no text.
            CredentialVerifier::Hash(_) | CredentialVerifier::Tenant(_) => Err(AuthError::UnknownKey),
        }
    }

    /// Whoever has shown the key with this number before.
    pub(super) fn authenticate_id(&self, id: u64, now: Timestamp) -> Result<AuthContext, AuthError> {
        self.pass_of(&*self.keys.get(&id).ok_or(AuthError::UnknownKey)?, now)
    }

    fn pass_of(&self, key: &ApiKey, now: Timestamp) -> Result<AuthContext, AuthError> {
        match (key.revoked, self.expiry.has_expired(&key.grant, now)) {
            (Some(_), _) => Err(AuthError::Revoked),
            (None, true) => Err(AuthError::Expired),
            (None, false) => Ok(AuthContext { session: None, identity: AuthIdentity::Key(key.grant.clone()) }),
        }
    }

    /// Whether a tenant was ever given a key; until then nobody looks at tokens.
    pub fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Who shows this token. Which tenants there are is not told, by the answer or by its time. The token has the time of
    /// the caller's wall clock, so it is held against `wall`; the tenant's key ends by `now`, which is [`clock::trusted`].
    pub fn authenticate_token(
        &self,
        token: TenantToken<'_>,
        wall: Timestamp,
        now: Timestamp,
    ) -> Result<AuthContext, AuthError> {
        let token = token.check_freshness(wall)?;
        let id = self.tenants.get(token.tenant).map(|id| *id);
        let key = id.and_then(|id| self.keys.get(&id)).map(|key| (key.grant.clone(), key.secret.clone()));
        let (grant, secret) = key.unzip();
        let secret = secret.flatten();
        let is_right = token.matches_secret(secret.as_ref().map_or(DUMMY_SECRET, |secret| secret.as_str()));
        match (grant, secret) {
            (Some(grant), Some(_)) if is_right && self.expiry.has_expired(&grant, now) => Err(AuthError::TenantExpired),
            (Some(grant), Some(_)) if is_right => Ok(AuthContext { session: None, identity: AuthIdentity::Key(grant) }),
            (Some(_) | None, Some(_) | None) => Err(AuthError::WrongToken),
        }
    }

    /// Changes each time that a key is given or taken away.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Gives a key to somebody who may give one at that moment: of several who ask for the first one, only one may.
    pub async fn create<E: From<KeyError>>(
        &self,
        wanted: KeyRequest,
        authorize: impl FnOnce() -> Result<Authorization, E>,
    ) -> Result<CreatedKey, E> {
        wanted.validate()?;
        let _changing = self.change_lock.lock().await;
        // No key comes or goes until this one is recorded.
        let asker = authorize()?.into_requester_identity();
        Ok(self.create_key(wanted, asker).await?)
    }

    /// Creates a key. The lock keeps other changes of keys out meanwhile.
    async fn create_key(&self, wanted: KeyRequest, asker: RequesterIdentity) -> Result<CreatedKey, KeyError> {
        let KeyRequest { name, role, accounts, expires, tenant, secret } = wanted;
        if self.keys.is_empty() && (role != Role::Admin || !accounts.is_empty() || expires.is_some()) {
            let words = "must be admin, bound to no accounts and without end, for the first key: with it nobody is let in \
                         any more without one, and only an admin gives further ones";
            return Err(KeyError::InvalidField { field: "role", words: words.to_owned() });
        }
        if self.keys.len() >= API_KEYS {
            return Err(KeyError::Conflict(format!("there are {API_KEYS} API keys already, revoked ones included")));
        }
        let id = self.keys.iter().map(|key| *key.key()).max().unwrap_or(0) + 1;
        let drawn = vault::generate_secret()?;
        let (proof, made) = match tenant {
            None => {
                let made = CreatedKey { id, key: Some(key_text::format_key(id, &drawn)), tenant: None, secret: None };
                (CredentialVerifier::Hash(key_text::hash_secret(&drawn)), made)
            }
            Some(tenant) => {
                let drawn = secret.is_none().then(|| tenant_token::format_tenant_secret(&drawn));
                self.put_tenant_secret(id, &tenant, secret.as_ref().or(drawn.as_ref()).map_or("", |secret| secret))?;
                let made = CreatedKey { id, key: None, tenant: Some(tenant.clone()), secret: drawn };
                (CredentialVerifier::Tenant(tenant), made)
            }
        };
        self.append_administrative_event(
            AdministrativeEvent::ApiKeyCreated(Grant {
                id,
                name,
                role,
                accounts,
                expires_at: expires,
                verifier: proof,
            }),
            asker,
        )
        .await?;
        Ok(made)
    }

    /// Keeps the secret of a tenant for the key that it is about to get, which makes it durable.
    fn put_tenant_secret(&self, id: u64, tenant: &str, secret: &str) -> Result<(), KeyError> {
        let last = self.tenants.get(tenant).and_then(|last| self.keys.get(&last));
        let is_valid =
            |last: &ApiKey| last.revoked.is_none() && !self.expiry.has_expired(&last.grant, clock::trusted());
        if let Some(last) = last.filter(|last| is_valid(last)) {
            let words = format!("the tenant {tenant} has the API key {} already; revoke that one first", last.grant.id);
            return Err(KeyError::Conflict(words));
        }
        let locked = "a tenant's secret is sealed with the master key, which is not there; say where it is (--config)";
        let vault = self.vault.as_ref().ok_or_else(|| KeyError::Conflict(locked.to_owned()))?;
        Ok(vault.put_tenant_secret(id, secret)?)
    }

    /// Erases secrets that nothing is to be proved with any more: a crash, or a lack of the master key, has left them.
    fn erase_unused_secrets(&self, vault: &Vault) -> Result<(), vault::Error> {
        let is_needed = |id: &u64| self.keys.get(id).is_some_and(|key| key.secret.is_some());
        vault
            .tenant_key_ids()?
            .into_iter()
            .filter(|id| !is_needed(id))
            .try_for_each(|id| vault.remove_tenant_secret(id))
    }

    /// Takes a key away, at once, for somebody who may do so at that moment.
    pub async fn revoke<E: From<KeyError>>(
        &self,
        id: u64,
        authorize: impl FnOnce() -> Result<Authorization, E>,
    ) -> Result<(), E> {
        let _changing = self.change_lock.lock().await;
        let asker = authorize()?.into_requester_identity();
        Ok(self.revoke_key(id, asker).await?)
    }

    async fn revoke_key(&self, id: u64, asker: RequesterIdentity) -> Result<(), KeyError> {
        let key = self.keys.get(&id).map(|key| key.revoked).ok_or(KeyError::NoSuchKey(id))?;
        if key.is_some() {
            return Err(KeyError::Conflict(format!("the API key {id} is revoked already")));
        }
        // Before the record, which makes it durable too.
        self.vault.as_ref().map_or(Ok(()), |vault| vault.remove_tenant_secret(id))?;
        self.append_administrative_event(AdministrativeEvent::ApiKeyRevoked { id }, asker).await
    }

    /// All keys that there ever were, the first one first.
    pub fn list(&self, now: Timestamp) -> Vec<KeyView> {
        let mut keys: Vec<ApiKey> = self.keys.iter().map(|key| key.clone()).collect();
        keys.sort_unstable_by_key(|key| key.grant.id);
        keys.into_iter().map(|key| self.shown(key, now)).collect()
    }

    fn shown(&self, key: ApiKey, now: Timestamp) -> KeyView {
        let ApiKey { grant, created, revoked, .. } = key;
        let state = match (revoked, self.expiry.has_expired(&grant, now)) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "valid",
        };
        KeyView {
            id: grant.id,
            name: grant.name.clone(),
            role: grant.role.name(),
            tenant: grant.tenant().map(str::to_owned),
            accounts: grant.accounts.clone(),
            state,
            created: write_time(created),
            expires: grant.expires_at.map(write_time),
            revoked: revoked.map(write_time),
        }
    }

    async fn append_administrative_event(
        &self,
        deed: AdministrativeEvent,
        asker: RequesterIdentity,
    ) -> Result<(), KeyError> {
        let RequesterIdentity { origin, from } = asker;
        let recorded = self
            .journal
            .append_administrative_event(AuditLogEntry { event: deed, source: from }, origin, clock::now())
            .await?;
        recorded.iter().for_each(|record| self.apply(record));
        self.changes.send_replace(());
        Ok(())
    }

    /// The secret that is kept for a key; none if there is none. One that does not open is no reason to keep others out.
    fn get_tenant_secret(&self, id: u64) -> Option<Arc<Zeroizing<String>>> {
        let kept = self.vault.as_ref()?.get_tenant_secret(id).unwrap_or_else(|error| {
            tracing::error!(%error, "a tenant's tokens are not let in");
            None
        });
        kept.map(Arc::new)
    }

    fn apply(&self, record: &JournalRecord) {
        let JournalEvent::Administration(AuditLogEntry { event: deed, .. }) = &record.event else { return };
        match deed {
            AdministrativeEvent::ApiKeyCreated(grant) => {
                let secret = grant.tenant().and_then(|tenant| {
                    self.tenants.insert(tenant.to_owned(), grant.id);
                    self.get_tenant_secret(grant.id)
                });
                let key = ApiKey { grant: Arc::new(grant.clone()), secret, created: record.at, revoked: None };
                self.keys.insert(grant.id, key);
            }
            AdministrativeEvent::ApiKeyRevoked { id } => {
                if let Some(mut key) = self.keys.get_mut(id) {
                    key.revoked = Some(record.at);
                    key.secret = None;
                }
            }
            AdministrativeEvent::ProjectionRebuilt { .. }
            | AdministrativeEvent::BackupTaken { .. }
            | AdministrativeEvent::Restored { .. }
            | AdministrativeEvent::WebhookUrlSet { .. }
            | AdministrativeEvent::WebhookSecretSet { .. }
            | AdministrativeEvent::WebhookPaused { .. }
            | AdministrativeEvent::WebhookResumed { .. }
            | AdministrativeEvent::WebhookRedelivered { .. }
            | AdministrativeEvent::WebhookLettersDropped { .. }
            | AdministrativeEvent::WebhookClosed { .. }
            | AdministrativeEvent::MasterKeyRotated { .. }
            | AdministrativeEvent::MasterKeyRotationAborted { .. }
            | AdministrativeEvent::MasterKeyRotationFinished { .. }
            | AdministrativeEvent::AccountsOrdered { .. }
            | AdministrativeEvent::ReconciliationOrdered { .. } => {}
        }
    }
}

/// What a token is held against if there is no such tenant.
const DUMMY_SECRET: &str = "00000000000000000000000000000000";
