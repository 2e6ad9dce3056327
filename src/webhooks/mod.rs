//! What is told to receivers: every transition of every account, in each account's own order, until they have it.
//!
//! | file | what it knows |
//! |---|---|
//! | `management` | what operators change: receivers, secrets, pauses |
//! | `redelivery` | what operators send again, and the dead letters they drop |
//! | `closing` | what operators drop of a channel without a receiver |
//! | `delivery_queries` | what became of deliveries, as operators find it |
//! | `channel_metrics` | what is measured of a channel |
//! | `views` | what operators see of a channel, an attempt, a dead letter |
//! | `channel_supervisor` | the task of one channel: obeys orders |
//! | `channel_command` | what it is asked while it runs |
//! | `channel_worker` | a channel with a cursor: starts attempts, writes down what comes of them |
//! | `channel_worker_commands` | what it does when it is asked |
//! | `journal_reader` | what it reads of the journal |
//! | `delivery_scheduler` | which delivery may be tried when: order, retries, coalescing. Pure |
//! | `delivery_scheduler_commands` | what operators ask of the lanes. Pure |
//! | `lane` | one account's lane, all of them counted, and the words of `lanes`. Pure |
//! | `retry_schedule` | how long after a failed attempt the next one is due, and what is left of it after a start. Pure |
//! | `circuit_breaker` | whether the receiver is asked at all. Pure |
//! | `delivery` | what one event tells a receiver, and under which id |
//! | `receiver_client` | one attempt, before one deadline |
//! | `attempt_span` | the span of an attempt, and what a receiver is told of it |
//! | `signature` | how a receiver knows that it is ours. Pure |
//! | `response_check` | what a receiver's answer means. Pure |
//! | `attempt_log` | what became of one delivery, attempt by attempt |
//! | `success_log` | what was taken at once, many deliveries in one row. Pure |
//! | `retention` | how long attempts are remembered. Pure |
//! | `receiver_endpoint` | what is set of a receiver while the service runs |
//! | `delivery_store` | what a channel remembers over a restart |
//! | `delivery_store_encoding` | the bytes of that. Pure |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! The journal is the outbox: nothing is queued a second time. Each channel has a cursor in it, and each account whose
//! delivery failed has a row that says where it stands. Delivery is at least once: after a crash the last moments are
//! sent again, under the same ids.

mod attempt_log;
mod attempt_span;
mod channel_command;
mod channel_metrics;
mod channel_supervisor;
mod channel_worker;
mod channel_worker_commands;
mod circuit_breaker;
mod closing;
mod delivery;
mod delivery_queries;
mod delivery_scheduler;
mod delivery_scheduler_commands;
mod delivery_store;
mod delivery_store_encoding;
mod journal_reader;
mod lane;
mod management;
mod receiver_client;
mod receiver_endpoint;
mod redelivery;
mod response_check;
mod retention;
mod retry_schedule;
pub mod signature;
mod success_log;
mod views;

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

pub use crate::domain::deterministic_random;
pub use attempt_log::DeliveryState;
pub use closing::CloseSummary;
pub use delivery::{AccountStatusPayload, RegistrationStatusPayload};
pub use delivery_queries::{DeliveryFilter, DeliveryView, ResultsPage};
pub use management::ManagementError;
pub use redelivery::{DeadLetterAction, DeadLetterScope, RedeliverySummary};
pub use views::{AttemptView, ChannelView, DeadLetterView};

use crate::client::{AddressGuard, TlsSetupError};
use crate::domain::Channel;
use crate::journal::{self, Journal};
use crate::limits::{CHANNEL_COMMANDS, REDELIVERY_SHARE};
use crate::store::{self, Store};
use crate::vault::{self, Vault};
use crate::{clock, config};
use channel_command::ChannelCommand;
use channel_supervisor::ChannelSupervisor;
use delivery::PayloadBuilder;
use delivery_store::DeliveryStore;
use lane::DeliveryPolicy;
use receiver_client::{Receiver, ReceiverClient};
use receiver_endpoint::ReceiverEndpoint;

/// The webhooks, running. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<WebhooksInner>,
    tasks: TaskTracker,
    failure: watch::Sender<Option<Arc<Error>>>,
}

struct WebhooksInner {
    journal: Journal,
    vault: Vault,
    guard: AddressGuard,
    settings: config::WebhookSettings,
    /// In the order of [`Channel::ALL`].
    channels: [ChannelHandle; 2],
}

/// One channel, as others ask it.
struct ChannelHandle {
    payloads: PayloadBuilder,
    store: DeliveryStore,
    commands: mpsc::Sender<ChannelCommand>,
    endpoint: RwLock<Arc<ReceiverEndpoint>>,
    /// Held by whoever changes the endpoint.
    endpoint_lock: Mutex<()>,
}

/// Why webhooks cannot go on. Final.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be made.
    #[error("the client for receivers cannot be made: {0}")]
    Client(#[from] TlsSetupError),
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
    ChannelEnded,
}

impl Webhooks {
    /// Starts both channels, each where it stood; what has no receiver waits for one. Needs a tokio runtime around it.
    pub fn start(
        store: &Store,
        journal: &Journal,
        vault: &Vault,
        guard: AddressGuard,
        settings: &config::WebhookSettings,
        stop: &CancellationToken,
    ) -> Result<Webhooks, Error> {
        let (tasks, failure) = (TaskTracker::new(), watch::Sender::new(None));
        let mut gone = Vec::new();
        let mut open = |channel| -> Result<ChannelHandle, Error> {
            let form = PayloadBuilder {
                channel,
                store: store.id(),
                status_as_string: settings.register_status_as_string,
                with_still_waiting: settings.register_still_waiting,
            };
            let book = DeliveryStore::open(store.clone(), channel);
            let endpoint = ReceiverEndpoint::load(channel, vault)?.unwrap_or_default();
            let receiver = build_receiver(&endpoint, channel, &guard, settings)?;
            let (orders, ordered) = mpsc::channel(CHANNEL_COMMANDS);
            let (telling, told) = mpsc::channel(1);
            gone.push((channel, told));
            let dispatcher = ChannelSupervisor {
                payloads: form,
                journal: journal.clone(),
                store: book.clone(),
                policy: DeliveryPolicy {
                    retry_waits: settings.retry_waits.clone(),
                    after_last_try: settings.after_last_try,
                    deliver: settings.channel(channel).deliver,
                    redelivery_interval: Duration::from_secs(1)
                        / u32::try_from(settings.redeliver_per_second).unwrap_or(u32::MAX),
                    max_redeliveries_in_flight: settings.max_in_flight.div_ceil(REDELIVERY_SHARE),
                },
                max_in_flight: settings.max_in_flight,
                keep_attempts: settings.keep_attempts,
                now: clock::now,
                trusted: clock::trusted,
                receiver,
                is_paused: endpoint.paused.is_some(),
                commands: ordered,
                gone_urls: telling,
            };
            let (stop, failure) = (stop.clone(), failure.clone());
            tasks.spawn(async move {
                if let Err(error) = dispatcher.run(stop).await {
                    failure.send_replace(Some(Arc::new(error)));
                }
            });
            let (endpoint, changing) = (RwLock::new(Arc::new(endpoint)), Mutex::new(()));
            Ok(ChannelHandle { payloads: form, store: book, commands: orders, endpoint, endpoint_lock: changing })
        };
        let [sync, register] = Channel::ALL;
        let desks = [open(sync)?, open(register)?];
        let (journal, vault, settings) = (journal.clone(), vault.clone(), settings.clone());
        let inner = Arc::new(WebhooksInner { journal, vault, guard, settings, channels: desks });
        let webhooks = Webhooks { inner, tasks, failure };
        for (channel, mut told) in gone {
            let (webhooks, stop) = (webhooks.clone(), stop.clone());
            webhooks.tasks.clone().spawn(async move {
                while let Some(Some(url)) = stop.run_until_cancelled(told.recv()).await {
                    webhooks.pause_gone_receiver(channel, &url).await;
                }
            });
        }
        webhooks.tasks.close();
        Ok(webhooks)
    }

    /// Waits until the webhooks fail.
    pub async fn wait_for_failure(&self) -> Arc<Error> {
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

    fn channel(&self, channel: Channel) -> &ChannelHandle {
        let [sync, register] = &self.inner.channels;
        match channel {
            Channel::SyncStatus => sync,
            Channel::RegisterStatus => register,
        }
    }
}

/// The way to a receiver; none if there is none.
fn build_receiver(
    endpoint: &ReceiverEndpoint,
    channel: Channel,
    guard: &AddressGuard,
    settings: &config::WebhookSettings,
) -> Result<Option<Arc<dyn Receiver>>, Error> {
    let Some(url) = endpoint.url(channel, settings) else { return Ok(None) };
    Ok(Some(Arc::new(ReceiverClient::new(url, endpoint.signing.clone(), guard, settings)?)))
}
