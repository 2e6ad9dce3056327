//! Verifies an export from its first line to its last, and says what that proves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};

use super::cloud_event::parse_event_type;
use super::event_filter::{EventFilter, InvalidFilter};
use super::event_source::{EventSource, checkpoint_origin};
use super::export_manifest::{ExportManifest, FORMAT_1, FORMAT_2, FORMAT_3, LineDigests};
use super::exported_requests::ExportedRequests;
use super::proved_log::ProvedLog;
use super::rfc3339::{format_rfc3339, parse_rfc3339};
use super::signed_note::Signer;
use super::{Error, IntegrityFault};
use crate::domain::{EventId, Generation, Timestamp};
use crate::limits::{EXPORT_CHUNK_LINES, EXPORT_LINE_BYTES};

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
    /// What the file proves, in words.
    pub proves: String,
}

/// What an export of format 2 was asked for, and the positions that were examined.
struct SignedSelection<'m> {
    first: EventId,
    last: EventId,
    filter: &'m BTreeMap<String, String>,
}

/// The fields of an exported event that are verified.
#[derive(Deserialize)]
struct ExportLine {
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    time: String,
    version: u64,
    prev: String,
    origin: String,
    requestid: Option<String>,
    data: ExportLineData,
}

#[derive(Deserialize)]
struct ExportLineData {
    reason: Option<String>,
}

/// Verifies an export from its first line to its last. It must be signed by `signer`, or, without one, by the signer
/// that it names.
pub fn verify_export(file: impl BufRead, signer: Option<&Signer>) -> Result<ExportVerification, Error> {
    verify_export_log(file, signer).map(|(verified, ..)| verified)
}

/// Like [`verify_export`]. Also returns the signer, and the log that it signed.
pub(super) fn verify_export_log(
    mut file: impl BufRead,
    signer: Option<&Signer>,
) -> Result<(ExportVerification, Signer, ProvedLog), Error> {
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
) -> Result<(ExportVerification, Signer, ProvedLog), IntegrityFault> {
    let selection = SignedSelection::of(manifest)?;
    let signer = Signer::parse_expected(&manifest.public_key, signer)?;
    let checkpoint = signer.verify_checkpoint(&manifest.checkpoint)?;
    let signed = signer
        .verify_note(&manifest.signature)
        .map_err(|cause| IntegrityFault::new(format!("its signature is not valid: {cause}")))?;
    let generations =
        manifest.parse_generations().ok_or_else(|| IntegrityFault::new("its generations are malformed"))?;
    if signed != manifest.signed_text(&checkpoint.origin)
        || checkpoint.origin != checkpoint_origin(&signer.name, generations.current())
    {
        return Err(IntegrityFault::new("the signed text differs from the last line"));
    }
    if generations.starts().last().is_some_and(|start| start.fork >= checkpoint.size) {
        return Err(IntegrityFault::new("one of its generations begins beyond the end of the log"));
    }
    let source = EventSource::new(&signer.name, generations);
    chain.check_sources(&source)?;
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
    if let Some(account) = &manifest.account
        && chain.heads.keys().any(|subject| subject != account)
    {
        return Err(IntegrityFault::new(format!("it claims account {account} alone, but has events of others")));
    }
    if manifest.is_complete && events != checkpoint.size {
        return Err(IntegrityFault::new(format!(
            "it claims to be complete, but has {events} of {} events",
            checkpoint.size
        )));
    }
    let verified = ExportVerification {
        events,
        is_complete: manifest.is_complete,
        log_size: checkpoint.size,
        public_key: signer.to_string(),
        proves: match selection {
            Some(selection) => {
                selection.describe_proof(chain, &source, manifest.account.as_deref(), events, checkpoint.size)?
            }
            None => describe_proof_1(manifest, checkpoint.size),
        },
    };
    Ok((verified, signer, ProvedLog::new(checkpoint, source.generations().clone())))
}

/// What an export of format 1 proves.
fn describe_proof_1(manifest: &ExportManifest, size: u64) -> String {
    match &manifest.account {
        _ if manifest.is_complete => format!("all events of positions 1 to {size}, as the service signed"),
        Some(account) => describe_account(account, size),
        None => {
            format!("some events among positions 1 to {size}, as the service signed; the file does not name its filter")
        }
    }
}

impl<'m> SignedSelection<'m> {
    /// The selection of a manifest; `None` in format 1.
    fn of(manifest: &'m ExportManifest) -> Result<Option<SignedSelection<'m>>, IntegrityFault> {
        let ExportManifest { format, first, last, filter, generations, .. } = manifest;
        let id = |text: &str| {
            text.parse::<EventId>().map_err(|_| IntegrityFault::new(format!("its position {text:?} is malformed")))
        };
        match (format.as_str(), first, last, filter, generations.as_deref()) {
            (FORMAT_1, None, None, None, None) => Ok(None),
            (FORMAT_2, Some(first), Some(last), Some(filter), None)
            | (FORMAT_3, Some(first), Some(last), Some(filter), Some([_, ..])) => {
                Ok(Some(SignedSelection { first: id(first)?, last: id(last)?, filter }))
            }
            (FORMAT_1 | FORMAT_2 | FORMAT_3, _, _, _, _) => {
                Err(IntegrityFault::new(format!("its last line does not have the fields of format {format:?}")))
            }
            (_, _, _, _, _) => Err(IntegrityFault::new(format!(
                "its format is {format:?}, but only {FORMAT_1:?} to {FORMAT_3:?} can be read"
            ))),
        }
    }

    /// What the file proves, in words. A fault if it does not have the events that it must have. The chain of
    /// `whole_account` was checked, and that the file has no other account.
    fn describe_proof(
        &self,
        chain: &ExportHistories,
        source: &EventSource,
        whole_account: Option<&str>,
        events: u64,
        size: u64,
    ) -> Result<String, IntegrityFault> {
        let SignedSelection { first: first_id, last: last_id, filter } = *self;
        let (first, last) = (first_id.position, last_id.position);
        let fault = |what: String| Err(IntegrityFault::new(what));
        let is_whole =
            |account: &str| first == 1 && filter.len() == 1 && filter.get("account").is_some_and(|it| it == account);
        if !whole_account.is_none_or(is_whole) {
            return fault("its account differs from its filter".to_owned());
        }
        if (first_id, last_id) != (source.event_id(first), source.event_id(last)) {
            return fault(format!("it claims positions {first_id} to {last_id}, which are not of its generations"));
        }
        if first == 0 || last > size {
            return fault(format!("it claims positions {first} to {last} of a log with {size} events"));
        }
        if last < first {
            return match events {
                0 if last == size => Ok(format!("nothing: the log ended at position {last}, before position {first}")),
                0 => fault(format!("it claims that the log ended at position {last}, but it has {size} events")),
                _ => fault(format!("it has {events} events, but the log ended before position {first}")),
            };
        }
        if let Some(outside) =
            [chain.first, chain.last].into_iter().find(|at| events > 0 && !(first..=last).contains(at))
        {
            return fault(format!("position {outside} is not among its positions {first} to {last}"));
        }
        chain.check_filter(filter)?;
        // Positions rise from line to line, so as many events as positions are all of them.
        let has_all = events == last - first + 1;
        let time = describe_time(filter);
        if filter.is_empty() && !has_all {
            return fault(format!("it claims all events of positions {first} to {last}, but has {events}"));
        }
        if filter.keys().all(|name| TIME_PARAMETERS.contains(&name.as_str())) && has_all {
            let words = time.map_or_else(String::new, |time| {
                format!("; that these are the events {time} is the word of the service")
            });
            return Ok(format!("all events of positions {first_id} to {last_id}, as the service signed{words}"));
        }
        if let Some(account) = whole_account {
            return Ok(describe_account(account, last_id));
        }
        let conditions: Vec<String> =
            filter.iter().filter_map(|(name, value)| describe_condition(name, value)).collect();
        let words = conditions.into_iter().chain(time).collect::<Vec<_>>().join(" and ");
        Ok(format!("those {words} among positions {first_id} to {last_id}, as the service signed"))
    }
}

/// The account's chain was verified.
fn describe_account(account: &str, last: impl std::fmt::Display) -> String {
    format!("those of account {account} among positions 1 to {last}, without a gap, as the service signed")
}

/// The conditions that the service turns into positions.
const TIME_PARAMETERS: [&str; 2] = ["since", "until"];

fn describe_time(filter: &BTreeMap<String, String>) -> Option<String> {
    match (filter.get("since"), filter.get("until")) {
        (None, None) => None,
        (Some(since), None) => Some(format!("from {since} on")),
        (None, Some(until)) => Some(format!("before {until}")),
        (Some(since), Some(until)) => Some(format!("from {since} until before {until}")),
    }
}

/// A condition of a filter, in words. `None` if it is about the time.
fn describe_condition(name: &str, value: &str) -> Option<String> {
    match name {
        "since" | "until" => None,
        "type" => Some(format!("of type {}", value.replace(',', " or "))),
        "account" => Some(format!("of account {value}")),
        "key" => Some(format!("of key {value}")),
        "origin" => Some(format!("of origin {value}")),
        "requestid" => Some(format!("of request {value}")),
        "reason~" => Some(format!("with {value:?} in the reason")),
        other => Some(format!("with {other} {value:?}")),
    }
}

/// The histories in a file, as far as it was read.
#[derive(Default)]
struct ExportHistories {
    first: u64,
    last: u64,
    heads: HashMap<String, (u64, EventId)>,
    /// The first and the last position of each source and generation.
    sources: BTreeMap<(String, Generation), (u64, u64)>,
    types: BTreeSet<String>,
    /// The earliest and the latest time.
    times: Option<(Timestamp, Timestamp)>,
    requests: ExportedRequests,
    /// The first gap in a history. A filter leaves gaps too, so [`check_manifest`] decides whether it is a fault.
    fault: Option<IntegrityFault>,
}

impl ExportHistories {
    /// Checks that the events meet every condition.
    fn check_filter(&self, filter: &BTreeMap<String, String>) -> Result<(), IntegrityFault> {
        let filter = EventFilter::parse(|name| filter.get(name).map(String::as_str)).map_err(
            |InvalidFilter { parameter, words }| {
                let words = format!("its {parameter} {words}; if a newer version of muster made it, use that one");
                IntegrityFault::new(words)
            },
        )?;
        let other =
            |what: &str, found: &str| Err(IntegrityFault::new(format!("its filter excludes the {what} {found}")));
        let account = filter.account.map(|account| account.to_string());
        if let Some(subject) =
            self.heads.keys().find(|subject| account.as_ref().is_some_and(|account| account != *subject))
        {
            return other("subject", subject);
        }
        let is_excluded = |name: &&String| {
            !filter.types.is_empty() && parse_event_type(name).is_none_or(|found| !filter.types.contains(&found))
        };
        if let Some(name) = self.types.iter().find(is_excluded) {
            return other("type", name);
        }
        self.requests.check_filter(&filter)?;
        match self.times {
            Some((earliest, _)) if filter.since.is_some_and(|since| earliest < since) => {
                other("time", &format_rfc3339(earliest))
            }
            Some((_, latest)) if filter.until.is_some_and(|until| latest >= until) => {
                other("time", &format_rfc3339(latest))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that each event has the source and the generation of its position.
    fn check_sources(&self, source: &EventSource) -> Result<(), IntegrityFault> {
        for ((found, generation), &(first, last)) in &self.sources {
            for position in [first, last] {
                if source.generations().at(position) != *generation || *found != source.of(*generation) {
                    let id = source.event_id(position);
                    let what = format!("the event {id} is of {}, not of {found}", source.at(position));
                    return Err(IntegrityFault::new(what));
                }
            }
        }
        Ok(())
    }

    fn check_line(&mut self, line: ExportLine) -> Result<(), String> {
        let ExportLine { id, source, event_type, subject, time, version, prev, origin, requestid, data } = line;
        let id_of = |text: &str| text.parse::<EventId>().map_err(|_| format!("{text:?} is not a position"));
        let (id, previous) = (id_of(&id)?, id_of(&prev)?);
        let position = id.position;
        if position <= self.last {
            return Err(format!("position {position} follows position {}", self.last));
        }
        let head = self.heads.entry(subject).or_insert((0, EventId { generation: Generation::FIRST, position: 0 }));
        if self.fault.is_none() && (version, previous) != (head.0 + 1, head.1) {
            self.fault = Some(IntegrityFault::new(format!(
                "position {id} is version {version} after position {previous}, but version {} after position {} \
                 is expected: events before it are missing",
                head.0 + 1,
                head.1
            )));
        }
        *head = (version, id);
        self.sources.entry((source, id.generation)).or_insert((position, position)).1 = position;
        self.types.insert(event_type);
        self.requests.add(origin, requestid, data.reason);
        let at = parse_rfc3339(&time).ok_or_else(|| format!("{time:?} is not a time"))?;
        let (earliest, latest) = self.times.unwrap_or((at, at));
        self.times = Some((earliest.min(at), latest.max(at)));
        if self.first == 0 {
            self.first = position;
        }
        self.last = position;
        Ok(())
    }
}
