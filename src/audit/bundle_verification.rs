//! Verifies a bundle with nothing but the log's public key.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::account_bundle::{Bundle, FORMAT_1, FORMAT_2, FORMAT_3, ProvedEvent, head_text, keys_text};
use super::event_source::{EventSource, parse_checkpoint_origin};
use super::signed_note::{LogCheckpoint, Signer};
use super::{IntegrityFault, cloud_event};
use crate::domain::AccountNumber;
use crate::journal::{self, Generations, JournalEvent, JournalRecord, Root, StreamId, root_from_inclusion_proof};

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
    let (signer, checkpoint, source) = &bundle.check_log(signer)?;
    let unsigned = |what: &'static str| move |cause| IntegrityFault::new(format!("its {what} is not valid: {cause}"));
    if bundle.source != source.current() {
        return Err(IntegrityFault::new(format!(
            "its events are from {}, but {} signed it",
            bundle.source, checkpoint.origin
        )));
    }
    step(VerificationStep::CheckpointSigned { by: signer.to_string(), size: checkpoint.size, root: checkpoint.root });
    let account: AccountNumber = bundle
        .account
        .parse()
        .map_err(|cause| IntegrityFault::new(format!("its account {} {cause}", bundle.account)))?;
    let head = signer.verify_note(&bundle.head).map_err(unsigned("head"))?;
    let keys = bundle.keys.as_deref().map(|keys| signer.verify_note(keys)).transpose();
    let key_names =
        parse_keys(keys.map_err(unsigned("list of API keys"))?, &checkpoint.origin, account, checkpoint.size)
            .ok_or_else(|| IntegrityFault::new("its list of API keys is malformed, or of another bundle"))?;
    let mut last = (0, 0);
    for (proved, number) in bundle.events.iter().zip(1..) {
        let at = |what: String| IntegrityFault::new(format!("event {number}: {what}"));
        let record = check_event(proved, source, checkpoint).map_err(at)?;
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
    if head != head_text(&checkpoint.origin, account, last.0, last.1, checkpoint.size) {
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
    /// Checks what the bundle says about its log: its signer, its signed checkpoint, and how it identifies its events.
    pub(super) fn check_log(
        &self,
        signer: Option<&Signer>,
    ) -> Result<(Signer, LogCheckpoint, EventSource), IntegrityFault> {
        self.check_format()?;
        let signer = Signer::parse_expected(&self.public_key, signer)?;
        let checkpoint = signer.verify_checkpoint(&self.checkpoint)?;
        let generations = self.generations.as_deref().unwrap_or_default();
        let source = check_generations(generations, &checkpoint, &signer.name)?;
        Ok((signer, checkpoint, source))
    }

    fn check_format(&self) -> Result<(), IntegrityFault> {
        let (has_keys, has_generations) = match self.format.as_str() {
            FORMAT_1 => (false, false),
            FORMAT_2 => (true, false),
            FORMAT_3 => (true, true),
            other => {
                let known = format!("its format is {other:?}, but only {FORMAT_1:?} to {FORMAT_3:?} can be read");
                return Err(IntegrityFault::new(known));
            }
        };
        if has_keys != self.keys.is_some() {
            return Err(IntegrityFault::new(format!("its names of API keys do not fit its format {:?}", self.format)));
        }
        let fits = self.generations.as_ref().map_or(!has_generations, |begun| has_generations && !begun.is_empty());
        if !fits {
            return Err(IntegrityFault::new(format!("its generations do not fit its format {:?}", self.format)));
        }
        Ok(())
    }
}

/// Checks that the events which began generations are in the log, one after the other up to the generation of the
/// checkpoint. Returns how the log `name` identifies its events.
pub(super) fn check_generations(
    begun: &[ProvedEvent],
    checkpoint: &LogCheckpoint,
    name: &str,
) -> Result<EventSource, IntegrityFault> {
    let current = parse_checkpoint_origin(&checkpoint.origin, name).ok_or_else(|| {
        IntegrityFault::new(format!("its checkpoint is of the log {}, not {name}", checkpoint.origin))
    })?;
    let mut generations = Generations::default();
    for proved in begun {
        let before = generations.current();
        let at = |what: &str| IntegrityFault::new(format!("the generation after {before}: {what}"));
        let (_, record) = decode_event(proved).map_err(|what| at(&what))?;
        // The proofs lead to the signed root, so nothing depends on the root at the fork.
        generations.observe(&record, |_| true).map_err(at)?;
        check_event(proved, &EventSource::new(name, generations.clone()), checkpoint).map_err(|what| at(&what))?;
        if generations.current() == before {
            return Err(at("its event does not begin one"));
        }
    }
    match generations.current() == current {
        true => Ok(EventSource::new(name, generations)),
        false => Err(IntegrityFault::new(format!(
            "its checkpoint is of generation {current}, but its generations end at {}",
            generations.current()
        ))),
    }
}

fn decode_event(proved: &ProvedEvent) -> Result<(Vec<u8>, JournalRecord), String> {
    let stored = STANDARD.decode(&proved.record).map_err(|_| "its record is not base64")?;
    let record = journal::decode_record(&stored).map_err(|error| error.to_string())?;
    Ok((stored, record))
}

/// Checks that an event's bytes are in the log and match its JSON. Returns its record.
fn check_event(
    proved: &ProvedEvent,
    source: &EventSource,
    checkpoint: &LogCheckpoint,
) -> Result<JournalRecord, String> {
    let ProvedEvent { record: _, proof, event } = proved;
    let (stored, record) = decode_event(proved)?;
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

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

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
        let source = EventSource::new("log", Generations::default());
        let check = |stored: &[u8], event: Vec<u8>| {
            let (proved, checkpoint) = prove_alone(stored, event);
            check_event(&proved, &source, &checkpoint)
        };
        let known = journal::decode_record(&stored).unwrap();
        let unknown = journal::decode_as_unknown(&stored).unwrap();
        assert_ne!(known.event, unknown.event);
        // A program that knows the event has shown it, and one that did not know it yet.
        for shown in [&known, &unknown] {
            assert_eq!(check(&stored, cloud_event::record_to_json(shown, &source)).unwrap(), known);
        }
        // The same record in schema version 1 is shown without the reason, and never with it.
        let mut older = stored.to_vec();
        older[4] = 1;
        older.truncate(older.len() - 1);
        let payload = u32::try_from(older.len() - 76).unwrap();
        older[72..76].copy_from_slice(&payload.to_le_bytes());
        let in_version_1 = journal::decode_record(&older).unwrap();
        let shown = cloud_event::record_to_json(&in_version_1, &source);
        assert!(!String::from_utf8(shown.clone()).unwrap().contains("reason"));
        assert_eq!(check(&older, shown).unwrap(), in_version_1);
        let shown = cloud_event::record_to_json(&JournalRecord { schema: 2, ..in_version_1 }, &source);
        assert!(check(&older, shown).unwrap_err().contains("differs from its record"));
        // This program cannot show what a newer one wrote, and does not call it altered.
        let mut newer = stored.to_vec();
        newer[4] = 9;
        let fault = check(&newer, cloud_event::record_to_json(&JournalRecord { schema: 9, ..known }, &source));
        assert!(fault.unwrap_err().contains("newer version of muster (event type 1, schema version 9)"));
    }
}
