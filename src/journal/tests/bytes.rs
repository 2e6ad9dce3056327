//! The bytes of every event type and version. The golden files are what a journal written today has on its disk: a
//! change in one of them is a change that no old journal can be read after.

use std::fmt::Write;
use std::fs;

use super::super::block::Builder;
use super::super::record::{Draft, Place};
use super::super::schema::{self, Undecodable};
use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");

#[test]
fn each_event_has_its_bytes() {
    let line = |fact: &Fact| {
        let (event_type, schema, payload) = schema::encode(fact);
        format!("{event_type:>4}.{schema} {:<22} | {}", fact.name().unwrap(), hex(&payload)).trim_end().to_owned()
    };
    golden("journal_payloads", &facts().iter().map(line).collect::<Vec<_>>().join("\n"));
}

/// Reads the golden file back: its bytes are the events, whatever is written today. A version that is no longer
/// written stays in that file, or moves to one of its own that is read here too.
#[test]
fn the_bytes_of_each_version_are_its_event() {
    let golden = fs::read_to_string(format!("{GOLDEN}/journal_payloads.snap")).unwrap();
    let (_, lines) = golden.trim_start_matches("---").split_once("\n---\n").unwrap();
    for (line, expected) in lines.lines().zip(facts()) {
        let (name, bytes) = line.split_once('|').unwrap();
        let (event_type, schema) = name.split_whitespace().next().unwrap().split_once('.').unwrap();
        let payload = unhex(bytes.trim());
        let found = schema::decode(event_type.parse().unwrap(), schema.parse().unwrap(), AT, &payload);
        assert_eq!(found.unwrap(), expected, "{line}");
        assert_eq!(schema::name(event_type.parse().unwrap()), expected.name(), "one name, here and in the domain");
    }
    assert_eq!(lines.lines().count(), facts().len());
}

#[test]
fn each_registered_type_has_a_sample() {
    let is_registered =
        |event_type: &u16| !matches!(schema::decode(*event_type, 1, AT, &[]), Err(Undecodable::Unknown));
    let registered: Vec<u16> = (0..=u16::MAX).filter(is_registered).collect();
    assert_eq!(registered, facts().iter().map(|fact| schema::encode(fact).0).collect::<Vec<_>>());
}

/// A payload that is cut short, or has something behind it, is no event.
#[test]
fn a_payload_is_read_whole() {
    for fact in facts() {
        let (name, (event_type, schema, mut payload)) = (fact.name().unwrap(), schema::encode(&fact));
        for end in 0..payload.len() {
            let cut = schema::decode(event_type, schema, AT, &payload[..end]);
            assert!(matches!(cut, Err(Undecodable::Damaged)), "{end} of {} bytes of {name}", payload.len());
        }
        payload.push(0);
        assert!(matches!(schema::decode(event_type, schema, AT, &payload), Err(Undecodable::Damaged)), "{name}");
        assert!(matches!(schema::decode(event_type, schema + 1, AT, &payload), Err(Undecodable::Unknown)));
    }
}

/// A record of each kind of origin, and the block that they are in.
#[test]
fn records_and_blocks_have_their_bytes() {
    let principals = [Principal::Service, Principal::Caller(7), Principal::Gateway(0), Principal::Operator(u64::MAX)];
    let (mut block, mut tree) = (Builder::default(), Tree::default());
    for (position, principal) in (41..).zip(principals) {
        let origin = Origin { principal, request: RequestId(u128::from_be_bytes(std::array::from_fn(|at| at as u8))) };
        let at = AT;
        let place =
            Place { stream: of_account(232), position, version: position - 38, previous: position - 1, at, origin };
        let event = samples()[(position - 36) as usize].clone();
        block.push(&mut tree, |out| Draft::new(&Fact::Event(event)).write(&place, out));
    }
    let root = tree.root();
    let bytes = block.finish(root);
    golden("journal_block", &dump(&bytes));
    let read = Block::read(&bytes).unwrap();
    assert_eq!((read.count(), read.root()), (4, root));
    for ((record, position), principal) in read.records().zip(41..).zip(principals) {
        let recorded = Recorded::read(record).unwrap();
        assert_eq!((recorded.position, recorded.version, recorded.previous), (position, position - 38, position - 1));
        assert_eq!((recorded.stream, recorded.origin.principal), (of_account(232), principal));
        assert_eq!(recorded.fact, Fact::Event(samples()[(position - 36) as usize].clone()));
    }
}

pub(super) fn golden(name: &str, text: &str) {
    insta::with_settings!(
        { snapshot_path => GOLDEN, prepend_module_to_snapshot => false, omit_expression => true },
        { insta::assert_snapshot!(name, text) }
    );
}

/// Sixteen bytes a line, behind their offset.
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
