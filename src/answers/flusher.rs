//! Answers that are kept at the same moment share a flush of the store.

use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::Error;
use crate::store::{self, Store};

/// The way to the thread that flushes. Unbounded, because requests are bounded where they are let in.
pub(super) struct Flusher {
    waiting: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Flusher {
    /// Starts the thread. It ends with its last handle, or when the store fails.
    pub(super) fn start(store: Store) -> Result<Flusher, store::Error> {
        let (waiting, queue) = mpsc::unbounded_channel();
        let path = store.path().to_owned();
        let started = thread::Builder::new().name("answers".to_owned()).spawn(move || run(&store, queue));
        started.map_err(|source| store::Error::Io { what: "start a thread for", path, source })?;
        Ok(Flusher { waiting })
    }

    /// Waits until all that was put until now survives a killed process.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let (flushed, on_flushed) = oneshot::channel();
        let _ended = self.waiting.send(flushed);
        on_flushed.await.map_err(|_| Error::NotKept)
    }
}

/// Flushes once for all that wait. While that goes on the next ones gather.
fn run(store: &Store, mut queue: mpsc::UnboundedReceiver<oneshot::Sender<()>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut waiting = vec![first];
        while let Ok(more) = queue.try_recv() {
            waiting.push(more);
        }
        if let Err(error) = store.flush() {
            // Final: the journal finds the same at its next append. Those who wait are told by being dropped.
            tracing::error!(%error, "answers could not be kept");
            return;
        }
        for flushed in waiting {
            let _gone = flushed.send(());
        }
    }
}
