//! What a power cut left, in memory. It can be written to a directory, or read from one.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// The unit that a disk writes completely or not at all, in bytes.
pub const PAGE: usize = 4096;

/// Files with their content, and directories.
#[derive(Clone, Default)]
pub struct DiskImage {
    pub directories: Vec<PathBuf>,
    pub files: BTreeMap<PathBuf, Bytes>,
    /// Paths with changes that could be lost, and how many.
    pub unsynced: Vec<(PathBuf, usize)>,
}

impl DiskImage {
    /// Whether both have the same files with the same content.
    pub fn is_same(&self, other: &DiskImage) -> bool {
        self.directories == other.directories && self.files == other.files
    }

    /// Reads the files below `directory`.
    pub fn of(directory: &Path) -> DiskImage {
        let mut image = DiskImage::default();
        image.read(directory, Path::new(""));
        image
    }

    fn read(&mut self, directory: &Path, path: &Path) {
        if !directory.join(path).is_dir() {
            self.files.insert(path.to_owned(), Bytes::from(fs::read(directory.join(path)).unwrap()));
            return;
        }
        self.directories.push(path.to_owned());
        let entries = fs::read_dir(directory.join(path)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.iter().for_each(|name| self.read(directory, &path.join(name)));
    }

    /// Writes the image below `directory`. Only the owner may read it, because the service requires that of its key.
    pub fn write(&self, directory: &Path) {
        self.directories.iter().for_each(|path| fs::create_dir_all(directory.join(path)).unwrap());
        for (path, bytes) in &self.files {
            let mut options = File::options();
            let file = options.write(true).create_new(true).mode(0o600).open(directory.join(path)).unwrap();
            file.set_len(bytes.len() as u64).unwrap();
            // Zeros are there already.
            let chunks = bytes.chunks(PAGE).zip((0..).step_by(PAGE));
            for (chunk, at) in chunks.filter(|(chunk, _)| **chunk != [0; PAGE][..chunk.len()]) {
                file.write_all_at(chunk, at).unwrap();
            }
        }
    }
}

/// The full content would be millions of bytes.
impl fmt::Debug for DiskImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files", self.files.len())
    }
}
