//! A bundle: one account's whole history, with proofs that it is in the log. Verifying it needs only the log's public
//! key.
//!
//! The bundle holds each event as stored. The event's hash leads through its proof to the root that the checkpoint
//! signs. The stored bytes contain the version and `prev`, so an omitted event breaks the chain. The log also signs
//! the account's head at that size, which proves that no later event was omitted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::cloud_event::{self, CloudEvent};
use super::signed_note::{LogCheckpoint, Signer};
use super::{Audit, Error, IntegrityFault, transparency_log};
use crate::domain::AccountNumber;
use crate::journal::{self, JournalRecord, Root, StreamId, root_from_inclusion_proof};

/// The value of `format` in a bundle.
const FORMAT: &str = "muster account bundle 1";

/// A bundle: one account's whole history, with the proof that it is in the log.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// The format: `muster account bundle 1`.
    format: String,
    /// The account number.
    account: String,
    /// The `source` of the events.
    source: String,
    /// The signer's public key, as `name+id+key`.
    public_key: String,
    /// The signed size and root of the log.
    checkpoint: String,
    /// The signed end of the account's history at that size.
    head: String,
    /// All events of the account, oldest first.
    events: Vec<ProvedEvent>,
}

/// One event with its proof.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProvedEvent)]
struct ProvedEvent {
    /// The stored record, in base64.
    record: String,
    /// The hashes that lead from the record to the root, in base64.
    proof: Vec<String>,
    /// The same event as JSON.
    #[schema(value_type = CloudEvent)]
    event: Box<RawValue>,
}

/// The result of verifying a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleVerification {
    /// The account whose history it is.
    pub account: String,
    /// How many events it has.
    pub events: u64,
    /// The size of the log that the proofs refer to.
    pub log_size: u64,
    /// The signer of that log.
    pub public_key: String,
}

/// A verification step of a bundle that succeeded. Steps come in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerificationStep {
    /// The log signed this size and root.
    CheckpointSigned {
        /// The signer, as `name+id+key`.
        by: String,
        /// The number of events in the log.
        size: u64,
        /// The root at that size.
        root: Root,
    },
    /// An event's bytes are in the log and follow the account's previous event.
    EventProved {
        /// The version of the account after the event.
        version: u64,
        /// The event's position in the log.
        position: u64,
        /// The event's `type`.
        kind: String,
        /// How many hashes lead from the event to the root.
        hashes: usize,
    },
    /// The log signed that the account had no later event.
    HistoryEnded {
        /// The version of the last event.
        version: u64,
        /// Its position.
        position: u64,
    },
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
        let origin = log.signer().name.clone();
        let checkpoint = log.sign(&LogCheckpoint { origin, size, root }.to_text());
        let (version, position) = records.last().map_or((0, 0), |last| (last.version, last.position));
        let head = log.sign(&head_text(&log.signer().name, account, version, position, size));
        let events = records.iter().map(|record| self.prove_event(record, size)).collect::<Result<_, _>>()?;
        let bundle = Bundle {
            format: FORMAT.to_owned(),
            account: account.to_string(),
            source: self.source.to_string(),
            public_key: log.signer().to_string(),
            checkpoint,
            head,
            events,
        };
        let mut bytes = serde_json::to_vec_pretty(&bundle).unwrap_or_default();
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn prove_event(&self, record: &JournalRecord, size: u64) -> Result<ProvedEvent, Error> {
        let position = record.position;
        // Both exist for every position up to the size.
        let stored = self.journal.record_bytes_at(position)?.unwrap_or_default();
        let proof = self.journal.inclusion_proof(position, size)?.unwrap_or_default();
        let line = String::from_utf8(self.to_json_line(record)).unwrap_or_default();
        Ok(ProvedEvent {
            record: STANDARD.encode(stored),
            proof: proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
            event: RawValue::from_string(line).unwrap_or_default(),
        })
    }
}

/// Verifies a bundle. It must be signed by `signer`, or, without one, by the signer that it names.
pub fn verify_bundle(bytes: &[u8], signer: Option<&Signer>) -> Result<BundleVerification, IntegrityFault> {
    verify_bundle_with(bytes, signer, |_| {})
}

/// Like [`verify_bundle`], and reports each step that succeeds.
pub fn verify_bundle_with(
    bytes: &[u8],
    signer: Option<&Signer>,
    mut step: impl FnMut(VerificationStep),
) -> Result<BundleVerification, IntegrityFault> {
    let bundle: Bundle =
        serde_json::from_slice(bytes).map_err(|error| IntegrityFault::new(format!("it is not a bundle: {error}")))?;
    if bundle.format != FORMAT {
        return Err(IntegrityFault::new(format!("its format is {:?}, but only {FORMAT:?} can be read", bundle.format)));
    }
    let signer = &Signer::parse_expected(&bundle.public_key, signer)?;
    if bundle.source != transparency_log::event_source(&signer.name) {
        return Err(IntegrityFault::new(format!(
            "its events are from {}, but {} signed it",
            bundle.source, signer.name
        )));
    }
    let unsigned = |what: &'static str| move |cause| IntegrityFault::new(format!("its {what} is not valid: {cause}"));
    let checkpoint = signer.verify_note(&bundle.checkpoint).map_err(unsigned("checkpoint"))?;
    let checkpoint =
        LogCheckpoint::parse(checkpoint).ok_or_else(|| IntegrityFault::new("its checkpoint is malformed"))?;
    if checkpoint.origin != signer.name {
        return Err(IntegrityFault::new(format!(
            "its checkpoint is of the log {}, not {}",
            checkpoint.origin, signer.name
        )));
    }
    step(VerificationStep::CheckpointSigned { by: signer.to_string(), size: checkpoint.size, root: checkpoint.root });
    let account: AccountNumber = bundle
        .account
        .parse()
        .map_err(|cause| IntegrityFault::new(format!("its account {} {cause}", bundle.account)))?;
    let head = signer.verify_note(&bundle.head).map_err(unsigned("head"))?;
    let mut last = (0, 0);
    for (proved, number) in bundle.events.iter().zip(1..) {
        let at = |what: String| IntegrityFault::new(format!("event {number}: {what}"));
        let record = check_event(proved, &bundle.source, &checkpoint).map_err(at)?;
        let (version, previous) = (record.version, record.previous);
        if record.stream != StreamId::Account(account) {
            return Err(at(format!("it belongs to {}, not to {account}", cloud_event::subject(record.stream))));
        }
        if version != last.0 + 1 || previous != last.1 {
            return Err(at(format!(
                "it is version {version} after position {previous}, but version {} after position {} is expected: \
                 events are missing or out of order",
                last.0 + 1,
                last.1
            )));
        }
        last = (version, record.position);
        let (kind, hashes) = (cloud_event::cloud_event_type(&record), proved.proof.len());
        step(VerificationStep::EventProved { version, position: record.position, kind, hashes });
    }
    if head != head_text(&signer.name, account, last.0, last.1, checkpoint.size) {
        return Err(IntegrityFault::new(format!(
            "the log signed another end of this history than version {} at position {}: events at the end are missing",
            last.0, last.1
        )));
    }
    step(VerificationStep::HistoryEnded { version: last.0, position: last.1 });
    Ok(BundleVerification {
        account: bundle.account,
        events: last.0,
        log_size: checkpoint.size,
        public_key: signer.to_string(),
    })
}

/// Checks that an event's bytes are in the log and match its JSON. Returns its record.
fn check_event(proved: &ProvedEvent, source: &str, checkpoint: &LogCheckpoint) -> Result<JournalRecord, String> {
    let ProvedEvent { record, proof, event } = proved;
    let stored = STANDARD.decode(record).map_err(|_| "its record is not base64")?;
    let record = journal::decode_record(&stored).map_err(|error| error.to_string())?;
    let hash = |hash: &String| STANDARD.decode(hash).ok().and_then(|hash| hash.as_array().copied());
    let proof: Option<Vec<[u8; 32]>> = proof.iter().map(hash).collect();
    let proof = proof.ok_or("its proof has an invalid hash")?;
    if root_from_inclusion_proof(&stored, record.position, checkpoint.size, &proof) != Some(checkpoint.root) {
        return Err(format!("its proof does not lead to the root of the checkpoint (position {})", record.position));
    }
    if event.get().as_bytes() != cloud_event::to_json_line(&record, source) {
        return Err(format!("its event differs from its record (position {})", record.position));
    }
    Ok(record)
}

/// The signed text about the end of an account's history.
fn head_text(log: &str, account: AccountNumber, version: u64, position: u64, size: u64) -> String {
    format!("{log} account head\n{account}\n{version}\n{position}\n{size}\n")
}
