//! Scans over all records. Only the requested records are decoded.

use std::ops::ControlFlow;

use super::block::Block;
use super::read::{damaged, decode_at};
use super::record::{self, JournalRecord, Origin, StreamId};
use super::{Error, Journal};
use crate::domain::{EventType, Timestamp};

/// The facts about a record that are known without decoding its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Its position among all records.
    pub position: u64,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// When it happened.
    pub at: Timestamp,
    /// The type of its event; `None` if this program does not know the type.
    pub event_type: Option<EventType>,
    /// Who caused it.
    pub origin: Origin,
}

impl Journal {
    /// Visits up to `most` durable records after `position`, in order. Calls `take` with each record that `is_wanted`
    /// accepts, until `take` returns `Break`. Returns the position of the last record that was examined.
    pub fn scan(
        &self,
        position: u64,
        most: u64,
        mut is_wanted: impl FnMut(&RecordHeader) -> bool,
        mut take: impl FnMut(JournalRecord) -> ControlFlow<()>,
    ) -> Result<u64, Error> {
        let end = self.head().min(position.saturating_add(most));
        if position >= end {
            return Ok(position.min(self.head()));
        }
        let start = self.shared.store.block_at(position + 1)?.map_or(position + 1, |(first, _)| first);
        for entry in self.shared.store.blocks_from(start) {
            let (first, bytes) = entry?;
            if first > end {
                break;
            }
            let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
            for (record, at) in block.records().zip(first..).filter(|(_, at)| (position + 1..=end).contains(at)) {
                if is_wanted(&read_header(record, at)?) && take(decode_at(record, at)?).is_break() {
                    return Ok(at);
                }
            }
        }
        Ok(end)
    }

    /// Like [`scan`](Journal::scan), backwards: visits the durable records before `position`, latest first. Returns
    /// the lowest position that was examined; 1 at the beginning of the journal.
    pub fn scan_back(
        &self,
        position: u64,
        most: u64,
        mut is_wanted: impl FnMut(&RecordHeader) -> bool,
        mut take: impl FnMut(JournalRecord) -> ControlFlow<()>,
    ) -> Result<u64, Error> {
        let last = self.head().min(position.saturating_sub(1));
        let end = last.saturating_sub(most) + 1;
        for entry in self.shared.store.blocks_back(last) {
            let (first, bytes) = entry?;
            let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
            let records: Vec<_> = block.records().zip(first..).filter(|(_, at)| (end..=last).contains(at)).collect();
            for (record, at) in records.into_iter().rev() {
                if is_wanted(&read_header(record, at)?) && take(decode_at(record, at)?).is_break() {
                    return Ok(at);
                }
            }
            if first <= end {
                break;
            }
        }
        Ok(end)
    }
}

fn read_header(record: &[u8], position: u64) -> Result<RecordHeader, Error> {
    let (header, _) = record::split_header(record).map_err(|what| damaged(position, what))?;
    let record::SequenceInfo { stream, at, origin, .. } = header.sequence;
    Ok(RecordHeader { position, stream, at, event_type: EventType::from_number(header.event_type), origin })
}
