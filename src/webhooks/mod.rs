//! Webhook delivery: sends every change of every account to receivers, in each account's order, until they accept it.
//!
//! | file | contents |
//! |---|---|
//! | `management` | operators change receivers, secrets and pauses |
//! | `redelivery` | operators send deliveries again, or drop dead letters |
//! | `closing` | operators close a channel without a receiver: its pending deliveries are dropped |
//! | `delivery_queries` | operators search deliveries and dead letters |
//! | `channel_metrics` | metrics of a channel |
//! | `views` | a channel, an attempt and a dead letter as the API returns them |
//! | `channel_context` | one channel with its store, its receiver and its queue of commands |
//! | `channel_supervisor` | the task of one channel: runs the worker, handles commands while there is no cursor |
//! | `channel_command` | the commands that a channel's task accepts |
//! | `channel_worker` | the worker of a channel with a cursor: reads the journal and starts attempts |
//! | `channel_worker_commands` | how the worker handles commands |
//! | `channel_worker_results` | how the worker handles the end of an attempt |
//! | `journal_reader` | reads deliveries from the journal |
//! | `delivery_scheduler` | decides which delivery may be tried, and when: order, retries, coalescing. Pure |
//! | `delivery_scheduler_commands` | retry now, redeliver and discard, in the scheduler. Pure |
//! | `paced_queue` | the redeliveries and resyncs that wait for their turn. Pure |
//! | `lane` | the lane of one account, the counted set of lanes, and the scheduler's types. Pure |
//! | `retry_schedule` | how long to wait after a failed attempt, and how much of a wait is left after a restart. Pure |
//! | `circuit_breaker` | whether attempts may be started while many fail. Pure |
//! | `label_source` | the labels that an account had when an event happened |
//! | `delivery` | the payload and the webhook id of one event |
//! | `receiver_client` | one attempt over HTTP, within one deadline |
//! | `attempt_span` | the trace span of an attempt |
//! | `signature` | the signatures with which receivers verify the sender. Pure |
//! | `response_check` | the result of an attempt: whether the receiver's response is a success, or which failure. Pure |
//! | `attempt_log` | the attempts of one delivery, and the dead letter of one that failed for good |
//! | `success_log` | deliveries that succeeded at the first attempt, many in one row. Pure |
//! | `retention` | how long attempts are kept. Pure |
//! | `receiver_endpoint` | the settings of a receiver that operators change at run time |
//! | `delivery_store` | the data that a channel keeps on disk |
//! | `delivery_store_encoding` | the encoding of those rows. Pure |
//! | `fuzz` | the module's parsers on arbitrary bytes; for tests only |
//!
//! The journal is the outbox: deliveries are not copied into a second queue. Each channel has a cursor in the journal.
//! An account with a failed delivery has a row with its next position. Delivery is at least once: after a crash, the
//! deliveries since the last save are sent again, with the same ids.

mod attempt_log;
mod attempt_span;
mod channel_command;
mod channel_context;
mod channel_metrics;
mod channel_supervisor;
mod channel_worker;
mod channel_worker_commands;
mod channel_worker_results;
mod circuit_breaker;
mod closing;
mod delivery;
mod delivery_queries;
mod delivery_scheduler;
mod delivery_scheduler_commands;
mod delivery_store;
mod delivery_store_encoding;
mod journal_reader;
mod label_source;
mod lane;
mod management;
mod paced_queue;
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
pub use delivery::{PayloadSchema, payload_schema};
pub use delivery_queries::{DeliveryFilter, DeliveryView, ResultsPage};
pub use management::ManagementError;
pub use redelivery::{DeadLetterAction, DeadLetterScope, RedeliverySummary};
pub use views::{AttemptView, ChannelView, DeadLetterView};
pub(crate) use views::{LagView, PausedView};

use crate::client::{AddressGuard, TlsSetupError};
use crate::domain::Channel;
use crate::journal::{self, Generations, Journal};
use crate::limits::{CHANNEL_COMMANDS, REDELIVERY_SHARE};
use crate::projections::Roster;
use crate::store::{self, Store};
use crate::vault::{self, Vault};
use crate::{clock, config};
use channel_command::ChannelCommand;
use channel_context::ChannelContext;
use channel_supervisor::ChannelSupervisor;
use delivery::PayloadBuilder;
use delivery_store::DeliveryStore;
use label_source::LabelSource;
use lane::DeliveryPolicy;
use receiver_client::{Receiver, ReceiverClient};
use receiver_endpoint::ReceiverEndpoint;

/// The running webhooks of all channels. Cheap to clone.
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
    channels: Vec<ChannelHandle>,
}

/// One channel, as the rest of the module uses it.
struct ChannelHandle {
    payloads: PayloadBuilder,
    store: DeliveryStore,
    commands: mpsc::Sender<ChannelCommand>,
    endpoint: RwLock<Arc<ReceiverEndpoint>>,
    /// Locked during each change of the endpoint.
    endpoint_lock: Mutex<()>,
}

/// Why the webhooks stopped. After such an error the service ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client cannot be built.
    #[error("the HTTP client for receivers cannot be created: {0}")]
    Client(#[from] TlsSetupError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The settings of a receiver cannot be sealed or opened.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// A task panicked.
    #[error("a webhook task failed: {0}")]
    Panicked(#[from] JoinError),
    /// The task that reads the journal ended.
    #[error("the task that reads the journal for webhooks ended")]
    ReaderEnded,
    /// The task of a channel ended, because the service ends.
    #[error("webhook sending has stopped")]
    ChannelEnded,
}

impl Webhooks {
    /// Starts all channels from their stored cursors. A channel without a receiver waits for one. Call it within a
    /// tokio runtime.
    pub fn start(
        store: &Store,
        journal: &Journal,
        roster: &Roster,
        vault: &Vault,
        guard: AddressGuard,
        settings: &config::WebhookSettings,
        stop: &CancellationToken,
    ) -> Result<Webhooks, Error> {
        let (tasks, failure) = (TaskTracker::new(), watch::Sender::new(None));
        let labels = settings.include_labels.then(|| LabelSource { roster: roster.clone(), journal: journal.clone() });
        let mut gone_receivers = Vec::new();
        let mut open = |channel| -> Result<ChannelHandle, Error> {
            let payloads = PayloadBuilder {
                channel,
                store: store.id(),
                generations: journal.generations().clone(),
                status_as_string: settings.register_status_as_string,
                with_still_waiting: settings.register_still_waiting,
                labels: labels.clone(),
            };
            let delivery_store = DeliveryStore::open(store.clone(), channel);
            let endpoint = ReceiverEndpoint::load(channel, vault)?.unwrap_or_default();
            let receiver = build_receiver(&endpoint, channel, &guard, settings)?;
            let (commands, command_queue) = mpsc::channel(CHANNEL_COMMANDS);
            let (gone_urls, gone_receiver) = mpsc::channel(1);
            gone_receivers.push((channel, gone_receiver));
            let channel = ChannelContext {
                payloads: payloads.clone(),
                journal: journal.clone(),
                store: delivery_store.clone(),
                policy: delivery_policy(channel, settings),
                max_in_flight: settings.max_in_flight,
                now: clock::now,
                receiver,
                is_paused: endpoint.paused.is_some(),
                commands: command_queue,
                gone_urls,
            };
            let keep_attempts = settings.keep_attempts;
            let supervisor = ChannelSupervisor { channel, keep_attempts, trusted: clock::trusted };
            let (stop, failure) = (stop.clone(), failure.clone());
            tasks.spawn(async move {
                if let Err(error) = supervisor.run(stop).await {
                    failure.send_replace(Some(Arc::new(error)));
                }
            });
            let (endpoint, endpoint_lock) = (RwLock::new(Arc::new(endpoint)), Mutex::new(()));
            Ok(ChannelHandle { payloads, store: delivery_store, commands, endpoint, endpoint_lock })
        };
        let channels = Channel::ALL.into_iter().map(&mut open).collect::<Result<_, _>>()?;
        let (journal, vault, settings) = (journal.clone(), vault.clone(), settings.clone());
        let inner = Arc::new(WebhooksInner { journal, vault, guard, settings, channels });
        let webhooks = Webhooks { inner, tasks, failure };
        for (channel, mut gone_urls) in gone_receivers {
            let (webhooks, stop) = (webhooks.clone(), stop.clone());
            webhooks.tasks.clone().spawn(async move {
                while let Some(Some(url)) = stop.run_until_cancelled(gone_urls.recv()).await {
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
            // Unreachable: `self` holds the sender.
            Err(_) => Arc::new(Error::ReaderEnded),
        }
    }

    /// Waits until the channels have ended. Cancel the stop token first.
    pub async fn drain(&self) {
        self.tasks.wait().await;
    }

    fn generations(&self) -> &Generations {
        self.inner.journal.generations()
    }

    fn channel(&self, channel: Channel) -> &ChannelHandle {
        &self.inner.channels[channel as usize]
    }
}

/// Builds the client for a channel's receiver; `None` if no URL is set.
fn build_receiver(
    endpoint: &ReceiverEndpoint,
    channel: Channel,
    guard: &AddressGuard,
    settings: &config::WebhookSettings,
) -> Result<Option<Arc<dyn Receiver>>, Error> {
    let Some(url) = endpoint.url(channel, settings) else { return Ok(None) };
    Ok(Some(Arc::new(ReceiverClient::new(url, endpoint.signing.clone(), guard, settings)?)))
}

fn delivery_policy(channel: Channel, settings: &config::WebhookSettings) -> DeliveryPolicy {
    let redeliver_per_second = u32::try_from(settings.redeliver_per_second).unwrap_or(u32::MAX);
    DeliveryPolicy {
        retry_waits: settings.retry_waits.clone(),
        after_last_try: settings.after_last_try,
        deliver: settings.channel(channel).deliver,
        redelivery_interval: Duration::from_secs(1) / redeliver_per_second,
        max_redeliveries_in_flight: settings.max_in_flight.div_ceil(REDELIVERY_SHARE),
    }
}
