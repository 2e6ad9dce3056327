//! A data directory without a running service: read, and changed where that needs no service.

use tokio::runtime::Handle;

use super::Error;
use crate::access::{ApiKeys, AuthContext};
use crate::audit::{Audit, TransparencyLog};
use crate::config::Settings;
use crate::http::{InProcessClient, InProcessRequest, InProcessResponse};
use crate::journal::{Origin, RequesterIdentity};
use crate::projections::Roster;
use crate::store::Store;
use crate::vault::{self, RotationReport, Vault};

/// An open data directory without a running service.
pub struct OfflineDirectory {
    audit: Audit,
    keys: ApiKeys,
    vault: Option<Vault>,
    /// Why nothing can be signed, if that is so.
    missing_key: Option<vault::Error>,
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
        let (log, vault, unsigned) = match vault.and_then(|vault| Ok((vault.load_or_create_log_key()?, vault))) {
            Ok((key, vault)) => (Some(TransparencyLog::open(&store, &journal, key)?), Some(vault), None),
            Err(why) => (None, None, Some(why)),
        };
        let keys = ApiKeys::open(&journal, vault.clone())?;
        Ok(OfflineDirectory { audit: Audit::new(store, journal, roster, log), keys, vault, missing_key: unsigned })
    }

    /// The audit of its journal.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Why nothing can be signed, if that is so.
    pub fn missing_key(&self) -> Option<&vault::Error> {
        self.missing_key.as_ref()
    }

    /// Answers a request under `/api/v1`, like the service.
    pub async fn send(&self, method: &str, path: &str, accept: &str, body: String) -> Result<InProcessResponse, Error> {
        let client = InProcessClient::offline(self.audit.clone(), self.keys.clone());
        // Access to the data directory replaces an API key.
        let (auth, peer, headers) = (AuthContext::OWNER, None, &[("accept", accept)]);
        let request = InProcessRequest { auth, peer, method, path, headers, body };
        client
            .send(request)
            .await
            .map(InProcessResponse::from)
            .map_err(|error| Error::InvalidRequest(error.to_string()))
    }

    /// Undoes an interrupted rotation of the master key, and says what the operator does next. Blocks; `runtime`
    /// records the event. Fails without the master key.
    pub fn abort_rotation(&self, runtime: &Handle) -> Result<RotationReport, Error> {
        let vault = self.vault.as_ref().ok_or(vault::Error::NoRotationToUndo)?;
        let rotation = runtime.block_on(vault.stop_rotation())?;
        rotation.begin_undo()?;
        let requester = RequesterIdentity { origin: Origin::OPERATOR, from: "command line".to_owned() };
        Ok(rotation.run(self.audit.journal(), runtime, &requester, |_, _| {})?)
    }
}
