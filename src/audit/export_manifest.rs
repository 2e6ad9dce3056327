//! The last line of an export, which makes the file verifiable without the service. It holds the filter as it was asked,
//! the positions that were examined, the number of events, a digest of all lines and one of each thousand lines, the
//! log's checkpoint, and a signature over all this.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::administrative_event_data::ExportConditions;
use super::encode_hex;
use super::event_filter::EventFilter;
use super::rfc3339::{format_rfc3339, parse_rfc3339};
use crate::domain::Generation;
use crate::journal::{GenerationStart, Generations, Root};
use crate::limits::EXPORT_CHUNK_LINES;

// Frozen: exports are handed out, so the fields of each format, their order and the signed text never change. A change
// is the next format, beside these.

/// The values of `muster` in a manifest.
pub(super) const FORMAT_1: &str = "export 1";
pub(super) const FORMAT_2: &str = "export 2";
/// Of a log that was restored to an earlier state.
pub(super) const FORMAT_3: &str = "export 3";

/// The manifest: the last line of an export, which makes the file verifiable without the service.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportManifest {
    /// The format: `export 3` if the log was restored to an earlier state, else `export 2`; `export 1` has no `first`,
    /// `last` and `filter`.
    #[serde(rename = "muster")]
    pub(super) format: String,
    /// The number of events before this line.
    pub(super) events: u64,
    /// The id of the first event that was examined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) first: Option<String>,
    /// The id of the last event that was examined; before `first` if the log ended before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) last: Option<String>,
    /// The conditions that were asked for: the parameters of the call, with times in RFC 3339. Empty without a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ExportConditions, nullable = false, required = false)]
    pub(super) filter: Option<BTreeMap<String, String>>,
    /// Where the generations of the log began, in order; left out in generation 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) generations: Option<Vec<ManifestGeneration>>,
    /// Whether the export has all events of the log.
    #[serde(rename = "complete")]
    pub(super) is_complete: bool,
    /// The account, if the export has one account only, from its first event on. Its chain can then be verified.
    #[schema(required)]
    pub(super) account: Option<String>,
    /// SHA-256 of all lines before this one, in hex.
    pub(super) sha256: String,
    /// SHA-256 of each thousand lines, in hex.
    pub(super) parts: Vec<String>,
    /// The signer's public key, as `name+id+key`.
    pub(super) public_key: String,
    /// The signed size and root of the log.
    pub(super) checkpoint: String,
    /// The signature of all other fields.
    pub(super) signature: String,
}

/// The beginning of a generation of the log.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ManifestGeneration {
    /// The number of the generation.
    generation: u32,
    /// The position of the last event before it.
    fork: String,
    /// The root of the log at the fork, in base64.
    root: String,
    /// The time of the restore.
    #[schema(format = DateTime)]
    time: String,
}

/// Running digests of the lines.
pub(super) struct LineDigests {
    all: Sha256,
    part: Sha256,
    parts: Vec<String>,
    pub(super) lines: u64,
}

impl ExportManifest {
    /// The manifest of these lines, without its signature. `positions` are the first and the last that were examined,
    /// and the size of the log.
    pub(super) fn new(
        filter: &EventFilter,
        generations: &Generations,
        positions: (u64, u64, u64),
        digests: LineDigests,
        public_key: String,
        checkpoint: String,
    ) -> ExportManifest {
        let (first, last, size) = positions;
        let (events, sha256, parts) = digests.finish();
        let one_account = EventFilter { account: filter.account, ..EventFilter::default() };
        let account = filter.account.filter(|_| *filter == one_account && first == 1);
        let starts: Vec<_> = generations.starts().iter().map(ManifestGeneration::of).collect();
        ExportManifest {
            format: if starts.is_empty() { FORMAT_2 } else { FORMAT_3 }.to_owned(),
            events,
            first: Some(generations.event_id(first).to_string()),
            last: Some(generations.event_id(last).to_string()),
            filter: Some(filter.to_parameters()),
            generations: Some(starts).filter(|starts| !starts.is_empty()),
            is_complete: filter.matches_all() && (first, last) == (1, size),
            account: account.map(|account| account.to_string()),
            sha256,
            parts,
            public_key,
            checkpoint,
            signature: String::new(),
        }
    }

    /// The generations of the log, as far as the manifest says. `None` if they are malformed.
    pub(super) fn parse_generations(&self) -> Option<Generations> {
        let starts = self.generations.iter().flatten().map(ManifestGeneration::parse);
        Generations::from_starts(starts.collect::<Option<_>>()?)
    }

    /// The text that is signed: everything except the signature. `log` is the origin of the log's checkpoints.
    pub(super) fn signed_text(&self, log: &str) -> String {
        let ExportManifest { events, is_complete: complete, sha256, .. } = self;
        let account = self.account.as_deref().unwrap_or("-");
        let parts = encode_hex(&Sha256::digest(self.parts.concat()));
        let checkpoint = encode_hex(&Sha256::digest(&self.checkpoint));
        let lines = format!("{complete}\n{account}\n{sha256}\n{parts}\n{checkpoint}\n");
        match (&self.first, &self.last, &self.filter) {
            (Some(first), Some(last), Some(filter)) => {
                // The map is in the order of its names, so every writer signs the same text.
                let filter = serde_json::to_string(filter).unwrap_or_default();
                let selection = format!("{events}\n{first}\n{last}\n{filter}\n");
                match &self.generations {
                    None => format!("{log} export 2\n{selection}{lines}"),
                    Some(generations) => {
                        let generations = serde_json::to_string(generations).unwrap_or_default();
                        format!("{log} export 3\n{selection}{generations}\n{lines}")
                    }
                }
            }
            (_, _, _) => format!("{log} export\n{events}\n{lines}"),
        }
    }
}

impl ManifestGeneration {
    fn of(start: &GenerationStart) -> ManifestGeneration {
        let GenerationStart { generation, fork, root, at } = start;
        ManifestGeneration {
            generation: generation.number(),
            fork: fork.to_string(),
            root: STANDARD.encode(root.0),
            time: format_rfc3339(*at),
        }
    }

    fn parse(&self) -> Option<GenerationStart> {
        let ManifestGeneration { generation, fork, root, time } = self;
        Some(GenerationStart {
            generation: Generation::new(*generation)?,
            fork: fork.parse().ok()?,
            root: Root(*STANDARD.decode(root).ok()?.as_array()?),
            at: parse_rfc3339(time)?,
        })
    }
}

impl LineDigests {
    pub(super) fn new() -> LineDigests {
        LineDigests { all: Sha256::new(), part: Sha256::new(), parts: Vec::new(), lines: 0 }
    }

    pub(super) fn add(&mut self, line: &[u8]) {
        for digest in [&mut self.all, &mut self.part] {
            digest.update(line);
            digest.update(b"\n");
        }
        self.lines += 1;
        if self.lines.is_multiple_of(EXPORT_CHUNK_LINES) {
            self.parts.push(encode_hex(&self.part.finalize_reset()));
        }
    }

    pub(super) fn finish(mut self) -> (u64, String, Vec<String>) {
        if !self.lines.is_multiple_of(EXPORT_CHUNK_LINES) {
            self.parts.push(encode_hex(&self.part.finalize()));
        }
        (self.lines, encode_hex(&self.all.finalize()), self.parts)
    }
}
