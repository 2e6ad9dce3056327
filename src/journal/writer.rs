//! The one thread that appends.
//!
//! It takes whatever waits, checks each append against the heads, fills blocks, makes each durable, and only then lets
//! anyone know. There is no delay to gather more: while one block is being made durable, the next one gathers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::block::{self, Builder};
use super::heads::Head;
use super::record::{Draft, Place, Recorded};
use super::tree::Tree;
use super::{Append, Error, OnCommit, Shared};
use crate::domain::AccountNumber;
use crate::limits::{BLOCK_BYTES, BLOCK_RECORDS};
use crate::store;

/// What waits for the writer.
pub(super) struct Waiting {
    append: Append,
    drafts: Vec<Draft>,
    answer: oneshot::Sender<Result<Vec<Recorded>, Error>>,
}

/// An append that is in the present block.
struct Placed {
    records: Vec<Recorded>,
    answer: oneshot::Sender<Result<Vec<Recorded>, Error>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    on_commit: OnCommit,
    tree: Tree,
    /// The position of the next record.
    next: u64,
    block: Builder,
    placed: Vec<Placed>,
    /// Heads as the present block will leave them.
    ahead: HashMap<AccountNumber, Head>,
}

impl Waiting {
    /// Encodes the events, on the appender's side: the writer has enough to do.
    pub(super) fn new(
        append: Append,
    ) -> Result<(Waiting, oneshot::Receiver<Result<Vec<Recorded>, Error>>), Error> {
        let drafts: Vec<Draft> = append.events.iter().map(Draft::new).collect();
        let bytes = block::HEADER_BYTES + drafts.iter().map(Draft::record_bytes).sum::<usize>();
        if bytes > BLOCK_BYTES || drafts.len() > BLOCK_RECORDS {
            return Err(Error::TooLarge { bytes, limit: BLOCK_BYTES });
        }
        let (answer, answered) = oneshot::channel();
        Ok((Waiting { append, drafts, answer }, answered))
    }

    fn record_bytes(&self) -> usize {
        self.drafts.iter().map(Draft::record_bytes).sum()
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, on_commit: OnCommit, tree: Tree, next: u64) -> Writer {
        let (block, placed, ahead) = (Builder::default(), Vec::new(), HashMap::new());
        Writer { shared, on_commit, tree, next, block, placed, ahead }
    }

    /// Appends until all handles are gone, or the store fails.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
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
    fn gather(&mut self, first: Waiting, queue: &mut mpsc::Receiver<Waiting>) -> Result<(), store::Error> {
        let mut next = Some(first);
        while let Some(waiting) = next {
            let is_full = self.block.len() + waiting.record_bytes() > BLOCK_BYTES
                || self.block.count() + waiting.drafts.len() > BLOCK_RECORDS;
            if is_full && !self.block.is_empty() {
                self.commit()?;
            }
            self.place(waiting);
            next = queue.try_recv().ok();
        }
        if self.block.is_empty() { Ok(()) } else { self.commit() }
    }

    /// Gives the records of one append their places in the present block, or refuses it.
    fn place(&mut self, waiting: Waiting) {
        let Waiting { append: Append { account, expected_version: expected, events, origin, at }, drafts, answer } =
            waiting;
        let mut head = self.ahead.get(&account).copied().unwrap_or_else(|| self.shared.heads.get(account));
        if head.version != expected {
            let _gone = answer.send(Err(Error::Conflict { account, expected, actual: head.version }));
            return;
        }
        let mut records = Vec::with_capacity(events.len());
        for (event, draft) in events.into_iter().zip(&drafts) {
            let place =
                Place { account, position: self.next, version: head.version + 1, previous: head.position, at, origin };
            self.block.push(&mut self.tree, |out| draft.write(&place, out));
            head = Head { position: place.position, version: place.version };
            self.next += 1;
            let Place { position, version, previous, .. } = place;
            records.push(Recorded { position, account, version, previous, at, origin, event });
        }
        self.ahead.insert(account, head);
        self.placed.push(Placed { records, answer });
    }

    /// Makes the present block durable, then lets heads, projections and appenders know, in this order.
    fn commit(&mut self) -> Result<(), store::Error> {
        let first = self.next - self.block.count() as u64;
        let block = self.block.finish(self.tree.root());
        self.shared.store.append(first, block)?;
        self.block.clear();
        for (account, head) in self.ahead.drain() {
            self.shared.heads.set(account, head);
        }
        *self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner) = (self.next - 1, self.tree.clone());
        for placed in &self.placed {
            (self.on_commit)(&placed.records);
        }
        self.shared.durable.send_replace(self.next - 1);
        for Placed { records, answer } in self.placed.drain(..) {
            // An appender that no longer waits was told nothing; its event happened all the same.
            let _gone = answer.send(Ok(records));
        }
        Ok(())
    }
}
