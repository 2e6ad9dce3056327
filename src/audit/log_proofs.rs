//! Proofs over the whole log, as the API shows them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Audit, Error};
use crate::domain::EventId;
use crate::journal::Root;

/// The proof that an event is in the log. Hashes are in base64, in the order of RFC 6962.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Inclusion)]
pub struct InclusionProof {
    /// The event's id: its position, from 1.
    seq: String,
    /// The size of the log that the proof is for.
    size: String,
    /// The stored record in base64; its hash is the leaf.
    record: String,
    /// The hashes that lead from the leaf to the root.
    proof: Vec<String>,
    /// The signed size and root of the log (a C2SP checkpoint).
    checkpoint: String,
}

/// The proof that the log only grew between two sizes.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Consistency)]
pub struct ConsistencyProof {
    /// The smaller size.
    pub(crate) from: String,
    /// The larger size.
    pub(crate) to: String,
    /// The root at the smaller size, in base64.
    pub(crate) from_root: String,
    /// The root at the larger size, in base64.
    pub(crate) to_root: String,
    /// The hashes that lead from one root to the other, in the order of RFC 6962.
    pub(crate) proof: Vec<String>,
}

impl ConsistencyProof {
    /// The hashes; `None` if one is malformed.
    pub(crate) fn parse_hashes(&self) -> Option<Vec<[u8; 32]>> {
        self.proof.iter().map(|hash| parse_hash(hash)).collect()
    }

    /// The root at the smaller size.
    pub(crate) fn parse_from_root(&self) -> Option<Root> {
        parse_hash(&self.from_root).map(Root)
    }

    /// The root at the larger size.
    pub(crate) fn parse_to_root(&self) -> Option<Root> {
        parse_hash(&self.to_root).map(Root)
    }
}

impl Audit {
    /// The proof that an event is in the log of `size`, or of its current size.
    pub fn inclusion_proof(&self, id: EventId, size: Option<u64>) -> Result<InclusionProof, Error> {
        let log = self.log()?;
        let position = self.journal.position_in_history(id)?;
        let (size, root) = self.root_at(size)?;
        let (stored, proof) = (self.journal.record_bytes_at(position)?, self.journal.inclusion_proof(position, size)?);
        let (Some(stored), Some(proof)) = (stored, proof) else { return Err(Error::NotInLog { position, size }) };
        Ok(InclusionProof {
            seq: self.source.event_id(position).to_string(),
            size: size.to_string(),
            record: STANDARD.encode(stored),
            proof: encode_hashes(&proof),
            checkpoint: log.sign_root(size, root),
        })
    }

    /// The proof that the log of size `from` is the beginning of the log of size `to`, or of its current size.
    pub fn consistency_proof(&self, from: u64, to: Option<u64>) -> Result<ConsistencyProof, Error> {
        let (to, to_root) = self.root_at(to)?;
        let proof = self.journal.consistency_proof(from, to)?.ok_or(Error::NotInLog { position: from, size: to })?;
        let (_, from_root) = self.root_at(Some(from))?;
        Ok(ConsistencyProof {
            from: from.to_string(),
            to: to.to_string(),
            from_root: STANDARD.encode(from_root.0),
            to_root: STANDARD.encode(to_root.0),
            proof: encode_hashes(&proof),
        })
    }

    fn root_at(&self, size: Option<u64>) -> Result<(u64, Root), Error> {
        let Some(size) = size else { return Ok(self.journal.root()) };
        let root = self.journal.root_at(size)?;
        root.map(|root| (size, root)).ok_or(Error::NotInLog { position: size, size: self.journal.head() })
    }
}

fn encode_hashes(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.as_array().copied()
}
