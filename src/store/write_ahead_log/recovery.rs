//! Which entries of the write-ahead log count after a crash.
//!
//! From the entry that the engine holds durably on, each entry counts that is whole and names the hash of the one before.
//! What does not count was never answered: a torn end, or an old entry in a file that was used again. If something shows
//! that the next entry was answered, then the log is damaged, and the start is refused: a later entry that says so, the
//! durable mark, or the engine.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::data_directory::io_error;
use super::super::keyspace::RowChange;
use super::super::{Error, StoreId};
use super::WriteAheadLog;
use super::entry::{self, EntryHeader, EntryId};
use super::log_file::{self, ALIGNMENT, LogFile};
use crate::files::open_file;

/// Entries that a start knows of without the log.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct KnownEntries {
    /// The last entry that the engine holds durably.
    pub(in crate::store) synced: EntryId,
    /// The last entry that the engine was given.
    pub(in crate::store) applied: Option<EntryId>,
    /// The durable mark.
    pub(in crate::store) acknowledged: Option<EntryId>,
}

/// A file of the log, read.
struct ReadFile {
    path: PathBuf,
    bytes: Bytes,
    /// The whole entries in it, each with its offset.
    entries: Vec<(usize, EntryHeader)>,
}

/// Opens the log in `directory`. Hands the changes behind `known.synced` to `apply`, in order. They are durable in the log
/// before.
pub(in crate::store) fn recover(
    directory: &Path,
    store: StoreId,
    known: &KnownEntries,
    mut apply: impl FnMut(&RowChange) -> Result<(), Error>,
) -> Result<WriteAheadLog, Error> {
    let files: Vec<ReadFile> =
        log_file::list(directory)?.iter().map(|path| ReadFile::read(path, store)).collect::<Result<_, _>>()?;
    let damaged = |what: String| Error::Damaged { path: directory.to_owned(), what };
    let chain = follow_chain(&files, known.synced, damaged)?;
    let end = chain.last().map_or(known.synced, |link| link.id);
    check_end(&files, &chain, end, known, damaged)?;
    let mut log = open(directory, store, &files, &chain, end, known.synced)?;
    // Its entry is not needed any more, but what the engine's row said before is not known.
    log.release(known.synced.number);
    for link in chain.iter().filter(|link| link.id.number > known.synced.number) {
        let file = &files[link.file];
        let (offset, header) = file.entries[link.entry];
        let changes = entry::decode_changes(&file.bytes.slice(offset..offset + header.length));
        let what = || damaged(format!("entry {} of the write-ahead log cannot be understood", header.number));
        changes.ok_or_else(what)?.iter().try_for_each(&mut apply)?;
    }
    Ok(log)
}

/// An entry that counts.
struct Link {
    id: EntryId,
    file: usize,
    entry: usize,
}

/// The entries from `synced` on that count, in order: the entry `synced` itself comes first, if the log still has it.
fn follow_chain(files: &[ReadFile], synced: EntryId, damaged: impl Fn(String) -> Error) -> Result<Vec<Link>, Error> {
    let mut by_number: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
    for (file, read) in files.iter().enumerate() {
        for (entry, (_, header)) in read.entries.iter().enumerate() {
            by_number.entry(header.number).or_default().push((file, entry));
        }
    }
    let at = |number: u64| by_number.get(&number).into_iter().flatten().copied();
    let link = |(file, entry): (usize, usize)| Link { id: files[file].id(entry), file, entry };
    let mut chain: Vec<Link> = at(synced.number).map(link).filter(|link| link.id == synced).take(1).collect();
    let mut last = synced;
    while let Some(next) =
        at(last.number + 1).find(|(file, entry)| last.is_followed_by(&files[*file].entries[*entry].1))
    {
        chain.push(link(next));
        last = files[next.0].id(next.1);
    }
    if chain.is_empty() {
        let number = synced.number;
        return Err(damaged(format!(
            "its tables hold the changes up to entry {number} of the write-ahead log, but the log does not have that entry"
        )));
    }
    Ok(chain)
}

/// Fails if an entry behind `end` was answered.
fn check_end(
    files: &[ReadFile],
    chain: &[Link],
    end: EntryId,
    known: &KnownEntries,
    damaged: impl Fn(String) -> Error,
) -> Result<(), Error> {
    let said = files.iter().flat_map(|file| &file.entries).map(|(_, header)| header.durable).max();
    let told = [said, known.applied.map(|it| it.number), known.acknowledged.map(|it| it.number)];
    let answered = told.into_iter().flatten().max().unwrap_or(0);
    if answered > end.number {
        let number = end.number;
        return Err(damaged(format!(
            "the write-ahead log ends at entry {number}, but it had {answered} entries; it was changed, cut or replaced"
        )));
    }
    for known in [known.applied, known.acknowledged].into_iter().flatten() {
        if chain.iter().any(|link| link.id.number == known.number && link.id != known) {
            let number = known.number;
            return Err(damaged(format!("entry {number} of the write-ahead log is not the one that was answered")));
        }
    }
    Ok(())
}

/// The log for writing behind `end`.
fn open(
    directory: &Path,
    store: StoreId,
    files: &[ReadFile],
    chain: &[Link],
    end: EntryId,
    synced: EntryId,
) -> Result<WriteAheadLog, Error> {
    let last = chain.last().filter(|link| link.id == end);
    let mut opened = Vec::new();
    let mut current = 0;
    for (index, read) in files.iter().enumerate() {
        let ours = chain.iter().filter(|link| link.file == index);
        let last_number = ours.map(|link| link.id.number).max().unwrap_or(0);
        let is_current = last.is_some_and(|link| link.file == index);
        let offset = last.filter(|_| is_current).map(|link| read.entries[link.entry]);
        let end = offset.map_or(0, |(offset, header)| offset + header.length);
        if is_current {
            current = index;
        }
        opened.push(LogFile::open(&read.path, end, last_number)?);
    }
    Ok(WriteAheadLog {
        directory: directory.to_owned(),
        store,
        files: opened,
        current,
        last: end,
        durable: end.number.max(synced.number),
        released: 0,
        buffer: Vec::new(),
    })
}

impl ReadFile {
    fn read(path: &Path, store: StoreId) -> Result<ReadFile, Error> {
        let mut bytes = Vec::new();
        let read = open_file(path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(io_error("read", path))?;
        let mut entries = Vec::new();
        let mut offset = 0;
        while offset < bytes.len() {
            let header = entry::decode_header(&bytes[offset..], store);
            let length = header.map_or(ALIGNMENT, |header| header.length);
            entries.extend(header.map(|header| (offset, header)));
            offset += length.next_multiple_of(ALIGNMENT);
        }
        Ok(ReadFile { path: path.to_owned(), bytes: Bytes::from(bytes), entries })
    }

    /// The place of one of its entries in the log.
    fn id(&self, entry: usize) -> EntryId {
        let (offset, header) = self.entries[entry];
        EntryId::of(header.number, &self.bytes[offset..offset + header.length])
    }
}
