//! The store against a model: everything that is written is read, in order, whatever has reached the engine, and after each
//! kind of end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::*;
use crate::limits::WAL_FILES;

/// Tables of the model. Snapshots are caches, which a crash may take.
const TABLES: [Table; 4] = [Table::Keys, Table::Cursors, Table::Lanes, Table::DeadLetters];
/// Keys of the model, so few that most operations meet an existing row.
const KEYS: usize = 40;
/// Operations of one life of a store.
const OPERATIONS: usize = 400;

/// What a store should hold: rows by table, and blocks.
#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
    blocks: BTreeMap<u64, Vec<u8>>,
}

fn random() -> fastrand::Rng {
    let seed = std::env::var("MUSTER_STORE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("MUSTER_STORE_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

impl Model {
    /// Does something to both.
    fn step(&mut self, store: &Store, random: &mut fastrand::Rng) {
        let index = random.usize(..TABLES.len());
        let (table, key) = (TABLES[index], random.usize(..KEYS).to_string().into_bytes());
        let value = vec![random.u8(..); random.usize(..300)];
        let row = (index, key.clone());
        match random.u8(0..20) {
            0..6 => {
                store.put(table, &key, &value).unwrap();
                self.rows.insert(row, value);
            }
            6..9 => {
                store.remove(table, &key).unwrap();
                self.rows.remove(&row);
            }
            9 => {
                let existing = store.put_if_absent(table, &key, &value).unwrap();
                assert_eq!(existing.as_deref(), self.rows.get(&row).map(Vec::as_slice));
                self.rows.entry(row).or_insert(value);
            }
            10 => {
                let current = if random.bool() { self.rows.get(&row).cloned() } else { None }.unwrap_or_default();
                let is_current = self.rows.get(&row) == Some(&current);
                assert_eq!(store.compare_and_swap(table, &key, &current, &value).unwrap(), is_current);
                if is_current {
                    self.rows.insert(row, value);
                }
            }
            11..14 => {
                let first = self.blocks.last_key_value().map_or(1, |(last, _)| last + random.u64(1..200));
                let blocks: Vec<(u64, Vec<u8>)> =
                    (first..).step_by(7).take(random.usize(1..4)).map(|at| (at, value.clone())).collect();
                store.append(&blocks).unwrap();
                self.blocks.extend(blocks);
            }
            14 => store.flush().unwrap(),
            15 => store.sync().unwrap(),
            16 => assert_eq!(store.get(table, &key).unwrap().as_deref(), self.rows.get(&row).map(Vec::as_slice)),
            17 => self.assert_scan(store, index, &key),
            18 => self.assert_blocks(store, random.u64(0..5_000)),
            _ => {
                store.inner.committer.queue.sync_and_wait();
            }
        }
    }

    fn assert_scan(&self, store: &Store, index: usize, key: &[u8]) {
        let rows = |row: Result<Row, Error>| row.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap();
        let ours = || self.rows.iter().filter(|((table, _), _)| *table == index);
        let ours = || ours().map(|((_, key), value)| (key.clone(), value.clone()));
        let from: Vec<_> = ours().filter(|(at, _)| at.as_slice() >= key).collect();
        assert_eq!(store.scan_from(TABLES[index], key).map(rows).collect::<Vec<_>>(), from);
        let back: Vec<_> = ours().rev().filter(|(at, _)| at.as_slice() <= key).collect();
        assert_eq!(store.scan_back(TABLES[index], key).map(rows).collect::<Vec<_>>(), back);
    }

    fn assert_blocks(&self, store: &Store, position: u64) {
        let block = |block: Result<(u64, StoredValue), Error>| block.map(|(at, bytes)| (at, bytes.to_vec())).unwrap();
        let from: Vec<_> = self.blocks.range(position..).map(|(at, bytes)| (*at, bytes.clone())).collect();
        assert_eq!(store.blocks_from(position).map(block).collect::<Vec<_>>(), from);
        let at = self.blocks.range(..=position).next_back().map(|(at, bytes)| (*at, bytes.clone()));
        assert_eq!(store.block_at(position).unwrap().map(|(at, bytes)| (at, bytes.to_vec())), at);
    }

    fn assert_all(&self, store: &Store) {
        (0..TABLES.len()).for_each(|index| self.assert_scan(store, index, b""));
        self.assert_blocks(store, 0);
    }

    /// Whether `store` holds exactly this.
    fn is_in(&self, store: &Store) -> Result<bool, Error> {
        let mut rows = BTreeMap::new();
        for (index, table) in TABLES.into_iter().enumerate() {
            for row in store.scan_from(table, b"") {
                let (key, value) = row?;
                rows.insert((index, key.to_vec()), value.to_vec());
            }
        }
        let mut blocks = BTreeMap::new();
        for block in store.blocks_from(0) {
            let (first, bytes) = block?;
            blocks.insert(first, bytes.to_vec());
        }
        Ok(rows == self.rows && blocks == self.blocks)
    }
}

/// Both engines, with ends of all kinds in between.
#[test]
fn a_store_holds_what_was_written() {
    let mut random = random();
    let (directory, mut model) = (tempdir().unwrap(), Model::default());
    let store = Store::open_in_memory(directory.path()).unwrap();
    for _ in 0..OPERATIONS {
        model.step(&store, &mut random);
    }
    model.assert_all(&store);
    drop(store);

    let (directory, mut model) = (tempdir().unwrap(), Model::default());
    for life in 0..4 {
        let store = open(directory.path()).unwrap();
        model.assert_all(&store);
        for _ in 0..OPERATIONS {
            model.step(&store, &mut random);
        }
        store.flush().unwrap();
        store.inner.committer.queue.kill();
        let copy = tempdir().unwrap();
        copy_directory(directory.path(), copy.path());
        model.assert_all(&open(copy.path()).unwrap_or_else(|error| panic!("after life {life}: {error}")));
        drop(store);
    }
}

/// Blocks that fill the log's files many times, with a killed process now and then.
#[test]
fn files_of_the_log_are_used_again() {
    let mut random = random();
    let (mut directory, mut first) = (tempdir().unwrap(), 0);
    for life in 0..8 {
        let store = open(directory.path()).unwrap();
        let firsts: Vec<u64> = store.blocks_from(0).map(|block| block.unwrap().0).collect();
        assert_eq!(firsts, (1..=first).collect::<Vec<_>>(), "life {life}");
        assert_eq!(store.get(Table::Cursors, b"first").unwrap().is_some(), first > 0);
        for _ in 0..random.usize(20..60) {
            first += 1;
            store.put(Table::Cursors, b"first", &first.to_be_bytes()).unwrap();
            store.append(&[(first, vec![7; random.usize(..BLOCK_BYTES)])]).unwrap();
        }
        store.inner.committer.queue.kill();
        let files = files_below(&directory.path().join("wal")).len();
        assert!((2..=WAL_FILES + 1).contains(&files), "{files} files");
        let copy = tempdir().unwrap();
        copy_directory(directory.path(), copy.path());
        drop(store);
        directory = copy;
    }
}

/// Scans of many pending rows, with more than one page, while they go to the engine.
#[test]
fn a_scan_misses_no_row_that_is_being_applied() {
    let (_directory, store) = new_store();
    for round in 0..20_u32 {
        for key in 0..500_u32 {
            store.put(Table::Lanes, &key.to_be_bytes(), &round.to_be_bytes()).unwrap();
        }
        store.sync().unwrap();
        assert_eq!(store.scan_from(Table::Lanes, b"").count(), 500, "round {round}");
        assert_eq!(store.scan_back(Table::Lanes, &[255; 4]).count(), 500, "round {round}");
        for (row, key) in store.scan_from(Table::Lanes, b"").zip(0_u32..) {
            assert_eq!(row.unwrap(), (key.to_be_bytes().to_vec().into(), round.to_be_bytes().to_vec().into()));
        }
    }
}

/// A byte is changed in any file that holds rows. The start refuses it, or nothing is missing: in no table, and no block.
#[test]
fn a_changed_byte_is_refused_or_without_effect() {
    let mut random = random();
    let (directory, mut model) = (tempdir().unwrap(), Model::default());
    for _ in 0..2 {
        let store = open(directory.path()).unwrap();
        for _ in 0..OPERATIONS {
            model.step(&store, &mut random);
        }
    }
    // As a killed process leaves it.
    let (store, killed) = (open(directory.path()).unwrap(), tempdir().unwrap());
    for _ in 0..OPERATIONS {
        model.step(&store, &mut random);
    }
    store.sync().unwrap();
    store.inner.committer.queue.kill();
    copy_directory(directory.path(), killed.path());
    drop(store);
    let places: Vec<(PathBuf, usize)> = ["wal", "store", "log"]
        .into_iter()
        .flat_map(|part| files_below(&killed.path().join(part)))
        .flat_map(|path| {
            let bytes = fs::read(&path).unwrap();
            let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            let places = if path.starts_with(killed.path().join("log")) { 8 } else { 70 };
            let mut chosen: Vec<usize> = (0..places.min(used.len())).map(|_| *random.choice(&used).unwrap()).collect();
            chosen.extend(used.last());
            chosen.into_iter().map(move |at| (path.clone(), at)).collect::<Vec<_>>()
        })
        .collect();
    let (mut refused, mut unharmed) = (0, 0);
    for (path, at) in &places {
        let copy = tempdir().unwrap();
        copy_directory(killed.path(), copy.path());
        let changed = copy.path().join(path.strip_prefix(killed.path()).unwrap());
        let mut bytes = fs::read(&changed).unwrap();
        bytes[*at] ^= 1 << random.u8(..8);
        fs::write(&changed, bytes).unwrap();
        let opened = std::panic::catch_unwind(|| open(copy.path()).and_then(|store| model.is_in(&store)));
        match opened {
            Ok(Ok(is_whole)) => {
                assert!(is_whole, "byte {at} of {} was changed, and the store serves something else", path.display());
                unharmed += 1;
            }
            Ok(Err(_)) | Err(_) => refused += 1,
        }
    }
    println!("{refused} of {} refused, {unharmed} without effect", places.len());
    assert!(refused > 0 && unharmed > 0);
}

/// Parts of a directory are replaced by an older copy, or removed. The start refuses it, or nothing is missing.
#[test]
fn an_older_part_is_refused_or_without_effect() {
    let mut random = random();
    let (directory, mut model) = (tempdir().unwrap(), Model::default());
    let live = |model: &mut Model, random: &mut fastrand::Rng| {
        let store = open(directory.path()).unwrap();
        (0..OPERATIONS).for_each(|_| model.step(&store, random));
        store.sync().unwrap();
        store.inner.committer.queue.kill();
        let copy = tempdir().unwrap();
        copy_directory(directory.path(), copy.path());
        copy
    };
    let old = live(&mut model, &mut random);
    let new = live(&mut model, &mut random);
    for part in ["wal", "store", "log", "wal/00000000.wal", "log/acknowledged"] {
        for is_replaced in [true, false] {
            let copy = tempdir().unwrap();
            copy_directory(new.path(), copy.path());
            let path = copy.path().join(part);
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
            if is_replaced {
                if old.path().join(part).is_dir() {
                    copy_directory(&old.path().join(part), &path);
                } else {
                    fs::copy(old.path().join(part), &path).unwrap();
                }
            }
            let opened = open(copy.path()).and_then(|store| model.is_in(&store));
            // The mark alone protects nothing that is there, and one file of the log may hold nothing that is needed.
            let may_open = !(part == "wal" || (part == "store" && !is_replaced));
            match opened {
                Ok(is_whole) => assert!(is_whole && may_open, "{part}, {is_replaced}: it opens, whole: {is_whole}"),
                Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{part}, {is_replaced}: {error}"),
            }
        }
    }
}

/// A directory is copied while it is written to. The copy is refused, or holds everything that was durable before.
#[test]
fn a_copy_of_a_live_directory_is_refused_or_whole() {
    let (directory, store) = new_store();
    let writer = store.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let durable = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = durable.clone();
    let writing = thread::spawn(move || {
        let mut first = 0_u64;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            first += 1;
            writer.put(Table::Cursors, b"first", &first.to_be_bytes()).unwrap();
            writer.append(&[(first, vec![7; 3_000])]).unwrap();
            counted.store(first, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let mut opened = 0;
    for round in 0..10 {
        let copy = tempdir().unwrap();
        let before = durable.load(std::sync::atomic::Ordering::SeqCst);
        copy_directory(directory.path(), copy.path());
        match open(copy.path()) {
            Ok(store) => {
                let blocks = store.blocks_from(0).try_fold(0, |last, block| match block {
                    Ok((first, _)) if first == last + 1 => ControlFlow::Continue(first),
                    other => ControlFlow::Break(other.map(|(first, _)| first)),
                });
                let ControlFlow::Continue(last) = blocks else { panic!("round {round}: {blocks:?} after {before}") };
                assert!(last >= before, "round {round}: {last} of {before} blocks");
                let cursor = store.get(Table::Cursors, b"first").unwrap().map(|it| it.to_vec());
                let is_beside = last == 0 || cursor >= Some(last.to_be_bytes().to_vec());
                assert!(is_beside, "round {round}: {cursor:?} beside {last}");
                opened += 1;
            }
            Err(error) => println!("round {round}: {error}"),
        }
        thread::sleep(Duration::from_millis(150));
    }
    stop.send(()).unwrap();
    writing.join().unwrap();
    println!("{opened} of 10 opened");
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
