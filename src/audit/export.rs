//! Exports of events into a file: CloudEvents, one per line, or CSV.
//!
//! The CloudEvents are followed by a manifest line, so that the file can be verified without the service. It holds
//! the number of events, a digest of all lines and one of each thousand lines, the log's checkpoint, and a signature
//! over all this.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::csv::{EVENT_COLUMNS, format_csv_row};
use super::event_filter::EventFilter;
use super::signed_note::{LogCheckpoint, Signer};
use super::{Audit, Error, EventView, IntegrityFault, cloud_event, encode_hex, rfc3339};
use crate::limits::{EXPORT_CHUNK_LINES, EXPORT_LINE_BYTES, STREAM_CHUNK_BYTES};

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// CloudEvents, one per line, and a signed manifest line.
    CloudEvents,
    /// CSV with a header, for spreadsheets. It is not verifiable.
    Csv,
}

/// The manifest: the last line of an export, which makes the file verifiable without the service.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ExportManifest)]
pub struct ExportManifest {
    /// The format: `export 1`.
    #[serde(rename = "muster")]
    format: String,
    /// The number of events before this line.
    events: u64,
    /// Whether the export has all events; then positions have no gaps.
    #[serde(rename = "complete")]
    is_complete: bool,
    /// The account, if the export has one account only. Its chain can then be verified.
    #[schema(required)]
    account: Option<String>,
    /// SHA-256 of all lines before this one, in hex.
    sha256: String,
    /// SHA-256 of each thousand lines, in hex.
    parts: Vec<String>,
    /// The signer's public key, as `name+id+key`.
    public_key: String,
    /// The signed size and root of the log.
    checkpoint: String,
    /// The signature of all other fields.
    signature: String,
}

/// The result of verifying an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportVerification {
    /// How many events it has.
    pub events: u64,
    /// Whether the file holds all events of the log at that size.
    #[serde(rename = "complete")]
    pub is_complete: bool,
    /// The size of the log when the export was taken.
    pub log_size: u64,
    /// The signer of the export.
    pub public_key: String,
}

/// Running digests of the lines.
struct LineDigests {
    all: Sha256,
    part: Sha256,
    parts: Vec<String>,
    lines: u64,
}

/// The fields of an exported event that are verified.
#[derive(Deserialize)]
struct ExportLine {
    id: String,
    subject: String,
    version: u64,
    prev: String,
}

// Frozen: the fields of the manifest and the signed text of each format. Exports that were handed out must verify.
const FORMAT: &str = "export 1";

impl Audit {
    /// Writes the events that match the filter, in pieces, until `write` stops it. Calls `progress` with the current
    /// and the last position.
    pub fn write_export(
        &self,
        format: ExportFormat,
        filter: &EventFilter,
        mut progress: impl FnMut(u64, u64),
        mut write: impl FnMut(Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (size, root) = self.journal.root();
        let mut digests = LineDigests::new();
        let mut piece = match format {
            ExportFormat::CloudEvents => Vec::new(),
            ExportFormat::Csv => (format_csv_row(EVENT_COLUMNS) + "\n").into_bytes(),
        };
        let mut flow = ControlFlow::Continue(());
        let mut failure = None;
        let mut position = 0;
        while position < size && flow.is_continue() {
            position = self.journal.scan(
                position,
                size - position,
                |header| filter.matches_header(header),
                |record| {
                    progress(record.position, size);
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
            piece.extend_from_slice(&self.manifest(filter, digests, size, root)?);
        }
        let _last = write(piece);
        Ok(())
    }

    fn manifest(
        &self,
        filter: &EventFilter,
        digests: LineDigests,
        size: u64,
        root: crate::journal::Root,
    ) -> Result<Vec<u8>, Error> {
        let log = self.log()?;
        let signer = log.signer();
        let (events, sha256, parts) = digests.finish();
        let one_account = EventFilter { account: filter.account, ..EventFilter::default() };
        let account = filter.account.filter(|_| *filter == one_account).map(|account| account.to_string());
        let mut manifest = ExportManifest {
            format: FORMAT.to_owned(),
            events,
            is_complete: filter.matches_all(),
            account,
            sha256,
            parts,
            public_key: signer.to_string(),
            checkpoint: log.sign(&LogCheckpoint { origin: signer.name.clone(), size, root }.to_text()),
            signature: String::new(),
        };
        manifest.signature = log.sign(&manifest.signed_text(&signer.name));
        let mut line = serde_json::to_vec(&manifest).unwrap_or_default();
        line.push(b'\n');
        Ok(line)
    }
}

/// Verifies an export from its first line to its last. It must be signed by `signer`, or, without one, by the signer
/// that it names.
pub fn verify_export(mut file: impl BufRead, signer: Option<&Signer>) -> Result<ExportVerification, Error> {
    let mut digests = LineDigests::new();
    let mut chain = ExportHistories::default();
    let manifest: ExportManifest = loop {
        let number = digests.lines + 1;
        let at = |what: String| IntegrityFault::new(format!("line {number}: {what}"));
        let mut line = Vec::new();
        let read = file.by_ref().take(EXPORT_LINE_BYTES).read_until(b'\n', &mut line);
        read.map_err(|source| Error::Io { what: "read the export".to_owned(), source })?;
        if line.pop() != Some(b'\n') {
            let what = "the file is truncated before its last line, which proves it; or it is not an export";
            return Err(at(what.to_owned()).into());
        }
        if line.starts_with(br#"{"muster":"#) {
            break serde_json::from_slice(&line).map_err(|error| at(format!("the last line is malformed: {error}")))?;
        }
        let event: ExportLine =
            serde_json::from_slice(&line).map_err(|error| at(format!("it is not an event: {error}")))?;
        chain.check_line(event).map_err(at)?;
        digests.add(&line);
    };
    let mut rest = Vec::new();
    let read = file.take(1).read_to_end(&mut rest);
    read.map_err(|source| Error::Io { what: "read the export".to_owned(), source })?;
    if !rest.is_empty() {
        return Err(IntegrityFault::new("there is data after the last line").into());
    }
    Ok(check_manifest(&manifest, digests, &chain, signer)?)
}

fn check_manifest(
    manifest: &ExportManifest,
    digests: LineDigests,
    chain: &ExportHistories,
    signer: Option<&Signer>,
) -> Result<ExportVerification, IntegrityFault> {
    if manifest.format != FORMAT {
        return Err(IntegrityFault::new(format!(
            "its format is {:?}, but only {FORMAT:?} can be read",
            manifest.format
        )));
    }
    let signer = &Signer::parse_expected(&manifest.public_key, signer)?;
    let unsigned = |what: &'static str| move |cause| IntegrityFault::new(format!("its {what} is not valid: {cause}"));
    let checkpoint = signer.verify_note(&manifest.checkpoint).map_err(unsigned("checkpoint"))?;
    let checkpoint =
        LogCheckpoint::parse(checkpoint).ok_or_else(|| IntegrityFault::new("its checkpoint is malformed"))?;
    let signed = signer.verify_note(&manifest.signature).map_err(unsigned("signature"))?;
    if signed != manifest.signed_text(&signer.name) || checkpoint.origin != signer.name {
        return Err(IntegrityFault::new("the signed text differs from the last line"));
    }
    let (events, sha256, parts) = digests.finish();
    let differing = parts.iter().zip(&manifest.parts).position(|(found, signed)| found != signed);
    if let Some(part) = differing.map(|part| part as u64) {
        let (first, last) = (part * EXPORT_CHUNK_LINES + 1, ((part + 1) * EXPORT_CHUNK_LINES).min(events));
        return Err(IntegrityFault::new(format!("lines {first} to {last} were changed after the export")));
    }
    if (events, &sha256) != (manifest.events, &manifest.sha256) {
        return Err(IntegrityFault::new(format!("there are {events} events, but {} were exported", manifest.events)));
    }
    if let Some(fault) = chain.fault.as_ref().filter(|_| manifest.is_complete || manifest.account.is_some()) {
        return Err(fault.clone());
    }
    if manifest.is_complete && events != checkpoint.size {
        return Err(IntegrityFault::new(format!(
            "it claims to be complete, but has {events} of {} events",
            checkpoint.size
        )));
    }
    Ok(ExportVerification {
        events,
        is_complete: manifest.is_complete,
        log_size: checkpoint.size,
        public_key: signer.to_string(),
    })
}

impl ExportManifest {
    /// The text that is signed: everything except the signature.
    fn signed_text(&self, log: &str) -> String {
        let ExportManifest { events, is_complete: complete, sha256, parts, checkpoint, .. } = self;
        let account = self.account.as_deref().unwrap_or("-");
        let parts = encode_hex(&Sha256::digest(parts.concat()));
        let checkpoint = encode_hex(&Sha256::digest(checkpoint));
        format!("{log} export\n{events}\n{complete}\n{account}\n{sha256}\n{parts}\n{checkpoint}\n")
    }
}

/// The histories in a file, as far as it was read.
#[derive(Default)]
struct ExportHistories {
    last: u64,
    heads: HashMap<String, (u64, u64)>,
    /// The first gap in a history. A filter leaves gaps too, so [`check_manifest`] decides whether it is a fault.
    fault: Option<IntegrityFault>,
}

impl ExportHistories {
    fn check_line(&mut self, line: ExportLine) -> Result<(), String> {
        let ExportLine { id, subject, version, prev } = line;
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is not a position"));
        let (position, previous) = (number(&id)?, number(&prev)?);
        if position <= self.last {
            return Err(format!("position {position} follows position {}", self.last));
        }
        let head = self.heads.entry(subject).or_default();
        if self.fault.is_none() && (version, previous) != (head.0 + 1, head.1) {
            self.fault = Some(IntegrityFault::new(format!(
                "position {position} is version {version} after position {previous}, but version {} after position {} \
                 is expected: events before it are missing",
                head.0 + 1,
                head.1
            )));
        }
        *head = (version, position);
        self.last = position;
        Ok(())
    }
}

impl LineDigests {
    fn new() -> LineDigests {
        LineDigests { all: Sha256::new(), part: Sha256::new(), parts: Vec::new(), lines: 0 }
    }

    fn add(&mut self, line: &[u8]) {
        for digest in [&mut self.all, &mut self.part] {
            digest.update(line);
            digest.update(b"\n");
        }
        self.lines += 1;
        if self.lines.is_multiple_of(EXPORT_CHUNK_LINES) {
            self.parts.push(encode_hex(&self.part.finalize_reset()));
        }
    }

    fn finish(mut self) -> (u64, String, Vec<String>) {
        if !self.lines.is_multiple_of(EXPORT_CHUNK_LINES) {
            self.parts.push(encode_hex(&self.part.finalize()));
        }
        (self.lines, encode_hex(&self.all.finalize()), self.parts)
    }
}

/// An event as a CSV row, without its line end.
fn format_event_row(event: &EventView) -> String {
    let record = &event.record;
    format_csv_row([
        record.position.to_string(),
        rfc3339::format_rfc3339(record.at),
        cloud_event::cloud_event_type(record),
        cloud_event::subject(record.stream),
        record.version.to_string(),
        record.previous.to_string(),
        cloud_event::origin(record.origin),
        cloud_event::request_id(record.origin).unwrap_or_default(),
        cloud_event::data_json(record),
        event.key_name.as_deref().unwrap_or_default().to_owned(),
    ])
}
