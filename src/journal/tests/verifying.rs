//! A changed byte anywhere is detected, with or without a recomputed checksum.

use super::super::block::BlockBuilder;
use super::super::block::HEADER_BYTES;
use super::super::read::decode_record_in_block;
use super::super::record::{SequenceInfo, UnsequencedRecord};
use super::*;

/// A block of three events, and the journal that it comes from. Tests change the block and write it back.
async fn three_events_in_one_block() -> (JournalFixture, Vec<u8>) {
    let fixture = JournalFixture::new();
    fixture
        .append(1, 0, &[sample_events()[0].clone(), sample_events()[2].clone(), sample_events()[5].clone()])
        .await
        .unwrap();
    fixture.fill(1, 2).await;
    let (_, block) = fixture.store.block_at(1).unwrap().unwrap();
    (fixture, block.to_vec())
}

#[tokio::test]
async fn a_sound_journal_is_reported() {
    let (fixture, _) = three_events_in_one_block().await;
    let report = fixture.journal.verify().unwrap();
    assert_eq!(report, JournalVerification { events: 5, blocks: 3, accounts: 2, root: fixture.journal.root().1 });
}

#[tokio::test]
async fn a_flipped_bit_anywhere_fails_the_checksum() {
    let (_, block) = three_events_in_one_block().await;
    for (at, bit) in (0..block.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = block.clone();
        flipped[at] ^= 1 << bit;
        assert!(Block::decode(&flipped).is_err(), "bit {bit} of byte {at}");
    }
    for end in 0..block.len() {
        assert!(Block::decode(&block[..end]).is_err(), "cut after {end} bytes");
    }
}

/// The tree, or the check of the changed field, detects a changed byte behind a recomputed checksum.
#[tokio::test]
async fn a_forged_byte_anywhere_is_found() {
    let (fixture, block) = three_events_in_one_block().await;
    for at in 4..block.len() {
        let mut forged = block.clone();
        forged[at] ^= 1;
        let checksum = crc32fast::hash(&forged[4..]);
        forged[..4].copy_from_slice(&checksum.to_le_bytes());
        fixture.store.append(&[(1, &forged)]).unwrap();
        let found = fixture.journal.verify();
        let named =
            matches!(found, Err(Error::Damaged { position: 1..=3, .. } | Error::UnknownEvent { position: 1..=3, .. }));
        assert!(named, "byte {at}: {found:?}");
    }
    fixture.store.append(&[(1, &block)]).unwrap();
    fixture.journal.verify().unwrap();
}

/// An unverified read of a block stays within the block. A block without records is rejected.
#[test]
fn a_block_has_no_more_than_is_in_it() {
    let mut empty = vec![0; HEADER_BYTES];
    empty[4] = 1;
    let checksum = crc32fast::hash(&empty[4..]);
    empty[..4].copy_from_slice(&checksum.to_le_bytes());
    for position in [1, 2, u64::MAX] {
        assert!(decode_record_in_block(1, &empty, position).is_err());
    }
    assert_eq!(Block::decode(&empty).err(), Some("a block has no records"));
}

#[tokio::test]
async fn a_block_that_does_not_fit_is_found() {
    let (fixture, _) = three_events_in_one_block().await;
    let chain = [(1, 0), (2, 1), (3, 2)];
    let expected = [
        (chain[..2].to_vec(), "position 3: a block is missing"),
        ([&chain[..], &[(4, 3)]].concat(), "position 5: a block is missing"),
        (vec![(1, 0), (3, 1), (4, 2)], "position 2: a chain of events is broken"),
        (vec![(1, 0), (2, 0), (3, 2)], "position 2: a chain of events is broken"),
        (chain.to_vec(), "position 4: a block's root does not match the records up to it"),
    ];
    for (places, fault) in expected {
        let (mut block, mut tree) = (BlockBuilder::default(), MerkleTree::default());
        for ((version, previous), position) in places.into_iter().zip(1..) {
            let (at, origin) = (Timestamp(0), Origin::SERVICE);
            let sequence = SequenceInfo { stream: account_stream(1), position, version, previous, at, origin };
            block.push(&mut tree, |out| {
                UnsequencedRecord::new(&JournalEvent::Account(Event::CodeSent)).encode_into(&sequence, out);
            });
        }
        let block = block.finish(tree.root());
        // A backup with such a block is rejected too.
        let restored = JournalRestorer::new(None, None).append_block(1, block.clone());
        let restored = restored.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(restored.contains(fault), fault.contains("chain"), "{restored:?}");
        fixture.store.append(&[(1, block)]).unwrap();
        let found = fixture.journal.verify().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(found.contains(fault), "{found:?} should say {fault:?}");
    }
}
