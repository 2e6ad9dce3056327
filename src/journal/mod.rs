//! The journal: every event of every account, and what was done to the service, in one order, for ever.
//!
//! | file | what it knows |
//! |---|---|
//! | `record` | one event as bytes: a fixed header, readable for ever, and a payload |
//! | `event_codec` | the payloads: registered types, frozen versions, upcasts. Only it and `acts` know bincode |
//! | `administrative_event_codec` | the payloads of what is done to the service itself |
//! | `block` | records that were committed together: the unit that is written, whole or not at all |
//! | `merkle_tree` | the tree hash over all records (RFC 6962), whose root stands in each block |
//! | `merkle_proof` | proofs over that tree, made and checked |
//! | `stream_heads` | where each history ends |
//! | `writer` | the one thread that appends |
//! | `append_batch` | appends whose order is known before they are |
//! | `read` | by position and by account |
//! | `scan` | over everything, decoding no more than what is asked for |
//! | `snapshot` | an account's state as bytes: a cache |
//! | `verify` | one pass over everything |
//! | `restore` | block by block into an empty store |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod administrative_event_codec;
mod append_batch;
mod block;
mod event_codec;
mod merkle_proof;
mod merkle_tree;
mod read;
mod record;
mod restore;
mod scan;
mod snapshot;
mod stream_heads;
mod verify;
mod writer;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use tokio::sync::watch;

pub use append_batch::AppendSlot;
pub use event_codec::event_type_names;
pub use merkle_proof::{MerkleProof, root_from_inclusion_proof, verify_consistency};
pub use merkle_tree::Root;
pub use record::{
    JournalEvent, JournalRecord, Origin, Principal, RequestId, RequesterIdentity, StreamId, UnknownEvent,
};
pub use restore::{JournalRestorer, count_records};
pub use scan::RecordHeader;
pub use stream_heads::StreamHead;
pub use verify::JournalVerification;

use crate::domain::{AccountNumber, AuditLogEntry, Event, Timestamp};
use crate::metrics::Metrics;
use crate::store::{self, Store, StoreId};
use block::Block;
use merkle_tree::{MerkleTree, TreeHash};
use read::damaged;
pub use read::{decode_record, require_account_event};
use stream_heads::{StartupCheckpoint, StreamHeads};
use writer::{JournalWriter, QueuedAppend, WriterQueue};

/// The journal, open. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<JournalShared>,
    queue: WriterQueue,
}

/// Events of one account, to be appended together or not at all.
#[derive(Debug)]
pub struct AppendRequest {
    /// Whose.
    pub account: AccountNumber,
    /// The version that the account had when this was decided; 0 if nothing had happened to it.
    pub expected_version: u64,
    /// What happened; nothing is appended if this is empty.
    pub events: Vec<Event>,
    /// Who asked.
    pub origin: Origin,
    /// When.
    pub at: Timestamp,
}

/// Why an append or a read failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Someone else appended to this account first: load it again, and decide again.
    #[error("{stream:?} is at version {actual}, not {expected}: load it again and decide again")]
    Conflict {
        /// Whose.
        stream: StreamId,
        /// What the appender thought.
        expected: u64,
        /// What is.
        actual: u64,
    },
    /// The events of one append are too large for a block.
    #[error("{bytes} bytes of events in one append are over the limit of {limit}")]
    TooLarge {
        /// Their size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// Stored bytes are not what was written.
    #[error("the journal is damaged at position {position}: {what}; restore it from a backup")]
    Damaged {
        /// The first position that cannot be trusted.
        position: u64,
        /// What is wrong there.
        what: String,
    },
    /// A record was written by a newer program.
    #[error(
        "position {position} holds event type {event_type} version {schema}, which this program does not know; use the program that wrote it, or a newer one"
    )]
    UnknownEvent {
        /// Where.
        position: u64,
        /// The registered number of its type.
        event_type: u16,
        /// The version of its payload.
        schema: u16,
    },
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The writer ended, because the store failed or the service stops. Final.
    #[error("the journal is closed")]
    Closed,
}

/// What is called with each commit, in order, after it is durable and before anyone is answered.
pub type CommitCallback = Box<dyn FnMut(&[JournalRecord]) + Send>;

/// The name of the checkpoint among the store's caches.
const STARTUP_CHECKPOINT: &str = "heads";

/// What the handles and the writer share.
struct JournalShared {
    store: Store,
    heads: StreamHeads,
    /// The tree at a durable position.
    tree: Mutex<(u64, MerkleTree)>,
    /// The roots of its complete runs; there may be more of them for a moment.
    subtree_roots: RwLock<Vec<TreeHash>>,
    /// The position of the last durable record.
    durable_position: watch::Sender<u64>,
    /// Why the writer ended, if it did not end in peace.
    failure: watch::Sender<Option<Arc<Error>>>,
}

impl Journal {
    /// Opens the journal in `store` and starts its writer. `on_commit` sees each append that is made from now on.
    pub fn open(store: Store, on_commit: CommitCallback) -> Result<Journal, Error> {
        let checkpoint =
            store.load_cache(STARTUP_CHECKPOINT).and_then(|bytes| StartupCheckpoint::decode(&bytes, store.id()));
        let mut found = checkpoint.unwrap_or_else(StartupCheckpoint::empty);
        replay_tail(&store, &mut found)?;
        let StartupCheckpoint { position, tree, subtree_roots: runs, heads } = found;
        let shared = Arc::new(JournalShared {
            store,
            heads,
            tree: Mutex::new((position, tree.clone())),
            subtree_roots: RwLock::new(runs),
            durable_position: watch::Sender::new(position),
            failure: watch::Sender::new(None),
        });
        let (queue, waiting) = WriterQueue::new();
        let writer = JournalWriter::new(shared.clone(), on_commit, tree, position + 1);
        thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(waiting)).map_err(|source| {
            store::Error::Io { what: "start a thread for", path: shared.store.path().into(), source: source.into() }
        })?;
        Ok(Journal { shared, queue })
    }

    /// Appends events of one account. They are durable when this returns; on any error none of them is there, except
    /// on [`Error::Closed`], when only the next start can tell.
    pub async fn append(&self, append: AppendRequest) -> Result<Vec<JournalRecord>, Error> {
        // The writer answers with the block that the events are in; without events there is none to wait for.
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        let (waiting, answered) = QueuedAppend::new(append)?;
        self.queue.send(vec![waiting]);
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Records what was done to the service itself. As [`append`](Journal::append), whatever was recorded before.
    pub async fn append_administrative_event(
        &self,
        act: AuditLogEntry,
        origin: Origin,
        at: Timestamp,
    ) -> Result<Vec<JournalRecord>, Error> {
        let (waiting, answered) = QueuedAppend::for_administrative_event(act, origin, at)?;
        self.queue.send(vec![waiting]);
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Waits until all that was put into the store's tables until now is durable. Shares a commit with what is appended.
    pub async fn sync(&self) -> Result<(), Error> {
        let (waiting, answered) = QueuedAppend::barrier()?;
        self.queue.send(vec![waiting]);
        answered.await.map_err(|_| Error::Closed)?.map(drop)
    }

    /// The position of the last durable event; 0 for none.
    pub fn head(&self) -> u64 {
        *self.shared.durable_position.borrow()
    }

    /// The head as it moves, to be awaited.
    pub fn subscribe_head(&self) -> watch::Receiver<u64> {
        self.shared.durable_position.subscribe()
    }

    /// How many accounts have a history.
    pub fn account_count(&self) -> usize {
        self.shared.heads.account_count()
    }

    /// The root of the tree over all durable events, and the position of the last of them.
    pub fn root(&self) -> (u64, Root) {
        let tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
        (tree.0, tree.1.root())
    }

    /// The store that this journal is in, for small tables that follow from it.
    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Bytes on the disk of the store that this journal is in.
    pub fn store_bytes(&self) -> Result<u64, Error> {
        Ok(self.shared.store.disk_bytes()?)
    }

    /// The id of the store that this journal is in.
    pub fn store_id(&self) -> StoreId {
        self.shared.store.id()
    }

    /// Where it reports to.
    pub fn metrics(&self) -> &Metrics {
        self.shared.store.metrics()
    }

    /// Reports how long it is, and how large with all that is beside it.
    pub fn update_metrics(&self) {
        self.metrics().position.set(self.head());
        // A store that fails is told where it matters.
        if let Ok(bytes) = self.shared.store.size() {
            self.metrics().store_bytes.set(bytes);
        }
    }

    /// Waits until the journal fails. It cannot be used after that.
    pub async fn wait_for_failure(&self) -> Arc<Error> {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_else(|| Arc::new(Error::Closed)),
            Err(_) => Arc::new(Error::Closed),
        }
    }

    /// Saves what lets the next start read only what comes after. Blocks for a disk write.
    pub fn save_startup_checkpoint(&self) -> Result<(), Error> {
        let (position, tree) = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bytes = {
            let runs = self.shared.subtree_roots.read().unwrap_or_else(PoisonError::into_inner);
            StartupCheckpoint::encode(self.shared.store.id(), position, &tree, &runs, &self.shared.heads)
        };
        Ok(self.shared.store.save_cache(STARTUP_CHECKPOINT, &bytes)?)
    }
}

impl Error {
    /// The first position that cannot be trusted; the last there is, if it is none in particular.
    fn position(&self) -> u64 {
        match self {
            Error::Damaged { position, .. } | Error::UnknownEvent { position, .. } => *position,
            Error::Conflict { .. } | Error::TooLarge { .. } | Error::Store(_) | Error::Closed => u64::MAX,
        }
    }
}

impl JournalShared {
    fn fail(&self, error: Error) {
        self.failure.send_replace(Some(Arc::new(error)));
    }
}

/// Brings a checkpoint to the end of the journal.
fn replay_tail(store: &Store, checkpoint: &mut StartupCheckpoint) -> Result<(), Error> {
    let last = match store.block_at(u64::MAX)? {
        Some((first, bytes)) => first + Block::decode(&bytes).map_err(|what| damaged(first, what))?.count() - 1,
        None => 0,
    };
    let seen = checkpoint.position.max(store.high_water_mark());
    if last < seen {
        return Err(damaged(last + 1, &format!("it ends at position {last}, and position {seen} was there before")));
    }
    // Blocks are read whole: the checkpoint may have been taken after any commit, so it is the end of a block.
    for entry in store.blocks_from(checkpoint.position + 1) {
        let (first, bytes) = entry?;
        if first != checkpoint.position + 1 {
            return Err(damaged(checkpoint.position + 1, "a block is missing"));
        }
        let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
        for (record, position) in block.records().zip(first..) {
            let (header, _) = record::split_header(record).map_err(|what| damaged(position, what))?;
            checkpoint.heads.set(header.sequence.stream, StreamHead { position, version: header.sequence.version });
            checkpoint.subtree_roots.extend(checkpoint.tree.push(record));
        }
        checkpoint.position += block.count();
        if block.root() != checkpoint.tree.root() {
            return Err(damaged(first, "a block's root does not fit the records up to it"));
        }
    }
    if last == checkpoint.position { Ok(()) } else { Err(damaged(checkpoint.position + 1, "a block is missing")) }
}

#[cfg(test)]
mod tests;
