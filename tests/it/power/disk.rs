//! A disk after a power cut: the synced state of each file and directory, and the changes since.
//!
//! Only a sync of a file makes its changes durable, and only a sync of its directory makes a name durable; POSIX
//! promises no more. Later changes may be there in part. Changes of one directory stay in order.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;

use super::image::{DiskImage, PAGE};
use super::trace::{FileOperation, TraceRecord};

/// The fate of unsynced changes to files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum UnsyncedWrites {
    Dropped,
    Kept,
    /// Each write is there or is not.
    Each,
    /// Some pages of each write are there.
    Torn,
}

/// The fate of unsynced changes to directories.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum UnsyncedNames {
    Dropped,
    Kept,
    /// The first few of each directory are there.
    First,
}

/// A disk during the replay of a trace.
pub struct SimulatedDisk {
    nodes: Vec<Node>,
    handles: HashMap<i32, usize>,
}

enum Node {
    File(SyncedState<Vec<u8>, FileChange>),
    Directory(SyncedState<BTreeMap<String, usize>, NameChange>),
}

/// The synced state, and the changes since, each with the length of the trace at that time.
struct SyncedState<T, C> {
    sure: T,
    since: Vec<(u64, C)>,
}

#[derive(Clone)]
enum FileChange {
    Write(usize, Bytes),
    Truncate(usize),
    Extend(usize),
}

#[derive(Clone)]
enum NameChange {
    Add(String, usize),
    Remove(String),
    Rename(String, String),
}

impl SimulatedDisk {
    /// A disk with an empty directory.
    pub fn new() -> SimulatedDisk {
        SimulatedDisk { nodes: vec![Node::Directory(SyncedState::new())], handles: HashMap::new() }
    }

    /// Replays one record.
    pub fn replay(&mut self, TraceRecord { call, end }: &TraceRecord) {
        match call {
            FileOperation::Start => self.handles.clear(),
            FileOperation::Open { fd, creates, truncates, path } => {
                let node = self.find(path).unwrap_or_else(|| {
                    assert!(*creates, "{} was opened and is not there", path.display());
                    self.add(path, Node::File(SyncedState::new()), *end)
                });
                self.handles.insert(*fd, node);
                if *truncates {
                    self.change(*fd, FileChange::Truncate(0), *end);
                }
            }
            FileOperation::Close { fd } => {
                self.handles.remove(fd).unwrap();
            }
            FileOperation::Duplicate { fd, to } => {
                self.handles.insert(*to, self.handles[fd]);
            }
            FileOperation::Write { fd, at, data } => self.change(*fd, FileChange::Write(*at, data.0.clone()), *end),
            FileOperation::Truncate { fd, to } => self.change(*fd, FileChange::Truncate(*to), *end),
            FileOperation::Extend { fd, to } => self.change(*fd, FileChange::Extend(*to), *end),
            FileOperation::Sync { fd, began } => match &mut self.nodes[self.handles[fd]] {
                Node::File(file) => file.sync(*began),
                Node::Directory(directory) => directory.sync(*began),
            },
            FileOperation::SyncRange => {}
            FileOperation::MakeDirectory { path } => {
                self.add(path, Node::Directory(SyncedState::new()), *end);
            }
            FileOperation::Remove { path } => {
                let (directory, name) = self.place(path);
                directory.since.push((*end, NameChange::Remove(name)));
            }
            FileOperation::Rename { from, to } => {
                assert_eq!(from.parent(), to.parent(), "a rename between directories is not understood here");
                let (directory, old) = self.place(from);
                directory.since.push((*end, NameChange::Rename(old, name(to))));
            }
            FileOperation::PowerCut(image) => *self = SimulatedDisk::from(image),
        }
    }

    /// The image that a power cut leaves now.
    pub fn cut_power(&self, changes: UnsyncedWrites, names: UnsyncedNames, random: &mut fastrand::Rng) -> DiskImage {
        let mut image = DiskImage::default();
        self.collect(0, Path::new(""), &mut image, changes, names, random);
        image
    }

    fn collect(
        &self,
        node: usize,
        path: &Path,
        image: &mut DiskImage,
        changes: UnsyncedWrites,
        names: UnsyncedNames,
        random: &mut fastrand::Rng,
    ) {
        let unsynced = match &self.nodes[node] {
            Node::File(file) => file.since.len(),
            Node::Directory(directory) => directory.since.len(),
        };
        if unsynced > 0 {
            image.unsynced.push((path.to_owned(), unsynced));
        }
        match &self.nodes[node] {
            Node::File(file) => {
                image.files.insert(path.to_owned(), Bytes::from(file.surviving(changes, random)));
            }
            Node::Directory(directory) => {
                image.directories.push(path.to_owned());
                for (name, node) in directory.left(names, random) {
                    self.collect(node, &path.join(name), image, changes, names, random);
                }
            }
        }
    }

    fn change(&mut self, fd: i32, change: FileChange, end: u64) {
        let Node::File(file) = &mut self.nodes[self.handles[&fd]] else { panic!("a directory was written to") };
        file.since.push((end, change));
    }

    fn add(&mut self, path: &Path, node: Node, end: u64) -> usize {
        let added = self.nodes.len();
        self.nodes.push(node);
        let (directory, name) = self.place(path);
        directory.since.push((end, NameChange::Add(name, added)));
        added
    }

    /// The directory of `path`, and its name in it.
    fn place(&mut self, path: &Path) -> (&mut SyncedState<BTreeMap<String, usize>, NameChange>, String) {
        let node = path.parent().and_then(|parent| self.find(parent));
        match node.map(|node| &mut self.nodes[node]) {
            Some(Node::Directory(directory)) => (directory, name(path)),
            Some(Node::File(_)) | None => panic!("{} is in no directory", path.display()),
        }
    }

    /// The file at `path`, with all changes.
    fn find(&self, path: &Path) -> Option<usize> {
        path.iter().try_fold(0, |node, name| match &self.nodes[node] {
            Node::File(_) => None,
            Node::Directory(directory) => directory.now().get(name.to_str().unwrap()).copied(),
        })
    }
}

impl<T: Default, C> SyncedState<T, C> {
    fn new() -> SyncedState<T, C> {
        SyncedState { sure: T::default(), since: Vec::new() }
    }
}

impl SyncedState<Vec<u8>, FileChange> {
    fn sync(&mut self, began: u64) {
        let later = self.since.partition_point(|(end, _)| *end <= began);
        self.since.drain(..later).for_each(|(_, change)| change.apply(&mut self.sure, || true));
    }

    fn surviving(&self, changes: UnsyncedWrites, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut left = self.sure.clone();
        // Some files lose nearly everything, some nearly nothing.
        let share = *random.choice(&[0.1, 0.5, 0.9]).unwrap();
        for (_, change) in &self.since {
            let mut lucky = || random.f64() < share;
            match (changes, change) {
                (UnsyncedWrites::Dropped, _) => {}
                (UnsyncedWrites::Kept, _) => change.apply(&mut left, || true),
                (UnsyncedWrites::Torn, FileChange::Write(..)) => change.apply(&mut left, lucky),
                (UnsyncedWrites::Each | UnsyncedWrites::Torn, _) => {
                    if lucky() {
                        change.apply(&mut left, || true);
                    }
                }
            }
        }
        // The size of a file is written separately from its data.
        let grown = left.len().saturating_sub(self.sure.len());
        if matches!(changes, UnsyncedWrites::Each | UnsyncedWrites::Torn) && grown > 0 && random.bool() {
            left.truncate(self.sure.len() + random.usize(..grown));
        }
        left
    }
}

impl SyncedState<BTreeMap<String, usize>, NameChange> {
    fn sync(&mut self, began: u64) {
        let later = self.since.partition_point(|(end, _)| *end <= began);
        self.since.drain(..later).for_each(|(_, change)| change.apply(&mut self.sure));
    }

    fn left(&self, names: UnsyncedNames, random: &mut fastrand::Rng) -> BTreeMap<String, usize> {
        let first = match names {
            UnsyncedNames::Dropped => 0,
            UnsyncedNames::Kept => self.since.len(),
            UnsyncedNames::First => random.usize(..=self.since.len()),
        };
        let mut left = self.sure.clone();
        self.since[..first].iter().for_each(|(_, change)| change.clone().apply(&mut left));
        left
    }

    fn now(&self) -> BTreeMap<String, usize> {
        self.left(UnsyncedNames::Kept, &mut fastrand::Rng::with_seed(0))
    }
}

impl FileChange {
    /// Applies a change to `file`. Of a write it applies the pages for which `takes` returns true.
    fn apply(&self, file: &mut Vec<u8>, mut takes: impl FnMut() -> bool) {
        match self {
            FileChange::Write(at, data) => {
                let (mut from, end) = (*at, at + data.len());
                while from < end {
                    let to = end.min((from / PAGE + 1) * PAGE);
                    if takes() {
                        file.resize(file.len().max(to), 0);
                        file[from..to].copy_from_slice(&data[from - at..to - at]);
                    }
                    from = to;
                }
            }
            FileChange::Truncate(to) => file.resize(*to, 0),
            FileChange::Extend(to) => file.resize(file.len().max(*to), 0),
        }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Add(name, node) => {
                names.insert(name, node);
            }
            NameChange::Remove(name) => {
                names.remove(&name);
            }
            NameChange::Rename(from, to) => {
                if let Some(node) = names.remove(&from) {
                    names.insert(to, node);
                }
            }
        }
    }
}

impl From<&DiskImage> for SimulatedDisk {
    /// A disk after a power cut: only the image is left.
    fn from(image: &DiskImage) -> SimulatedDisk {
        let mut disk = SimulatedDisk::new();
        for path in image.directories.iter().filter(|path| path.parent().is_some()) {
            disk.add(path, Node::Directory(SyncedState::new()), 0);
        }
        for (path, bytes) in &image.files {
            disk.add(path, Node::File(SyncedState { sure: bytes.to_vec(), since: Vec::new() }), 0);
        }
        for node in &mut disk.nodes {
            if let Node::Directory(directory) = node {
                directory.sync(0);
            }
        }
        disk
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
