//! Proofs over the whole log, as others read them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::note::Checkpoint;
use super::{Audit, Error};
use crate::journal::Root;

/// That a fact is in the log. Hashes are in base64, in the order of RFC 6962.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inclusion {
    /// The fact's position, from 1.
    seq: String,
    /// The size of the log that it is proved to be in.
    size: String,
    /// The record as it is stored, in base64: its hash is the leaf.
    record: String,
    /// The hashes that lead from the leaf to the root.
    proof: Vec<String>,
    /// The size and the root, signed (a C2SP checkpoint).
    checkpoint: String,
}

/// That the log at one size is the beginning of the log at a later one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consistency {
    /// The one size.
    from: String,
    /// The later one.
    to: String,
    /// The root at the one size, in base64.
    from_root: String,
    /// The root at the later one, in base64.
    to_root: String,
    /// The hashes that lead from the one to the other, in the order of RFC 6962.
    proof: Vec<String>,
}

impl Audit {
    /// The proof that the fact at `position` is in the log of `size`, or of its present size.
    pub fn inclusion(&self, position: u64, size: Option<u64>) -> Result<Inclusion, Error> {
        let log = self.log()?;
        let (size, root) = self.sized(size)?;
        let (stored, proof) = (self.journal.leaf_at(position)?, self.journal.inclusion_proof(position, size)?);
        let (Some(stored), Some(proof)) = (stored, proof) else { return Err(Error::NotInLog { position, size }) };
        Ok(Inclusion {
            seq: position.to_string(),
            size: size.to_string(),
            record: STANDARD.encode(stored),
            proof: encoded(&proof),
            checkpoint: log.sign(&Checkpoint { origin: log.signer().name.clone(), size, root }.text()),
        })
    }

    /// The proof that the log of size `from` is the beginning of that of size `to`, or of the present one.
    pub fn consistency(&self, from: u64, to: Option<u64>) -> Result<Consistency, Error> {
        let (to, to_root) = self.sized(to)?;
        let proof = self.journal.consistency_proof(from, to)?.ok_or(Error::NotInLog { position: from, size: to })?;
        let (_, from_root) = self.sized(Some(from))?;
        Ok(Consistency {
            from: from.to_string(),
            to: to.to_string(),
            from_root: STANDARD.encode(from_root.0),
            to_root: STANDARD.encode(to_root.0),
            proof: encoded(&proof),
        })
    }

    fn sized(&self, size: Option<u64>) -> Result<(u64, Root), Error> {
        let Some(size) = size else { return Ok(self.journal.root()) };
        let root = self.journal.root_at(size)?;
        root.map(|root| (size, root)).ok_or(Error::NotInLog { position: size, size: self.journal.head() })
    }
}

fn encoded(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}
