//! A data directory that no service uses: looked into, and changed where no service is needed for that.

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

/// A data directory that no service uses, to be looked into.
pub struct OfflineDirectory {
    audit: Audit,
    keys: ApiKeys,
    vault: Option<Vault>,
    /// Why nothing can be signed, if nothing can.
    missing_key: Option<vault::Error>,
}

impl OfflineDirectory {
    /// Opens the data directory of `settings`. Without the master key everything can be read, and nothing is signed.
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

    /// What it holds.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Why nothing can be signed, if nothing can.
    pub fn missing_key(&self) -> Option<&vault::Error> {
        self.missing_key.as_ref()
    }

    /// Answers a request under `/api/v1`, as the service would.
    pub async fn send(&self, method: &str, path: &str, accept: &str, body: String) -> Result<InProcessResponse, Error> {
        let within = InProcessClient::offline(self.audit.clone(), self.keys.clone());
        // Whoever has the data directory needs no key.
        let (pass, peer, headers) = (AuthContext::OWNER, None, &[("accept", accept)]);
        let asked = InProcessRequest { auth: pass, peer, method, path, headers, body };
        within.send(asked).await.map(InProcessResponse::from).map_err(|error| Error::InvalidRequest(error.to_string()))
    }

    /// Undoes a rotation of the master key that was broken off, and says what the operator does now. Blocks; `runtime` is
    /// for the record. Fails without the master key.
    pub fn abort_rotation(&self, runtime: &Handle) -> Result<RotationReport, Error> {
        let vault = self.vault.as_ref().ok_or(vault::Error::NoRotationToUndo)?;
        let rotation = runtime.block_on(vault.stop_rotation())?;
        rotation.begin_undo()?;
        let asker = RequesterIdentity { origin: Origin::OPERATOR, from: "command line".to_owned() };
        Ok(rotation.run(self.audit.journal(), runtime, &asker, |_, _| {})?)
    }
}
