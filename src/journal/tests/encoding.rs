//! The bytes of every event type and version. The golden files hold the bytes that this version writes to disk. If one
//! of them changes, old journals become unreadable.

use std::fmt::Write;
use std::fs;

use super::super::block::BlockBuilder;
use super::super::event_codec;
use super::super::payload::PayloadError;
use super::super::record::{SequenceInfo, UnsequencedRecord};
use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");

/// The golden files with payloads. When an event gets a new version, first copy the line of the old one to a file of its
/// own, and name that file here.
const PAYLOADS: [&str; 2] = ["journal_payloads_1", "journal_payloads"];

#[test]
fn each_event_has_its_bytes() {
    let line = |event: &JournalEvent| {
        let (event_type, schema, payload) = event_codec::encode(event);
        format!("{event_type:>4}.{schema} {:<22} | {}", event.event_type().unwrap().name(), hex(&payload))
            .trim_end()
            .to_owned()
    };
    golden("journal_payloads", &sample_journal_events().iter().map(line).collect::<Vec<_>>().join("\n"));
}

/// The bytes still decode to the events, even if the program writes a newer version today.
#[test]
fn the_bytes_of_each_version_are_its_event() {
    for name in PAYLOADS {
        let golden = fs::read_to_string(format!("{GOLDEN}/{name}.snap")).unwrap();
        let (_, lines) = golden.trim_start_matches("---").split_once("\n---\n").unwrap();
        for line in lines.lines() {
            let (version, bytes) = line.split_once('|').unwrap();
            let (event_type, schema) = version.split_whitespace().next().unwrap().split_once('.').unwrap();
            let (event_type, schema) = (event_type.parse().unwrap(), schema.parse().unwrap());
            let found = event_codec::decode(event_type, schema, AT, &unhex(bytes.trim())).unwrap();
            let samples = sample_journal_events();
            let is_sample = samples.contains(&found) || samples.into_iter().map(as_version_1).any(|it| it == found);
            assert!(is_sample, "{name}: {line}: {found:?}");
        }
    }
}

/// The event as version 1 stored it: an order without a reason, a backup or rotation without the id of its key.
fn as_version_1(mut event: JournalEvent) -> JournalEvent {
    if let JournalEvent::Administration(AuditLogEntry {
        event:
            AdministrativeEvent::BackupTaken { master_key, .. }
            | AdministrativeEvent::Restored { master_key, .. }
            | AdministrativeEvent::MasterKeyRotated { master_key, .. }
            | AdministrativeEvent::MasterKeyRotationAborted { master_key, .. }
            | AdministrativeEvent::MasterKeyRotationFinished { master_key, .. },
        ..
    }) = &mut event
    {
        *master_key = None;
    }
    if let JournalEvent::Account(
        Event::AccountImported { reason, .. }
        | Event::ContentReplaced { reason, .. }
        | Event::OnlineRequested { reason }
        | Event::RecycleRequested { reason }
        | Event::RegistrationRequested { reason, .. }
        | Event::CodeSubmitted { reason, .. },
    ) = &mut event
    {
        *reason = Reason::none();
    }
    event
}

/// A field that the codec forgets would be lost.
#[test]
fn each_plain_text_of_a_content_is_stored() {
    let mut content = content(0);
    Arc::make_mut(&mut content).texts =
        ContentTexts::from_fn(|field| (!field.is_sealed()).then(|| Box::from(field.name())));
    let event = JournalEvent::Account(Event::AccountImported { content, reason: Reason::none() });
    let (event_type, schema, payload) = event_codec::encode(&event);
    assert_eq!(event_codec::decode(event_type, schema, AT, &payload).unwrap(), event);
}

#[test]
fn each_registered_type_has_a_sample() {
    let is_registered =
        |event_type: &u16| !matches!(event_codec::decode(*event_type, 1, AT, &[]), Err(PayloadError::Unknown));
    let registered: Vec<u16> = (0..=u16::MAX).filter(is_registered).collect();
    assert_eq!(
        registered,
        sample_journal_events().iter().map(|event| event_codec::encode(event).0).collect::<Vec<_>>()
    );
}

/// A payload that is cut short or has trailing bytes is rejected.
#[test]
fn a_payload_is_read_whole() {
    for event in sample_journal_events() {
        let (name, (event_type, schema, mut payload)) =
            (event.event_type().unwrap().name(), event_codec::encode(&event));
        for end in 0..payload.len() {
            let cut = event_codec::decode(event_type, schema, AT, &payload[..end]);
            assert!(matches!(cut, Err(PayloadError::Damaged)), "{end} of {} bytes of {name}", payload.len());
        }
        payload.push(0);
        assert!(matches!(event_codec::decode(event_type, schema, AT, &payload), Err(PayloadError::Damaged)), "{name}");
        assert!(matches!(event_codec::decode(event_type, schema + 1, AT, &payload), Err(PayloadError::Unknown)));
    }
}

/// A record of each kind of origin, and the block that holds them.
#[test]
fn records_and_blocks_have_their_bytes() {
    let principals = [Principal::Service, Principal::Caller(7), Principal::Gateway(0), Principal::Operator(u64::MAX)];
    let (mut block, mut tree) = (BlockBuilder::default(), MerkleTree::default());
    for (position, principal) in (41..).zip(principals) {
        let origin = Origin { principal, request: RequestId(u128::from_be_bytes(std::array::from_fn(|at| at as u8))) };
        let at = AT;
        let sequence = SequenceInfo {
            stream: account_stream(232),
            position,
            version: position - 38,
            previous: position - 1,
            at,
            origin,
        };
        let event = sample_events()[(position - 36) as usize].clone();
        block.push(&mut tree, |out| UnsequencedRecord::new(&JournalEvent::Account(event)).encode_into(&sequence, out));
    }
    let root = tree.root();
    let bytes = block.finish(root);
    golden("journal_block", &dump(&bytes));
    let read = Block::decode(&bytes).unwrap();
    assert_eq!((read.count(), read.root()), (4, root));
    for ((record, position), principal) in read.records().zip(41..).zip(principals) {
        let recorded = JournalRecord::decode(record).unwrap();
        assert_eq!((recorded.position, recorded.version, recorded.previous), (position, position - 38, position - 1));
        assert_eq!((recorded.stream, recorded.origin.principal), (account_stream(232), principal));
        assert_eq!(recorded.event, JournalEvent::Account(sample_events()[(position - 36) as usize].clone()));
    }
}

pub(super) fn golden(name: &str, text: &str) {
    insta::with_settings!(
        { snapshot_path => GOLDEN, prepend_module_to_snapshot => false, omit_expression => true },
        { insta::assert_snapshot!(name, text) }
    );
}

/// Sixteen bytes per line, after their offset.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, bytes) in bytes.chunks(16).enumerate() {
        writeln!(
            text,
            "{:04x}  {}",
            line * 16,
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        )
        .unwrap();
    }
    text
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty());
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
