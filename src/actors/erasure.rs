//! Erasing an account's secrets: the event, then the key.

use super::{Accounts, CommandResult, Error};
use crate::domain::{AccountNumber, Command, Reason};
use crate::journal::{Journal, Origin};
use crate::vault::{self, ErasureGuard, Vault};

/// Why an erasure failed.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The account's actor did not execute the command.
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
    /// Records the erasure in the account's history, then destroys the data key of the account's secrets. Both are
    /// durable when this returns. If the future is dropped early, an intent remains. The next erasure of the account or
    /// the next start completes it.
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

/// Destroys the key if the history records the erasure; otherwise removes the intent. Only the history decides, because
/// an actor that failed may still have appended the event.
fn finish_erasure(erasing: &ErasureGuard<'_>, journal: &Journal, account: AccountNumber) -> Result<(), ErasureError> {
    if !journal.load_account(account)?.0.is_erased {
        return Ok(erasing.remove_intent(account)?);
    }
    erasing.destroy_data_key(account)?;
    Ok(journal.remove_snapshot(account)?)
}

/// Completes the erasures that were in progress when the service ended. Call it before any actor exists.
pub async fn finish_erasures(vault: &Vault, journal: &Journal) -> Result<(), ErasureError> {
    let erasing = vault.lock_for_erasure().await;
    for account in vault.unfinished_erasures()? {
        finish_erasure(&erasing, journal, account)?;
    }
    Ok(())
}
