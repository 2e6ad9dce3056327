//! The generations of a log: where each began, and which ids are part of its history.

use std::sync::Arc;

use super::merkle_tree::Root;
use super::{JournalEvent, JournalRecord};
use crate::domain::{AdministrativeEvent, AdministrativeEventType, AuditLogEntry, EventId, Generation, Timestamp};
use crate::limits::{LOST_NUMBERS_MAX, NUMBERS_EPOCH};

/// The beginning of a generation: the restore that forked the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationStart {
    /// The generation that began.
    pub generation: Generation,
    /// The last position that it shares with the history before. Its own first event is the next one.
    pub fork: u64,
    /// The root of the log at the fork.
    pub root: Root,
    /// When the restore was made.
    pub at: Timestamp,
}

/// The generations of a log, in order. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// The beginnings of all generations but the first. Numbers and forks rise.
    starts: Arc<Vec<GenerationStart>>,
}

/// A position that is not part of this log's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LostPosition {
    /// A restore forked the history before it.
    #[error(
        "{id} is not in this log: a restore forked the history after {fork} and began generation {generation}; what \
         followed {fork} was lost; continue after {fork}"
    )]
    Forked {
        /// The id that was asked for.
        id: EventId,
        /// The last event that its history shares with this log.
        fork: EventId,
        /// The generation that began at the fork.
        generation: Generation,
        /// When the restore was made.
        at: Timestamp,
    },
    /// Its generation belongs to another restore of the same store.
    #[error(
        "{id} is not in this log, whose history does not lead through generation {}: another backup was restored; \
         start again from the first event", id.generation
    )]
    OtherHistory {
        /// The id that was asked for.
        id: EventId,
    },
    /// The log has not reached it.
    #[error(
        "{id} is beyond the end of the log, which is {head}; a reader that has read up to {id} saw a state of the log \
         that was lost, and continues after {start}"
    )]
    BeyondHead {
        /// The id that was asked for.
        id: EventId,
        /// The last event of the log.
        head: EventId,
        /// Where the current generation began. What follows it may differ from what was read.
        start: EventId,
    },
}

impl Generations {
    /// The generations that began so. `None` if their numbers or forks do not rise.
    pub fn from_starts(starts: Vec<GenerationStart>) -> Option<Generations> {
        let rises = |pair: &[GenerationStart]| pair[0].generation < pair[1].generation && pair[0].fork < pair[1].fork;
        let is_later = starts.first().is_none_or(|first| first.generation > Generation::FIRST);
        (is_later && starts.windows(2).all(rises)).then(|| Generations { starts: Arc::new(starts) })
    }

    /// The current generation.
    pub fn current(&self) -> Generation {
        self.starts.last().map_or(Generation::FIRST, |start| start.generation)
    }

    /// The beginnings of all generations but the first, in order.
    pub fn starts(&self) -> &[GenerationStart] {
        &self.starts
    }

    /// The generation in which the event at `position` was recorded.
    pub fn at(&self, position: u64) -> Generation {
        let later = self.starts.partition_point(|start| start.fork < position);
        later.checked_sub(1).map_or(Generation::FIRST, |last| self.starts[last].generation)
    }

    /// The id of the event at `position`.
    pub fn event_id(&self, position: u64) -> EventId {
        EventId { generation: self.at(position), position }
    }

    /// Numbers of sessions and tasks up to this one may have been given in a history that the last restore lost; see
    /// [`NUMBERS_EPOCH`]. 0 if there was no restore. It rises with each restore, whichever backup was restored.
    pub fn lost_numbers(&self) -> u32 {
        let Some(last) = self.starts.last() else { return 0 };
        let seconds = last.at.0.div_euclid(1_000_000) - NUMBERS_EPOCH;
        u32::try_from(seconds.max(0)).unwrap_or(u32::MAX).min(LOST_NUMBERS_MAX)
    }

    /// The first generation that began after `generation`. The history of `generation` ends at its fork.
    pub fn after(&self, generation: Generation) -> Option<&GenerationStart> {
        self.starts.iter().find(|start| start.generation > generation)
    }

    /// The position of the event with this id, in a log that ends at `head`.
    pub fn position_of(&self, id: EventId, head: u64) -> Result<u64, LostPosition> {
        let EventId { generation, position } = id;
        match self.after(generation) {
            Some(&GenerationStart { generation: later, fork, at, .. }) if position > fork && self.has(generation) => {
                Err(LostPosition::Forked { id, fork: self.event_id(fork), generation: later, at })
            }
            // An id that this log never gives is of a generation with the same number in another history.
            _ if !self.has(generation) || self.at(position.min(head)) != generation => {
                Err(LostPosition::OtherHistory { id })
            }
            None if position > head => Err(LostPosition::BeyondHead {
                id,
                head: self.event_id(head),
                start: self.event_id(self.starts.last().map_or(0, |start| start.fork)),
            }),
            Some(_) | None => Ok(position),
        }
    }

    /// Like [`position_of`](Generations::position_of), for a range or a search: a position that the log may still reach
    /// is in its history too.
    pub fn position_in_history(&self, id: EventId, head: u64) -> Result<u64, LostPosition> {
        match self.position_of(id, head) {
            Err(LostPosition::BeyondHead { id, .. }) => Ok(id.position),
            found => found,
        }
    }

    /// Whether the history of this log leads through `generation`.
    fn has(&self, generation: Generation) -> bool {
        generation == Generation::FIRST || self.starts.iter().any(|start| start.generation == generation)
    }

    /// Takes in the next record of the log. Fails if the record begins a generation elsewhere than it says. `is_root`
    /// checks the root that it claims for the log before it.
    pub fn observe(&mut self, record: &JournalRecord, is_root: impl FnOnce(Root) -> bool) -> Result<(), &'static str> {
        let begun = AdministrativeEventType::GenerationBegun.definition().number;
        let event = match &record.event {
            JournalEvent::Administration(AuditLogEntry { event, .. }) => event,
            JournalEvent::Unknown(unknown) if unknown.event_type == begun => {
                return Err("a newer version of muster began a generation; use that version");
            }
            JournalEvent::Account(_) | JournalEvent::Unknown(_) => return Ok(()),
        };
        let AdministrativeEvent::GenerationBegun { generation, previous, fork, root, .. } = *event else {
            return Ok(());
        };
        let begins_here =
            generation > previous && previous == self.current() && fork.checked_add(1) == Some(record.position);
        if !begins_here || !is_root(Root(root)) {
            return Err("a generation does not begin where its event says");
        }
        self.push(GenerationStart { generation, fork, root: Root(root), at: record.at });
        Ok(())
    }

    /// Adds the beginning of a generation that was checked before.
    pub(super) fn push(&mut self, start: GenerationStart) {
        Arc::make_mut(&mut self.starts).push(start);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, StreamId, UnknownEvent};
    use super::*;

    fn generations(starts: &[(u32, u64)]) -> Generations {
        let start = |&(number, fork): &(u32, u64)| GenerationStart {
            generation: Generation::new(number).unwrap(),
            fork,
            root: Root([0; 32]),
            at: Timestamp(0),
        };
        Generations { starts: Arc::new(starts.iter().map(start).collect()) }
    }

    #[test]
    fn ids_have_the_generation_of_their_event() {
        let log = generations(&[(1, 3), (4, 10)]);
        let ids = [0, 1, 3, 4, 10, 11].map(|position| log.event_id(position).to_string());
        assert_eq!(ids, ["0", "1", "3", "1-4", "1-10", "4-11"]);
        for position in 0..=20 {
            assert_eq!(log.position_of(log.event_id(position), 20), Ok(position));
        }
    }

    #[test]
    fn a_generation_begins_where_its_event_says() {
        let begun = |generation: u32, previous: u32, fork, root| {
            let (generation, previous) = (Generation::new(generation).unwrap(), Generation::new(previous).unwrap());
            let (master_key, reason) = (None, String::new());
            let event = AdministrativeEvent::GenerationBegun { generation, previous, fork, root, master_key, reason };
            JournalEvent::Administration(AuditLogEntry { event, source: String::new() })
        };
        let newer = JournalEvent::Unknown(UnknownEvent { event_type: 1021, schema: 2, payload: Box::default() });
        let observe = |event| {
            let mut log = generations(&[(1, 3)]);
            let record = JournalRecord {
                position: 11,
                stream: StreamId::Administration,
                version: 1,
                previous: 0,
                at: Timestamp(0),
                origin: Origin::OPERATOR,
                schema: 1,
                event,
            };
            log.observe(&record, |root| root == Root([7; 32])).map(|()| log.current().number())
        };
        assert_eq!(observe(begun(4, 1, 10, [7; 32])), Ok(4));
        let elsewhere = [begun(4, 1, 9, [7; 32]), begun(4, 1, u64::MAX, [7; 32]), begun(4, 0, 10, [7; 32])];
        for event in elsewhere.into_iter().chain([begun(1, 1, 10, [7; 32]), begun(4, 1, 10, [8; 32])]) {
            assert_eq!(observe(event), Err("a generation does not begin where its event says"));
        }
        assert!(observe(newer).unwrap_err().contains("a newer version"));
    }

    #[test]
    fn numbers_that_a_restore_lost_are_left_out() {
        let lost_at = |seconds: i64| {
            let at = Timestamp((NUMBERS_EPOCH + seconds) * 1_000_000 + 999_999);
            Generations { starts: Arc::new(vec![GenerationStart { at, ..generations(&[(1, 3)]).starts[0] }]) }
                .lost_numbers()
        };
        assert_eq!(generations(&[]).lost_numbers(), 0);
        assert_eq!([-852_076_800, 0, 28_771_200, 1 << 40].map(lost_at), [0, 0, 28_771_200, LOST_NUMBERS_MAX]);
    }

    #[test]
    fn ids_of_a_lost_history_name_the_fork() {
        let log = generations(&[(1, 3), (4, 10)]);
        let lost = |id: &str| log.position_of(id.parse().unwrap(), 20).unwrap_err();
        for (id, fork, generation) in [("4", "3", 1), ("47", "3", 1), ("1-11", "1-10", 4)] {
            let LostPosition::Forked { fork: found, generation: by, .. } = lost(id) else { panic!("{id}") };
            assert_eq!((found.to_string().as_str(), by.number()), (fork, generation), "{id}");
        }
        let LostPosition::BeyondHead { head, start, .. } = lost("4-21") else { panic!() };
        assert_eq!((head.to_string().as_str(), start.to_string().as_str()), ("4-20", "1-10"));
        for id in ["1-3", "2-1", "2-11", "4-10", "5-2", "5-30"] {
            assert!(matches!(lost(id), LostPosition::OtherHistory { .. }), "{id}");
        }
    }
}
