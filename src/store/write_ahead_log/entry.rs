//! The bytes of an entry of the write-ahead log.
//!
//! Frozen: this layout. A start reads what another version wrote before a crash. Numbers are little endian.
//!
//! ```text
//! magic "MWL1" · length u32 · CRC-32 u32 of all that follows · store u64 · number u64 · durable u64 · previous 32
//! then each change: keyspace u8 · 1 for a put, 2 for a removal u8 · key length u16 · value length u32 · key · value
//! ```
//!
//! The length is that of the whole entry. *Durable* is the number of the last entry that was synced when this one was
//! written. *Previous* is the SHA-256 of the entry before, of all its bytes.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::super::StoreId;
use super::super::keyspace::{Keyspace, RowChange};
use crate::limits::WAL_ENTRY_BYTES;

const MAGIC: &[u8; 4] = b"MWL1";
const HASH_BYTES: usize = 32;
/// Bytes before the checksummed part.
const PREFIX_BYTES: usize = 12;
const HEADER_BYTES: usize = PREFIX_BYTES + 3 * 8 + HASH_BYTES;
const CHANGE_HEADER_BYTES: usize = 8;
const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// An entry's place in the log: its number and its hash. The numbers of a store are gapless, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct EntryId {
    /// Its number; 0 before the first entry.
    pub(in crate::store) number: u64,
    hash: [u8; HASH_BYTES],
}

/// What an entry's header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryHeader {
    pub(super) number: u64,
    pub(super) durable: u64,
    pub(super) previous: [u8; HASH_BYTES],
    /// Bytes of the whole entry.
    pub(super) length: usize,
}

impl EntryId {
    /// Frozen: as a row of the engine has it, and the durable mark.
    pub(in crate::store) const BYTES: usize = 8 + HASH_BYTES;

    pub(in crate::store) fn encode(&self) -> [u8; EntryId::BYTES] {
        let mut bytes = [0; EntryId::BYTES];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..].copy_from_slice(&self.hash);
        bytes
    }

    pub(in crate::store) fn decode(bytes: &[u8]) -> Option<EntryId> {
        let (number, hash) = bytes.split_first_chunk()?;
        Some(EntryId { number: u64::from_le_bytes(*number), hash: hash.try_into().ok()? })
    }

    /// The place of the entry with these bytes.
    pub(super) fn of(number: u64, entry: &[u8]) -> EntryId {
        EntryId { number, hash: Sha256::digest(entry).into() }
    }

    /// Whether the entry with this header follows.
    pub(super) fn is_followed_by(&self, next: &EntryHeader) -> bool {
        next.number == self.number + 1 && next.previous == self.hash
    }
}

/// The number of changes that go into one entry: as many as fit, and at least one.
pub(super) fn changes_of_entry(changes: &[RowChange]) -> usize {
    let mut bytes = HEADER_BYTES;
    let fitting = changes.iter().take_while(|change| {
        bytes += CHANGE_HEADER_BYTES + change.len();
        bytes <= WAL_ENTRY_BYTES
    });
    fitting.count().max(1)
}

/// Encodes the entry that follows `previous` into `out`, which must be empty.
pub(super) fn encode(
    out: &mut Vec<u8>,
    store: StoreId,
    previous: &EntryId,
    durable: u64,
    changes: &[RowChange],
) -> EntryId {
    let number = previous.number + 1;
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; PREFIX_BYTES - MAGIC.len()]);
    for field in [store.0, number, durable] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&previous.hash);
    for RowChange { keyspace, key, value } in changes {
        let (Some(code), Ok(key_length)) = (keyspace.code(), u16::try_from(key.len())) else {
            unreachable!("the log holds rows of blocks and tables, whose keys are short")
        };
        out.push(code);
        out.push(if value.is_some() { PUT } else { REMOVE });
        out.extend_from_slice(&key_length.to_le_bytes());
        let value = value.as_deref().unwrap_or_default();
        out.extend_from_slice(&length_field(value.len()));
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    let length = length_field(out.len());
    out[4..8].copy_from_slice(&length);
    let checksum = crc32fast::hash(&out[PREFIX_BYTES..]).to_le_bytes();
    out[8..PREFIX_BYTES].copy_from_slice(&checksum);
    EntryId::of(number, out)
}

/// The header of the entry of `store` at the start of `bytes`. `None` if there is no whole entry.
pub(super) fn decode_header(bytes: &[u8], store: StoreId) -> Option<EntryHeader> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (checksum, _) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let whole = bytes.get(..length).filter(|whole| whole.len() >= HEADER_BYTES)?;
    if crc32fast::hash(&whole[PREFIX_BYTES..]) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let field = |index: usize| whole[PREFIX_BYTES + index * 8..].first_chunk().map(|it| u64::from_le_bytes(*it));
    let previous = *whole[PREFIX_BYTES + 3 * 8..].first_chunk()?;
    let header = EntryHeader { number: field(1)?, durable: field(2)?, previous, length };
    (field(0)? == store.0).then_some(header)
}

/// The changes of a whole entry. `None` if this program does not understand them.
pub(super) fn decode_changes(entry: &Bytes) -> Option<Vec<RowChange>> {
    let mut rest = entry.slice(HEADER_BYTES..);
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let header: [u8; CHANGE_HEADER_BYTES] = *rest.first_chunk()?;
        let [code, kind, key_low, key_high, value_length @ ..] = header;
        let key_length = usize::from(u16::from_le_bytes([key_low, key_high]));
        let value_length = usize::try_from(u32::from_le_bytes(value_length)).ok()?;
        let end = CHANGE_HEADER_BYTES.checked_add(key_length)?.checked_add(value_length)?;
        if end > rest.len() {
            return None;
        }
        let mut change = rest.split_to(end).split_off(CHANGE_HEADER_BYTES);
        let key = change.split_to(key_length);
        let value = match kind {
            PUT => Some(change),
            REMOVE if change.is_empty() => None,
            _ => return None,
        };
        changes.push(RowChange { keyspace: Keyspace::from_code(code)?, key, value });
    }
    Some(changes)
}

/// A length in four bytes.
fn length_field(length: usize) -> [u8; 4] {
    // `Store::put` refuses what is longer.
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::super::Table;
    use super::*;

    /// Entries of a made-up store: each kind of change, and none.
    fn entries() -> Vec<Vec<u8>> {
        let blocks = RowChange::put(Keyspace::Blocks, &7_u64.to_be_bytes(), b"a block");
        let put = RowChange::put(Keyspace::Table(Table::Keys), b"key", b"");
        let remove = RowChange::remove(Keyspace::Table(Table::ExpiredKeys), b"");
        let (mut last, mut entries) = (EntryId::default(), Vec::new());
        for changes in [vec![], vec![blocks.clone()], vec![put, blocks, remove]] {
            let mut bytes = Vec::new();
            last = encode(&mut bytes, StoreId(0x00c0_ffee), &last, last.number, &changes);
            let header = decode_header(&bytes, StoreId(0x00c0_ffee)).unwrap();
            assert_eq!((header.number, header.durable, header.length), (last.number, last.number - 1, bytes.len()));
            assert_eq!(decode_changes(&Bytes::from(bytes.clone())).unwrap(), changes);
            entries.push(bytes);
        }
        entries
    }

    /// Frozen: a start reads these bytes for ever.
    #[test]
    fn entries_keep_their_bytes() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let codes = Keyspace::all().map(|keyspace| format!("{}: {:?}", keyspace.name(), keyspace.code()));
        let lines: Vec<String> = codes.chain(entries().iter().map(|entry| hex(entry))).collect();
        insta::with_settings!(
            { snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"), prepend_module_to_snapshot => false,
              omit_expression => true },
            { insta::assert_snapshot!("store_wal_entries", lines.join("\n")) }
        );
    }

    #[test]
    fn an_entry_is_whole_or_none() {
        for whole in entries() {
            assert!(decode_header(&whole, StoreId(1)).is_none(), "of another store");
            for length in 0..whole.len() {
                assert!(decode_header(&whole[..length], StoreId(0x00c0_ffee)).is_none());
            }
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                assert!(decode_header(&changed, StoreId(0x00c0_ffee)).is_none(), "byte {at}");
            }
        }
    }
}
