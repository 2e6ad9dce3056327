//! The API keys: creates, revokes and authenticates them.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use super::expiry::Expiry;
use super::key_request::{KeyError, KeyRequest};
use super::key_view::{CreatedKey, KeyView};
use super::tenant_token::{self, TenantToken};
use super::{AuthContext, AuthError, AuthIdentity, Authorization, key_text};
use crate::audit::write_time;
use crate::clock;
use crate::domain::{AdministrativeEvent, AuditLogEntry, CredentialVerifier, Grant, Role, Timestamp};
use crate::journal::{self, Journal, JournalEvent, JournalRecord, RequesterIdentity, StreamId};
use crate::limits::API_KEYS;
use crate::vault::{self, Vault};

/// The API keys. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    journal: Journal,
    /// Holds the secrets of tenants. `None` without the master key: then every token is rejected.
    vault: Option<Vault>,
    keys: Arc<DashMap<u64, ApiKey>>,
    /// The number of each tenant's newest key.
    tenants: Arc<DashMap<String, u64>>,
    expiry: Expiry,
    /// Held while a key is created or revoked.
    change_lock: Arc<Mutex<()>>,
    /// Notified after each change.
    changes: watch::Sender<()>,
}

/// One API key.
#[derive(Clone)]
struct ApiKey {
    grant: Arc<Grant>,
    /// The secret for a tenant's tokens, if it is known.
    secret: Option<Arc<Zeroizing<String>>>,
    created: Timestamp,
    revoked: Option<Timestamp>,
}

impl ApiKeys {
    /// Counts a rejection in the metrics.
    pub(super) fn count_error(&self, error: AuthError) {
        let metrics = self.journal.metrics();
        if let AuthError::RateLimited { .. } = error {
            metrics.rate_limited.inc();
        }
        error.metric_reason().map(|reason| metrics.auth_failures.with(reason).inc());
    }

    /// Loads the keys from the journal, and the secrets of tenants from the vault.
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
        let mut records = journal.history_back(StreamId::Administration).collect::<Result<Vec<_>, _>>()?;
        records.reverse();
        records.iter().for_each(|record| keys.apply(record));
        if let Some(Err(error)) = keys.vault.as_ref().map(|vault| keys.erase_unused_secrets(vault)) {
            tracing::error!(%error, "secrets of tenants with revoked keys are still in the store");
        }
        Ok(keys)
    }

    /// Whether requests without a key are allowed, because no key was ever created.
    pub fn allows_anonymous(&self) -> bool {
        self.keys.is_empty()
    }

    /// Authenticates the text of a key. `now` is [`clock::trusted`].
    pub fn authenticate_key(&self, text: Option<&str>, now: Timestamp) -> Result<AuthContext, AuthError> {
        if self.allows_anonymous() {
            return Ok(AuthContext::ANONYMOUS);
        }
        let (id, hash) = key_text::parse_key(text.ok_or(AuthError::MissingKey)?).ok_or(AuthError::UnknownKey)?;
        let key = self.keys.get(&id).ok_or(AuthError::UnknownKey)?;
        match &key.grant.verifier {
            CredentialVerifier::Hash(expected) if key_text::constant_time_eq(expected, &hash) => {
                self.context_for_key(&key, now)
            }
            // A tenant's key has no text.
            CredentialVerifier::Hash(_) | CredentialVerifier::Tenant(_) => Err(AuthError::UnknownKey),
        }
    }

    /// Authenticates a key by its number. Its credentials were checked before.
    pub(super) fn authenticate_id(&self, id: u64, now: Timestamp) -> Result<AuthContext, AuthError> {
        self.context_for_key(&*self.keys.get(&id).ok_or(AuthError::UnknownKey)?, now)
    }

    fn context_for_key(&self, key: &ApiKey, now: Timestamp) -> Result<AuthContext, AuthError> {
        match (key.revoked, self.expiry.has_expired(&key.grant, now)) {
            (Some(_), _) => Err(AuthError::Revoked),
            (None, true) => Err(AuthError::Expired),
            (None, false) => Ok(AuthContext { session: None, identity: AuthIdentity::Key(key.grant.clone()) }),
        }
    }

    /// Whether a tenant ever had a key. Until then tokens are ignored.
    pub fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Authenticates a tenant's token. Neither the result nor the time that it takes reveals which tenants exist.
    ///
    /// The token contains the caller's wall-clock time, which is compared with `wall`. The expiry of the key is compared
    /// with `now`, which is [`clock::trusted`].
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
        let is_genuine = token.matches_secret(secret.as_ref().map_or(DUMMY_SECRET, |secret| secret.as_str()));
        match (grant, secret) {
            (Some(grant), Some(_)) if is_genuine && self.expiry.has_expired(&grant, now) => {
                Err(AuthError::TenantExpired)
            }
            (Some(grant), Some(_)) if is_genuine => {
                Ok(AuthContext { session: None, identity: AuthIdentity::Key(grant) })
            }
            (Some(_) | None, Some(_) | None) => Err(AuthError::WrongToken),
        }
    }

    /// Notifies after each change of a key.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Creates a key. `authorize` runs under the lock, so that waiting anonymous requests are rejected once the first key
    /// exists.
    pub async fn create<E: From<KeyError>>(
        &self,
        request: KeyRequest,
        authorize: impl FnOnce() -> Result<Authorization, E>,
    ) -> Result<CreatedKey, E> {
        request.validate()?;
        let _changing = self.change_lock.lock().await;
        // No other key changes until this one is recorded.
        let requester = authorize()?.into_requester_identity();
        Ok(self.create_key(request, requester).await?)
    }

    /// Creates a key, while the lock is held.
    async fn create_key(&self, request: KeyRequest, requester: RequesterIdentity) -> Result<CreatedKey, KeyError> {
        let KeyRequest { name, role, accounts, expires, tenant, secret } = request;
        if self.keys.is_empty() && (role != Role::Admin || !accounts.is_empty() || expires.is_some()) {
            let words = "must be admin for the first key, without accounts and expiry: from then on every request \
                needs a key, and only an admin creates more";
            return Err(KeyError::InvalidField { field: "role", words: words.to_owned() });
        }
        if self.keys.len() >= API_KEYS {
            return Err(KeyError::Conflict(format!("there are already {API_KEYS} API keys, revoked ones included")));
        }
        let id = self.keys.iter().map(|key| *key.key()).max().unwrap_or(0) + 1;
        let generated = vault::generate_secret()?;
        let (verifier, created) = match tenant {
            None => {
                let created =
                    CreatedKey { id, key: Some(key_text::format_key(id, &generated)), tenant: None, secret: None };
                (CredentialVerifier::Hash(key_text::hash_secret(&generated)), created)
            }
            Some(tenant) => {
                let generated = secret.is_none().then(|| tenant_token::format_tenant_secret(&generated));
                self.put_tenant_secret(
                    id,
                    &tenant,
                    secret.as_ref().or(generated.as_ref()).map_or("", |secret| secret),
                )?;
                let created = CreatedKey { id, key: None, tenant: Some(tenant.clone()), secret: generated };
                (CredentialVerifier::Tenant(tenant), created)
            }
        };
        self.append_administrative_event(
            AdministrativeEvent::ApiKeyCreated(Grant { id, name, role, accounts, expires_at: expires, verifier }),
            requester,
        )
        .await?;
        Ok(created)
    }

    /// Stores the secret of a tenant's new key. The commit of the event that creates the key makes it durable.
    fn put_tenant_secret(&self, id: u64, tenant: &str, secret: &str) -> Result<(), KeyError> {
        let last = self.tenants.get(tenant).and_then(|last| self.keys.get(&last));
        let is_valid =
            |last: &ApiKey| last.revoked.is_none() && !self.expiry.has_expired(&last.grant, clock::trusted());
        if let Some(last) = last.filter(|last| is_valid(last)) {
            let words = format!("the tenant {tenant} already has the API key {}; revoke that one first", last.grant.id);
            return Err(KeyError::Conflict(words));
        }
        let no_master_key =
            "a tenant's secret is sealed with the master key, which was not found; say where it is (--config)";
        let vault = self.vault.as_ref().ok_or_else(|| KeyError::Conflict(no_master_key.to_owned()))?;
        Ok(vault.put_tenant_secret(id, secret)?)
    }

    /// Erases the secrets of keys that do not exist or are revoked. A crash, or a missing master key, can leave them.
    fn erase_unused_secrets(&self, vault: &Vault) -> Result<(), vault::Error> {
        let is_needed = |id: &u64| self.keys.get(id).is_some_and(|key| key.secret.is_some());
        vault
            .tenant_key_ids()?
            .into_iter()
            .filter(|id| !is_needed(id))
            .try_for_each(|id| vault.remove_tenant_secret(id))
    }

    /// Revokes a key, effective at once. `authorize` runs under the lock.
    pub async fn revoke<E: From<KeyError>>(
        &self,
        id: u64,
        authorize: impl FnOnce() -> Result<Authorization, E>,
    ) -> Result<(), E> {
        let _changing = self.change_lock.lock().await;
        let requester = authorize()?.into_requester_identity();
        Ok(self.revoke_key(id, requester).await?)
    }

    async fn revoke_key(&self, id: u64, requester: RequesterIdentity) -> Result<(), KeyError> {
        let revoked = self.keys.get(&id).map(|key| key.revoked).ok_or(KeyError::NoSuchKey(id))?;
        if revoked.is_some() {
            return Err(KeyError::Conflict(format!("the API key {id} is already revoked")));
        }
        // The secret is removed first, because the commit of the event makes both durable.
        self.vault.as_ref().map_or(Ok(()), |vault| vault.remove_tenant_secret(id))?;
        self.append_administrative_event(AdministrativeEvent::ApiKeyRevoked { id }, requester).await
    }

    /// All keys in the order of their numbers, revoked and expired ones included.
    pub fn list(&self, now: Timestamp) -> Vec<KeyView> {
        let mut keys: Vec<ApiKey> = self.keys.iter().map(|key| key.clone()).collect();
        keys.sort_unstable_by_key(|key| key.grant.id);
        keys.into_iter().map(|key| self.view(key, now)).collect()
    }

    fn view(&self, key: ApiKey, now: Timestamp) -> KeyView {
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
        event: AdministrativeEvent,
        requester: RequesterIdentity,
    ) -> Result<(), KeyError> {
        let RequesterIdentity { origin, from } = requester;
        let records = self
            .journal
            .append_administrative_event(AuditLogEntry { event, source: from }, origin, clock::now())
            .await?;
        records.iter().for_each(|record| self.apply(record));
        self.changes.send_replace(());
        Ok(())
    }

    /// The tenant secret of a key, if one is stored. An error is only logged, so that other keys still work.
    fn get_tenant_secret(&self, id: u64) -> Option<Arc<Zeroizing<String>>> {
        let secret = self.vault.as_ref()?.get_tenant_secret(id).unwrap_or_else(|error| {
            tracing::error!(%error, "a tenant's tokens are not accepted");
            None
        });
        secret.map(Arc::new)
    }

    fn apply(&self, record: &JournalRecord) {
        let JournalEvent::Administration(AuditLogEntry { event, .. }) = &record.event else { return };
        match event {
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
            | AdministrativeEvent::WebhookResynced { .. }
            | AdministrativeEvent::MasterKeyRotated { .. }
            | AdministrativeEvent::MasterKeyRotationAborted { .. }
            | AdministrativeEvent::MasterKeyRotationFinished { .. }
            | AdministrativeEvent::AccountsOrdered { .. }
            | AdministrativeEvent::ReconciliationOrdered { .. }
            | AdministrativeEvent::EventsExported { .. }
            | AdministrativeEvent::AccountBundleExported { .. }
            | AdministrativeEvent::GenerationBegun { .. } => {}
        }
    }
}

/// The secret for checking the tokens of unknown tenants, so that the check takes as long as for known ones.
const DUMMY_SECRET: &str = "00000000000000000000000000000000";
