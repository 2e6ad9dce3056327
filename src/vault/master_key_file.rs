//! The master key's file. The master key is the one key that is not in the store.
//!
//! The file holds one line: 64 hexadecimal digits, optionally after `muster master key 1 `. Only its owner may read
//! it.
//!
//! Frozen: operators keep such files, and older ones open older backups. Another form needs another prefix beside this
//! one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::Error;
use super::cipher::{self, SymmetricKey};
use crate::files::{open_file, read_open_file};
use crate::limits::MASTER_KEY_TEXT_BYTES;
use crate::store;

const PREFIX: &str = "muster master key 1 ";
const DIGITS: usize = 64;
/// The name of a temporary file: this, and random letters and digits.
const TEMPORARY: &str = ".master-key-";
const TEMPORARY_RANDOM: usize = 6;

/// The file of a data directory whose settings name no source of the master key.
pub fn default_path(data_directory: &Path) -> PathBuf {
    data_directory.join("keys").join("master.key")
}

/// Reads the key. `None` if the file does not exist.
pub(super) fn read(path: &Path) -> Result<Option<SymmetricKey>, Error> {
    let failed = |what| move |source| Error::MasterKeyFile { what, path: path.to_owned(), source };
    let file = match open_file(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("open")(source)),
    };
    let bytes = read_open_file(&file, MASTER_KEY_TEXT_BYTES).map_err(failed("read"))?;
    let key = parse(bytes.trim_ascii_end());
    let key = key.map_err(|form| Error::MalformedMasterKey { path: path.to_owned(), form })?;
    // Last: the advice to change its mode is for a file with a key, not for one whose path was mistyped.
    let mode = file.metadata().map_err(failed("read"))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::ReadableByOthers { path: path.to_owned(), mode });
    }
    Ok(Some(key))
}

/// Creates a random key and writes its file, durably, before the key seals anything.
pub(super) fn create(path: &Path) -> Result<SymmetricKey, Error> {
    let key = Zeroizing::new(cipher::random_bytes()?);
    write(path, &key)?;
    Ok(key)
}

/// Replaces the key's file, durably. The new file is written beside the old one and renamed, so a crash leaves one of
/// them intact.
pub(super) fn write(path: &Path, key: &SymmetricKey) -> Result<(), Error> {
    let (temporary, path) = (write_temporary(path, key)?, resolve_links(path));
    let move_into_place = || {
        // The rename moved the temporary file away, so dropping its handle removes nothing.
        fs::rename(temporary.path(), &path)?;
        File::open(parent_directory(&path))?.sync_all()
    };
    move_into_place().map_err(|source| Error::MasterKeyFile { what: "make", path: path.clone(), source })
}

/// Writes the key to a new file, durably, in a directory that exists. If the file exists, it must have this key.
pub(super) fn write_new(path: &Path, key: &SymmetricKey) -> Result<(), Error> {
    let write_file = || {
        let parent = parent_directory(path);
        if !path.exists() {
            let temporary = write_temporary_in(parent, key)?;
            // Some file systems have no modes: there, other users could read the key, and Muster would not take it.
            if temporary.as_file().metadata()?.permissions().mode() & 0o077 != 0 {
                return Err(io::Error::other("its file system lets other users read it; name a file elsewhere"));
            }
            temporary.persist_noclobber(path)?;
        }
        // Also if an attempt before wrote the file: it may have ended before this.
        open_file(path)?.sync_all()?;
        File::open(parent)?.sync_all()
    };
    write_file().map_err(|source| Error::MasterKeyFile { what: "write", path: path.to_owned(), source })
}

/// Writes the key to a temporary file beside its own file. It is deleted unless it is renamed.
pub(super) fn write_temporary(path: &Path, key: &SymmetricKey) -> Result<NamedTempFile, Error> {
    let path = &resolve_links(path);
    let write_file = || {
        store::create_directories(parent_directory(path))?;
        write_temporary_in(parent_directory(path), key)
    };
    write_file().map_err(|source| Error::MasterKeyFile { what: "make", path: path.to_owned(), source })
}

/// Removes the temporary files that a kill left beside the key's file. They hold a key that may have been retired since.
pub(super) fn remove_leftovers(path: &Path) {
    if let Err(error) = remove_leftovers_in(parent_directory(&resolve_links(path))) {
        tracing::warn!(%error, path = %path.display(), "a temporary file with a master key beside this file was not removed");
    }
}

fn remove_leftovers_in(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let random =
            entry.file_name().into_string().ok().and_then(|name| Some(name.strip_prefix(TEMPORARY)?.to_owned()));
        let is_leftover = random.is_some_and(|random| {
            random.len() == TEMPORARY_RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if is_leftover {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes the key to a new file with a random name, readable only by its owner.
fn write_temporary_in(directory: &Path, key: &SymmetricKey) -> io::Result<NamedTempFile> {
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + DIGITS + 1));
    text.push_str(PREFIX);
    for byte in **key {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text.push('\n');
    remove_leftovers_in(directory)?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).rand_bytes(TEMPORARY_RANDOM).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// The target of `path` if it is a link. The old key must not stay behind in the target.
pub(super) fn resolve_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn parent_directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Parses the key in a line.
pub(super) fn parse(line: &[u8]) -> Result<SymmetricKey, MalformedKey> {
    let digits = line.strip_prefix(PREFIX.as_bytes()).unwrap_or(line);
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut key = Zeroizing::new([0; cipher::KEY_BYTES]);
    if digits.len() != DIGITS {
        return Err(MalformedKey::describe(line));
    }
    for (byte, [high, low]) in key.iter_mut().zip(digits.as_chunks::<2>().0) {
        let pair = value(*high).zip(value(*low));
        *byte = pair.map(|(high, low)| high << 4 | low).ok_or_else(|| MalformedKey::describe(line))?;
    }
    Ok(key)
}

/// How a text differs from a master key, without a part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedKey(String);

impl MalformedKey {
    fn describe(line: &[u8]) -> MalformedKey {
        let digits = line.strip_prefix(PREFIX.as_bytes()).unwrap_or(line);
        let bytes = digits.len();
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
        let form = if line.is_empty() {
            "it is empty".to_owned()
        } else if digits.contains(&b'\n') {
            "it has several lines instead of one".to_owned()
        } else if digits.iter().all(u8::is_ascii_hexdigit) {
            format!("it has {bytes} hexadecimal digits instead of {DIGITS}")
        } else if bytes == cipher::KEY_BYTES && !digits.is_ascii() {
            format!("it has {bytes} raw bytes instead of {DIGITS} hexadecimal digits")
        } else if matches!(bytes, 43 | 44) && digits.iter().all(is_base64) {
            format!("it looks like base64; a master key has {DIGITS} hexadecimal digits")
        } else {
            format!("it has {bytes} bytes that are not all hexadecimal digits; a master key has {DIGITS} of these")
        };
        MalformedKey(form)
    }
}
