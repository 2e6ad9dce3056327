//! What is told to receivers: every transition of every account, in each account's own order, until they have it.
//!
//! | file | what it knows |
//! |---|---|
//! | `management` | what operators change: receivers, secrets, pauses |
//! | `resending` | what operators send again, and the dead letters they drop |
//! | `closing` | what operators drop of a channel without a receiver |
//! | `deliveries` | what became of deliveries, as operators find it |
//! | `figures` | what is measured of a channel |
//! | `views` | what operators see of a channel, an attempt, a dead letter |
//! | `dispatcher` | the task of one channel: obeys orders |
//! | `order` | what it is asked while it runs |
//! | `line` | a channel with a cursor: starts attempts, writes down what comes of them |
//! | `line_orders` | what it does when it is asked |
//! | `reading` | what it reads of the journal |
//! | `lanes` | which delivery may be tried when: order, retries, coalescing. Pure |
//! | `asked` | what operators ask of the lanes. Pure |
//! | `lane` | one account's lane, all of them counted, and the words of `lanes`. Pure |
//! | `waits` | how long after a failed attempt the next one is due, and what is left of it after a start. Pure |
//! | `breaker` | whether the receiver is asked at all. Pure |
//! | `delivery` | what one event tells a receiver, and under which id |
//! | `client` | one attempt, before one deadline |
//! | `traced` | the span of an attempt, and what a receiver is told of it |
//! | `signature` | how a receiver knows that it is ours. Pure |
//! | `verdict` | what a receiver's answer means. Pure |
//! | `trail` | what became of one delivery, attempt by attempt |
//! | `taken` | what was taken at once, many deliveries in one row. Pure |
//! | `retention` | how long attempts are remembered. Pure |
//! | `endpoint` | what is set of a receiver while the service runs |
//! | `book` | what a channel remembers over a restart |
//! | `entries` | the bytes of that. Pure |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! The journal is the outbox: nothing is queued a second time. Each channel has a cursor in it, and each account whose
//! delivery failed has a row that says where it stands. Delivery is at least once: after a crash the last moments are
//! sent again, under the same ids.

mod asked;
mod book;
mod breaker;
mod client;
mod closing;
mod deliveries;
mod delivery;
mod dispatcher;
mod endpoint;
mod entries;
mod figures;
mod lane;
mod lanes;
mod line;
mod line_orders;
mod management;
mod order;
mod reading;
mod resending;
mod retention;
pub mod signature;
mod taken;
mod traced;
mod trail;
mod verdict;
mod views;
mod waits;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::domain::drawn;
pub use closing::Closed;
pub use deliveries::{Asked, DeliveryView, Page};
pub use delivery::{RegistrationBody, StatusBody};
pub use management::Refused;
pub use resending::{Chosen, Letters, Resent};
pub use trail::State;
pub use views::{AttemptView, LetterView, Shown};

use crate::client::{Guard, SetupError};
use crate::domain::Channel;
use crate::journal::{self, Journal};
use crate::limits::{CHANNEL_ORDERS, SENT_AGAIN_SHARE};
use crate::store::{self, Store};
use crate::vault::{self, Vault};
use crate::{clock, config};
use book::Book;
use client::{Client, Receiver};
use delivery::Form;
use dispatcher::Dispatcher;
use endpoint::Endpoint;
use lane::Rules;
use order::Order;

/// The webhooks, running. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
    tasks: TaskTracker,
    failure: watch::Sender<Option<Arc<Error>>>,
}

struct Inner {
    journal: Journal,
    vault: Vault,
    guard: Guard,
    settings: config::Webhooks,
    /// In the order of [`Channel::ALL`].
    desks: [Desk; 2],
}

/// One channel, as others ask it.
struct Desk {
    form: Form,
    book: Book,
    orders: mpsc::Sender<Order>,
    endpoint: RwLock<Arc<Endpoint>>,
    /// Held by whoever changes the endpoint.
    changing: Mutex<()>,
}

/// Why webhooks cannot go on. Final.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be made.
    #[error("the client for receivers cannot be made: {0}")]
    Client(#[from] SetupError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was set of a receiver cannot be sealed or opened.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// A part of the work panicked.
    #[error("a task of the webhooks failed: {0}")]
    Panicked(#[from] JoinError),
    /// The task that reads the journal is gone.
    #[error("the task that reads the journal for webhooks ended")]
    ReaderEnded,
    /// The task of a channel is gone: the service ends.
    #[error("the webhooks have ended")]
    Ended,
}

impl Webhooks {
    /// Starts both channels, each where it stood; what has no receiver waits for one. Needs a tokio runtime around it.
    pub fn start(
        store: &Store,
        journal: &Journal,
        vault: &Vault,
        guard: Guard,
        settings: &config::Webhooks,
        stop: &CancellationToken,
    ) -> Result<Webhooks, Error> {
        let (tasks, failure) = (TaskTracker::new(), watch::Sender::new(None));
        let mut gone = Vec::new();
        let mut open = |channel| -> Result<Desk, Error> {
            let form = Form {
                channel,
                store: store.id(),
                status_as_string: settings.register_status_as_string,
                with_still_waiting: settings.register_still_waiting,
            };
            let book = Book::open(store.clone(), channel);
            let endpoint = Endpoint::kept(channel, vault)?.unwrap_or_default();
            let receiver = receiver_of(&endpoint, channel, &guard, settings)?;
            let (orders, ordered) = mpsc::channel(CHANNEL_ORDERS);
            let (telling, told) = mpsc::channel(1);
            gone.push((channel, told));
            let dispatcher = Dispatcher {
                form,
                journal: journal.clone(),
                book: book.clone(),
                rules: Rules {
                    retry_waits: settings.retry_waits.clone(),
                    after_last_try: settings.after_last_try,
                    deliver: settings.of(channel).deliver,
                    again_every: Duration::from_secs(1)
                        / u32::try_from(settings.redeliver_per_second).unwrap_or(u32::MAX),
                    again_at_once: settings.max_in_flight.div_ceil(SENT_AGAIN_SHARE),
                },
                max_in_flight: settings.max_in_flight,
                keep_attempts: settings.keep_attempts,
                now: clock::now,
                trusted: clock::trusted,
                receiver,
                is_paused: endpoint.paused.is_some(),
                orders: ordered,
                gone: telling,
            };
            let (stop, failure) = (stop.clone(), failure.clone());
            tasks.spawn(async move {
                if let Err(error) = dispatcher.run(stop).await {
                    failure.send_replace(Some(Arc::new(error)));
                }
            });
            let (endpoint, changing) = (RwLock::new(Arc::new(endpoint)), Mutex::new(()));
            Ok(Desk { form, book, orders, endpoint, changing })
        };
        let [sync, register] = Channel::ALL;
        let desks = [open(sync)?, open(register)?];
        let (journal, vault, settings) = (journal.clone(), vault.clone(), settings.clone());
        let inner = Arc::new(Inner { journal, vault, guard, settings, desks });
        let webhooks = Webhooks { inner, tasks, failure };
        for (channel, mut told) in gone {
            let (webhooks, stop) = (webhooks.clone(), stop.clone());
            webhooks.tasks.clone().spawn(async move {
                while let Some(Some(url)) = stop.run_until_cancelled(told.recv()).await {
                    webhooks.pause_gone(channel, &url).await;
                }
            });
        }
        webhooks.tasks.close();
        Ok(webhooks)
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

    fn desk(&self, channel: Channel) -> &Desk {
        let [sync, register] = &self.inner.desks;
        match channel {
            Channel::SyncStatus => sync,
            Channel::RegisterStatus => register,
        }
    }
}

/// The way to a receiver; none if there is none.
fn receiver_of(
    endpoint: &Endpoint,
    channel: Channel,
    guard: &Guard,
    settings: &config::Webhooks,
) -> Result<Option<Arc<dyn Receiver>>, Error> {
    let Some(url) = endpoint.url(channel, settings) else { return Ok(None) };
    Ok(Some(Arc::new(Client::new(url, endpoint.signing.clone(), guard, settings)?)))
}
