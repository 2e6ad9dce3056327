//! The log as far as a file proves it, and its comparison with a kept checkpoint.

use super::Error;
use super::event_source::parse_checkpoint_origin;
use super::kept_checkpoint::{CheckpointCheck, CheckpointVerdict, KeptCheckpoint};
use super::signed_note::{LogCheckpoint, Signer};
use crate::domain::Generation;
use crate::journal::{Generations, Root};

/// The present log, as far as a file proves it.
pub(super) struct ProvedLog {
    pub(super) checkpoint: LogCheckpoint,
    pub(super) generation: Generation,
    /// `None` if the file does not show where the generations began.
    pub(super) generations: Option<Generations>,
    /// The root at the size of the kept checkpoint, if the file has the events.
    pub(super) root: Option<Root>,
}

impl ProvedLog {
    pub(super) fn new(checkpoint: LogCheckpoint, generations: Generations) -> ProvedLog {
        ProvedLog { checkpoint, generation: generations.current(), generations: Some(generations), root: None }
    }

    /// The log that another checkpoint shows.
    pub(super) fn from_note(note: &str, signer: &Signer) -> Result<ProvedLog, Error> {
        let checkpoint = signer.verify_checkpoint(note)?;
        let generation = parse_checkpoint_origin(&checkpoint.origin, &signer.name).ok_or(Error::NotACheckpoint)?;
        let generations = (generation == Generation::FIRST).then(Generations::default);
        Ok(ProvedLog { checkpoint, generation, generations, root: None })
    }

    /// Compares a kept checkpoint with this log. Fails if the log that the file shows does not decide.
    pub(super) fn check(&self, kept: &KeptCheckpoint) -> Result<CheckpointCheck, Error> {
        let (size, kept_size) = (self.checkpoint.size, kept.size());
        let undecided = |why: &'static str| Err(Error::CheckpointUndecided { size, kept: kept_size, why });
        match &self.generations {
            Some(generations) => match kept.check_position(generations, size) {
                // A file may simply be older than the checkpoint.
                Some(result) if result.verdict == CheckpointVerdict::Truncated => {
                    return undecided("the file is older");
                }
                Some(_) if kept.generation() > self.generation => return undecided("the file is older"),
                Some(result) => return Ok(result),
                None => {}
            },
            None if size == kept_size => {}
            None if kept.generation() != self.generation => {
                return undecided("a checkpoint does not say where its generation began");
            }
            None if size < kept_size => return undecided("the file is older"),
            None => {}
        }
        let same_size = (size == kept_size).then_some(self.checkpoint.root);
        let no_events = (kept_size == 0).then(Root::of_no_events);
        match self.root.or(same_size).or(no_events) {
            Some(root) => Ok(kept.compare_root(size, root)),
            None => undecided("roots of two sizes can only be compared with the events or a proof"),
        }
    }
}
