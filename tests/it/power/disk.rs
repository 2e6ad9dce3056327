//! A disk as a power cut finds it: of each file and of each directory what is surely there, and what was done since.
//!
//! Only a sync of the file makes what was done to it sure, and only a sync of its directory a name: that is all that
//! POSIX promises. What was done since may be there in part. A directory's changes stay in order.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;

use super::image::{DiskImage, PAGE};
use super::trace::{FileOperation, TraceRecord};

/// What becomes of changes to files that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum UnsyncedWrites {
    Dropped,
    Kept,
    /// Each call is there or is not.
    Each,
    /// Of each write some pages are there.
    Torn,
}

/// What becomes of changes to directories that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum UnsyncedNames {
    Dropped,
    Kept,
    /// The first few of each directory.
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

/// Something as it was when it was last synced, and what was done to it since, each with the length of the trace then.
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

    /// Does what was done.
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

    /// What a power cut leaves now.
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

    /// The directory of `path`, and its name in there.
    fn place(&mut self, path: &Path) -> (&mut SyncedState<BTreeMap<String, usize>, NameChange>, String) {
        let node = path.parent().and_then(|parent| self.find(parent));
        match node.map(|node| &mut self.nodes[node]) {
            Some(Node::Directory(directory)) => (directory, name(path)),
            Some(Node::File(_)) | None => panic!("{} is in no directory", path.display()),
        }
    }

    /// What is at `path` while nothing is lost.
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
        // Some files lose nearly all, some nearly nothing.
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
        // A file's size is written apart from the file.
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
    /// Does the change to `file`. Of a write it takes the pages for which `takes` says so.
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
    /// A disk after a power cut: what it left is all there is.
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
