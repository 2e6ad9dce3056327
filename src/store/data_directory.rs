//! The data directory: whose it is, who has it, what is where in it.
//!
//! ```text
//! MUSTER     the marker: format and store id; locked by the process that owns the directory. Empty until all is there
//! keys/      the master key, unless it is kept elsewhere (`vault`)
//! store/     sled's files
//! cache/     what makes a start quick and may be lost
//! log/       the last signed checkpoint of the journal, and the key that checks it (`audit`)
//! ```

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::Error;
use crate::files::open_with;
use crate::limits::{LOCK_POLL_INTERVAL, LOCK_WAIT};

const MARKER: &str = "MUSTER";
/// Bytes that are read of the marker; ours has fewer.
const MARKER_BYTES: u64 = 256;
const FORMAT: &str = "muster data directory, format 1";

/// The id of a store, drawn at random when it is created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreId(pub u64);

/// A data directory, owned by this process for as long as this lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    id: StoreId,
    /// Holds the lock: the kernel drops it with the process, however that ends.
    marker: File,
    /// Whether its creation is not finished. Nothing in it was ever answered then.
    is_new: bool,
}

impl DataDirectory {
    /// Takes the directory at `path`, creating it if there is none or an empty one.
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
        let id = if is_new {
            StoreId::generate().map_err(io_error("draw random bytes for", &marker_path))?
        } else {
            parse_marker(&text).ok_or_else(|| Error::UnknownFormat {
                path: path.to_owned(),
                found: text.lines().next().unwrap_or_default().to_owned(),
            })?
        };
        for part in [path.join("store"), path.join("cache"), path.join("log")] {
            fs::create_dir_all(&part).map_err(io_error("create", &part))?;
        }
        Ok(DataDirectory { path: path.to_owned(), id, marker, is_new })
    }

    /// Makes the directory at `path` one of the store `id`, before anything is in it: for a copy, which keeps the id.
    pub(super) fn create_with_id(path: &Path, id: StoreId) -> Result<(), Error> {
        create_directories(path).map_err(io_error("create the data directory", path))?;
        if !is_empty(path)? {
            return Err(Error::NotEmpty { path: path.to_owned() });
        }
        let marker = path.join(MARKER);
        let written = File::create(&marker).and_then(|mut file| {
            file.write_all(format_marker(id).as_bytes())?;
            file.sync_all()
        });
        written.map_err(io_error("write", &marker))
    }

    /// Writes the marker of a new directory, once all else in it is durable, and makes the directory entries themselves
    /// durable. A marker that came first stood, after a power cut, beside files of sled that no start could open.
    pub(super) fn finish_creation(&mut self) -> Result<(), Error> {
        if self.is_new {
            let (text, marker) = (format_marker(self.id), &mut self.marker);
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

    pub(super) fn cache_path(&self) -> PathBuf {
        self.path.join("cache")
    }

    pub(super) fn sidecar_path(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// A text is no id of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id of a store has 16 hexadecimal digits, in lower case")]
pub struct InvalidStoreId;

impl StoreId {
    fn generate() -> io::Result<StoreId> {
        getrandom::u64().map(StoreId).map_err(io::Error::other)
    }
}

impl FromStr for StoreId {
    type Err = InvalidStoreId;

    /// It is written in one way only.
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

/// Takes the lock of `file`, waiting a moment for one whose holder is going: a process that was killed may take as long
/// to give back its memory, and a store that was dropped in this one has threads that end a little later.
pub(super) fn lock_with_retry(file: &File) -> Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => thread::sleep(LOCK_POLL_INTERVAL),
            outcome => return outcome,
        }
    }
}

/// Creates the directory at `path`, and those above it that are missing. Nobody else may look into them, because they
/// tell of customers. Their names are durable when it returns: a name is on the disk once the directory that it stands in
/// is synced. Without that a power cut took `keys` from a data directory, and the master key with it, and the whole of
/// another whose parent was new too.
pub fn create_directories(path: &Path) -> io::Result<()> {
    let made: Vec<&Path> = path.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for directory in made {
        let above = directory.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// Syncs a directory, so that the names in it are durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io_error("sync", path))
}

/// An [`Error::Io`] that says what was tried on what.
pub(super) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { what, path: path.to_owned(), source: Arc::new(source) }
}

fn is_empty(path: &Path) -> Result<bool, Error> {
    Ok(fs::read_dir(path).map_err(io_error("read", path))?.next().is_none())
}

pub(super) fn format_marker(id: StoreId) -> String {
    format!("{FORMAT}\nstore {id}\n")
}

/// Whether `marker` is only the beginning of one, or nothing: then the creation of the directory was cut off.
pub(super) fn is_incomplete_marker(marker: &str) -> bool {
    let whole = format!("{FORMAT}\nstore {}", StoreId(0));
    let is_like = |(there, whole): (char, char)| there == whole || (whole == '0' && there.is_ascii_hexdigit());
    marker.len() < whole.len() && marker.chars().zip(whole.chars()).all(is_like)
}

pub(super) fn parse_marker(marker: &str) -> Option<StoreId> {
    let mut lines = marker.lines();
    if lines.next()? != FORMAT {
        return None;
    }
    lines.next()?.strip_prefix("store ")?.parse().ok()
}
