//! Fuzz targets: stored bytes of the journal, and proofs over it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::block::{Block, BlockBuilder};
use super::merkle_proof::root_from_inclusion_proof;
use super::merkle_tree::{MerkleTree, hash_leaf, hash_node};
use super::read::{decode_at, decode_record_in_block};
use super::record::{HEADER_BYTES, JournalRecord, RawHeader, SequenceInfo, UnsequencedRecord, split_header};
use super::stream_heads::{StartupCheckpoint, StreamHead, StreamHeads};
use super::{
    GenerationStart, Generations, JournalEvent, Origin, Principal, RequestId, Root, StreamId, snapshot as snapshots_of,
    verify_consistency,
};
use crate::domain::{
    Account, AccountOrder, AccountType, AdministrativeEvent, AuditLogEntry, Channel, Content, ContentField,
    ContentTexts, CredentialVerifier, Event, GatewayKind, Generation, Grant, MasterKeyId, Reason, Role, SealedBytes,
    SigningScheme, TaskId, Timestamp, VerifyType,
};
use crate::store::StoreId;
use crate::testkit::sample::content_with;

fn content() -> Arc<Content> {
    content_with(0x5a, |content| {
        content.account_type = AccountType::Business;
        content.texts = ContentTexts::from([
            (ContentField::Name, "lee"),
            (ContentField::PublicKey, &*"k".repeat(300)),
            (ContentField::MsgPublicKey, ""),
            (ContentField::AccountId, "7"),
            (ContentField::RegistrationId, "9"),
        ]);
        content.secrets = SealedBytes((0..100).collect());
    })
}

fn registration_requested() -> Event {
    Event::RegistrationRequested {
        task: TaskId::new(12).unwrap(),
        verify_type: VerifyType::Voice,
        account_type: AccountType::Business,
        calling_code: "+86".parse().unwrap(),
        country: "CN".to_owned(),
        expires_at: Timestamp(1_700_000_600_000_000),
        lifetime: Duration::from_secs(600),
        reason: Reason::none(),
    }
}

/// Events with payloads of every shape.
fn sample_events() -> Vec<JournalEvent> {
    let events = [
        Event::AccountImported { content: content(), reason: Reason::none() },
        Event::OnlineRequested { reason: Reason::none() },
        Event::WentOffline { reason: Reason::new("1002"), instance_code: "SIM-1".to_owned() },
        registration_requested(),
        Event::CodeSubmitted { code: SealedBytes(Box::new([1, 2, 3])), reason: Reason::none() },
        Event::RegistrationFailed { reason: Reason::new("wrong code"), attempt: 1, still_waiting: true },
    ];
    let grant = Grant {
        id: 7,
        name: "dispatch".to_owned(),
        role: Role::Caller,
        accounts: vec!["8618".to_owned(), "44".to_owned()],
        expires_at: Some(Timestamp(1_800_000_000_000_000)),
        verifier: CredentialVerifier::Hash([7; 32]),
    };
    let tenant = Grant { id: 8, verifier: CredentialVerifier::Tenant("500975".to_owned()), ..grant.clone() };
    let (channel, what, name) = (Channel::SyncStatus, "all".to_owned(), "ab".to_owned());
    let scheme = SigningScheme::Standard;
    let administrative = [
        AdministrativeEvent::BackupTaken { position: 300, master_key: None },
        AdministrativeEvent::WebhookSecretSet { channel, scheme, name, grace_until: Some(Timestamp(-1)) },
        AdministrativeEvent::WebhookLettersDropped { channel, what, deliveries: 1 << 40, reason: "old".to_owned() },
        AdministrativeEvent::ApiKeyCreated(grant),
        AdministrativeEvent::ApiKeyCreated(tenant),
        AdministrativeEvent::MasterKeyRotated { rewrapped: 9, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::MasterKeyRotationAborted { rewrapped: 8, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::MasterKeyRotationFinished { rewrapped: 0, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::AccountsOrdered {
            order: AccountOrder::Recycle,
            accounts: 10_000,
            reason: "maintenance".to_owned(),
        },
        AdministrativeEvent::ReconciliationOrdered {
            gateway: GatewayKind::Bridge,
            reason: "it was restored".to_owned(),
        },
        AdministrativeEvent::EventsExported {
            format: "csv".to_owned(),
            filter: [("key".to_owned(), "7".to_owned())].into(),
            first: 3,
            last: 2,
        },
        AdministrativeEvent::AccountBundleExported { account: "861821726232".parse().unwrap() },
        AdministrativeEvent::GenerationBegun {
            generation: Generation::new(2).unwrap(),
            previous: Generation::new(1).unwrap(),
            fork: 47,
            root: [7; 32],
            master_key: None,
            reason: "disk failed".to_owned(),
        },
        AdministrativeEvent::WebhookClosed { channel, deliveries: 12, reason: "gone".to_owned() },
    ];
    let entry = |event| JournalEvent::Administration(AuditLogEntry { event, source: "127.0.0.1:40000".to_owned() });
    events.into_iter().map(JournalEvent::Account).chain(administrative.into_iter().map(entry)).collect()
}

fn encode_record(event: &JournalEvent, position: u64) -> Vec<u8> {
    let stream = match event {
        JournalEvent::Administration(_) => StreamId::Administration,
        JournalEvent::Account(_) | JournalEvent::Unknown(_) => StreamId::from_stored(861_821_726_232).unwrap(),
    };
    let origin = Origin { principal: Principal::Caller(7), request: RequestId(9) };
    let at = Timestamp(1_700_000_000_000_000);
    let mut bytes = Vec::new();
    UnsequencedRecord::new(event).encode_into(
        &SequenceInfo { stream, position, version: position, previous: position - 1, at, origin },
        &mut bytes,
    );
    bytes
}

// === Records and blocks ===

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    sample_events().iter().map(|event| encode_record(event, 1)).collect()
}

/// Decodes the bytes as they are. Then corrects the length in the header and decodes again, so that the payload is
/// read.
pub(crate) fn check_record(bytes: &[u8]) -> Option<String> {
    let mut fitted = bytes.to_vec();
    if let Some(payload) = bytes.len().checked_sub(HEADER_BYTES) {
        fitted[72..HEADER_BYTES].copy_from_slice(&(payload as u32).to_le_bytes());
    }
    for bytes in [bytes, &fitted] {
        let Ok((RawHeader { sequence, .. }, _)) = split_header(bytes) else {
            assert!(JournalRecord::decode(bytes).is_err());
            continue;
        };
        let Ok(read) = JournalRecord::decode(bytes) else { continue };
        // Encoding and decoding the record again must give the same record, in the current schema version.
        let mut back = Vec::new();
        UnsequencedRecord::new(&read.event).encode_into(&sequence, &mut back);
        let back = JournalRecord::decode(&back).unwrap();
        assert_eq!(JournalRecord { schema: read.schema, ..back }, read);
    }
    decode_at(&fitted, 1).err().map(|error| error.to_string())
}

fn encode_block(records: &[Vec<u8>]) -> Vec<u8> {
    let (mut block, mut tree) = (BlockBuilder::default(), MerkleTree::default());
    for record in records {
        block.push(&mut tree, |out| out.extend_from_slice(record));
    }
    block.finish(tree.root())
}

pub(crate) fn block_seeds() -> Vec<Vec<u8>> {
    let records: Vec<Vec<u8>> =
        sample_events().iter().zip(1..).map(|(event, position)| encode_record(event, position)).collect();
    [&records[..1], &records[1..4], &records].map(encode_block).into()
}

/// Decodes the bytes as they are, then with a corrected checksum. A block that decodes must have exactly the bytes that
/// the encoder writes.
pub(crate) fn check_block(bytes: &[u8]) -> Option<String> {
    let mut fitted = bytes.to_vec();
    if let Some((checksum, rest)) = fitted.split_first_chunk_mut::<4>() {
        *checksum = crc32fast::hash(rest).to_le_bytes();
    }
    for bytes in [bytes, &fitted] {
        // This lookup does not verify the block first.
        for position in [1, 2, 1_000, u64::MAX] {
            let _any = decode_record_in_block(1, bytes, position);
        }
        let Ok(block) = Block::decode(bytes) else { continue };
        assert!(block.count() > 0, "a block without a record");
        let (mut back, mut tree) = (BlockBuilder::default(), MerkleTree::default());
        for record in block.records() {
            back.push(&mut tree, |out| out.extend_from_slice(record));
        }
        assert_eq!(back.finish(block.root()), bytes);
    }
    Block::decode(bytes).err().map(str::to_owned)
}

// === Caches ===

const STORE: StoreId = StoreId(7);

pub(crate) fn checkpoint_seeds() -> Vec<Vec<u8>> {
    let of = |size: u64| {
        let (mut tree, heads, mut roots) = (MerkleTree::default(), StreamHeads::default(), Vec::new());
        for number in 0..size {
            roots.extend(tree.push(&number.to_le_bytes()));
            let stream = StreamId::from_stored(8_618_000 + number % 5).unwrap();
            heads.set(stream, StreamHead { position: number + 1, version: number / 5 + 1 });
        }
        StartupCheckpoint::encode(STORE, size, &tree, &roots, &generations(size), &heads)
    };
    [0, 1, 7, 600].map(of).into()
}

/// Generations of a log with so many events. A short log has only the first.
fn generations(size: u64) -> Generations {
    let start = |(number, fork)| {
        let generation = Generation::new(number)?;
        Some(GenerationStart { generation, fork, root: Root([7; 32]), at: Timestamp(1_800_000_000_000_000) })
    };
    let starts: Option<Vec<_>> =
        [(1, 3), (4, 60)].into_iter().take_while(|(_, fork)| *fork < size).map(start).collect();
    Generations::from_starts(starts.unwrap()).unwrap()
}

/// A startup checkpoint that decodes is the same after encoding it again.
pub(crate) fn check_checkpoint(bytes: &[u8]) -> Option<String> {
    let read = StartupCheckpoint::decode(bytes, STORE)?;
    let StartupCheckpoint { position, tree, subtree_roots, generations, heads } = &read;
    let again = StartupCheckpoint::encode(STORE, *position, tree, subtree_roots, generations, heads);
    let again = StartupCheckpoint::decode(&again, STORE).unwrap();
    assert_eq!(
        (again.position, again.tree.edge(), &again.subtree_roots),
        (read.position, read.tree.edge(), &read.subtree_roots)
    );
    assert_eq!(again.heads.account_count(), read.heads.account_count());
    assert_eq!(again.generations, read.generations);
    None
}

pub(crate) fn snapshot_seeds() -> Vec<Vec<u8>> {
    let mut account = Account::initial();
    let mut states = Vec::new();
    let events = [
        Event::AccountImported { content: content(), reason: Reason::none() },
        Event::OnlineRequested { reason: Reason::none() },
        Event::WentOffline { reason: Reason::new("1002"), instance_code: "SIM-1".to_owned() },
        registration_requested(),
        Event::CodeSent,
        Event::CodeSubmitted { code: SealedBytes(Box::new([1, 2, 3])), reason: Reason::none() },
    ];
    for event in &events {
        account.evolve(event);
        states.push(snapshots_of::encode(&account));
    }
    states
}

/// Decodes a snapshot as it is, and with a valid checksum.
pub(crate) fn check_snapshot(bytes: &[u8]) -> Option<String> {
    let mut fitted = bytes.to_vec();
    if let Some((state, checksum)) = fitted.split_last_chunk_mut::<4>() {
        *checksum = crc32fast::hash(state).to_le_bytes();
    }
    for bytes in [bytes, &fitted] {
        if let Ok(state) = snapshots_of::decode(bytes) {
            assert!(snapshots_of::decode(&snapshots_of::encode(&state)).is_ok_and(|again| again == state));
        }
    }
    None
}

// === Proofs ===

/// The leaves of a small tree, and its roots at every size.
static LEAVES: LazyLock<(Vec<Vec<u8>>, Vec<Root>)> = LazyLock::new(|| {
    let leaves: Vec<Vec<u8>> = (0..11_u8).map(|number| vec![number; usize::from(number) + 1]).collect();
    let mut tree = MerkleTree::default();
    let grown = leaves.iter().map(|leaf| {
        tree.push(leaf);
        tree.root()
    });
    let roots = grown.collect();
    (leaves, roots)
});

/// The root over these leaves as RFC 6962 defines it, and the proof for one of them.
fn prove_leaf(leaves: &[Vec<u8>], at: usize) -> ([u8; 32], Vec<[u8; 32]>) {
    if let [only] = leaves {
        return (hash_leaf(only), Vec::new());
    }
    let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
    let (ours, others) = if at < left.len() { ((left, at), right) } else { ((right, at - left.len()), left) };
    let ((own, mut proof), (other, _)) = (prove_leaf(ours.0, ours.1), prove_leaf(others, 0));
    proof.push(other);
    (if at < left.len() { hash_node(&own, &other) } else { hash_node(&other, &own) }, proof)
}

/// Position, size, number of hashes, hashes, record.
pub(crate) fn proof_seeds() -> Vec<Vec<u8>> {
    let of = |at: usize| {
        let (_, proof) = prove_leaf(&LEAVES.0, at);
        let mut bytes = [at as u64 + 1, 11, proof.len() as u64].map(u64::to_le_bytes).concat();
        bytes.extend(proof.concat());
        bytes.extend_from_slice(&LEAVES.0[at]);
        bytes
    };
    (0..11).map(of).collect()
}

/// An inclusion proof that leads to the root must be for the record at that position. A valid consistency proof must
/// start at an earlier size of the tree.
pub(crate) fn check_proof(bytes: &[u8]) -> Option<String> {
    let (head, rest) = bytes.split_first_chunk::<24>()?;
    let word = |at: usize| head[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let (position, size, count) = (word(0), word(8), word(16));
    let (hashes, record) = rest.split_at_checked(usize::try_from(count.min(128)).unwrap() * 32)?;
    let hashes = hashes.as_chunks::<32>().0;
    let (leaves, roots) = &*LEAVES;
    if root_from_inclusion_proof(record, position, size, hashes) == Some(roots[10]) && size == 11 {
        assert_eq!(leaves.get(position as usize - 1).map(Vec::as_slice), Some(record));
    }
    let before = roots.get(position.wrapping_sub(1) as usize).copied().unwrap_or(Root([0; 32]));
    if verify_consistency(position, before, size, roots[10], hashes) {
        assert!((1..=11).contains(&position) && size >= position, "from {position} to {size}");
    }
    assert!(!verify_consistency(position, Root([0; 32]), size, roots[10], hashes), "a past that was not");
    None
}
