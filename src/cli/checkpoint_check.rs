//! Compares a kept checkpoint with a service, a data directory or a file. A service is not trusted: its proofs are verified
//! here.

use std::io::BufReader;
use std::path::Path;

use super::Error;
use super::api_client::{ApiClient, ApiRequest, JSON, RequestArgs};
use super::listing_output;
use crate::audit::{
    self, CheckpointCheck, CheckpointVerdict, IntegrityFault, LogGenerations, Signer, check_against_file,
    check_against_service, check_note,
};
use crate::files::{open_file, read_text};
use crate::limits::{CHECKPOINT_BYTES, PROOF_RESPONSE_BYTES};

/// Compares the checkpoint in the file `kept` with the file `against`, or with the log that `request` names, and prints
/// the result. Fails unless the log has grown from it.
pub(super) fn check_checkpoint(
    kept: &Path,
    against: Option<&Path>,
    signer: Option<Signer>,
    request: &RequestArgs,
) -> Result<(), Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::FileAccess { what: "read", path, source }
    };
    let note = read_text(kept, CHECKPOINT_BYTES).map_err(unreadable(kept))?;
    let result = if let Some(path) = against {
        let file = BufReader::new(open_file(path).map_err(unreadable(path))?);
        check_against_file(&note, file, signer.as_ref())?
    } else {
        let client = request.source.open()?;
        match client.offline() {
            Some(offline) => offline.audit().check_checkpoint_by_events(&note, signer.as_ref())?,
            None => check_with_service(&client, &note, signer)?,
        }
    };
    listing_output::print_value(request.output, &serde_json::to_value(&result).unwrap_or_default())?;
    match result.verdict {
        CheckpointVerdict::SameLog => Ok(()),
        CheckpointVerdict::OtherHistory
        | CheckpointVerdict::LostByRestore
        | CheckpointVerdict::Truncated
        | CheckpointVerdict::OtherKey
        | CheckpointVerdict::Altered => Err(Error::CheckpointDiffers(result.sentence)),
    }
}

fn check_with_service(client: &ApiClient, note: &str, signer: Option<Signer>) -> Result<CheckpointCheck, Error> {
    let malformed = |what: &str| audit::Error::from(IntegrityFault::new(format!("the service's {what} is malformed")));
    let signer = match signer {
        Some(signer) => signer,
        None => Signer::parse(&String::from_utf8_lossy(&fetch(client, "log/public-key")?))
            .ok_or_else(|| malformed("public key"))?,
    };
    check_note(note, &signer, |kept| {
        let shown = fetch(client, "log/generations").map_err(|error| {
            if let Error::ErrorResponse { status: 404, is_fault, .. } = error {
                let detail = "the service does not prove its generations: it is older than this program, or refuses to";
                return Error::ErrorResponse { status: 501, detail: detail.to_owned(), is_fault };
            }
            error
        })?;
        let shown: LogGenerations =
            serde_json::from_slice(&shown).map_err(|_| malformed("response about its generations"))?;
        check_against_service(kept, &signer, &shown, |from, to| {
            match fetch(client, &format!("log/proof/consistency?from={from}&to={to}")) {
                Ok(proof) => Ok(serde_json::from_slice(&proof).ok()),
                // It has signed the larger size, so an honest service has this proof.
                Err(Error::ErrorResponse { status: 404, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    })
}

/// The response of a service to a GET, up to a bound.
fn fetch(client: &ApiClient, path: &str) -> Result<Vec<u8>, Error> {
    let mut response = Vec::new();
    client.request(&ApiRequest { method: "GET", path, accept: JSON }, |piece| {
        if response.len() + piece.len() > PROOF_RESPONSE_BYTES {
            let what = format!("the service's response to {path} is longer than {PROOF_RESPONSE_BYTES} bytes");
            return Err(audit::Error::from(IntegrityFault::new(what)).into());
        }
        response.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(response)
}
