//! Compares a checkpoint that an auditor kept with the present log. Pure.
//!
//! The verdict `same_log` rests on the root at the size of the checkpoint: computed from events, or proved by hashes. No
//! statement of a service leads to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::Error;
use super::event_source::parse_checkpoint_origin;
use super::log_proofs::ConsistencyProof;
use super::rfc3339::format_rfc3339;
use super::signed_note::{LogCheckpoint, Signer, is_signature};
use crate::domain::{EventId, Generation};
use crate::journal::{Generations, LostPosition, Root, verify_consistency};

/// A checkpoint that an auditor kept. The log signed it.
pub struct KeptCheckpoint {
    checkpoint: LogCheckpoint,
    generation: Generation,
}

/// The result of comparing a kept checkpoint with the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CheckpointCheck)]
pub struct CheckpointCheck {
    /// The verdict.
    pub verdict: CheckpointVerdict,
    /// The verdict in words, for people. The words may change.
    pub sentence: String,
    /// The generation of the checkpoint. Left out, like all that follows, if the log did not sign the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub generation: Option<u32>,
    /// The size of the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub size: Option<String>,
    /// The root of the checkpoint, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub root: Option<String>,
    /// The root of this log at the size of the checkpoint, in base64. Left out if there is none or it was not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub log_root: Option<String>,
    /// The size of this log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub log_size: Option<String>,
    /// How many events the log has gained since the checkpoint; only for `same_log`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub grown: Option<String>,
    /// The id of the last event before the restore; only for `lost_by_restore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fork: Option<String>,
    /// The time of the restore; only for `lost_by_restore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub restored_at: Option<String>,
}

/// How a kept checkpoint and the log belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointVerdict {
    /// The log begins with exactly the events of the checkpoint.
    SameLog,
    /// The log has other events up to the size of the checkpoint, or its history does not lead through the generation.
    OtherHistory,
    /// The checkpoint is of an earlier generation, and a restore lost some of its events.
    LostByRestore,
    /// The log has fewer events than the checkpoint, without a restore that says so.
    Truncated,
    /// The log's key did not sign the checkpoint.
    OtherKey,
    /// The checkpoint is not what the log's key signed.
    Altered,
}

/// Reads a note that an auditor kept. If `signer` signed it, `compare` gives the result.
pub fn check_note<E: From<Error>>(
    note: &str,
    signer: &Signer,
    compare: impl FnOnce(&KeptCheckpoint) -> Result<CheckpointCheck, E>,
) -> Result<CheckpointCheck, E> {
    // Browsers, mail and editors change line ends, and drop the last one.
    let note = format!("{}\n", note.trim_start_matches('\u{feff}').replace("\r\n", "\n").trim());
    let unsigned = |verdict, sentence: &str| Ok(CheckpointCheck::new(verdict, sentence.to_owned()));
    match signer.verify_note(&note) {
        Ok(text) => compare(&KeptCheckpoint::parse(text, signer).ok_or(Error::NotACheckpoint)?),
        Err(_) if signer.is_named_in(&note) => {
            unsigned(CheckpointVerdict::Altered, "altered: this log's key did not sign this text")
        }
        Err(_) if note.lines().any(is_signature) || LogCheckpoint::parse(&note).is_some() => {
            unsigned(CheckpointVerdict::OtherKey, &format!("not signed by this log's key, {signer}"))
        }
        Err(_) => Err(Error::NotACheckpoint.into()),
    }
}

impl KeptCheckpoint {
    /// The checkpoint in a signed text. `None` if it is another statement.
    fn parse(text: &str, signer: &Signer) -> Option<KeptCheckpoint> {
        let checkpoint = LogCheckpoint::parse(text)?;
        let generation = parse_checkpoint_origin(&checkpoint.origin, &signer.name)?;
        Some(KeptCheckpoint { checkpoint, generation })
    }

    /// How many events it covers.
    pub(super) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// The result if its generation and size decide alone. `None` if the log of `head` events must have its root.
    pub(super) fn check_position(&self, generations: &Generations, head: u64) -> Option<CheckpointCheck> {
        let (generation, size) = (self.generation, self.size());
        match generations.position_of(EventId { generation, position: size }, head) {
            Ok(_) => None,
            Err(LostPosition::Forked { fork, at, .. }) => {
                let at = format_rfc3339(at);
                let sentence = format!(
                    "from generation {generation}, beyond the fork at {fork}: what followed was lost by the restore of {at}"
                );
                Some(CheckpointCheck {
                    fork: Some(fork.to_string()),
                    restored_at: Some(at),
                    ..self.result(CheckpointVerdict::LostByRestore, head, sentence)
                })
            }
            Err(LostPosition::OtherHistory { .. }) => {
                let sentence = format!(
                    "another history: this log, of generation {}, does not lead through generation {generation} of the \
                     checkpoint",
                    generations.current()
                );
                Some(self.result(CheckpointVerdict::OtherHistory, head, sentence))
            }
            Err(LostPosition::BeyondHead { .. }) => {
                let sentence = format!(
                    "truncated: this log has {head} events, and the checkpoint has {size}; events at the end were \
                     removed, or an older state is shown"
                );
                Some(self.result(CheckpointVerdict::Truncated, head, sentence))
            }
        }
    }

    /// The result for a log of `head` events that has `root` at the size of the checkpoint.
    pub(super) fn compare_root(&self, head: u64, root: Root) -> CheckpointCheck {
        match root == self.checkpoint.root {
            true => self.same_log(head),
            false => self.other_history(head, Some(root)),
        }
    }

    /// The result for a log that claims to have grown from the checkpoint.
    pub(super) fn check_growth(&self, log: &LogCheckpoint, proof: Option<&ConsistencyProof>) -> CheckpointCheck {
        let (size, root) = (self.size(), self.checkpoint.root);
        if size == 0 {
            return self.compare_root(log.size, Root::of_no_events());
        }
        let hashes = proof.and_then(ConsistencyProof::parse_hashes);
        match hashes.is_some_and(|hashes| verify_consistency(size, root, log.size, log.root, &hashes)) {
            true => self.same_log(log.size),
            false => self.other_history(log.size, proof.and_then(ConsistencyProof::parse_from_root)),
        }
    }

    fn same_log(&self, head: u64) -> CheckpointCheck {
        let grown = head - self.size();
        let events = if grown == 1 { "event" } else { "events" };
        let result = self.result(CheckpointVerdict::SameLog, head, format!("the same log, grown by {grown} {events}"));
        CheckpointCheck { grown: Some(grown.to_string()), log_root: result.root.clone(), ..result }
    }

    /// `root` is what the log shows at the size of the checkpoint, if it shows one.
    fn other_history(&self, head: u64, root: Option<Root>) -> CheckpointCheck {
        let (size, own) = (self.size(), STANDARD.encode(self.checkpoint.root.0));
        let log_root = root.filter(|root| *root != self.checkpoint.root).map(|root| STANDARD.encode(root.0));
        let sentence = match &log_root {
            Some(root) => {
                format!("another history: at size {size} this log has root {root}, yours has {own}")
            }
            None => format!(
                "another history: this log does not prove that it has grown from size {size} with the root {own} of the \
                 checkpoint"
            ),
        };
        CheckpointCheck { log_root, ..self.result(CheckpointVerdict::OtherHistory, head, sentence) }
    }

    fn result(&self, verdict: CheckpointVerdict, head: u64, sentence: String) -> CheckpointCheck {
        CheckpointCheck {
            generation: Some(self.generation.number()),
            size: Some(self.size().to_string()),
            root: Some(STANDARD.encode(self.checkpoint.root.0)),
            log_size: Some(head.to_string()),
            ..CheckpointCheck::new(verdict, sentence)
        }
    }
}

impl CheckpointCheck {
    fn new(verdict: CheckpointVerdict, sentence: String) -> CheckpointCheck {
        CheckpointCheck {
            verdict,
            sentence,
            generation: None,
            size: None,
            root: None,
            log_root: None,
            log_size: None,
            grown: None,
            fork: None,
            restored_at: None,
        }
    }
}
