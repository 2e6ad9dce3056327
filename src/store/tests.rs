//! What the store promises: a data directory has one owner, written data can be read, and sled's traps are avoided.
//!
//! Two of the traps need a power cut: sled's `flush` is no fsync, and it syncs neither `conf` nor its snapshots.
//! `tests/it/power.rs` tests them.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, thread};

use futures_util::FutureExt;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::limits::STORE_SEGMENT_BYTES;
use crate::limits::STORE_VALUE_BYTES;

mod model;

const TABLES: [Table; 5] = [Table::Keys, Table::Snapshots, Table::Cursors, Table::Lanes, Table::DeadLetters];

fn open(path: &Path) -> Result<Store, Error> {
    Store::open(path, &config::Settings::default().store)
}

/// The error message of opening `path`.
fn open_error(path: &Path) -> String {
    open(path).err().map(|error| error.to_string()).unwrap_or_default()
}

fn new_store() -> (TempDir, Store) {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    (directory, store)
}

impl Store {
    /// After `writes` more writes each one fails, as on a full disk.
    pub(crate) fn fill_disk_after(&self, writes: u64) {
        *self.inner.committer.failure_latch.writes_left.lock().unwrap() = Some(writes);
    }
}

/// Lets a write succeed or fail.
pub(super) fn take_write_permit(left: &Mutex<Option<u64>>) -> Result<(), Error> {
    match left.lock().unwrap().as_mut() {
        None => Ok(()),
        Some(0) => Err(io_error("write", Path::new("there"))(io::Error::from_raw_os_error(28))),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
    }
}

#[test]
fn a_directory_that_cannot_be_ours_is_refused() {
    let parent = tempdir().unwrap();
    let path = parent.path().join("data");
    let assert_refused = |expected: &str| {
        let message = open_error(&path);
        assert!(message.contains(expected), "{message:?} should say {expected:?}");
        assert!(message.contains(&path.display().to_string()), "{message:?} should name the directory");
    };

    fs::write(&path, "a file").unwrap();
    assert_refused("cannot create the data directory");
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    fs::write(path.join("holiday.jpg"), "").unwrap();
    assert_refused("is not empty and is not a muster data directory");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing is left in a foreign directory");

    fs::write(path.join("MUSTER"), "muster data directory, format 4\nstore 0000000000000001\n").unwrap();
    assert_refused("has format \"muster data directory, format 4\", but this program reads formats 1 to 3");
    fs::write(path.join("MUSTER"), "muster data directory, format 1\nstore none\n").unwrap();
    assert_refused("has format");
    assert!(!path.join("store").exists(), "nothing is made in a directory of another format");
}

#[test]
fn a_directory_has_one_owner() {
    let (directory, store) = new_store();
    let message = open_error(directory.path());
    assert!(message.contains("is in use by another muster process"), "{message}");
    let id = store.id();
    let clone = store.clone();
    drop(store);
    assert!(!open_error(directory.path()).is_empty(), "a clone owns it too");
    drop(clone);
    assert_eq!(open(directory.path()).unwrap().id(), id, "a store keeps its id");
    assert_ne!(new_store().1.id(), id, "each store has its own");
}

/// An interrupted creation may leave any beginning of the marker, and a part of `conf`.
#[test]
fn an_interrupted_creation_is_completed() {
    let first = "muster data directory, format 1\n";
    for marker in ["", "muster data", first, &format!("{first}store 00c0ffee00c0ff")] {
        let directory = tempdir().unwrap();
        fs::write(directory.path().join("MUSTER"), marker).unwrap();
        fs::create_dir(directory.path().join("store")).unwrap();
        fs::write(directory.path().join("store/conf"), "segment_size: 8").unwrap();
        let id = open(directory.path()).unwrap().id();
        assert_eq!(open(directory.path()).unwrap().id(), id, "{marker:?}");
    }
}

#[test]
fn the_id_of_a_store_is_written_in_one_way() {
    let id = StoreId(0x00c0_ffee_00c0_ffee);
    assert_eq!(id.to_string().parse(), Ok(id));
    for other in ["", "0", "c0ffee00c0ffee", "+0c0ffee00c0ffee", "00C0FFEE00C0FFEE", "000c0ffee00c0ffee"] {
        assert!(other.parse::<StoreId>().is_err(), "{other:?}");
    }
}

#[test]
fn blocks_are_found_by_position_and_survive() {
    let (directory, store) = new_store();
    assert!(store.block_at(u64::MAX).unwrap().is_none());
    // More than one byte of key, to detect a byte order other than big-endian.
    let firsts = [1, 2, 200, 255, 256, 257, 70_000, 1 << 40];
    for first in firsts {
        store.append(&[(first, &first.to_le_bytes())]).unwrap();
    }
    drop(store);
    let store = open(directory.path()).unwrap();
    let from = |position| store.blocks_from(position).map(|entry| entry.unwrap().0).collect::<Vec<_>>();
    assert_eq!(from(0), firsts);
    assert_eq!(from(201), firsts[3..]);
    for (position, found) in
        [(0, None), (1, Some(1)), (199, Some(2)), (200, Some(200)), (256, Some(256)), (u64::MAX, Some(1 << 40))]
    {
        let block = store.block_at(position).unwrap();
        assert_eq!(block.as_ref().map(|(first, _)| *first), found, "at or before {position}");
        assert!(block.is_none_or(|(first, bytes)| *bytes == first.to_le_bytes()));
    }
}

#[test]
fn tables_are_separate_and_ordered() {
    let (directory, store) = new_store();
    for table in TABLES {
        let name = format!("{table:?}");
        assert!(store.put_if_absent(table, b"b", name.as_bytes()).unwrap().is_none());
        assert_eq!(store.put_if_absent(table, b"b", b"other").unwrap().as_deref(), Some(name.as_bytes()));
        store.put(table, b"a", b"old").unwrap();
        store.put(table, b"a", b"new").unwrap();
        store.put(table, b"c", b"").unwrap();
        store.remove(table, b"c").unwrap();
        store.remove(table, b"never there").unwrap();
    }
    store.flush().unwrap();
    drop(store);
    let store = open(directory.path()).unwrap();
    for table in TABLES {
        let all: Vec<_> = store.scan_from(table, b"").map(|entry| entry.unwrap()).collect();
        let name = format!("{table:?}");
        let expected: [(StoredValue, StoredValue); 2] = [("a".into(), "new".into()), ("b".into(), name.clone().into())];
        assert_eq!(all, expected);
        assert_eq!(store.scan_from(table, b"aa").count(), 1);
        assert!(store.get(table, b"c").unwrap().is_none());
    }
}

#[test]
fn a_cache_is_whole_or_absent() {
    let (directory, store) = new_store();
    assert!(store.load_cache("heads").is_none());
    store.save_cache("heads", b"old").unwrap();
    store.save_cache("heads", b"new").unwrap();
    assert_eq!(store.load_cache("heads").as_deref(), Some(&b"new"[..]));
    let path = directory.path().join("cache/heads");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        for damaged in [&flipped, &whole[..at]] {
            fs::write(&path, damaged).unwrap();
            assert!(store.load_cache("heads").is_none(), "{damaged:02x?}");
        }
    }
    fs::write(directory.path().join("cache/heads.new"), "cut off").unwrap();
    store.save_cache("heads", b"").unwrap();
    assert_eq!(store.load_cache("heads").as_deref(), Some(&b""[..]), "an empty cache is one too");
}

/// Trap: sled uses the newest `snap.*` as its snapshot, finished or not. A torn one prevents every later start.
#[test]
fn a_torn_snapshot_is_removed_before_opening() {
    let (directory, store) = new_store();
    store.append(&[(1, b"block")]).unwrap();
    drop(store);
    let torn = directory.path().join("store/snap.FFFFFFFFFFFFFFF0.generating");
    fs::write(&torn, "torn").unwrap();
    let store = open(directory.path()).unwrap();
    assert!(!torn.exists());
    assert_eq!(&*store.block_at(1).unwrap().unwrap().1, b"block");
}

/// Trap: sled moves a leaf above a quarter of its segment into a separate file, which it never syncs. Blocks of the
/// largest size, appended and overwritten, many to a leaf, must never get there.
#[test]
fn large_blocks_never_become_blob_files() {
    let (directory, store) = new_store();
    let block = incompressible(BLOCK_BYTES);
    for first in (1..=40).chain(1..=4) {
        store.append(&[(first, &block)]).unwrap();
    }
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!(
        store.blocks_from(0).filter(|entry| entry.as_ref().is_ok_and(|(_, bytes)| *bytes == *block)).count(),
        40
    );
    let blobs = fs::read_dir(directory.path().join("store/blobs")).unwrap().count();
    assert_eq!(blobs, 0, "blob files in the store; BLOCK_BYTES must be smaller or STORE_SEGMENT_BYTES larger");
    const { assert!(17 * BLOCK_BYTES < STORE_SEGMENT_BYTES / 4) };
}

/// Trap: sled's threads hold its lock a moment longer than its last handle lives.
#[test]
fn opening_waits_for_a_closing_store() {
    let (directory, store) = new_store();
    drop(store);
    let lingering = fs::File::open(directory.path().join("store/db")).unwrap();
    lingering.lock().unwrap();
    let release = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(lingering);
    });
    open(directory.path()).unwrap();
    release.join().unwrap();
}

/// Tests every kind of write. After one write on a full disk the store has failed: waiters are notified, and every later
/// write is rejected, even if the disk has space again.
#[tokio::test]
async fn a_failed_write_of_any_kind_is_final() {
    type Write = fn(&Store) -> Result<(), Error>;
    let writes: [(&str, Write); 8] = [
        ("append", |store| store.append(&[(1, b"block")])),
        ("put", |store| store.put(Table::Keys, b"key", b"value").and_then(|()| store.flush())),
        ("put_if_absent", |store| {
            store.put_if_absent(Table::IdempotencyRecords, b"key", b"value").and_then(|_| store.sync())
        }),
        ("compare_and_swap", |store| {
            store.compare_and_swap(Table::Keys, b"row", b"value", b"new").and_then(|_| store.sync())
        }),
        ("remove", |store| store.remove(Table::ReportOffsets, b"key").and_then(|()| store.flush())),
        ("many puts", |store| {
            (0..u64::MAX).try_for_each(|it| store.put(Table::Keys, &it.to_be_bytes(), &[0; STORE_VALUE_BYTES]))
        }),
        ("save_sidecar", |store| store.save_sidecar("checkpoint", "text")),
        ("remove_sidecar", |store| store.remove_sidecar("rotation")),
    ];
    for (name, write) in writes {
        let (_directory, store) = new_store();
        for table in Table::ALL {
            store.put(table, b"row", b"value").unwrap();
        }
        store.sync().unwrap();
        assert!(store.wait_for_failure().now_or_never().is_none(), "{name}");
        store.fill_disk_after(0);
        assert!(store.save_cache("heads", b"cache").is_err());
        assert!(store.put(Table::Snapshots, b"key", b"value").is_err());
        assert_eq!(store.metrics().cache_failures.get(), 2);
        assert!(store.wait_for_failure().now_or_never().is_none(), "a failed cache does not fail the store");
        let error = write(&store).unwrap_err().to_string();
        assert!(
            error.contains("No space left on device") && error.contains("disk, then start again"),
            "{name}: {error}"
        );
        assert_eq!(store.wait_for_failure().now_or_never().unwrap().to_string(), error, "{name}");
        *store.inner.committer.failure_latch.writes_left.lock().unwrap() = None;
        for (later, write) in writes {
            assert_eq!(write(&store).unwrap_err().to_string(), error, "{later} after {name}");
        }
    }
    let (_directory, store) = new_store();
    let files = io_error("write", Path::new("there"))(io::Error::from_raw_os_error(24));
    assert!(store.inner.committer.failure_latch.latch(Err::<(), _>(files)).is_err());
    assert!(store.append(&[(1, vec![0; BLOCK_BYTES + 1])]).is_err());
    assert!(
        store.wait_for_failure().now_or_never().is_none(),
        "too many open files and too large blocks do not fail the store"
    );
}

#[test]
fn a_block_over_the_limit_is_refused() {
    let (_directory, store) = new_store();
    let outcome = store.append(&[(1, &vec![0; BLOCK_BYTES + 1])]);
    assert!(matches!(outcome, Err(Error::TooLarge { bytes, .. }) if bytes == BLOCK_BYTES + 1));
    assert!(store.block_at(1).unwrap().is_none());
    let outcome = store.put(Table::Keys, b"key", &vec![0; STORE_VALUE_BYTES + 1]);
    assert!(matches!(outcome, Err(Error::TooLarge { bytes, .. }) if bytes == STORE_VALUE_BYTES + 1));
}

/// Trap: sled uses more memory than its cache bound. A new bound must not make an old store unreadable, as a new
/// segment size would.
#[test]
fn another_cache_size_opens_the_same_store() {
    let (directory, store) = new_store();
    store.append(&[(1, b"block")]).unwrap();
    drop(store);
    let settings = config::StoreSettings { cache_bytes: 1024 * 1024, ..config::Settings::default().store };
    let store = Store::open(directory.path(), &settings).unwrap();
    assert_eq!(&*store.block_at(1).unwrap().unwrap().1, b"block");
}

/// Deterministic bytes without a pattern.
fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
