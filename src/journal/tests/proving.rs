//! Proofs: of each record in each tree, and of each tree in each later one. Forged proofs are rejected.

use super::super::merkle_tree::SUBTREE_LEAVES;
use super::*;

/// The root at each size, computed by adding the leaves one by one.
fn roots(leaves: &[Vec<u8>]) -> Vec<Root> {
    let mut tree = MerkleTree::default();
    let mut roots = vec![tree.root()];
    for leaf in leaves {
        tree.push(leaf);
        roots.push(tree.root());
    }
    roots
}

/// A journal with more than two kept subtrees. Its blocks end at other positions than the subtrees. Also returns all
/// leaves, and sizes close to powers of two and to the ends of subtrees.
async fn fixture() -> (JournalFixture, Vec<Vec<u8>>, Vec<u64>) {
    let fixture = JournalFixture::new();
    let events = 2 * SUBTREE_LEAVES + 90;
    for version in (0..events).step_by(10) {
        fixture.append(0, version, &vec![Event::CodeSent; (events - version).min(10) as usize]).await.unwrap();
    }
    let leaves = (1..=events).map(|position| fixture.journal.record_bytes_at(position).unwrap().unwrap()).collect();
    let sizes = [1, 2, 3, 7, 8, 100, 255, 256, 257, 300, 511, 512, 513, 600, 602];
    (fixture, leaves, sizes.into())
}

/// A directory may keep roots of another history, so a kept checkpoint is compared without them.
#[tokio::test]
async fn a_root_is_computed_from_the_records_alone() {
    let (fixture, leaves, sizes) = fixture().await;
    let roots = roots(&leaves);
    fixture.journal.shared.subtree_roots.write().unwrap()[0] = [7; 32];
    assert_ne!(fixture.journal.root_at(300).unwrap(), Some(roots[300]));
    for size in [0].into_iter().chain(sizes) {
        assert_eq!(fixture.journal.compute_root_at(size).unwrap(), Some(roots[size as usize]), "size {size}");
    }
    assert_eq!(fixture.journal.compute_root_at(603).unwrap(), None);
}

#[tokio::test]
async fn each_record_is_proved_in_each_tree() {
    let (fixture, leaves, sizes) = fixture().await;
    let roots = roots(&leaves);
    for size in sizes {
        assert_eq!(fixture.journal.root_at(size).unwrap(), Some(roots[size as usize]), "size {size}");
        for position in (1..=size).step_by(7).chain([size]) {
            let record = &leaves[position as usize - 1];
            let proof = fixture.journal.inclusion_proof(position, size).unwrap().unwrap();
            let root_by =
                |record: &[u8], position, size, proof: &[_]| root_from_inclusion_proof(record, position, size, proof);
            let root = Some(roots[size as usize]);
            assert_eq!(root_by(record, position, size, &proof), root, "{position} in {size}");
            // The proof does not hold for any other record.
            let mut forged = record.clone();
            forged[20] ^= 1;
            assert_ne!(root_by(&forged, position, size, &proof), root);
            assert_ne!(root_by(record, position + 1, size, &proof), root, "{position} in {size}, one further");
            if let Some(last) = proof.last() {
                assert_ne!(root_by(record, position, size, &proof[1..]), root);
                assert_ne!(root_by(record, position, size, &[&proof[..], &[*last]].concat()), root);
                for at in 0..proof.len() {
                    let mut forged = proof.clone();
                    forged[at][0] ^= 1;
                    assert_ne!(root_by(record, position, size, &forged), root);
                }
            }
        }
    }
    assert_eq!(fixture.journal.inclusion_proof(0, 5).unwrap(), None);
    assert_eq!(fixture.journal.inclusion_proof(6, 5).unwrap(), None);
    assert_eq!(fixture.journal.inclusion_proof(1, 603).unwrap(), None);
}

#[tokio::test]
async fn each_tree_is_proved_in_each_later_one() {
    let (fixture, leaves, sizes) = fixture().await;
    let roots = roots(&leaves);
    let root = |size: u64| roots[size as usize];
    for later in &sizes {
        for earlier in sizes.iter().filter(|size| *size <= later) {
            let (earlier, later) = (*earlier, *later);
            let proof = fixture.journal.consistency_proof(earlier, later).unwrap().unwrap();
            let holds = |before, after, proof: &[_]| verify_consistency(earlier, before, later, after, proof);
            assert!(holds(root(earlier), root(later), &proof), "{earlier} in {later}");
            let other = Root([7; 32]);
            assert!(!holds(other, root(later), &proof), "another beginning");
            assert!(!holds(root(earlier), other, &proof), "another end");
            assert!(!holds(root(earlier), root(later), &[&proof[..], &[[0; 32]]].concat()), "a longer proof");
            for at in 0..proof.len() {
                let mut forged = proof.clone();
                forged[at][31] ^= 1;
                assert!(!holds(root(earlier), root(later), &forged), "{earlier} in {later}, hash {at}");
                forged.remove(at);
                assert!(!holds(root(earlier), root(later), &forged), "{earlier} in {later}, without hash {at}");
            }
        }
    }
    assert_eq!(fixture.journal.consistency_proof(0, 5).unwrap(), None);
    assert_eq!(fixture.journal.consistency_proof(6, 5).unwrap(), None);
    assert_eq!(fixture.journal.consistency_proof(1, 603).unwrap(), None);
}

/// The kept subtree roots are the same, whether they come from a checkpoint, from the records or from the writer.
#[tokio::test]
async fn proofs_survive_a_restart() {
    let (fixture, _, sizes) = fixture().await;
    let proofs = |fixture: &JournalFixture| -> Vec<_> {
        sizes.iter().map(|size| fixture.journal.consistency_proof(*size, 602).unwrap()).collect()
    };
    let before = proofs(&fixture);
    let fixture = fixture.reopened();
    assert_eq!(proofs(&fixture), before, "without a checkpoint");
    fixture.journal.save_startup_checkpoint().unwrap();
    assert_eq!(proofs(&fixture.reopened()), before, "with one");
}

/// Administrative events share the order of all events, in a stream of their own.
#[tokio::test]
async fn acts_are_recorded() {
    let fixture = JournalFixture::new();
    fixture.fill(1, 2).await;
    let entry = AuditLogEntry {
        event: AdministrativeEvent::BackupTaken { position: 2, master_key: None },
        source: "command line".to_owned(),
    };
    let origin = Origin { principal: Principal::Operator(3), request: RequestId(9) };
    for version in 1..=2 {
        let recorded = fixture.journal.append_administrative_event(entry.clone(), origin, Timestamp(5)).await.unwrap();
        let [recorded] = &recorded[..] else { panic!("one record") };
        assert_eq!((recorded.stream, recorded.version), (StreamId::Administration, version));
        assert_eq!(recorded.event, JournalEvent::Administration(entry.clone()));
    }
    let fixture = fixture.reopened();
    let events: Vec<_> = fixture.journal.history_after(StreamId::Administration, 0, 10).unwrap();
    assert_eq!(events.iter().map(|it| (it.position, it.previous)).collect::<Vec<_>>(), [(3, 0), (4, 3)]);
    assert_eq!((fixture.journal.account_count(), fixture.journal.verify().unwrap().accounts), (1, 1));
}
