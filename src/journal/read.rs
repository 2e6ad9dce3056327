//! Reads by position and by account.

use std::collections::VecDeque;

use super::block::Block;
use super::journal_event::{JournalEvent, UnknownEvent};
use super::record::{self, JournalRecord, MalformedRecord, RawHeader, StreamId};
use super::stream_heads::StreamHead;
use super::{Error, Journal};
use crate::domain::{Account, AccountNumber, Event};
use crate::limits::SNAPSHOT_ON_RETIRE_EVENTS;
use crate::store::StoredValue;

impl Journal {
    /// The records after `position`, in order, at most `max`. Empty at the end of the durable records.
    pub fn read_after(&self, position: u64, max: usize) -> Result<Vec<JournalRecord>, Error> {
        let head = self.head();
        let mut records = Vec::new();
        if position >= head {
            return Ok(records);
        }
        let start = self.shared.store.block_at(position + 1)?.map_or(position + 1, |(first, _)| first);
        for entry in self.shared.store.blocks_from(start) {
            let (first, bytes) = entry?;
            // The store may hold a block that is not durable yet. Its events must stay invisible until the block is
            // durable.
            if first > head || records.len() >= max {
                break;
            }
            let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
            for (record, at) in block.records().zip(first..) {
                if at > position && records.len() < max {
                    records.push(decode_at(record, at)?);
                }
            }
        }
        Ok(records)
    }

    /// The record at `position`.
    pub fn read_at(&self, position: u64) -> Result<Option<JournalRecord>, Error> {
        if position == 0 || position > self.head() {
            return Ok(None);
        }
        let (first, bytes) = self.block_containing(position)?;
        decode_record_in_block(first, &bytes, position).map(Some)
    }

    /// Where a stream ends.
    pub fn stream_head(&self, stream: StreamId) -> StreamHead {
        self.shared.heads.get(stream)
    }

    /// The account's current state, from its snapshot and the events after it. Also returns how many events were
    /// read.
    pub fn load_account(&self, account: AccountNumber) -> Result<(Account, u64), Error> {
        let stream = StreamId::Account(account);
        let head = self.stream_head(stream);
        // Shorter histories never get a snapshot.
        let snapshot =
            if head.version < SNAPSHOT_ON_RETIRE_EVENTS { None } else { self.load_snapshot(account, head.version)? };
        let mut state = snapshot.unwrap_or_else(Account::initial);
        let missing = usize::try_from(head.version - state.version).unwrap_or(usize::MAX);
        let since: Vec<JournalRecord> = self.walk_back(stream, head).take(missing).collect::<Result<_, _>>()?;
        for record in since.iter().rev() {
            state.evolve(require_account_event(record)?);
        }
        Ok((state, since.len() as u64))
    }

    /// The events of one stream after `position`, in order, at most `max`. The read goes backwards from the last event,
    /// so its cost grows with the number of events after `position`.
    pub fn history_after(&self, stream: StreamId, position: u64, max: usize) -> Result<Vec<JournalRecord>, Error> {
        let mut records = VecDeque::new();
        for record in self.history_back(stream) {
            let record = record?;
            if record.position <= position {
                break;
            }
            records.push_front(record);
            records.truncate(max);
        }
        Ok(records.into())
    }

    /// The events of one stream, latest first.
    pub fn history_back(&self, stream: StreamId) -> impl Iterator<Item = Result<JournalRecord, Error>> {
        self.walk_back(stream, self.stream_head(stream))
    }

    /// Like [`history_back`](Journal::history_back), starting at `position`. `None` if the stream has no event there.
    pub fn history_back_from(
        &self,
        stream: StreamId,
        position: u64,
    ) -> Result<Option<impl Iterator<Item = Result<JournalRecord, Error>>>, Error> {
        let record = self.read_at(position)?.filter(|record| record.stream == stream);
        Ok(record.map(|record| self.walk_back(stream, StreamHead { position, version: record.version })))
    }

    fn walk_back(&self, stream: StreamId, head: StreamHead) -> impl Iterator<Item = Result<JournalRecord, Error>> {
        let mut next = head;
        std::iter::from_fn(move || {
            if next == StreamHead::default() {
                return None;
            }
            let found = self.read_linked(stream, next);
            next = match &found {
                Ok(record) => StreamHead { position: record.previous, version: record.version - 1 },
                Err(_) => StreamHead::default(),
            };
            Some(found)
        })
    }

    /// The record of this stream at `end`. `end` is the stream's head, or an earlier event of the stream.
    fn read_linked(&self, stream: StreamId, end: StreamHead) -> Result<JournalRecord, Error> {
        let (first, bytes) = self.block_containing(end.position)?;
        let record = decode_record_in_block(first, &bytes, end.position)?;
        // Each step lowers the version by one, and 0 is an error. So every chain ends, even one of forged records.
        let is_linked = record.stream == stream && record.version == end.version && end.version > 0;
        if is_linked { Ok(record) } else { Err(damaged(end.position, "a chain of events leads to another stream")) }
    }

    fn block_containing(&self, position: u64) -> Result<(u64, StoredValue), Error> {
        self.shared.store.block_at(position)?.ok_or_else(|| damaged(position, "a block is missing"))
    }
}

/// The record at `position` in the block that begins at `first`.
///
/// Checking the block's checksum for a single record would cost too much. The record's own position is checked
/// instead.
pub(super) fn decode_record_in_block(first: u64, block: &[u8], position: u64) -> Result<JournalRecord, Error> {
    let index = usize::try_from(position - first).unwrap_or(usize::MAX);
    let mut rest = block.get(super::block::HEADER_BYTES..).unwrap_or_default();
    // A damaged block may end before the record.
    for _ in 0..index {
        let Some(behind) = record::record_len(rest).and_then(|length| rest.get(length..)) else { break };
        rest = behind;
    }
    let record = record::record_len(rest).and_then(|length| rest.get(..length));
    decode_at(record.ok_or_else(|| damaged(position, "a block ends before its last record"))?, position)
}

/// Decodes the record in `bytes`; its header must carry `position`.
pub(super) fn decode_at(bytes: &[u8], position: u64) -> Result<JournalRecord, Error> {
    let record = JournalRecord::decode(bytes).map_err(|malformed| match malformed {
        MalformedRecord::Payload => damaged(position, "a payload cannot be decoded"),
        MalformedRecord::Header(what) => damaged(position, what),
    })?;
    if record.position == position { Ok(record) } else { Err(damaged(position, "a record is in the wrong place")) }
}

/// The account event in `record`, for code that must apply it. Fails for an event that this program does not know.
pub fn require_account_event(record: &JournalRecord) -> Result<&Event, Error> {
    let position = record.position;
    match &record.event {
        JournalEvent::Account(event) => Ok(event),
        JournalEvent::Unknown(unknown) => {
            Err(Error::UnknownEvent { position, event_type: unknown.event_type, schema: unknown.schema })
        }
        JournalEvent::Administration(_) => Err(damaged(position, "a record is in the wrong stream for its type")),
    }
}

/// Decodes the record in `bytes`, at any position. `bytes` must hold exactly one record.
pub fn decode_record(bytes: &[u8]) -> Result<JournalRecord, Error> {
    decode_at(bytes, record::split_header(bytes).map_or(0, |(header, _)| header.sequence.position))
}

/// Like [`decode_record`], for a reader that does not know the event: its payload stays bytes.
pub fn decode_as_unknown(bytes: &[u8]) -> Result<JournalRecord, Error> {
    let record = decode_record(bytes)?;
    let (header, payload) = record::split_header(bytes).map_err(|what| damaged(record.position, what))?;
    let RawHeader { event_type, schema, .. } = header;
    let event = JournalEvent::Unknown(UnknownEvent { event_type, schema, payload: payload.into() });
    Ok(JournalRecord { event, ..record })
}

pub(super) fn damaged(position: u64, what: &str) -> Error {
    Error::Damaged { position, what: what.to_owned() }
}
