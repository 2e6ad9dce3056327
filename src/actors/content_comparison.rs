//! Recognises a sent content that the account already has, although its stored fingerprint differs.

use std::sync::Arc;

use crate::domain::{Account, AccountNumber, Command};
use crate::vault::{self, Vault};

/// Puts the account's stored content into a command that brings an equal one, so that `decide` sees equal fingerprints.
/// Opens the stored content only if the fingerprints differ.
pub(super) fn recognise_content(
    vault: &Vault,
    account: AccountNumber,
    state: &Account,
    command: &mut Arc<Command>,
) -> Result<(), vault::Error> {
    // No other command compares contents.
    let (Command::Import { content: sent, .. } | Command::BringOnline { content: Some(sent), replace: true, .. }) =
        &**command
    else {
        return Ok(());
    };
    let Some(stored) = state.content.as_ref().filter(|stored| stored.fingerprint != sent.fingerprint) else {
        return Ok(());
    };
    let replaces = matches!(**command, Command::BringOnline { .. });
    let is_same = match vault.is_same_content(account, stored, sent) {
        // Content that does not open cannot be compared, but callers can still replace it.
        Err(vault::Error::AccountSecretDoesNotOpen { .. }) if replaces => false,
        compared => compared?,
    };
    if is_same
        && let Command::Import { content: sent, .. } | Command::BringOnline { content: Some(sent), .. } =
            Arc::make_mut(command)
    {
        *sent = stored.clone();
    }
    Ok(())
}
