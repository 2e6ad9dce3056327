//! Backup of the store into one file.
//!
//! ```text
//! muster backup 3 ⏎
//! frame*      kind (1), bytes of key (4), bytes of value (4), key, value, CRC-32 over all of these (4); little endian
//! ```
//!
//! | kind | key | value |
//! |---|---|---|
//! | `h` | | JSON: the store's id, the log's public key, the id of the master key, the log's generation |
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
//!
//! Format 1 (`muster backup 1`), of version 0.1, has no id of the master key. Format 2 has no generation: it is written of
//! a log in generation 0. All else is the same.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::signed_note::Signer;
use super::{Audit, Error, encode_hex};
use crate::domain::{AdministrativeEvent, Generation};
use crate::journal;
use crate::limits::STREAM_CHUNK_BYTES;
use crate::store::Table;
use crate::vault::{self, MasterKeyId};

// Frozen: the layout of frames, and their kinds, of all formats. Backups on the disks of operators must restore. A
// change needs another first line.
/// The first line of format 1, which version 0.1 wrote.
pub(super) const MAGIC_1: &[u8] = b"muster backup 1\n";
/// The first line of format 2, of the same length.
pub(super) const MAGIC_2: &[u8] = b"muster backup 2\n";
/// The first line of format 3, of the same length: of a log that was restored to an earlier state.
pub(super) const MAGIC_3: &[u8] = b"muster backup 3\n";

/// The first frame of format 1.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackupHeaderV1 {
    pub(super) store: String,
    pub(super) public_key: String,
}

/// The first frame of format 2.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackupHeaderV2 {
    pub(super) store: String,
    pub(super) public_key: String,
    /// The id of the master key that opens the keys in the backup; null if the store has not recorded it.
    pub(super) master_key: Option<MasterKeyId>,
}

/// The first frame of format 3.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackupHeader {
    pub(super) store: String,
    pub(super) public_key: String,
    pub(super) master_key: Option<MasterKeyId>,
    /// The generation of the log.
    pub(super) generation: u32,
}

/// The last frame, of all formats.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackupTrailer {
    pub(super) sha256: String,
    pub(super) checkpoint: String,
    pub(super) signature: String,
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

    /// Writes a backup in pieces. Returns the event that records it, or `None` if `write` stops it.
    pub fn write_backup(
        &self,
        mut progress: impl FnMut(u64, u64),
        write: impl FnMut(Vec<u8>) -> ControlFlow<()>,
    ) -> Result<Option<AdministrativeEvent>, Error> {
        let log = self.log()?;
        let master_key = vault::master_key_token(&self.store)?;
        let signer = log.signer().clone();
        let mut out =
            BackupWriter { digest: Sha256::new(), buffer: Vec::new(), write, control_flow: ControlFlow::Continue(()) };
        self.write_header(&signer, &mut out)?;
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
        let backup_taken =
            AdministrativeEvent::BackupTaken { position: size, master_key: MasterKeyId::load(&self.store)? };
        if vault::master_key_token(&self.store)? != master_key {
            return Err(vault::Error::RotationUnderWay.into());
        }
        // Every durable size has a root.
        let root = self.journal.root_at(size)?.unwrap_or(self.journal.root().1);
        let checkpoint = log.sign_root(size, root);
        let sha256 = encode_hex(&out.digest.clone().finalize());
        let signature = log.sign(&signed_text(&signer, &sha256, &checkpoint));
        out.write_frame(
            b'e',
            b"",
            &serde_json::to_vec(&BackupTrailer { sha256, checkpoint, signature }).unwrap_or_default(),
        );
        out.flush();
        Ok(out.control_flow.is_continue().then_some(backup_taken))
    }

    fn write_header(
        &self,
        signer: &Signer,
        out: &mut BackupWriter<impl FnMut(Vec<u8>) -> ControlFlow<()>>,
    ) -> Result<(), Error> {
        let (store, public_key) = (self.store.id().to_string(), signer.to_string());
        let master_key = MasterKeyId::load(&self.store)?;
        let (magic, header) = match self.journal.generations().current() {
            Generation::FIRST => (MAGIC_2, serde_json::to_vec(&BackupHeaderV2 { store, public_key, master_key })),
            later => {
                let generation = later.number();
                (MAGIC_3, serde_json::to_vec(&BackupHeader { store, public_key, master_key, generation }))
            }
        };
        out.write_bytes(magic);
        out.write_frame(b'h', b"", &header.unwrap_or_default());
        Ok(())
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

pub(super) fn signed_text(signer: &Signer, sha256: &str, checkpoint: &str) -> String {
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
