//! What is told to receivers: every transition of every account, in each account's own order, until they have it.
//!
//! | file | what it knows |
//! |---|---|
//! | `dispatcher` | the task of one channel: reads the journal, starts attempts, writes down what comes of them |
//! | `lanes` | which delivery may be tried when: order, retries, dead letters. Pure |
//! | `delivery` | what one event tells a receiver, and under which id |
//! | `client` | one attempt, before one deadline |
//! | `signature` | how a receiver knows that it is ours. Pure |
//! | `verdict` | what a receiver's answer means. Pure |
//! | `book` | what a channel remembers over a restart |
//!
//! The journal is the outbox: nothing is queued a second time. Each channel has a cursor in it, and each account whose
//! delivery failed has a row that says where it stands. Delivery is at least once: after a crash the last moments are
//! sent again, under the same ids.

mod book;
mod client;
mod delivery;
mod dispatcher;
mod lanes;
pub mod signature;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::domain::Channel;
use crate::journal::{self, Journal};
use crate::store::{self, Store};
use book::Book;
use client::Client;
use delivery::Form;
use dispatcher::Dispatcher;
use lanes::Lanes;

/// The webhooks, running.
pub struct Webhooks {
    tasks: TaskTracker,
    failure: watch::Sender<Option<Arc<Error>>>,
}

/// Why webhooks cannot go on. Final.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of a receiver is none.
    #[error("the URL of {channel} is malformed: {source}")]
    Url {
        /// The configuration id of the channel.
        channel: &'static str,
        /// What went wrong.
        source: url::ParseError,
    },
    /// The client cannot be made.
    #[error("the client for receivers cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A part of the work panicked.
    #[error("a task of the webhooks failed: {0}")]
    Panicked(#[from] JoinError),
    /// The task that reads the journal is gone.
    #[error("the task that reads the journal for webhooks ended")]
    ReaderEnded,
}

impl Webhooks {
    /// Starts the channels that have a receiver, each where it stood. Needs a tokio runtime around it.
    pub fn start(
        store: &Store,
        journal: &Journal,
        settings: &config::Webhooks,
        stop: &CancellationToken,
    ) -> Result<Webhooks, Error> {
        let (tasks, failure) = (TaskTracker::new(), watch::Sender::new(None));
        for channel in Channel::ALL {
            let Some(dispatcher) = open(channel, store, journal, settings)? else { continue };
            let (stop, failure) = (stop.clone(), failure.clone());
            tasks.spawn(async move {
                if let Err(error) = dispatcher.run(stop).await {
                    failure.send_replace(Some(Arc::new(error)));
                }
            });
        }
        tasks.close();
        Ok(Webhooks { tasks, failure })
    }

    /// Waits until the webhooks fail.
    pub async fn failed(&self) -> Arc<Error> {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_else(|| Arc::new(Error::ReaderEnded)),
            // Whoever asks holds the sender.
            Err(_) => Arc::new(Error::ReaderEnded),
        }
    }

    /// Waits for the channels to end, once they are told to stop.
    pub async fn drain(&self) {
        self.tasks.wait().await;
    }
}

/// A channel as its book has it; none if it has no receiver. One that gets a receiver is told what happens from then.
fn open(
    channel: Channel,
    store: &Store,
    journal: &Journal,
    settings: &config::Webhooks,
) -> Result<Option<Dispatcher>, Error> {
    let book = Book::open(store.clone(), channel);
    let configuration_id = channel.configuration_id();
    let Some(url) = settings.url_of(channel) else {
        if book.close()? {
            tracing::warn!(
                channel = configuration_id,
                "no receiver is configured any more; one that is configured later is told what happens from then"
            );
        }
        return Ok(None);
    };
    let url = url.parse().map_err(|source| Error::Url { channel: configuration_id, source })?;
    // A cursor beyond the end is of a journal that was put back to an earlier backup.
    let cursor = match book.cursor()?.filter(|cursor| *cursor <= journal.head()) {
        Some(cursor) => cursor,
        None => {
            book.set_cursor(journal.head())?;
            journal.head()
        }
    };
    let rows = book.rows()?;
    tracing::info!(channel = configuration_id, cursor, waiting = rows.len(), "a receiver is configured");
    Ok(Some(Dispatcher {
        form: Form { channel, store: store.id(), status_as_string: settings.register_status_as_string },
        journal: journal.clone(),
        book,
        lanes: Lanes::new(settings.retry_waits.clone(), cursor, rows),
        client: Arc::new(Client::new(url, settings)?),
        max_in_flight: settings.max_in_flight,
        saved: cursor,
    }))
}
