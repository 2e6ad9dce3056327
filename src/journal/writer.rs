//! The one thread that appends.
//!
//! It takes whatever waits, checks each append against the heads, fills blocks, makes each durable, and only then lets
//! anyone know. There is no delay to gather more: while one block is being made durable, the next one gathers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::block::{self, BlockBuilder};
use super::merkle_tree::{MerkleTree, TreeHash};
use super::record::{JournalEvent, JournalRecord, Origin, SequenceInfo, StreamId, UnsequencedRecord};
use super::stream_heads::StreamHead;
use super::{AppendRequest, CommitCallback, Error, JournalShared};
use crate::domain::{AuditLogEntry, Timestamp};
use crate::limits::{BLOCK_BYTES, BLOCK_FILL_BYTES, BLOCK_RECORDS, COMMIT_MIN_BYTES, PAYLOAD_BYTES};
use crate::store;

/// What an appender is told.
pub(super) type AppendResult = Result<Vec<JournalRecord>, Error>;

/// The way to the writer. Unbounded, because what is under way is bounded where commands are let in. Cheap to clone.
#[derive(Clone)]
pub(super) struct WriterQueue {
    sender: mpsc::UnboundedSender<Vec<QueuedAppend>>,
}

/// The other end.
pub(super) type WriterQueueReceiver = mpsc::UnboundedReceiver<Vec<QueuedAppend>>;

/// What waits for the writer.
pub(super) struct QueuedAppend {
    stream: StreamId,
    /// None where any version will do.
    expected_version: Option<u64>,
    events: Vec<JournalEvent>,
    unsequenced: Vec<UnsequencedRecord>,
    origin: Origin,
    at: Timestamp,
    result_sender: oneshot::Sender<AppendResult>,
}

/// An append that has its place and is not durable yet.
struct UncommittedAppend {
    records: Vec<JournalRecord>,
    result_sender: oneshot::Sender<AppendResult>,
}

pub(super) struct JournalWriter {
    shared: Arc<JournalShared>,
    on_commit: CommitCallback,
    tree: MerkleTree,
    /// The position of the next record.
    next_position: u64,
    block: BlockBuilder,
    /// Finished blocks that are not durable yet, each with its first position.
    finished_blocks: Vec<(u64, Vec<u8>)>,
    /// What is in them and in the present block.
    uncommitted: Vec<UncommittedAppend>,
    /// Heads as these blocks will leave them.
    uncommitted_heads: HashMap<StreamId, StreamHead>,
    /// The roots of the runs that these blocks complete.
    subtree_roots: Vec<TreeHash>,
}

impl WriterQueue {
    /// Both ends.
    pub(super) fn new() -> (WriterQueue, WriterQueueReceiver) {
        let (sender, queued) = mpsc::unbounded_channel();
        (WriterQueue { sender }, queued)
    }

    /// Puts what is to be appended behind what waits already, in this order. A writer that has ended drops it, and that
    /// is what its appenders are told.
    pub(super) fn send(&self, waiting: Vec<QueuedAppend>) {
        let _ended = self.sender.send(waiting);
    }
}

impl QueuedAppend {
    /// Events of an account.
    pub(super) fn new(append: AppendRequest) -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        let AppendRequest { account, expected_version, events, origin, at } = append;
        let facts = events.into_iter().map(JournalEvent::Account).collect();
        QueuedAppend::encode(StreamId::Account(account), Some(expected_version), facts, origin, at)
    }

    /// What was done to the service itself.
    pub(super) fn for_administrative_event(
        act: AuditLogEntry,
        origin: Origin,
        at: Timestamp,
    ) -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        QueuedAppend::encode(StreamId::Administration, None, vec![JournalEvent::Administration(act)], origin, at)
    }

    /// Nothing, which waits for the next commit all the same.
    pub(super) fn barrier() -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        QueuedAppend::encode(StreamId::Administration, None, vec![], Origin::SERVICE, Timestamp(0))
    }

    /// Encodes the facts, on the appender's side: the writer has enough to do.
    fn encode(
        stream: StreamId,
        expected_version: Option<u64>,
        facts: Vec<JournalEvent>,
        origin: Origin,
        at: Timestamp,
    ) -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        let drafts: Vec<UnsequencedRecord> = facts.iter().map(UnsequencedRecord::new).collect();
        // Beyond this limit a payload could be written but never be read again.
        let largest = drafts.iter().map(|draft| draft.payload.len()).max().unwrap_or(0);
        if largest > PAYLOAD_BYTES {
            return Err(Error::TooLarge { bytes: largest, limit: PAYLOAD_BYTES });
        }
        let bytes = block::HEADER_BYTES + drafts.iter().map(UnsequencedRecord::encoded_len).sum::<usize>();
        if bytes > BLOCK_BYTES || drafts.len() > BLOCK_RECORDS {
            return Err(Error::TooLarge { bytes, limit: BLOCK_BYTES });
        }
        let (answer, answered) = oneshot::channel();
        Ok((
            QueuedAppend {
                stream,
                expected_version,
                events: facts,
                unsequenced: drafts,
                origin,
                at,
                result_sender: answer,
            },
            answered,
        ))
    }

    fn encoded_len(&self) -> usize {
        self.unsequenced.iter().map(UnsequencedRecord::encoded_len).sum()
    }
}

impl JournalWriter {
    pub(super) fn new(
        shared: Arc<JournalShared>,
        on_commit: CommitCallback,
        tree: MerkleTree,
        next_position: u64,
    ) -> JournalWriter {
        let (block, finished_blocks, uncommitted) = (BlockBuilder::default(), Vec::new(), Vec::new());
        let (uncommitted_heads, subtree_roots) = (HashMap::new(), Vec::new());
        JournalWriter {
            shared,
            on_commit,
            tree,
            next_position,
            block,
            finished_blocks,
            uncommitted,
            uncommitted_heads,
            subtree_roots,
        }
    }

    /// Appends until all handles are gone, or the store fails.
    pub(super) fn run(mut self, mut queue: WriterQueueReceiver) {
        while let Some(first) = queue.blocking_recv() {
            let outcome = self.write_queued(first, &mut queue);
            if let Err(error) = outcome {
                // What waits is answered by dropping it: nothing of it is durable, and nothing will be.
                queue.close();
                self.shared.fail(Error::Store(error));
                return;
            }
        }
    }

    /// Takes what waits, commits it, in as many blocks as it needs.
    fn write_queued(&mut self, first: Vec<QueuedAppend>, queue: &mut WriterQueueReceiver) -> Result<(), store::Error> {
        let mut next = Some(first);
        while let Some(line) = next {
            for waiting in line {
                let is_full = self.block.len() + waiting.encoded_len() > BLOCK_FILL_BYTES
                    || self.block.count() + waiting.unsequenced.len() > BLOCK_RECORDS;
                if is_full {
                    self.finish_block();
                }
                if self.finished_blocks.iter().map(|(_, block)| block.len()).sum::<usize>() >= COMMIT_MIN_BYTES {
                    self.commit()?;
                }
                self.sequence_append(waiting);
            }
            next = queue.try_recv().ok();
        }
        self.finish_block();
        if self.uncommitted.is_empty() { Ok(()) } else { self.commit() }
    }

    /// Gives the records of one append their places in the present block, or refuses it.
    fn sequence_append(&mut self, waiting: QueuedAppend) {
        let QueuedAppend {
            stream,
            expected_version,
            events: facts,
            unsequenced: drafts,
            origin,
            at,
            result_sender: answer,
        } = waiting;
        let mut head = self.uncommitted_heads.get(&stream).copied().unwrap_or_else(|| self.shared.heads.get(stream));
        if let Some(expected) = expected_version.filter(|expected| *expected != head.version) {
            let _gone = answer.send(Err(Error::Conflict { stream, expected, actual: head.version }));
            return;
        }
        let mut records = Vec::with_capacity(facts.len());
        for (fact, draft) in facts.into_iter().zip(&drafts) {
            let place = SequenceInfo {
                stream,
                position: self.next_position,
                version: head.version + 1,
                previous: head.position,
                at,
                origin,
            };
            self.subtree_roots.extend(self.block.push(&mut self.tree, |out| draft.encode_into(&place, out)));
            head = StreamHead { position: place.position, version: place.version };
            self.next_position += 1;
            let SequenceInfo { position, version, previous, .. } = place;
            records.push(JournalRecord { position, stream, version, previous, at, origin, event: fact });
        }
        if !records.is_empty() {
            self.uncommitted_heads.insert(stream, head);
        }
        self.uncommitted.push(UncommittedAppend { records, result_sender: answer });
    }

    /// Closes the present block, if there is anything in it.
    fn finish_block(&mut self) {
        if !self.block.is_empty() {
            let first = self.next_position - self.block.count() as u64;
            let metrics = self.shared.store.metrics();
            metrics.block_events.observe(self.block.count() as u64);
            let block = self.block.finish(self.tree.root());
            metrics.block_bytes.observe(block.len() as u64);
            self.finished_blocks.push((first, block));
        }
    }

    /// Makes the finished blocks durable, then lets heads, projections and appenders know, in this order.
    fn commit(&mut self) -> Result<(), store::Error> {
        let begun = Instant::now();
        self.shared.store.append(&self.finished_blocks)?;
        self.shared.store.set_high_water_mark(self.next_position - 1)?;
        self.finished_blocks.clear();
        for (stream, head) in self.uncommitted_heads.drain() {
            self.shared.heads.set(stream, head);
        }
        if !self.subtree_roots.is_empty() {
            self.shared.subtree_roots.write().unwrap_or_else(PoisonError::into_inner).append(&mut self.subtree_roots);
        }
        *self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner) = (self.next_position - 1, self.tree.clone());
        for placed in self.uncommitted.iter().filter(|placed| !placed.records.is_empty()) {
            (self.on_commit)(&placed.records);
        }
        self.shared.durable_position.send_replace(self.next_position - 1);
        // Before anyone is answered, so that whoever is finds it counted.
        let metrics = self.shared.store.metrics();
        for record in self.uncommitted.iter().flat_map(|placed| &placed.records) {
            record.event.metric_event_type().map(|event_type| metrics.events.with(event_type).inc());
        }
        metrics.commit_seconds.observe_duration(begun.elapsed());
        for UncommittedAppend { records, result_sender: answer } in self.uncommitted.drain(..) {
            // An appender that no longer waits was told nothing; its event happened all the same.
            let _gone = answer.send(Ok(records));
        }
        Ok(())
    }
}
