//! A data directory that no service uses: looked into, and changed where no service is needed for that.

use tokio::runtime::Handle;

use super::Error;
use crate::access::{Keys, Pass};
use crate::audit::{Audit, Log};
use crate::config::Settings;
use crate::http::{Asked, Here, Within};
use crate::journal::{Asker, Origin};
use crate::projections::Roster;
use crate::store::Store;
use crate::vault::{self, Rotated, Vault};

/// A data directory that no service uses, to be looked into.
pub struct Offline {
    audit: Audit,
    keys: Keys,
    vault: Option<Vault>,
    /// Why nothing can be signed, if nothing can.
    unsigned: Option<vault::Error>,
}

impl Offline {
    /// Opens the data directory of `settings`. Without the master key everything can be read, and nothing is signed.
    pub fn open(settings: &Settings) -> Result<Offline, Error> {
        if !Store::is_at(&settings.data_dir) {
            return Err(Error::NoDataDirectory { path: settings.data_dir.clone() });
        }
        let store = Store::open(&settings.data_dir, &settings.store)?;
        let (roster, journal) = Roster::open_with_journal(&store)?;
        let vault = Vault::open_made(store.clone(), &settings.vault);
        let (log, vault, unsigned) = match vault.and_then(|vault| Ok((vault.log_key()?, vault))) {
            Ok((key, vault)) => (Some(Log::open(&store, &journal, key)?), Some(vault), None),
            Err(why) => (None, None, Some(why)),
        };
        let keys = Keys::open(&journal, vault.clone())?;
        Ok(Offline { audit: Audit::new(store, journal, roster, log), keys, vault, unsigned })
    }

    /// What it holds.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Why nothing can be signed, if nothing can.
    pub fn unsigned(&self) -> Option<&vault::Error> {
        self.unsigned.as_ref()
    }

    /// Answers a request under `/api/v1`, as the service would.
    pub async fn ask(&self, method: &str, path: &str, accept: &str, body: String) -> Result<Here, Error> {
        let within = Within::offline(self.audit.clone(), self.keys.clone());
        // Whoever has the data directory needs no key.
        let (pass, peer, headers) = (Pass::OWNER, None, &[("accept", accept)]);
        let asked = Asked { pass, peer, method, path, headers, body };
        within.ask(asked).await.map(Here::from).map_err(|error| Error::Asked(error.to_string()))
    }

    /// Undoes a rotation of the master key that was broken off, and says what the operator does now. Blocks; `runtime` is
    /// for the record. Fails without the master key.
    pub fn abort_rotation(&self, runtime: &Handle) -> Result<Rotated, Error> {
        let vault = self.vault.as_ref().ok_or(vault::Error::NoRotation)?;
        let rotation = runtime.block_on(vault.stop_rotation())?;
        rotation.turn_back()?;
        let asker = Asker { origin: Origin::OPERATOR, from: "command line".to_owned() };
        Ok(rotation.run(self.audit.journal(), runtime, &asker, |_, _| {})?)
    }
}
