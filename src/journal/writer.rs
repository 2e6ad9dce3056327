//! The one thread that appends.
//!
//! It takes all waiting appends, checks each against the stream heads, fills blocks and makes them durable. After that,
//! it calls `on_commit` and answers the appenders. It never waits for more appends: they queue up for the next block
//! while this one becomes durable.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::block::{self, BlockBuilder};
use super::journal_event::JournalEvent;
use super::merkle_tree::{MerkleTree, TreeHash};
use super::record::{JournalRecord, Origin, SequenceInfo, StreamId, UnsequencedRecord};
use super::stream_heads::StreamHead;
use super::{AppendRequest, CommitCallback, Error, JournalShared};
use crate::domain::{AuditLogEntry, Timestamp};
use crate::limits::{BLOCK_BYTES, BLOCK_FILL_BYTES, BLOCK_RECORDS, COMMIT_MIN_BYTES, PAYLOAD_BYTES};
use crate::store;

/// The answer that an appender receives.
pub(super) type AppendResult = Result<Vec<JournalRecord>, Error>;

/// Sends appends to the writer. Cheap to clone. The queue is unbounded, because the intake of commands already limits
/// the work in progress.
#[derive(Clone)]
pub(super) struct WriterQueue {
    sender: mpsc::UnboundedSender<Vec<QueuedAppend>>,
}

/// The receiving end of the queue.
pub(super) type WriterQueueReceiver = mpsc::UnboundedReceiver<Vec<QueuedAppend>>;

/// An append that waits for the writer.
pub(super) struct QueuedAppend {
    stream: StreamId,
    /// `None` accepts any version.
    expected_version: Option<u64>,
    events: Vec<JournalEvent>,
    unsequenced: Vec<UnsequencedRecord>,
    origin: Origin,
    at: Timestamp,
    result_sender: oneshot::Sender<AppendResult>,
}

/// An append that has its positions but is not durable yet.
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
    /// The appends in these blocks and in the current block.
    uncommitted: Vec<UncommittedAppend>,
    /// The heads as they will be once these blocks are durable.
    uncommitted_heads: HashMap<StreamId, StreamHead>,
    /// The roots of the subtrees that these blocks complete.
    subtree_roots: Vec<TreeHash>,
}

impl WriterQueue {
    /// Creates the queue and its receiving end.
    pub(super) fn new() -> (WriterQueue, WriterQueueReceiver) {
        let (sender, queued) = mpsc::unbounded_channel();
        (WriterQueue { sender }, queued)
    }

    /// Queues appends behind those already waiting, in this order. A writer that has ended drops them; their
    /// appenders then get [`Error::Closed`].
    pub(super) fn send(&self, waiting: Vec<QueuedAppend>) {
        let _ended = self.sender.send(waiting);
    }
}

impl QueuedAppend {
    /// Events of an account.
    pub(super) fn new(append: AppendRequest) -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        let AppendRequest { account, expected_version, events, origin, at } = append;
        let events = events.into_iter().map(JournalEvent::Account).collect();
        QueuedAppend::encode(StreamId::Account(account), Some(expected_version), events, origin, at)
    }

    /// An administrative event.
    pub(super) fn for_administrative_event(
        entry: AuditLogEntry,
        origin: Origin,
        at: Timestamp,
    ) -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        QueuedAppend::encode(StreamId::Administration, None, vec![JournalEvent::Administration(entry)], origin, at)
    }

    /// An append without events. It is answered after the next commit.
    pub(super) fn barrier() -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        QueuedAppend::encode(StreamId::Administration, None, vec![], Origin::SERVICE, Timestamp(0))
    }

    /// Encodes the events. Runs on the appender's thread to relieve the writer.
    fn encode(
        stream: StreamId,
        expected_version: Option<u64>,
        events: Vec<JournalEvent>,
        origin: Origin,
        at: Timestamp,
    ) -> Result<(QueuedAppend, oneshot::Receiver<AppendResult>), Error> {
        let drafts: Vec<UnsequencedRecord> = events.iter().map(UnsequencedRecord::new).collect();
        // A larger payload could be written but not read back.
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
            QueuedAppend { stream, expected_version, events, unsequenced: drafts, origin, at, result_sender: answer },
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

    /// Appends until all handles are dropped or the store fails.
    pub(super) fn run(mut self, mut queue: WriterQueueReceiver) {
        while let Some(first) = queue.blocking_recv() {
            let outcome = self.write_queued(first, &mut queue);
            if let Err(error) = outcome {
                // Dropping the waiting appends answers them with `Closed`. The events of
                // the failed block may be durable (see `Journal::append`), those still queued never are.
                queue.close();
                self.shared.fail(Error::Store(error));
                return;
            }
        }
    }

    /// Takes the waiting appends and commits them, in as many blocks as needed.
    fn write_queued(&mut self, first: Vec<QueuedAppend>, queue: &mut WriterQueueReceiver) -> Result<(), store::Error> {
        let mut next = Some(first);
        while let Some(batch) = next {
            for waiting in batch {
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

    /// Assigns positions in the current block to the records of one append, or rejects the append.
    fn sequence_append(&mut self, waiting: QueuedAppend) {
        let QueuedAppend { stream, expected_version, events, unsequenced: drafts, origin, at, result_sender: answer } =
            waiting;
        let mut head = self.uncommitted_heads.get(&stream).copied().unwrap_or_else(|| self.shared.heads.get(stream));
        if let Some(expected) = expected_version.filter(|expected| *expected != head.version) {
            let _gone = answer.send(Err(Error::Conflict { stream, expected, actual: head.version }));
            return;
        }
        let mut records = Vec::with_capacity(events.len());
        for (event, draft) in events.into_iter().zip(&drafts) {
            let sequence = SequenceInfo {
                stream,
                position: self.next_position,
                version: head.version + 1,
                previous: head.position,
                at,
                origin,
            };
            self.subtree_roots.extend(self.block.push(&mut self.tree, |out| draft.encode_into(&sequence, out)));
            head = StreamHead { position: sequence.position, version: sequence.version };
            self.next_position += 1;
            let SequenceInfo { position, version, previous, .. } = sequence;
            records.push(JournalRecord {
                position,
                stream,
                version,
                previous,
                at,
                origin,
                schema: draft.schema,
                event,
            });
        }
        if !records.is_empty() {
            self.uncommitted_heads.insert(stream, head);
        }
        self.uncommitted.push(UncommittedAppend { records, result_sender: answer });
    }

    /// Finishes the current block unless it is empty.
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

    /// Makes the finished blocks durable. Then updates the heads, calls `on_commit` and answers the appenders, in
    /// this order.
    fn commit(&mut self) -> Result<(), store::Error> {
        let begun = Instant::now();
        self.shared.store.append(&self.finished_blocks)?;
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
        // Count before answering, so that a caller sees its own events in `/metrics`.
        let metrics = self.shared.store.metrics();
        for record in self.uncommitted.iter().flat_map(|placed| &placed.records) {
            record.event.event_type().map(|event_type| metrics.events.with(event_type).inc());
        }
        metrics.commit_seconds.observe_duration(begun.elapsed());
        for UncommittedAppend { records, result_sender: answer } in self.uncommitted.drain(..) {
            // The appender may have stopped waiting. Its event is durable all the same.
            let _gone = answer.send(Ok(records));
        }
        Ok(())
    }
}
