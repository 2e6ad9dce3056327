//! Access to a data directory without a running service: for reads, and for the changes that need no service.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::access::{ApiKeys, AuthContext, Authenticator};
use crate::api::{AccountSelection, ApiState, Call, Operation, Problem};
use crate::audit::{Audit, TransparencyLog};
use crate::config::Settings;
use crate::http::RequestIdGenerator;
use crate::journal::{Origin, RequesterIdentity};
use crate::limits::REQUESTS_PER_SECOND;
use crate::projections::Roster;
use crate::store::Store;
use crate::vault::{self, RotationReport, Vault};

/// An open data directory without a running service.
pub struct OfflineDirectory {
    audit: Audit,
    api: ApiState,
    /// The vault, or why there is none. Without it, nothing can be signed.
    vault: Result<Vault, vault::Error>,
}

impl OfflineDirectory {
    /// Opens the data directory of `settings`. Without the master key everything can be read, but nothing is signed.
    pub fn open(settings: &Settings) -> Result<OfflineDirectory, Error> {
        if !Store::exists_at(&settings.data_dir) {
            return Err(Error::NoDataDirectory { path: settings.data_dir.clone() });
        }
        let store = Store::open(&settings.data_dir, &settings.store)?;
        let (roster, journal) = Roster::open_with_journal(&store)?;
        let vault = Vault::open_existing(store.clone(), &settings.vault);
        let (log, vault) = match vault.and_then(|vault| Ok((vault.load_or_create_log_key()?, vault))) {
            Ok((key, vault)) => (Some(TransparencyLog::open(&store, &journal, key)?), Ok(vault)),
            Err(why) => (None, Err(why)),
        };
        let keys = ApiKeys::open(&journal, vault.as_ref().ok().cloned())?;
        let authenticator = Authenticator::new(keys, REQUESTS_PER_SECOND);
        let audit = Audit::new(store, journal, roster, log);
        let api = ApiState::new(audit.clone(), None, None, authenticator, Duration::MAX, CancellationToken::new());
        Ok(OfflineDirectory { audit, api, vault })
    }

    /// The audit of its journal.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Why nothing can be signed. `None` if signing works.
    pub fn missing_key(&self) -> Option<&vault::Error> {
        self.vault.as_ref().err()
    }

    /// The API on this directory.
    pub fn api(&self) -> &ApiState {
        &self.api
    }

    /// A call of the API. Access to the data directory replaces an API key.
    pub fn call(&self, operation: Operation) -> Result<Call, Problem> {
        let (id, from) = (RequestIdGenerator::default().generate(), "command line".to_owned());
        Call::new(&self.api, operation, AccountSelection::All, AuthContext::OWNER, id, from)
    }

    /// The vault, or why there is none.
    pub fn vault(&self) -> Result<&Vault, &vault::Error> {
        self.vault.as_ref()
    }

    /// Undoes an interrupted rotation of the master key. The report says what the operator must do next. Blocks.
    /// `runtime` runs the append to the audit log.
    pub fn abort_rotation(&self, vault: &Vault, runtime: &Handle) -> Result<RotationReport, Error> {
        let rotation = runtime.block_on(vault.stop_rotation())?;
        rotation.begin_undo()?;
        let requester = RequesterIdentity { origin: Origin::OPERATOR, from: "command line".to_owned() };
        Ok(rotation.run(self.audit.journal(), runtime, &requester, |_, _| {})?)
    }
}
