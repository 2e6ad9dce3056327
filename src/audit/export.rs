//! Exports of events into a file: CloudEvents, one per line, or CSV.
//!
//! The CloudEvents are followed by a manifest line, so that the file can be verified without the service.

use std::ops::ControlFlow;

use super::csv::{EVENT_COLUMNS, format_csv_row};
use super::event_filter::EventFilter;
use super::export_manifest::{ExportManifest, LineDigests};
use super::{Audit, Error, EventView, cloud_event, rfc3339};
use crate::domain::{EventId, Timestamp};
use crate::journal::{RecordHeader, Root};
use crate::limits::STREAM_CHUNK_BYTES;

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// CloudEvents, one per line, and a signed manifest line.
    CloudEvents,
    /// CSV with a header, for spreadsheets. It is not verifiable.
    Csv,
}

/// The positions that an export looks through, and the log at that time.
#[derive(Clone, Copy, Debug)]
pub struct ExportRange {
    /// The first position.
    pub first: u64,
    /// The last position. Before `first` if the log ends before it.
    pub last: u64,
    size: u64,
    root: Root,
}

/// The positions of the events that are in a filter's time range, as far as they were examined.
#[derive(Clone, Copy, Default)]
struct TimeRangePositions(Option<(u64, u64)>);

impl ExportFormat {
    /// Every format.
    pub const ALL: [ExportFormat; 2] = [ExportFormat::CloudEvents, ExportFormat::Csv];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            ExportFormat::CloudEvents => "cloudevents",
            ExportFormat::Csv => "csv",
        }
    }
}

impl Audit {
    /// The positions from `first` to `last`, as far as the log has them. Without a bound: to the log's beginning or end.
    /// Fails if a restore lost one of them.
    pub fn export_range(&self, first: Option<EventId>, last: Option<EventId>) -> Result<ExportRange, Error> {
        let (size, root) = self.journal.root();
        let position = |id: EventId| self.source.generations().position_in_history(id, size);
        let (first, last) = (first.map(position).transpose()?, last.map(position).transpose()?);
        Ok(ExportRange { first: first.unwrap_or(1), last: last.map_or(size, |last| last.min(size)), size, root })
    }

    /// Writes the events of `range` that match the filter, in pieces, until `write` stops it. Calls `progress` with the
    /// current and the last position.
    pub fn write_export(
        &self,
        format: ExportFormat,
        filter: &EventFilter,
        range: ExportRange,
        mut progress: impl FnMut(u64, u64),
        mut write: impl FnMut(Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut digests = LineDigests::new();
        let mut piece = match format {
            ExportFormat::CloudEvents => Vec::new(),
            ExportFormat::Csv => (format_csv_row(EVENT_COLUMNS) + "\n").into_bytes(),
        };
        let mut flow = ControlFlow::Continue(());
        let mut failure = None;
        let mut in_time = TimeRangePositions::default();
        let mut position = range.first - 1;
        while position < range.last && flow.is_continue() {
            position = self.journal.scan(
                position,
                range.last - position,
                |header| {
                    in_time.add(header, filter.since, filter.until);
                    filter.matches_header(header)
                },
                |record| {
                    progress(record.position, range.last);
                    if !filter.matches_event(&record.event) {
                        return flow;
                    }
                    let event = match self.event_view(record) {
                        Ok(event) => event,
                        Err(error) => {
                            failure = Some(error);
                            return ControlFlow::Break(());
                        }
                    };
                    match format {
                        ExportFormat::CloudEvents => {
                            let line = event.to_json();
                            digests.add(&line);
                            piece.extend_from_slice(&line);
                        }
                        ExportFormat::Csv => piece.extend_from_slice(format_event_row(&event).as_bytes()),
                    }
                    piece.push(b'\n');
                    if piece.len() >= STREAM_CHUNK_BYTES {
                        flow = write(std::mem::take(&mut piece));
                    }
                    flow
                },
            )?;
            if let Some(error) = failure {
                return Err(error);
            }
        }
        if flow.is_break() {
            return Ok(());
        }
        if format == ExportFormat::CloudEvents {
            piece.extend_from_slice(&self.manifest(filter, in_time.narrow(range), digests)?);
        }
        let _last = write(piece);
        Ok(())
    }

    fn manifest(&self, filter: &EventFilter, range: ExportRange, digests: LineDigests) -> Result<Vec<u8>, Error> {
        let log = self.log()?;
        let ExportRange { first, last, size, root } = range;
        let checkpoint = log.sign_root(size, root);
        let mut manifest = ExportManifest::new(
            filter,
            self.source.generations(),
            (first, last, size),
            digests,
            log.signer().to_string(),
            checkpoint,
        );
        manifest.signature = log.sign(&manifest.signed_text(log.origin()));
        let mut line = serde_json::to_vec(&manifest).unwrap_or_default();
        line.push(b'\n');
        Ok(line)
    }
}

impl TimeRangePositions {
    fn add(&mut self, header: &RecordHeader, since: Option<Timestamp>, until: Option<Timestamp>) {
        if since.is_none_or(|since| header.at >= since) && until.is_none_or(|until| header.at < until) {
            let (first, _) = self.0.unwrap_or((header.position, 0));
            self.0 = Some((first, header.position));
        }
    }

    /// The smallest part of `range` that has all events of the time range. All of `range` if it has none.
    fn narrow(self, range: ExportRange) -> ExportRange {
        let (first, last) = self.0.unwrap_or((range.first, range.last));
        ExportRange { first, last, ..range }
    }
}

/// An event as a CSV row, without its line end.
fn format_event_row(event: &EventView) -> String {
    let record = &event.record;
    format_csv_row([
        event.id().to_string(),
        rfc3339::format_rfc3339(record.at),
        cloud_event::cloud_event_type(record),
        cloud_event::subject(record.stream),
        record.version.to_string(),
        event.source.event_id(record.previous).to_string(),
        cloud_event::origin(record.origin),
        cloud_event::request_id(record.origin).unwrap_or_default(),
        cloud_event::data_json(record),
        event.key_name.as_deref().unwrap_or_default().to_owned(),
    ])
}
