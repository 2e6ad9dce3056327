//! The order of deliveries, under any mixture of failures, slow attempts, late cursors and crashes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::delivery::Delivery;
use super::super::lanes::{Lanes, Note, Row, Step};
use super::super::verdict::Failure;
use crate::domain::{AccountNumber, Timestamp};

const RETRY_WAITS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(30)];

/// What may happen to a channel.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The journal is read, so far on.
    Read(usize),
    /// What may be started is started, at most so many.
    Start(usize),
    /// One of the attempts under way ends, well or not.
    Finish { which: usize, is_taken: bool },
    /// Slow attempts are noticed, and the cursor is saved.
    Save,
    /// Time passes.
    Wait(u64),
    /// The process is killed, and starts again.
    Crash,
}

/// A channel whose journal, book and receiver are in memory.
struct Model {
    /// The account of each event; the position of the first is 1.
    journal: Vec<AccountNumber>,
    lanes: Lanes,
    now: Timestamp,
    under_way: Vec<(Delivery, u32)>,
    cursor: u64,
    rows: HashMap<AccountNumber, Row>,
    settled: BTreeSet<u64>,
}

impl Model {
    fn new(journal: Vec<AccountNumber>) -> Model {
        let lanes = Lanes::new(RETRY_WAITS.to_vec(), 0, []);
        let (under_way, rows, settled) = (Vec::new(), HashMap::new(), BTreeSet::new());
        Model { journal, lanes, now: Timestamp(0), under_way, cursor: 0, rows, settled }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Read(events) => self.read(events),
            Act::Start(most) => self.start(most),
            Act::Finish { which, is_taken } if !self.under_way.is_empty() => {
                self.finish(which % self.under_way.len(), is_taken);
            }
            Act::Finish { .. } => {}
            Act::Save => {
                let notes = self.lanes.hold_slow(self.now, Duration::from_millis(20));
                self.write(notes);
                self.cursor = self.lanes.cursor();
            }
            Act::Wait(millis) => self.now = self.now.plus(Duration::from_millis(millis)),
            Act::Crash => {
                self.under_way.clear();
                self.lanes = Lanes::new(RETRY_WAITS.to_vec(), self.cursor, self.rows.clone());
            }
        }
        self.check();
    }

    fn events(&self, after: u64) -> impl Iterator<Item = Delivery> {
        let delivery = |(account, position): (&AccountNumber, u64)| Delivery {
            account: *account,
            position,
            at: Timestamp(0),
            body: Bytes::new(),
        };
        self.journal.iter().zip(1..).skip(after as usize).map(delivery)
    }

    fn read(&mut self, events: usize) {
        let after = self.lanes.read();
        // Every fifth event is one that the channel does not tell.
        let deliveries = self.events(after).take(events).filter(is_told).collect();
        self.lanes.take_in(deliveries, (after + events as u64).min(self.journal.len() as u64));
    }

    fn start(&mut self, most: usize) {
        for _ in 0..most {
            match self.lanes.step(self.now) {
                Some(Step::Try { delivery, attempt }) => {
                    let same = |it: &&(Delivery, u32)| it.0.account == delivery.account;
                    assert_eq!(self.under_way.iter().find(same), None, "one attempt at a time");
                    let before = self.events(0).filter(is_told);
                    let before = before.take_while(|it| it.position < delivery.position);
                    for earlier in before.filter(|it| it.account == delivery.account) {
                        assert!(self.settled.contains(&earlier.position), "{delivery:?} overtakes {earlier:?}");
                    }
                    self.under_way.push((delivery, attempt));
                }
                Some(Step::Refill { account, after }) => {
                    let read = self.lanes.read();
                    let follows = self.events(after).take_while(|it| it.position <= read).filter(is_told);
                    let follows = follows.filter(|it| it.account == account).take(2).collect();
                    let note = self.lanes.refill(account, follows);
                    self.write(note);
                }
                None => return,
            }
        }
    }

    fn finish(&mut self, which: usize, is_taken: bool) {
        let (delivery, attempt) = self.under_way.remove(which);
        let outcome = if is_taken { Ok(()) } else { Err(Failure::Status(500)) };
        let notes = self.lanes.finished(delivery.account, outcome, self.now);
        let is_dead = notes.iter().any(|note| matches!(note, Note::Bury { .. }));
        assert_eq!(is_dead, !is_taken && attempt as usize > RETRY_WAITS.len());
        if is_taken || is_dead {
            self.settled.insert(delivery.position);
        }
        self.write(notes);
    }

    fn write(&mut self, notes: impl IntoIterator<Item = Note>) {
        for note in notes {
            match note {
                Note::Hold { account, row } => drop(self.rows.insert(account, row)),
                Note::Release { account } => drop(self.rows.remove(&account)),
                Note::Bury { delivery, .. } => assert!(!self.under_way.iter().any(|it| it.0 == delivery)),
            }
        }
    }

    /// Whatever happens next, nothing is forgotten.
    fn check(&self) {
        for delivery in self.events(0).take(self.cursor as usize).filter(is_told) {
            let has_row = self.rows.get(&delivery.account).is_some_and(|row| row.next <= delivery.position);
            let Delivery { position, .. } = delivery;
            assert!(self.settled.contains(&position) || has_row, "a restart forgets position {position}");
        }
    }

    /// From now on everything works.
    fn drain(&mut self) {
        for _ in 0..10 * (self.journal.len() + 10) {
            self.act(Act::Read(7));
            self.act(Act::Start(3));
            self.act(Act::Finish { which: 0, is_taken: true });
            self.act(Act::Save);
            if self.under_way.is_empty()
                && let Some(due) = self.lanes.next_due()
            {
                self.now = self.now.max(due);
            }
        }
        let left: Vec<u64> = self.events(0).filter(is_told).map(|it| it.position).collect();
        let left: Vec<_> = left.into_iter().filter(|position| !self.settled.contains(position)).collect();
        assert_eq!(left, Vec::<u64>::new(), "never told");
        assert_eq!((self.cursor, self.rows.len()), (self.journal.len() as u64, 0), "the book is not clean");
        assert_eq!((self.lanes.unsettled(), self.lanes.next_due()), (0, None));
    }
}

fn is_told(delivery: &Delivery) -> bool {
    !delivery.position.is_multiple_of(5)
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1..12_usize).prop_map(Act::Read),
        6 => (1..5_usize).prop_map(Act::Start),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, is_taken)| Act::Finish { which, is_taken }),
        2 => Just(Act::Save),
        3 => (1..40_u64).prop_map(Act::Wait),
        1 => Just(Act::Crash),
    ];
    prop::collection::vec(act, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_told_in_order(accounts in prop::collection::vec(0..5_u64, 0..60), acts in acts()) {
        let accounts = accounts.into_iter().map(|index| AccountNumber::from_stored(8_618_210_000 + index).unwrap());
        let mut model = Model::new(accounts.collect());
        acts.into_iter().for_each(|act| model.act(act));
        model.drain();
    }
}
