//! The journal: every account event and every administrative event, in one total order. Records are never deleted.
//!
//! | file | what it knows |
//! |---|---|
//! | `record` | one event as bytes: a fixed header that every later version can read, and a payload |
//! | `journal_event` | what a record holds: an event of an account, an administrative one, or an unknown one |
//! | `event_codec` | payloads of account events, in frozen versions that it converts to the current events. Uses bincode |
//! | `administrative_event_codec` | payloads of administrative events |
//! | `administrative_event_payloads` | the frozen versions of those payloads. Uses bincode |
//! | `administrative_codes` | the numbers in those payloads |
//! | `content_codec` | the payload of an account's imported content, with its versions. Uses bincode |
//! | `payload` | payloads as bytes, through bincode |
//! | `generations` | where each generation of the log began, and which ids are part of its history |
//! | `block` | records that are committed together: written whole or not at all |
//! | `merkle_tree` | the tree hash over all records (RFC 6962); each block stores its root |
//! | `merkle_proof` | creation and verification of proofs over that tree |
//! | `stream_heads` | where each stream ends, and the startup checkpoint |
//! | `writer` | the one thread that appends |
//! | `append_batch` | appends whose order is reserved before their events are decided |
//! | `read` | reads by position and by account |
//! | `scan` | scans over all records; only the requested records are decoded |
//! | `snapshot` | encoded account states: a cache. Uses bincode |
//! | `verify` | verification of every record in one pass |
//! | `restore` | restores blocks into an empty store |
//! | `fuzz` | fuzz targets of the decoders; only tests compile it |

mod administrative_codes;
mod administrative_event_codec;
mod administrative_event_payloads;
mod append_batch;
mod block;
mod content_codec;
mod event_codec;
mod generations;
mod journal_event;
mod merkle_proof;
mod merkle_tree;
mod payload;
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
pub use generations::{GenerationStart, Generations, LostPosition};
pub use journal_event::{JournalEvent, UnknownEvent};
pub use merkle_proof::{MerkleProof, root_from_inclusion_proof, verify_consistency};
pub use merkle_tree::Root;
pub use record::{JournalRecord, Origin, Principal, RequestId, RequesterIdentity, StreamId};
pub use restore::{JournalRestorer, RestoredJournal, count_records};
pub use scan::RecordHeader;
pub use stream_heads::StreamHead;
pub use verify::JournalVerification;

use crate::domain::{AccountNumber, AdministrativeEventType, AuditLogEntry, Event, EventId, Timestamp};
use crate::metrics::Metrics;
use crate::store::{self, Store, StoreId};
use block::Block;
use merkle_tree::{MerkleTree, TreeHash};
use read::damaged;
pub use read::{decode_as_unknown, decode_record, require_account_event};
use stream_heads::{StartupCheckpoint, StreamHeads};
use writer::{JournalWriter, QueuedAppend, WriterQueue};

/// An open journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<JournalShared>,
    queue: WriterQueue,
}

/// Events of one account, appended together or not at all.
#[derive(Debug)]
pub struct AppendRequest {
    /// The account that the events belong to.
    pub account: AccountNumber,
    /// The account's version when the events were decided; 0 if the account has no events.
    pub expected_version: u64,
    /// The events. If empty, nothing is appended.
    pub events: Vec<Event>,
    /// Who sent the request.
    pub origin: Origin,
    /// The time of the events.
    pub at: Timestamp,
}

/// Why an append or a read failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another append to this stream came first. Load the account again and decide again.
    #[error("{stream:?} is at version {actual}, not {expected}: load it again and decide again")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that the caller expected.
        expected: u64,
        /// The stream's current version.
        actual: u64,
    },
    /// The events of one append do not fit into a block.
    #[error("{bytes} bytes of events in one append are more than the limit of {limit}")]
    TooLarge {
        /// Size of the events in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Stored bytes differ from what was written.
    #[error("the journal is damaged at position {position}: {what}; restore it from a backup")]
    Damaged {
        /// The first position that cannot be trusted.
        position: u64,
        /// What is wrong at that position.
        what: String,
    },
    /// A newer program wrote the record.
    #[error(
        "position {position} has event type {event_type} version {schema}, which this program does not know; use the \
         program that wrote it, or a newer one"
    )]
    UnknownEvent {
        /// Position of the record.
        position: u64,
        /// The registered number of its event type.
        event_type: u16,
        /// The version of its payload.
        schema: u16,
    },
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The writer has ended because the store failed or the service is stopping. Final.
    #[error("the journal is closed")]
    Closed,
}

/// Called with the records of each append, in order: after they are durable and before the appender gets its answer.
pub type CommitCallback = Box<dyn FnMut(&[JournalRecord]) + Send>;

/// The name under which the store caches the startup checkpoint.
const STARTUP_CHECKPOINT: &str = "heads";

/// State that the handles and the writer share.
struct JournalShared {
    store: Store,
    heads: StreamHeads,
    /// A durable position, and the tree over the records up to it.
    tree: Mutex<(u64, MerkleTree)>,
    /// The roots of the complete subtrees. For a short time it may hold roots of subtrees that `tree` does not contain
    /// yet.
    subtree_roots: RwLock<Vec<TreeHash>>,
    /// The generations of the log. A running journal begins none.
    generations: Generations,
    /// The position of the last durable record.
    durable_position: watch::Sender<u64>,
    /// The error that ended the writer. `None` while it runs and after an orderly end.
    failure: watch::Sender<Option<Arc<Error>>>,
}

impl Journal {
    /// Opens the journal in `store` and starts its writer. `on_commit` is called for each append from now on.
    pub fn open(store: Store, on_commit: CommitCallback) -> Result<Journal, Error> {
        let checkpoint =
            store.load_cache(STARTUP_CHECKPOINT).and_then(|bytes| StartupCheckpoint::decode(&bytes, store.id()));
        let mut found = checkpoint.unwrap_or_else(StartupCheckpoint::empty);
        replay_tail(&store, &mut found)?;
        let StartupCheckpoint { position, tree, subtree_roots, heads, generations } = found;
        let shared = Arc::new(JournalShared {
            store,
            heads,
            tree: Mutex::new((position, tree.clone())),
            subtree_roots: RwLock::new(subtree_roots),
            generations,
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

    /// Appends events of one account. They are durable when this returns. After an error they are not in the journal,
    /// with one exception: after [`Error::Closed`] they may be, and only the next start shows it.
    pub async fn append(&self, append: AppendRequest) -> Result<Vec<JournalRecord>, Error> {
        // An append without events has no block to wait for.
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        let (queued, result) = QueuedAppend::new(append)?;
        self.queue.send(vec![queued]);
        result.await.map_err(|_| Error::Closed)?
    }

    /// Appends an administrative event. Like [`append`](Journal::append), but without a version check.
    pub async fn append_administrative_event(
        &self,
        entry: AuditLogEntry,
        origin: Origin,
        at: Timestamp,
    ) -> Result<Vec<JournalRecord>, Error> {
        let (queued, result) = QueuedAppend::for_administrative_event(entry, origin, at)?;
        self.queue.send(vec![queued]);
        result.await.map_err(|_| Error::Closed)?
    }

    /// Waits until all earlier writes to the store's tables are durable. Shares a commit with waiting appends.
    pub async fn sync(&self) -> Result<(), Error> {
        let (queued, result) = QueuedAppend::barrier()?;
        self.queue.send(vec![queued]);
        result.await.map_err(|_| Error::Closed)?.map(drop)
    }

    /// The position of the last durable event; 0 for none.
    pub fn head(&self) -> u64 {
        *self.shared.durable_position.borrow()
    }

    /// Watches the position of the last durable event.
    pub fn subscribe_head(&self) -> watch::Receiver<u64> {
        self.shared.durable_position.subscribe()
    }

    /// How many accounts have events.
    pub fn account_count(&self) -> usize {
        self.shared.heads.account_count()
    }

    /// The position of the last durable event, and the root of the tree over all events up to it.
    pub fn root(&self) -> (u64, Root) {
        let tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
        (tree.0, tree.1.root())
    }

    /// The generations of this log.
    pub fn generations(&self) -> &Generations {
        &self.shared.generations
    }

    /// The id of the event at `position`.
    pub fn event_id(&self, position: u64) -> EventId {
        self.generations().event_id(position)
    }

    /// The position of the event with this id.
    pub fn position_of(&self, id: EventId) -> Result<u64, LostPosition> {
        self.generations().position_of(id, self.head())
    }

    /// Like [`position_of`](Journal::position_of), for a range or a search: also beyond the end of the log.
    pub fn position_in_history(&self, id: EventId) -> Result<u64, LostPosition> {
        self.generations().position_in_history(id, self.head())
    }

    /// The store that holds this journal, for tables derived from it.
    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Bytes on disk used by the store that holds this journal.
    pub fn store_bytes(&self) -> Result<u64, Error> {
        Ok(self.shared.store.disk_bytes()?)
    }

    /// The id of the store that holds this journal.
    pub fn store_id(&self) -> StoreId {
        self.shared.store.id()
    }

    /// The metrics that this journal updates.
    pub fn metrics(&self) -> &Metrics {
        self.shared.store.metrics()
    }

    /// Updates the gauges for the position and for the store's size on disk.
    pub fn update_metrics(&self) {
        self.metrics().position.set(self.head());
        // Readers and writers report a failed store themselves.
        if let Ok(bytes) = self.shared.store.disk_bytes() {
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

    /// Saves the startup checkpoint, so that the next start reads only the records after it. Blocks for a disk write.
    pub fn save_startup_checkpoint(&self) -> Result<(), Error> {
        let (position, tree) = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bytes = {
            let roots = self.shared.subtree_roots.read().unwrap_or_else(PoisonError::into_inner);
            let JournalShared { store, heads, generations, .. } = &*self.shared;
            StartupCheckpoint::encode(store.id(), position, &tree, &roots, generations, heads)
        };
        Ok(self.shared.store.save_cache(STARTUP_CHECKPOINT, &bytes)?)
    }
}

impl Error {
    /// The first position that cannot be trusted. `u64::MAX` for errors without a position.
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

/// Applies the records after the checkpoint's position, up to the end of the journal.
fn replay_tail(store: &Store, checkpoint: &mut StartupCheckpoint) -> Result<(), Error> {
    let last = match store.block_at(u64::MAX)? {
        Some((first, bytes)) => first + Block::decode(&bytes).map_err(|what| damaged(first, what))?.count() - 1,
        None => 0,
    };
    let seen = checkpoint.position.max(store.high_water_mark());
    if last < seen {
        return Err(damaged(last + 1, &format!("it ends at position {last}, but position {seen} existed before")));
    }
    // A checkpoint is taken after a commit, so its position is the end of a block. Whole blocks can be read from
    // there.
    for entry in store.blocks_from(checkpoint.position + 1) {
        let (first, bytes) = entry?;
        if first != checkpoint.position + 1 {
            return Err(damaged(checkpoint.position + 1, "a block is missing"));
        }
        let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
        for (record, position) in block.records().zip(first..) {
            let (header, _) = record::split_header(record).map_err(|what| damaged(position, what))?;
            if header.event_type == AdministrativeEventType::GenerationBegun.definition().number {
                let record = read::decode_at(record, position)?;
                let begun = checkpoint.generations.observe(&record, |root| root == checkpoint.tree.root());
                begun.map_err(|what| damaged(position, what))?;
            }
            checkpoint.heads.set(header.sequence.stream, StreamHead { position, version: header.sequence.version });
            checkpoint.subtree_roots.extend(checkpoint.tree.push(record));
        }
        checkpoint.position += block.count();
        if block.root() != checkpoint.tree.root() {
            return Err(damaged(first, "a block's root does not match the records up to it"));
        }
    }
    if last == checkpoint.position { Ok(()) } else { Err(damaged(checkpoint.position + 1, "a block is missing")) }
}

#[cfg(test)]
pub(crate) mod tests;
