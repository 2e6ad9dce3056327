//! The one thread that appends.
//!
//! It takes whatever waits, checks each append against the heads, fills blocks, makes each durable, and only then lets
//! anyone know. There is no delay to gather more: while one block is being made durable, the next one gathers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::block::{self, Builder};
use super::heads::Head;
use super::record::{Draft, Fact, Origin, Place, Recorded, Stream};
use super::tree::{Hash, Tree};
use super::{Append, Error, OnCommit, Shared};
use crate::domain::{Act, Timestamp};
use crate::limits::{BLOCK_BYTES, BLOCK_FILL_BYTES, BLOCK_RECORDS, COMMIT_BYTES, PAYLOAD_BYTES};
use crate::store;

/// What an appender is told.
pub(super) type Answer = Result<Vec<Recorded>, Error>;

/// The way to the writer. Unbounded, because what is under way is bounded where commands are let in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::UnboundedSender<Vec<Waiting>>,
}

/// The other end.
pub(super) type Queued = mpsc::UnboundedReceiver<Vec<Waiting>>;

/// What waits for the writer.
pub(super) struct Waiting {
    stream: Stream,
    /// None where any version will do.
    expected_version: Option<u64>,
    facts: Vec<Fact>,
    drafts: Vec<Draft>,
    origin: Origin,
    at: Timestamp,
    answer: oneshot::Sender<Answer>,
}

/// An append that has its place and is not durable yet.
struct Placed {
    records: Vec<Recorded>,
    answer: oneshot::Sender<Answer>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    on_commit: OnCommit,
    tree: Tree,
    /// The position of the next record.
    next: u64,
    block: Builder,
    /// Finished blocks that are not durable yet, each with its first position.
    finished: Vec<(u64, Vec<u8>)>,
    /// What is in them and in the present block.
    placed: Vec<Placed>,
    /// Heads as these blocks will leave them.
    ahead: HashMap<Stream, Head>,
    /// The roots of the runs that these blocks complete.
    runs: Vec<Hash>,
}

impl Queue {
    /// Both ends.
    pub(super) fn new() -> (Queue, Queued) {
        let (sender, queued) = mpsc::unbounded_channel();
        (Queue { sender }, queued)
    }

    /// Puts what is to be appended behind what waits already, in this order. A writer that has ended drops it, and that
    /// is what its appenders are told.
    pub(super) fn send(&self, waiting: Vec<Waiting>) {
        let _ended = self.sender.send(waiting);
    }
}

impl Waiting {
    /// Events of an account.
    pub(super) fn new(append: Append) -> Result<(Waiting, oneshot::Receiver<Answer>), Error> {
        let Append { account, expected_version, events, origin, at } = append;
        let facts = events.into_iter().map(Fact::Event).collect();
        Waiting::encoded(Stream::Account(account), Some(expected_version), facts, origin, at)
    }

    /// What was done to the service itself.
    pub(super) fn of_act(
        act: Act,
        origin: Origin,
        at: Timestamp,
    ) -> Result<(Waiting, oneshot::Receiver<Answer>), Error> {
        Waiting::encoded(Stream::Administration, None, vec![Fact::Act(act)], origin, at)
    }

    /// Nothing, which waits for the next commit all the same.
    pub(super) fn of_nothing() -> Result<(Waiting, oneshot::Receiver<Answer>), Error> {
        Waiting::encoded(Stream::Administration, None, vec![], Origin::SERVICE, Timestamp(0))
    }

    /// Encodes the facts, on the appender's side: the writer has enough to do.
    fn encoded(
        stream: Stream,
        expected_version: Option<u64>,
        facts: Vec<Fact>,
        origin: Origin,
        at: Timestamp,
    ) -> Result<(Waiting, oneshot::Receiver<Answer>), Error> {
        let drafts: Vec<Draft> = facts.iter().map(Draft::new).collect();
        // Beyond this limit a payload could be written but never be read again.
        let largest = drafts.iter().map(|draft| draft.payload.len()).max().unwrap_or(0);
        if largest > PAYLOAD_BYTES {
            return Err(Error::TooLarge { bytes: largest, limit: PAYLOAD_BYTES });
        }
        let bytes = block::HEADER_BYTES + drafts.iter().map(Draft::record_bytes).sum::<usize>();
        if bytes > BLOCK_BYTES || drafts.len() > BLOCK_RECORDS {
            return Err(Error::TooLarge { bytes, limit: BLOCK_BYTES });
        }
        let (answer, answered) = oneshot::channel();
        Ok((Waiting { stream, expected_version, facts, drafts, origin, at, answer }, answered))
    }

    fn record_bytes(&self) -> usize {
        self.drafts.iter().map(Draft::record_bytes).sum()
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, on_commit: OnCommit, tree: Tree, next: u64) -> Writer {
        let (block, finished, placed) = (Builder::default(), Vec::new(), Vec::new());
        let (ahead, runs) = (HashMap::new(), Vec::new());
        Writer { shared, on_commit, tree, next, block, finished, placed, ahead, runs }
    }

    /// Appends until all handles are gone, or the store fails.
    pub(super) fn run(mut self, mut queue: Queued) {
        while let Some(first) = queue.blocking_recv() {
            let outcome = self.gather(first, &mut queue);
            if let Err(error) = outcome {
                // What waits is answered by dropping it: nothing of it is durable, and nothing will be.
                queue.close();
                self.shared.fail(Error::Store(error));
                return;
            }
        }
    }

    /// Takes what waits, commits it, in as many blocks as it needs.
    fn gather(&mut self, first: Vec<Waiting>, queue: &mut Queued) -> Result<(), store::Error> {
        let mut next = Some(first);
        while let Some(line) = next {
            for waiting in line {
                let is_full = self.block.len() + waiting.record_bytes() > BLOCK_FILL_BYTES
                    || self.block.count() + waiting.drafts.len() > BLOCK_RECORDS;
                if is_full {
                    self.finish_block();
                }
                if self.finished.iter().map(|(_, block)| block.len()).sum::<usize>() >= COMMIT_BYTES {
                    self.commit()?;
                }
                self.place(waiting);
            }
            next = queue.try_recv().ok();
        }
        self.finish_block();
        if self.placed.is_empty() { Ok(()) } else { self.commit() }
    }

    /// Gives the records of one append their places in the present block, or refuses it.
    fn place(&mut self, waiting: Waiting) {
        let Waiting { stream, expected_version, facts, drafts, origin, at, answer } = waiting;
        let mut head = self.ahead.get(&stream).copied().unwrap_or_else(|| self.shared.heads.get(stream));
        if let Some(expected) = expected_version.filter(|expected| *expected != head.version) {
            let _gone = answer.send(Err(Error::Conflict { stream, expected, actual: head.version }));
            return;
        }
        let mut records = Vec::with_capacity(facts.len());
        for (fact, draft) in facts.into_iter().zip(&drafts) {
            let place =
                Place { stream, position: self.next, version: head.version + 1, previous: head.position, at, origin };
            self.runs.extend(self.block.push(&mut self.tree, |out| draft.write(&place, out)));
            head = Head { position: place.position, version: place.version };
            self.next += 1;
            let Place { position, version, previous, .. } = place;
            records.push(Recorded { position, stream, version, previous, at, origin, fact });
        }
        if !records.is_empty() {
            self.ahead.insert(stream, head);
        }
        self.placed.push(Placed { records, answer });
    }

    /// Closes the present block, if there is anything in it.
    fn finish_block(&mut self) {
        if !self.block.is_empty() {
            let first = self.next - self.block.count() as u64;
            let metrics = self.shared.store.metrics();
            metrics.block_events.observe(self.block.count() as u64);
            let block = self.block.finish(self.tree.root());
            metrics.block_bytes.observe(block.len() as u64);
            self.finished.push((first, block));
        }
    }

    /// Makes the finished blocks durable, then lets heads, projections and appenders know, in this order.
    fn commit(&mut self) -> Result<(), store::Error> {
        let begun = Instant::now();
        self.shared.store.append(&self.finished)?;
        self.shared.store.mark_durable(self.next - 1)?;
        self.finished.clear();
        for (stream, head) in self.ahead.drain() {
            self.shared.heads.set(stream, head);
        }
        if !self.runs.is_empty() {
            self.shared.runs.write().unwrap_or_else(PoisonError::into_inner).append(&mut self.runs);
        }
        *self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner) = (self.next - 1, self.tree.clone());
        for placed in self.placed.iter().filter(|placed| !placed.records.is_empty()) {
            (self.on_commit)(&placed.records);
        }
        self.shared.durable.send_replace(self.next - 1);
        // Before anyone is answered, so that whoever is finds it counted.
        let metrics = self.shared.store.metrics();
        for record in self.placed.iter().flat_map(|placed| &placed.records) {
            record.fact.event_type().map(|event_type| metrics.events.at(event_type).inc());
        }
        metrics.commit_seconds.took(begun.elapsed());
        for Placed { records, answer } in self.placed.drain(..) {
            // An appender that no longer waits was told nothing; its event happened all the same.
            let _gone = answer.send(Ok(records));
        }
        Ok(())
    }
}
