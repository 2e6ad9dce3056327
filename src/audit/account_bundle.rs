//! A bundle: one account's whole history, with proofs that it is in the log. Verifying it needs only the log's public
//! key.
//!
//! The bundle holds each event as stored. The event's hash leads through its proof to the root that the checkpoint
//! signs. The stored bytes contain the version and `prev`, so an omitted event breaks the chain. The log also signs
//! the account's head at that size, which proves that no later event was omitted.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::cloud_event::{self, CloudEvent};
use super::{Audit, Error};
use crate::domain::AccountNumber;
use crate::journal::JournalRecord;

// Frozen: the fields, their order and the signed texts of each format. Bundles that were handed out must verify.
/// The values of `format` in a bundle. Bundles are handed out, so all stay readable. The second has the names of API keys,
/// the third has the generations of the log.
pub(super) const FORMAT_1: &str = "muster account bundle 1";
pub(super) const FORMAT_2: &str = "muster account bundle 2";
pub(super) const FORMAT_3: &str = "muster account bundle 3";

/// A bundle: one account's whole history, with the proof that it is in the log.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// The format: `muster account bundle 3` if the log was restored to an earlier state, else `2`; `1` has no names of
    /// API keys.
    pub(super) format: String,
    /// The account number.
    pub(super) account: String,
    /// The current `source` of the log; each event has its own.
    pub(super) source: String,
    /// The signer's public key, as `name+id+key`.
    pub(super) public_key: String,
    /// The signed size and root of the log.
    pub(super) checkpoint: String,
    /// The signed end of the account's history at that size.
    pub(super) head: String,
    /// The signed names of the API keys in the events' `origin`: a line for each number and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) keys: Option<String>,
    /// The events that began the generations of the log, in order; left out in generation 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) generations: Option<Vec<ProvedEvent>>,
    /// All events of the account, oldest first.
    pub(super) events: Vec<ProvedEvent>,
}

/// One event with its proof.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProvedEvent)]
pub(super) struct ProvedEvent {
    /// The stored record, in base64.
    pub(super) record: String,
    /// The hashes that lead from the record to the root, in base64.
    pub(super) proof: Vec<String>,
    /// The same event as JSON.
    #[schema(value_type = CloudEvent)]
    pub(super) event: Box<RawValue>,
}

impl Audit {
    /// The current bundle of an account.
    pub fn account_bundle(&self, account: AccountNumber) -> Result<Vec<u8>, Error> {
        let log = self.log()?;
        let stream = self.existing_stream(account)?;
        // The root is read first. The records that are read later include all that it covers, and perhaps more.
        let (size, root) = self.journal.root();
        let mut records = self.journal.history_after(stream, 0, usize::MAX)?;
        records.retain(|record| record.position <= size);
        let checkpoint = log.sign_root(size, root);
        let (version, position) = records.last().map_or((0, 0), |last| (last.version, last.position));
        let head = log.sign(&head_text(log.origin(), account, version, position, size));
        let keys = log.sign(&keys_text(log.origin(), account, size, &self.names_of_keys(&records)?));
        let events = records.iter().map(|record| self.prove_event(record, size)).collect::<Result<_, _>>()?;
        let generations = self.prove_generations(size)?;
        let bundle = Bundle {
            format: generations.as_ref().map_or(FORMAT_2, |_| FORMAT_3).to_owned(),
            account: account.to_string(),
            source: self.source.current().into_owned(),
            public_key: log.signer().to_string(),
            checkpoint,
            head,
            keys: Some(keys),
            generations,
            events,
        };
        let mut bytes = serde_json::to_vec_pretty(&bundle).unwrap_or_default();
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn names_of_keys(&self, records: &[JournalRecord]) -> Result<BTreeMap<u64, Arc<str>>, Error> {
        let mut names = BTreeMap::new();
        for origin in records.iter().map(|record| record.origin) {
            let name = self.key_names.of(origin)?;
            names.extend(origin.principal.key_id().zip(name));
        }
        Ok(names)
    }

    /// The events that began the generations of the log, with their proofs. `None` in generation 0.
    pub(super) fn prove_generations(&self, size: u64) -> Result<Option<Vec<ProvedEvent>>, Error> {
        let mut proved = Vec::new();
        for start in self.source.generations().starts() {
            if let Some(record) = self.journal.read_at(start.fork + 1)? {
                proved.push(self.prove_event(&record, size)?);
            }
        }
        Ok(Some(proved).filter(|proved| !proved.is_empty()))
    }

    fn prove_event(&self, record: &JournalRecord, size: u64) -> Result<ProvedEvent, Error> {
        let position = record.position;
        // Both exist for every position up to the size.
        let stored = self.journal.record_bytes_at(position)?.unwrap_or_default();
        let proof = self.journal.inclusion_proof(position, size)?.unwrap_or_default();
        let line = String::from_utf8(cloud_event::record_to_json(record, &self.source)).unwrap_or_default();
        Ok(ProvedEvent {
            record: STANDARD.encode(stored),
            proof: proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
            event: RawValue::from_string(line).unwrap_or_default(),
        })
    }
}

/// The signed text about the names of API keys.
pub(super) fn keys_text(log: &str, account: AccountNumber, size: u64, names: &BTreeMap<u64, Arc<str>>) -> String {
    let names = names.iter().map(|(key, name)| format!("{key} {name}\n")).collect::<String>();
    format!("{log} account keys\n{account}\n{size}\n{names}")
}

/// The signed text about the end of an account's history.
pub(super) fn head_text(log: &str, account: AccountNumber, version: u64, position: u64, size: u64) -> String {
    format!("{log} account head\n{account}\n{version}\n{position}\n{size}\n")
}
