//! Erasing an account's secrets: the event, then the key.

use super::{Accounts, CommandResult, Error};
use crate::domain::{AccountNumber, Command, Reason};
use crate::journal::{Journal, Origin};
use crate::vault::{self, ErasureGuard, Vault};

/// Why secrets are not erased.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The account could not be asked.
    #[error(transparent)]
    Accounts(#[from] Error),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
}

impl Accounts {
    /// Destroys the key of the account's secrets, and says so in its history. Durable when it returns. Whoever drops what
    /// is returned before its end leaves an intent, which the next erasure or the next start takes up.
    pub async fn erase_secrets(
        &self,
        vault: &Vault,
        account: AccountNumber,
        reason: Reason,
        origin: Origin,
    ) -> Result<CommandResult, ErasureError> {
        let erasing = vault.lock_for_erasure().await;
        erasing.record_intent(account)?;
        let outcome = self.execute(account, Command::EraseSecrets { reason }, origin).await;
        finish_erasure(&erasing, &self.inner.journal, account)?;
        Ok(outcome?)
    }
}

/// Destroys the key if the history says so. An actor that failed may have appended that all the same.
fn finish_erasure(erasing: &ErasureGuard<'_>, journal: &Journal, account: AccountNumber) -> Result<(), ErasureError> {
    if !journal.load_account(account)?.0.is_erased {
        return Ok(erasing.remove_intent(account)?);
    }
    erasing.destroy_data_key(account)?;
    Ok(journal.remove_snapshot(account)?)
}

/// Ends the erasures that were begun when the service ended. Before any actor is there.
pub async fn finish_erasures(vault: &Vault, journal: &Journal) -> Result<(), ErasureError> {
    let erasing = vault.lock_for_erasure().await;
    for account in vault.unfinished_erasures()? {
        finish_erasure(&erasing, journal, account)?;
    }
    Ok(())
}
