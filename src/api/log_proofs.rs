//! Checkpoints and proofs.

use super::{Call, Problem};
use crate::audit::{self, CheckpointCheck, ConsistencyProof, InclusionProof, LogGenerations};
use crate::domain::{AccountNumber, AdministrativeEvent, EventId};

/// Signs the log's size and root.
pub async fn show_checkpoint(call: &Call) -> Result<String, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || Ok(audit.sign_checkpoint()?)).await
}

/// Shows the public key that verifies the log's signatures, as a line of text.
pub async fn show_public_key(call: &Call) -> Result<String, Problem> {
    call.read(async { Ok(format!("{}\n", call.api().audit().signer()?)) }).await
}

/// Proves that an event is in the log of `size` events. Without `size`, the current size applies.
pub async fn prove_inclusion(call: &Call, id: EventId, size: Option<u64>) -> Result<InclusionProof, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || Ok(audit.inclusion_proof(id, size)?)).await
}

/// Proves that the log of `from` events is the beginning of the log of `to` events. Without `to`, the current size
/// applies.
pub async fn prove_consistency(call: &Call, from: u64, to: Option<u64>) -> Result<ConsistencyProof, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || Ok(audit.consistency_proof(from, to)?)).await
}

/// Shows the generations of the log, with the proof of where each began.
pub async fn show_generations(call: &Call) -> Result<LogGenerations, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || Ok(audit.generations()?)).await
}

/// Compares a kept checkpoint with the log.
pub async fn check_checkpoint(call: &Call, note: String) -> Result<CheckpointCheck, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || Ok(audit.check_checkpoint(&note)?)).await
}

/// Exports the history of an account with its proof, as a JSON file. It is recorded before it is returned: who looked, and
/// at which account.
pub async fn prove_account(call: &Call, account: AccountNumber) -> Result<Vec<u8>, Problem> {
    let bundle = prove_stopped_account(call, account).await?;
    let requester = call.authorize()?.into_requester_identity();
    let event = AdministrativeEvent::AccountBundleExported { account };
    call.api().record(event, requester).await.map_err(audit::Error::from)?;
    Ok(bundle)
}

/// Like [`prove_account`], but on a data directory without a service. It is not recorded.
pub async fn prove_stopped_account(call: &Call, account: AccountNumber) -> Result<Vec<u8>, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || Ok(audit.account_bundle(account)?)).await
}
