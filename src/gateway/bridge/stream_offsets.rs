//! What the store keeps about reports: the offset of each stream, and the last ignored reports.
//!
//! | key | format | value after the byte of the format |
//! |---|---|---|
//! | `bs`, name of the stream | 1 | last sequence (8), when it was ingested (8) |
//! | `bi`, number (8) | 1 | when it was ignored (8), when it was made (8), account (8), sequence (8), type (1), why (1), stream |
//! | `bi`, number (8) | 2 | the same four numbers (account 0 for none), length of the type's name (1), that name, stream |
//!
//! Format 2 is for reports of an unknown type. Sizes in brackets are bytes. Numbers in keys are big endian, in values little
//! endian. Times are microseconds since 1970-01-01T00:00:00Z. An offset is stored after the events of its reports. After a
//! crash in between, the batch is processed again (at least once).
//!
//! Frozen: these keys and formats. Without its offset, a stream of reports would be processed twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::reports::{EnumName, ReportType};
use crate::audit::write_time;
use crate::domain::{AccountNumber, Timestamp, mask_digits};
use crate::gateway::ignored_report::{IgnoreReason, IgnoredReportView};
use crate::limits::{IGNORED_REPORTS_KEPT, REPORT_STREAMS};
use crate::store::{self, Store, Table};

const STREAMS: &[u8] = b"bs";
const IGNORED: &[u8] = b"bi";
const FORMAT: u8 = 1;
const FORMAT_UNKNOWN_TYPE: u8 = 2;

/// The stored offsets and ignored reports.
pub(super) struct StreamOffsets {
    store: Store,
    cache: Mutex<OffsetCache>,
    stream_limit: usize,
    ignored_limit: u64,
}

struct OffsetCache {
    /// The last sequence of each stream, and when it was ingested.
    streams: HashMap<String, StreamOffset>,
    /// The numbers of the stored ignored reports; the end is the next number.
    ignored: std::ops::Range<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamOffset {
    pub(super) last_sequence: u64,
    pub(super) at: Timestamp,
}

/// A report that was ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IgnoredReportRow {
    /// When it was ignored.
    pub(super) at: Timestamp,
    /// When the gateway made it.
    pub(super) made_at: Timestamp,
    /// The account. `None` for a report of an unknown type that names no account.
    pub(super) account: Option<AccountNumber>,
    /// Its sequence number in the stream.
    pub(super) sequence: u64,
    /// Its type.
    pub(super) kind: EnumName<ReportType>,
    /// Why it was ignored.
    pub(super) why: IgnoreReason,
    /// Its stream.
    pub(super) stream: String,
}

impl StreamOffsets {
    /// Loads the offsets from the store.
    pub(super) fn open(store: Store) -> Result<StreamOffsets, store::Error> {
        StreamOffsets::open_with_limits(store, REPORT_STREAMS, IGNORED_REPORTS_KEPT)
    }

    fn open_with_limits(store: Store, stream_limit: usize, ignored_limit: u64) -> Result<StreamOffsets, store::Error> {
        let mut streams = HashMap::new();
        for entry in store.scan_from(Table::ReportOffsets, STREAMS) {
            let (key, value) = entry?;
            let Some(name) = key.strip_prefix(STREAMS) else { break };
            if let (Ok(name), Some(offset)) = (str::from_utf8(name), StreamOffset::read(&value)) {
                streams.insert(name.to_owned(), offset);
            }
        }
        let number =
            |key: &[u8]| key.strip_prefix(IGNORED).and_then(|it| it.as_array()).map(|it| u64::from_be_bytes(*it));
        let first =
            store.scan_from(Table::ReportOffsets, IGNORED).next().transpose()?.and_then(|(key, _)| number(&key));
        let last = store.scan_back(Table::ReportOffsets, &ignored_key(u64::MAX)).next().transpose()?;
        let next = last.and_then(|(key, _)| number(&key)).map_or(0, |last| last.saturating_add(1));
        let cache = Mutex::new(OffsetCache { streams, ignored: first.unwrap_or(next)..next });
        Ok(StreamOffsets { store, cache, stream_limit, ignored_limit })
    }

    /// The last ingested sequence of a stream. `None` for an unknown stream.
    pub(super) fn last_sequence(&self, stream: &str) -> Option<u64> {
        self.lock().streams.get(stream).map(|offset| offset.last_sequence)
    }

    /// Stores the offset of a stream. A new stream beyond the limit replaces the least recently used one. Durable after
    /// the next append or sync of the store.
    pub(super) fn set_offset(&self, stream: &str, offset: StreamOffset) -> Result<(), store::Error> {
        let mut cache = self.lock();
        if cache.streams.insert(stream.to_owned(), offset).is_none() && cache.streams.len() > self.stream_limit {
            let others = cache.streams.iter().filter(|(name, _)| *name != stream);
            let oldest = others.min_by_key(|(_, offset)| offset.at).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                cache.streams.remove(&oldest);
                self.store.remove(Table::ReportOffsets, &[STREAMS, oldest.as_bytes()].concat())?;
            }
        }
        self.store.put(Table::ReportOffsets, &[STREAMS, stream.as_bytes()].concat(), &offset.bytes())
    }

    /// Stores an ignored report, and removes the oldest beyond the limit. Durable after the next append or sync of the store.
    pub(super) fn record_ignored(&self, ignored: &IgnoredReportRow) -> Result<(), store::Error> {
        let mut cache = self.lock();
        self.store.put(Table::ReportOffsets, &ignored_key(cache.ignored.end), &ignored.bytes())?;
        cache.ignored.end += 1;
        while cache.ignored.end - cache.ignored.start > self.ignored_limit {
            self.store.remove(Table::ReportOffsets, &ignored_key(cache.ignored.start))?;
            cache.ignored.start += 1;
        }
        Ok(())
    }

    /// At most `most` ignored reports, the newest first.
    pub(super) fn ignored_reports(&self, most: usize) -> Result<Vec<IgnoredReportRow>, store::Error> {
        let mut found = Vec::new();
        for entry in self.store.scan_back(Table::ReportOffsets, &ignored_key(u64::MAX)).take(most) {
            let (key, value) = entry?;
            if !key.starts_with(IGNORED) {
                break;
            }
            found.extend(IgnoredReportRow::read(&value));
        }
        Ok(found)
    }

    // After each call the cache agrees with the store, unless the store failed, which is final.
    fn lock(&self) -> MutexGuard<'_, OffsetCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ignored_key(number: u64) -> Vec<u8> {
    [IGNORED, &number.to_be_bytes()].concat()
}

impl StreamOffset {
    pub(super) fn bytes(self) -> Vec<u8> {
        [&[FORMAT][..], &self.last_sequence.to_le_bytes(), &self.at.0.to_le_bytes()].concat()
    }

    /// `None` if the format is not known here.
    pub(super) fn read(bytes: &[u8]) -> Option<StreamOffset> {
        let (last, at) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk()?;
        Some(StreamOffset {
            last_sequence: u64::from_le_bytes(*last),
            at: Timestamp(i64::from_le_bytes(*at.as_array()?)),
        })
    }
}

impl IgnoredReportRow {
    /// The report as operators see it.
    pub(super) fn into_view(self) -> IgnoredReportView {
        let IgnoredReportRow { at, made_at, account, sequence, kind, why, stream } = self;
        IgnoredReportView {
            at: write_time(at),
            made_at: write_time(made_at),
            stream,
            sequence,
            account: account.map(|account| mask_digits(&account.to_string())).unwrap_or_default(),
            kind: match kind {
                EnumName::Known(kind) => kind.name().to_owned(),
                EnumName::Unknown(name) => name,
            },
            why,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let IgnoredReportRow { at, made_at, account, sequence, kind, why, stream } = self;
        let account = account.map_or(0, AccountNumber::get);
        let numbers = [at.0.cast_unsigned(), made_at.0.cast_unsigned(), account, *sequence];
        let numbers: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        match kind {
            EnumName::Known(kind) => [&[FORMAT][..], &numbers, &[*kind as u8, *why as u8], stream.as_bytes()].concat(),
            EnumName::Unknown(name) => {
                // A name has at most `UNKNOWN_WORD_BYTES` bytes.
                let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
                [&[FORMAT_UNKNOWN_TYPE][..], &numbers, &[length], name.as_bytes(), stream.as_bytes()].concat()
            }
        }
    }

    /// `None` if the format is not known here.
    pub(super) fn read(bytes: &[u8]) -> Option<IgnoredReportRow> {
        let (format, rest) = bytes.split_first()?;
        let (numbers, rest) = rest.split_first_chunk::<32>()?;
        let number = |at: usize| numbers[8 * at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let account = AccountNumber::from_stored(number(2));
        let (kind, why, stream) = match *format {
            FORMAT => {
                let ([kind, why], stream) = rest.split_first_chunk()?;
                account?;
                let kind = *ReportType::ALL.get(usize::from(*kind))?;
                (EnumName::Known(kind), *IgnoreReason::ALL.get(usize::from(*why))?, stream)
            }
            FORMAT_UNKNOWN_TYPE if account.is_some() || number(2) == 0 => {
                let (length, rest) = rest.split_first()?;
                let (name, stream) = rest.split_at_checked(usize::from(*length))?;
                (EnumName::Unknown(str::from_utf8(name).ok()?.to_owned()), IgnoreReason::UnknownType, stream)
            }
            _ => return None,
        };
        Some(IgnoredReportRow {
            at: Timestamp(number(0).cast_signed()),
            made_at: Timestamp(number(1).cast_signed()),
            account,
            sequence: number(3),
            kind,
            why,
            stream: str::from_utf8(stream).ok()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::encode_hex;
    use crate::testkit::fixture::StorageFixture;

    fn offset(last: u64, at: i64) -> StreamOffset {
        StreamOffset { last_sequence: last, at: Timestamp(at) }
    }

    fn ignored(sequence: u64) -> IgnoredReportRow {
        let (at, made_at, account) = (Timestamp(7), Timestamp(5), Some(AccountNumber::EXAMPLE));
        let (kind, why, stream) =
            (EnumName::Known(ReportType::RegistrationFailed), IgnoreReason::DoesNotFit, "7f3a".to_owned());
        IgnoredReportRow { at, made_at, account, sequence, kind, why, stream }
    }

    /// The bytes of both formats.
    #[test]
    fn rows_have_their_bytes() {
        assert_eq!(encode_hex(&offset(11, 9).bytes()), "010b000000000000000900000000000000");
        let numbers = "07000000000000000500000000000000";
        let known = format!("01{numbers}18ee93a8c80000000300000000000000060237663361");
        assert_eq!(encode_hex(&ignored(3).bytes()), known);
        let kind = EnumName::Unknown("paired".to_owned());
        let unknown = IgnoredReportRow { account: None, kind, why: IgnoreReason::UnknownType, ..ignored(3) };
        let bytes = format!("02{numbers}000000000000000003000000000000000670616972656437663361");
        assert_eq!(encode_hex(&unknown.bytes()), bytes);
        assert_eq!(ignored_key(258), b"bi\0\0\0\0\0\0\x01\x02");
    }

    #[test]
    fn offsets_and_ignored_reports_survive_a_restart() {
        let StorageFixture { store, .. } = &StorageFixture::new();
        let open = |store: &Store| StreamOffsets::open_with_limits(store.clone(), 3, 4).unwrap();
        let offsets = open(store);
        for (number, stream) in ["a", "b", "c"].iter().enumerate() {
            offsets.set_offset(stream, offset(10, number as i64)).unwrap();
        }
        offsets.set_offset("a", offset(11, 9)).unwrap();
        offsets.set_offset("d", offset(1, 10)).unwrap();
        for sequence in 0..10 {
            offsets.record_ignored(&ignored(sequence)).unwrap();
        }
        for offsets in [&offsets, &open(store)] {
            let last = ["a", "b", "c", "d"].map(|stream| offsets.last_sequence(stream));
            assert_eq!(last, [Some(11), None, Some(10), Some(1)], "b was used longest ago");
            let kept: Vec<u64> = offsets.ignored_reports(100).unwrap().iter().map(|it| it.sequence).collect();
            assert_eq!(kept, [9, 8, 7, 6]);
            assert_eq!(offsets.ignored_reports(1).unwrap(), [ignored(9)]);
        }
        let offsets = open(store);
        let unknown = |account| IgnoredReportRow {
            account,
            kind: EnumName::Unknown("paired".to_owned()),
            why: IgnoreReason::UnknownType,
            ..ignored(20)
        };
        for it in [None, Some(AccountNumber::EXAMPLE)].map(unknown) {
            offsets.record_ignored(&it).unwrap();
            assert_eq!(offsets.ignored_reports(1).unwrap(), [it]);
        }
        assert_eq!(store.scan_from(Table::ReportOffsets, b"").count(), 7, "and nothing else");
    }
}
