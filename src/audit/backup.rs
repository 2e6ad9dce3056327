//! Backup of the store into one file, and restore.
//!
//! ```text
//! muster backup 1 ⏎
//! frame*      kind (1), bytes of key (4), bytes of value (4), key, value, CRC-32 over all of these (4); little endian
//! ```
//!
//! | kind | key | value |
//! |---|---|---|
//! | `h` | | JSON: the store's id, the log's public key |
//! | `b` | first position (8, big endian) | a block as stored |
//! | `t` | name of a table, `/`, key in the table | the value |
//! | `e` | | JSON: digest of all bytes before this frame, the log's checkpoint, a signature over both |
//!
//! A backup is taken while the service runs, in three steps. First come the tables of webhook deliveries, idempotency
//! records, expired API keys and stream offsets of gateways. Then come the blocks up to the durable head of that moment,
//! and at last the keys and the settings of receivers.
//!
//! This order keeps the copy consistent. No cursor or offset is beyond the blocks. The blocks have the events of every
//! stored response, and the creation of every expired API key. Every secret in the blocks has its key.
//!
//! The offsets are needed because a gateway forgets the reports that were acknowledged. A restored in-flight request is
//! treated as one whose service was killed. No backup holds the master key.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::signed_note::{LogCheckpoint, Signer};
use super::{Audit, Error, IntegrityFault, encode_hex, transparency_log};
use crate::config;
use crate::domain::{AdministrativeEvent, AuditLogEntry, Timestamp};
use crate::journal::{self, Journal, JournalRestorer, Origin};
use crate::limits::{BLOCK_BYTES, STREAM_CHUNK_BYTES};
use crate::store::{Store, StoreId, Table};
use crate::vault;

// Frozen: the layout of frames, and their kinds. Backups on the disks of operators must restore. A change needs another
// first line.
const MAGIC: &[u8] = b"muster backup 1\n";

/// The first frame.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BackupHeader {
    store: String,
    public_key: String,
}

/// The last frame.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BackupTrailer {
    sha256: String,
    checkpoint: String,
    signature: String,
}

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// The restored data directory.
    pub data_dir: PathBuf,
    /// Events in the backup.
    pub events: u64,
    /// Accounts that have events.
    pub accounts: u64,
    /// The signer of the backup.
    pub public_key: String,
}

/// Tables that are read before the blocks. The others are read after them; snapshots are caches and left out.
const TABLES_BEFORE_BLOCKS: [Table; 9] = [
    Table::Cursors,
    Table::Lanes,
    Table::DeadLetters,
    Table::Redeliveries,
    Table::AttemptLog,
    Table::SuccessLog,
    Table::IdempotencyRecords,
    Table::ReportOffsets,
    Table::ExpiredKeys,
];
const TABLES_AFTER_BLOCKS: [Table; 2] = [Table::Keys, Table::ReceiverSettings];

impl Audit {
    /// Fails while a rotation makes a backup impossible: its keys would be sealed with two different master keys.
    pub fn check_backup_allowed(&self) -> Result<(), Error> {
        Ok(vault::master_key_token(&self.store).map(drop)?)
    }

    /// Writes a backup in pieces. Returns the position of the last event in it, or `None` if `write` stops it.
    pub fn write_backup(
        &self,
        mut progress: impl FnMut(u64, u64),
        write: impl FnMut(Vec<u8>) -> ControlFlow<()>,
    ) -> Result<Option<u64>, Error> {
        let log = self.log()?;
        let master_key = vault::master_key_token(&self.store)?;
        let signer = log.signer().clone();
        let mut out =
            BackupWriter { digest: Sha256::new(), buffer: Vec::new(), write, control_flow: ControlFlow::Continue(()) };
        out.write_bytes(MAGIC);
        let header = BackupHeader { store: self.store.id().to_string(), public_key: signer.to_string() };
        out.write_frame(b'h', b"", &serde_json::to_vec(&header).unwrap_or_default());
        self.write_tables(&TABLES_BEFORE_BLOCKS, &mut out)?;
        let head = self.journal.head();
        let mut size = 0;
        for block in self.journal.blocks() {
            let (first, bytes) = block?;
            out.write_frame(b'b', &first.to_be_bytes(), &bytes);
            size = first - 1 + journal::count_records(&bytes)?;
            progress(size, head.max(size));
            if out.control_flow.is_break() {
                return Ok(None);
            }
        }
        self.write_tables(&TABLES_AFTER_BLOCKS, &mut out)?;
        if vault::master_key_token(&self.store)? != master_key {
            return Err(vault::Error::RotationUnderWay.into());
        }
        // Every durable size has a root.
        let root = self.journal.root_at(size)?.unwrap_or(self.journal.root().1);
        let checkpoint = log.sign(&LogCheckpoint { origin: signer.name.clone(), size, root }.to_text());
        let sha256 = encode_hex(&out.digest.clone().finalize());
        let signature = log.sign(&signed_text(&signer, &sha256, &checkpoint));
        out.write_frame(
            b'e',
            b"",
            &serde_json::to_vec(&BackupTrailer { sha256, checkpoint, signature }).unwrap_or_default(),
        );
        out.flush();
        Ok(out.control_flow.is_continue().then_some(size))
    }

    fn write_tables(
        &self,
        tables: &[Table],
        out: &mut BackupWriter<impl FnMut(Vec<u8>) -> ControlFlow<()>>,
    ) -> Result<(), Error> {
        for table in tables {
            for entry in self.store.scan_from(*table, b"") {
                let (key, value) = entry?;
                out.write_frame(b't', &[table.name().as_bytes(), b"/", &key].concat(), &value);
            }
        }
        Ok(())
    }
}

/// Restores a backup into the directory `to`, which must be empty or missing. The backup is verified in a temporary
/// directory beside `to` and moved only if it is intact. Otherwise nothing is left behind. It must be signed by
/// `signer`, if there is one.
pub fn restore(
    backup: impl Read,
    to: &Path,
    signer: Option<&Signer>,
    at: Timestamp,
    progress: impl FnMut(u64),
) -> Result<RestoreReport, Error> {
    let failed = |what: &'static str, path: &Path| {
        let what = format!("{what} {}", path.display());
        move |source| Error::Io { what, source }
    };
    // Resolve links and relative components first, so that the rename replaces the real directory.
    let to = &if to.exists() { fs::canonicalize(to).map_err(failed("find", to))? } else { to.to_owned() };
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) || to.is_file() {
        return Err(crate::store::Error::NotEmpty { path: to.to_owned() }.into());
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let device = |path: &Path| fs::metadata(path).map(|it| it.dev());
    if to.exists() && device(to).ok() != device(parent).ok() {
        let source = std::io::Error::other("it is a mount point; name a directory below it");
        return Err(failed("restore into", to)(source));
    }
    // A temporary directory with a unique name; it is deleted unless it is moved into place.
    let temporary =
        TempDir::with_prefix_in(".muster-restoring-", parent).map_err(failed("write a temporary file beside", to))?;
    let restored_path = temporary.path().join("data");
    let report = restore_into_temporary(backup, &restored_path, signer, at, progress)?;
    // The rename succeeds only if `to` is missing or an empty directory.
    fs::rename(&restored_path, to).map_err(failed("move the restored directory to", to))?;
    fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("sync", parent))?;
    Ok(RestoreReport { data_dir: to.to_owned(), ..report })
}

fn restore_into_temporary(
    backup: impl Read,
    directory: &Path,
    signer: Option<&Signer>,
    at: Timestamp,
    mut progress: impl FnMut(u64),
) -> Result<RestoreReport, Error> {
    let mut frames = BackupReader::open(backup)?;
    let Some((b'h', _, header)) = frames.next_frame()? else {
        return Err(IntegrityFault::new("it has no header").into());
    };
    let header: BackupHeader = serde_json::from_slice(&header)
        .map_err(|error| IntegrityFault::new(format!("its header is malformed: {error}")))?;
    let named = Signer::parse_expected(&header.public_key, signer)?;
    let id: StoreId = header.store.parse().map_err(|_| IntegrityFault::new("its store has no id"))?;
    let store = Store::create_with_id(directory, &config::Settings::default().store, id)?;
    if transparency_log::log_name(&store) != named.name {
        return Err(IntegrityFault::new(format!("it is from the store {id}, but signed for {}", named.name)).into());
    }
    let mut journal = JournalRestorer::new(store.clone());
    let (checkpoint, note) = loop {
        let sha256 = encode_hex(&frames.digest.clone().finalize());
        let Some((kind, key, value)) = frames.next_frame()? else {
            return Err(IntegrityFault::new("it is truncated: the last frame is missing").into());
        };
        match kind {
            b'b' => {
                let first = key.as_array().map(|key| u64::from_be_bytes(*key));
                let first = first.ok_or_else(|| IntegrityFault::new("one of its blocks has no position"))?;
                journal.append_block(first, value)?;
                progress(first);
            }
            b't' => restore_row(&store, &key, &value)?,
            b'e' => break check_trailer(&value, &sha256, &named)?,
            _ => return Err(IntegrityFault::new(format!("it has a frame of the unknown kind {kind}")).into()),
        }
    };
    if frames.next_frame()?.is_some() {
        return Err(IntegrityFault::new("it has data after its last frame").into());
    }
    let (size, root) = journal.finish()?;
    if (checkpoint.size, checkpoint.root) != (size, root) {
        return Err(IntegrityFault::new(format!(
            "it has {size} events with the root {}, but its checkpoint has {} with {}",
            encode_hex(&root.0),
            checkpoint.size,
            encode_hex(&checkpoint.root.0)
        ))
        .into());
    }
    if size > 0 {
        transparency_log::save_restored_checkpoint(&store, &named, &note)?;
    }
    store.flush()?;
    let journal = Journal::open(store, Box::new(|_| {}))?;
    let accounts = journal.account_count() as u64;
    let entry =
        AuditLogEntry { event: AdministrativeEvent::Restored { position: size }, source: "command line".to_owned() };
    tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| Error::Io { what: "start a runtime".to_owned(), source })?
        .block_on(journal.append_administrative_event(entry, Origin::OPERATOR, at))?;
    Ok(RestoreReport { data_dir: directory.to_owned(), events: size, accounts, public_key: named.to_string() })
}

fn restore_row(store: &Store, key: &[u8], value: &[u8]) -> Result<(), Error> {
    let (table, key) =
        key.iter().position(|byte| *byte == b'/').map_or((key, &[][..]), |at| (&key[..at], &key[at + 1..]));
    let known = Table::ALL.into_iter().find(|known| known.name().as_bytes() == table);
    let table = known
        .ok_or_else(|| IntegrityFault::new(format!("it has an unknown table {:?}", String::from_utf8_lossy(table))))?;
    Ok(store.put(table, key, value)?)
}

/// Verifies the last frame. Returns the checkpoint and its signed note.
fn check_trailer(trailer: &[u8], sha256: &str, signer: &Signer) -> Result<(LogCheckpoint, String), IntegrityFault> {
    let trailer: BackupTrailer = serde_json::from_slice(trailer)
        .map_err(|error| IntegrityFault::new(format!("its last frame is malformed: {error}")))?;
    if trailer.sha256 != sha256 {
        return Err(IntegrityFault::new("its bytes are not the signed ones"));
    }
    let unsigned = |what: &'static str| move |cause| IntegrityFault::new(format!("its {what} is not valid: {cause}"));
    let signed = signer.verify_note(&trailer.signature).map_err(unsigned("signature"))?;
    let checkpoint = signer.verify_note(&trailer.checkpoint).map_err(unsigned("checkpoint"))?;
    let checkpoint =
        LogCheckpoint::parse(checkpoint).ok_or_else(|| IntegrityFault::new("its checkpoint is malformed"))?;
    if signed != signed_text(signer, &trailer.sha256, &trailer.checkpoint) || checkpoint.origin != signer.name {
        return Err(IntegrityFault::new("the signed text differs from its last frame"));
    }
    Ok((checkpoint, trailer.checkpoint))
}

fn signed_text(signer: &Signer, sha256: &str, checkpoint: &str) -> String {
    format!("{} backup\n{sha256}\n{}\n", signer.name, encode_hex(&Sha256::digest(checkpoint)))
}

/// A backup that is being written.
struct BackupWriter<W> {
    digest: Sha256,
    buffer: Vec<u8>,
    write: W,
    control_flow: ControlFlow<()>,
}

impl<W: FnMut(Vec<u8>) -> ControlFlow<()>> BackupWriter<W> {
    fn write_frame(&mut self, kind: u8, key: &[u8], value: &[u8]) {
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + key.len() + value.len() + 4);
        frame.push(kind);
        frame.extend_from_slice(&(key.len() as u32).to_le_bytes());
        frame.extend_from_slice(&(value.len() as u32).to_le_bytes());
        frame.extend_from_slice(key);
        frame.extend_from_slice(value);
        let checksum = crc32fast::hash(&frame);
        frame.extend_from_slice(&checksum.to_le_bytes());
        self.write_bytes(&frame);
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= STREAM_CHUNK_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.control_flow.is_continue() {
            self.control_flow = (self.write)(std::mem::take(&mut self.buffer));
        }
    }
}

pub(super) const FRAME_HEADER_BYTES: usize = 9;
/// The largest value of a frame in bytes. Blocks are the largest values.
const MAX_VALUE_BYTES: usize = 2 * BLOCK_BYTES;
/// The largest key of a frame in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// A frame that was read: its kind, key and value.
pub(super) type BackupFrame = (u8, Vec<u8>, Vec<u8>);

/// A backup that is being read.
pub(super) struct BackupReader<R> {
    backup: R,
    digest: Sha256,
    /// How many frames were read.
    count: u64,
}

impl<R: Read> BackupReader<R> {
    pub(super) fn open(mut backup: R) -> Result<BackupReader<R>, Error> {
        let mut magic = Vec::new();
        read_up_to(&mut backup, MAGIC.len(), &mut magic)?;
        if magic != MAGIC {
            return Err(IntegrityFault::new("it is not a Muster backup, or is from a newer version").into());
        }
        Ok(BackupReader { backup, digest: Sha256::new_with_prefix(MAGIC), count: 0 })
    }

    /// The next frame; `None` at the end.
    pub(super) fn next_frame(&mut self) -> Result<Option<BackupFrame>, Error> {
        self.count += 1;
        let truncated = || IntegrityFault::new(format!("it is truncated within frame {}", self.count));
        let mut frame = Vec::new();
        read_up_to(&mut self.backup, FRAME_HEADER_BYTES, &mut frame)?;
        if frame.is_empty() {
            return Ok(None);
        }
        let length = |at: usize| Some(u32::from_le_bytes(*frame.get(at..)?.first_chunk()?) as usize);
        let (key, value) = (length(1).ok_or_else(truncated)?, length(5).ok_or_else(truncated)?);
        let damaged = || IntegrityFault::new(format!("frame {} is damaged", self.count));
        if key > MAX_KEY_BYTES || value > MAX_VALUE_BYTES {
            return Err(damaged().into());
        }
        read_up_to(&mut self.backup, key + value + 4, &mut frame)?;
        let (body, checksum) = frame.split_last_chunk::<4>().ok_or_else(truncated)?;
        if body.len() != FRAME_HEADER_BYTES + key + value {
            return Err(truncated().into());
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err(damaged().into());
        }
        let found = (
            body[0],
            body[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + key].to_vec(),
            body[FRAME_HEADER_BYTES + key..].to_vec(),
        );
        self.digest.update(&frame);
        Ok(Some(found))
    }
}

/// Reads up to `bytes` more bytes.
fn read_up_to(from: &mut impl Read, bytes: usize, into: &mut Vec<u8>) -> Result<(), Error> {
    let read = from.take(bytes as u64).read_to_end(into);
    read.map(drop).map_err(|source| Error::Io { what: "read the backup".to_owned(), source })
}
