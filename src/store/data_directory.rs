//! The data directory: its layout, its marker, and the lock of its owner.
//!
//! ```text
//! MUSTER     the marker: format and store id; locked by the process that owns the directory. Empty until creation ends
//! keys/      the master key, unless it is configured elsewhere (`vault`)
//! store/     sled's files
//! wal/       the write-ahead log: what sled may not have durably
//! cache/     caches that speed up a start and may be lost
//! log/       small files outside the tables: the durable mark, the last checkpoint, its public key, a rotation file
//! ```
//!
//! Frozen: these names, and the lines of the marker. Every later version must recognise and open a directory of format
//! 1, of format 2: its log was restored to an earlier state, and of format 3: it has a write-ahead log. Versions that know
//! nothing of that refuse formats 2 and 3. The first commit gives format 3 to any directory.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::Error;
use crate::files::open_with;
use crate::limits::{LOCK_POLL_INTERVAL, LOCK_WAIT};

const MARKER: &str = "MUSTER";
/// Most bytes that are read of the marker; a valid marker has fewer.
const MARKER_BYTES: u64 = 256;

/// The format of a data directory, in its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryFormat {
    /// The log is in generation 0.
    One,
    /// The log is in a later generation. A version that does not know generations must not serve it, because the account
    /// versions that it sends would fall.
    Two,
    /// It has a write-ahead log, and its log may be in any generation. A version that does not know write-ahead logs would
    /// miss the last answered changes.
    Three,
}

impl DirectoryFormat {
    const ALL: [DirectoryFormat; 3] = [DirectoryFormat::One, DirectoryFormat::Two, DirectoryFormat::Three];

    /// The first line of the marker.
    fn line(self) -> &'static str {
        match self {
            DirectoryFormat::One => "muster data directory, format 1",
            DirectoryFormat::Two => "muster data directory, format 2",
            DirectoryFormat::Three => "muster data directory, format 3",
        }
    }
}

/// The id of a store: random, assigned at its creation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreId(pub u64);

/// A data directory that this process owns while the value lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    id: StoreId,
    /// Holds the lock. The kernel releases it when the process ends, for whatever reason.
    marker: File,
    /// Whether its creation is not finished. Such a directory holds nothing that was ever acknowledged.
    is_new: bool,
    /// Its format when it was opened.
    format: DirectoryFormat,
}

impl DataDirectory {
    /// Takes ownership of the directory at `path`. Creates it if it is missing or empty.
    pub(super) fn open(path: &Path) -> Result<DataDirectory, Error> {
        create_directories(path).map_err(io_error("create the data directory", path))?;
        let marker_path = path.join(MARKER);
        let is_new = !marker_path.exists();
        if is_new && !is_empty(path)? {
            return Err(Error::ForeignDirectory { path: path.to_owned() });
        }
        let opened = open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false), &marker_path);
        let marker = opened.map_err(io_error("open", &marker_path))?;
        match lock_with_retry(&marker) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &marker_path)(source)),
        }
        let mut text = String::new();
        (&marker).take(MARKER_BYTES).read_to_string(&mut text).map_err(io_error("read", &marker_path))?;
        let is_new = is_incomplete_marker(&text);
        let (format, id) = if is_new {
            let id = StoreId::generate().map_err(io_error("generate random bytes for", &marker_path))?;
            (DirectoryFormat::One, id)
        } else {
            parse_marker(&text).ok_or_else(|| Error::UnknownFormat {
                path: path.to_owned(),
                found: text.lines().next().unwrap_or_default().to_owned(),
            })?
        };
        for part in own_directories(path) {
            fs::create_dir_all(&part).map_err(io_error("create", &part))?;
        }
        Ok(DataDirectory { path: path.to_owned(), id, marker, is_new, format })
    }

    /// Creates a data directory with this store id, for a copy. The directory at `path` must be empty or missing.
    pub(super) fn create_with_id(path: &Path, id: StoreId, format: DirectoryFormat) -> Result<(), Error> {
        create_directories(path).map_err(io_error("create the data directory", path))?;
        if !is_empty(path)? {
            return Err(Error::NotEmpty { path: path.to_owned() });
        }
        let marker = path.join(MARKER);
        let written = File::create(&marker).and_then(|mut file| {
            file.write_all(format_marker(format, id).as_bytes())?;
            file.sync_all()
        });
        written.map_err(io_error("write", &marker))
    }

    /// Gives the directory format 3: from now on its write-ahead log counts. Only one byte of the marker changes.
    pub(super) fn upgrade(&self) -> Result<(), Error> {
        let text = format_marker(DirectoryFormat::Three, self.id);
        let written = self.marker.write_all_at(text.as_bytes(), 0).and_then(|()| self.marker.sync_all());
        written.map_err(io_error("write", &self.path.join(MARKER)))
    }

    /// Writes the marker of a new directory after everything else in it is durable. Then makes the directory entries
    /// durable. If the marker came first, a power cut could leave it beside sled files that no start can open.
    pub(super) fn finish_creation(&mut self) -> Result<(), Error> {
        if self.is_new {
            let (text, marker) = (format_marker(DirectoryFormat::One, self.id), &mut self.marker);
            let written =
                marker.set_len(0).and_then(|()| marker.rewind()).and_then(|()| marker.write_all(text.as_bytes()));
            written.and_then(|()| marker.sync_all()).map_err(io_error("write", &self.path.join(MARKER)))?;
            self.is_new = false;
        }
        sync_directory(&self.path)?;
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => sync_directory(parent),
            None => sync_directory(Path::new(".")),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn id(&self) -> StoreId {
        self.id
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn store_path(&self) -> PathBuf {
        self.path.join("store")
    }

    /// The format that the directory had when it was opened.
    pub(super) fn format(&self) -> DirectoryFormat {
        self.format
    }

    /// The directory of the write-ahead log. Directories of formats 1 and 2 have none that counts.
    pub(super) fn log_path(&self) -> PathBuf {
        self.path.join("wal")
    }

    pub(super) fn cache_path(&self) -> PathBuf {
        self.path.join("cache")
    }

    pub(super) fn sidecar_path(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// The directories in a data directory whose files the store alone writes, replaces and removes.
pub fn own_directories(data_directory: &Path) -> [PathBuf; 4] {
    ["store", "wal", "cache", "log"].map(|name| data_directory.join(name))
}

/// The text is not a store id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a store's id must have 16 lower-case hexadecimal digits")]
pub struct InvalidStoreId;

impl StoreId {
    fn generate() -> io::Result<StoreId> {
        getrandom::u64().map(StoreId).map_err(io::Error::other)
    }
}

impl FromStr for StoreId {
    type Err = InvalidStoreId;

    /// Accepts only the form that `Display` writes.
    fn from_str(text: &str) -> Result<StoreId, InvalidStoreId> {
        let id = u64::from_str_radix(text, 16).map(StoreId).ok();
        id.filter(|id| id.to_string() == text).ok_or(InvalidStoreId)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whether there is a data directory at `path`.
pub(super) fn exists_at(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

/// Locks `file`, and waits a moment for a holder that is about to end. A killed process needs time to free its
/// memory. A store dropped in this process has threads that end a little later.
pub(super) fn lock_with_retry(file: &File) -> Result<(), TryLockError> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_WAIT => thread::sleep(LOCK_POLL_INTERVAL),
            outcome => return outcome,
        }
    }
}

/// Creates the directory at `path` and its missing parents. Only the owner may read them, because they hold customer
/// data. Their names are durable when this returns: each parent directory is synced.
///
/// Without these syncs a power cut removed `keys`, with the master key, from one data directory. It removed another
/// one completely, because its parent was new too.
pub fn create_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for directory in missing {
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Syncs a directory, so that the names in it are durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io_error("sync", path))
}

/// An [`Error::Io`] that names the operation and the path.
pub(super) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { what, path: path.to_owned(), source: Arc::new(source) }
}

fn is_empty(path: &Path) -> Result<bool, Error> {
    Ok(fs::read_dir(path).map_err(io_error("read", path))?.next().is_none())
}

pub(super) fn format_marker(format: DirectoryFormat, id: StoreId) -> String {
    format!("{}\nstore {id}\n", format.line())
}

/// Whether `marker` is empty or only the beginning of a marker. Then the creation of the directory was interrupted.
pub(super) fn is_incomplete_marker(marker: &str) -> bool {
    // A directory of format 2 gets its marker in one write, before anything else.
    let whole = format!("{}\nstore {}", DirectoryFormat::One.line(), StoreId(0));
    let matches = |(found, whole): (char, char)| found == whole || (whole == '0' && found.is_ascii_hexdigit());
    marker.len() < whole.len() && marker.chars().zip(whole.chars()).all(matches)
}

pub(super) fn parse_marker(marker: &str) -> Option<(DirectoryFormat, StoreId)> {
    let mut lines = marker.lines();
    let format = lines.next()?;
    let format = DirectoryFormat::ALL.into_iter().find(|known| known.line() == format)?;
    Some((format, lines.next()?.strip_prefix("store ")?.parse().ok()?))
}
