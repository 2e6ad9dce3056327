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
use super::signed_note::{LogCheckpoint, Signer};
use super::{Audit, Error, IntegrityFault, transparency_log};
use crate::domain::AccountNumber;
use crate::journal::{self, JournalEvent, JournalRecord, Root, StreamId, root_from_inclusion_proof};

// Frozen: the fields, their order and the signed texts of each format. Bundles that were handed out must verify.
/// The values of `format` in a bundle. Bundles are handed out, so both stay readable. The second has the names of API keys.
const FORMAT_1: &str = "muster account bundle 1";
const FORMAT_2: &str = "muster account bundle 2";

/// A bundle: one account's whole history, with the proof that it is in the log.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// The format: `muster account bundle 2`, or `1` without the names of API keys.
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
    /// The signed names of the API keys in the events' `origin`: a line for each number and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keys: Option<String>,
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
        /// The event's `origin`, with the name of its API key.
        origin: String,
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
        let keys = log.sign(&keys_text(&log.signer().name, account, size, &self.names_of_keys(&records)?));
        let events = records.iter().map(|record| self.prove_event(record, size)).collect::<Result<_, _>>()?;
        let bundle = Bundle {
            format: FORMAT_2.to_owned(),
            account: account.to_string(),
            source: self.source.to_string(),
            public_key: log.signer().to_string(),
            checkpoint,
            head,
            keys: Some(keys),
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
    bundle.check_format()?;
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
    let keys = bundle.keys.as_deref().map(|keys| signer.verify_note(keys)).transpose();
    let key_names = parse_keys(keys.map_err(unsigned("list of API keys"))?, &signer.name, account, checkpoint.size)
        .ok_or_else(|| IntegrityFault::new("its list of API keys is malformed, or of another bundle"))?;
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
        let key_name = record.origin.principal.key_id().and_then(|key| key_names.get(&key));
        let origin = cloud_event::label_origin(&cloud_event::origin(record.origin), key_name.map(|name| &**name));
        step(VerificationStep::EventProved { version, position: record.position, kind, origin, hashes });
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

impl Bundle {
    fn check_format(&self) -> Result<(), IntegrityFault> {
        let has_keys = match self.format.as_str() {
            FORMAT_1 => false,
            FORMAT_2 => true,
            other => {
                let known = format!("its format is {other:?}, but only {FORMAT_1:?} and {FORMAT_2:?} can be read");
                return Err(IntegrityFault::new(known));
            }
        };
        if has_keys != self.keys.is_some() {
            return Err(IntegrityFault::new(format!("its names of API keys do not fit its format {:?}", self.format)));
        }
        Ok(())
    }
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
    let is_shown_as = |record: &JournalRecord| event.get().as_bytes() == cloud_event::record_to_json(record, source);
    if is_shown_as(&record) {
        return Ok(record);
    }
    if let JournalEvent::Unknown(unknown) = &record.event {
        return Err(format!(
            "it was written by a newer version of muster (event type {}, schema version {}); verify it with that \
             version (position {})",
            unknown.event_type, record.schema, record.position
        ));
    }
    // A program that did not know the event has shown its bytes.
    if journal::decode_as_unknown(&stored).is_ok_and(|unknown| is_shown_as(&unknown)) {
        return Ok(record);
    }
    Err(format!("its event differs from its record (position {})", record.position))
}

/// The signed text about the names of API keys.
fn keys_text(log: &str, account: AccountNumber, size: u64, names: &BTreeMap<u64, Arc<str>>) -> String {
    let names = names.iter().map(|(key, name)| format!("{key} {name}\n")).collect::<String>();
    format!("{log} account keys\n{account}\n{size}\n{names}")
}

/// The names in a text from [`keys_text`]. `None` if it is malformed or belongs to another bundle.
fn parse_keys(text: Option<&str>, log: &str, account: AccountNumber, size: u64) -> Option<BTreeMap<u64, Arc<str>>> {
    let Some(text) = text else { return Some(BTreeMap::new()) };
    let name = |line: &str| {
        let (key, name) = line.split_once(' ')?;
        Some((key.parse().ok()?, Arc::from(name)))
    };
    let names = text.split_terminator('\n').skip(3).map(name).collect::<Option<_>>()?;
    (keys_text(log, account, size, &names) == text).then_some(names)
}

/// The signed text about the end of an account's history.
fn head_text(log: &str, account: AccountNumber, version: u64, position: u64, size: u64) -> String {
    format!("{log} account head\n{account}\n{version}\n{position}\n{size}\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::AuditFixture;
    use super::*;

    /// A log with only this record, and the record's event shown as `event`.
    fn prove_alone(stored: &[u8], event: Vec<u8>) -> (ProvedEvent, LogCheckpoint) {
        let root = root_from_inclusion_proof(stored, 1, 1, &[]).unwrap();
        let checkpoint = LogCheckpoint { origin: "log".to_owned(), size: 1, root };
        let event = RawValue::from_string(String::from_utf8(event).unwrap()).unwrap();
        (ProvedEvent { record: STANDARD.encode(stored), proof: Vec::new(), event }, checkpoint)
    }

    #[tokio::test]
    async fn events_of_newer_and_older_versions_are_verified_as_they_were_shown() {
        let fixture = AuditFixture::with_history().await;
        let stored = fixture.audit.journal.record_bytes_at(1).unwrap().unwrap();
        let check = |stored: &[u8], event: Vec<u8>| {
            let (proved, checkpoint) = prove_alone(stored, event);
            check_event(&proved, "urn", &checkpoint)
        };
        let known = journal::decode_record(&stored).unwrap();
        let unknown = journal::decode_as_unknown(&stored).unwrap();
        assert_ne!(known.event, unknown.event);
        // A program that knows the event has shown it, and one that did not know it yet.
        for shown in [&known, &unknown] {
            assert_eq!(check(&stored, cloud_event::record_to_json(shown, "urn")).unwrap(), known);
        }
        // The same record in schema version 1 is shown without the reason, and never with it.
        let mut older = stored.to_vec();
        older[4] = 1;
        older.truncate(older.len() - 1);
        let payload = u32::try_from(older.len() - 76).unwrap();
        older[72..76].copy_from_slice(&payload.to_le_bytes());
        let in_version_1 = journal::decode_record(&older).unwrap();
        let shown = cloud_event::record_to_json(&in_version_1, "urn");
        assert!(!String::from_utf8(shown.clone()).unwrap().contains("reason"));
        assert_eq!(check(&older, shown).unwrap(), in_version_1);
        let shown = cloud_event::record_to_json(&JournalRecord { schema: 2, ..in_version_1 }, "urn");
        assert!(check(&older, shown).unwrap_err().contains("differs from its record"));
        // This program cannot show what a newer one wrote, and does not call it altered.
        let mut newer = stored.to_vec();
        newer[4] = 9;
        let fault = check(&newer, cloud_event::record_to_json(&JournalRecord { schema: 9, ..known }, "urn"));
        assert!(fault.unwrap_err().contains("newer version of muster (event type 1, schema version 9)"));
    }
}
