//! A channel's task with a real journal and delivery store, and a scripted receiver. Time is tokio's paused clock. It
//! jumps to the next deadline, so that a test of a whole night takes a second.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::Error;
use super::super::channel_command::ChannelCommand;
use super::super::channel_context::ChannelContext;
use super::super::channel_supervisor::ChannelSupervisor;
use super::super::delivery::{Delivery, PayloadBuilder};
use super::super::delivery_store::DeliveryStore;
use super::super::lane::DeliveryPolicy;
use super::super::receiver_client::Receiver;
use super::super::response_check::AttemptFailure;
pub(super) use super::super::response_check::AttemptResponse;
use super::super::retry_schedule::Moment;
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::domain::{AccountNumber, Channel, Event, OnlineStatus, Reason, Status};
use crate::journal::{AppendRequest, Generations, Origin, StreamId};
use crate::limits::RETRY_WAITS;
use crate::testkit::clock::{self, START_TIME, elapsed};
use crate::testkit::fixture;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// The present moment of a channel that opens now.
pub(super) fn now() -> Moment {
    Moment { wall: clock::now(), steady: clock::now() }
}

/// Returns the response to an attempt. The arguments are the delivery, the attempt number and the time since the start.
pub(super) type Script = fn(&Delivery, u32, Duration) -> AttemptResponse;

/// A scripted receiver, and the attempts that arrived.
#[derive(Clone)]
pub(super) struct ScriptedReceiver {
    pub(super) script: Script,
    pub(super) url: Url,
    pub(super) arrived: Arc<Mutex<Vec<Arrival>>>,
}

/// One attempt, as its receiver saw it.
#[derive(Clone)]
pub(super) struct Arrival {
    /// The time since the start.
    pub(super) at: Duration,
    pub(super) delivery: Delivery,
    pub(super) attempt: u32,
    pub(super) is_taken: bool,
}

impl Receiver for ScriptedReceiver {
    fn attempt<'a>(
        &'a self,
        _: &'a PayloadBuilder,
        delivery: &'a Delivery,
        attempt: u32,
    ) -> BoxFuture<'a, AttemptResponse> {
        async move {
            let response = (self.script)(delivery, attempt, elapsed());
            let (delivery, is_taken) = (delivery.clone(), response.verdict.is_ok());
            let arrival = Arrival { at: elapsed(), delivery, attempt, is_taken };
            self.arrived.lock().unwrap().push(arrival);
            sleep(response.took).await;
            response
        }
        .boxed()
    }

    fn url(&self) -> &Url {
        &self.url
    }
}

pub(super) fn taken() -> AttemptResponse {
    AttemptResponse { status: Some(200), ..AttemptResponse::default() }
}

pub(super) fn failed() -> AttemptResponse {
    AttemptResponse { verdict: Err(AttemptFailure::Status(503)), status: Some(503), ..AttemptResponse::default() }
}

/// A response of a receiver that no longer exists.
pub(super) fn gone() -> AttemptResponse {
    AttemptResponse { verdict: Err(AttemptFailure::Status(410)), status: Some(410), ..AttemptResponse::default() }
}

/// The account with this index.
pub(super) fn account(number: u64) -> AccountNumber {
    AccountNumber::from_stored(861_821_700_000 + number).unwrap()
}

/// A channel and its dependencies.
pub(super) struct ChannelFixture {
    data: fixture::StorageFixture,
    pub(super) store: DeliveryStore,
    pub(super) payloads: PayloadBuilder,
    pub(super) receiver: ScriptedReceiver,
    pub(super) policy: DeliveryPolicy,
    pub(super) keep_attempts: Duration,
}

/// A running channel.
pub(super) struct RunningChannel {
    pub(super) commands: mpsc::Sender<ChannelCommand>,
    stop: CancellationToken,
    pub(super) task: JoinHandle<Result<(), Error>>,
    _gone: mpsc::Receiver<Url>,
}

impl ChannelFixture {
    pub(super) fn new(script: Script) -> ChannelFixture {
        clock::start();
        let data = fixture::StorageFixture::new();
        let payloads = PayloadBuilder {
            channel: Channel::SyncStatus,
            generations: Generations::default(),
            store: data.store.id(),
            status_as_string: false,
            with_still_waiting: false,
            labels: None,
        };
        let store = DeliveryStore::open(data.store.clone(), payloads.channel);
        store.set_cursor(0).unwrap();
        ChannelFixture {
            data,
            store,
            payloads,
            receiver: ScriptedReceiver { script, url: "http://localhost/".parse().unwrap(), arrived: Arc::default() },
            policy: DeliveryPolicy {
                retry_waits: RETRY_WAITS.to_vec(),
                after_last_try: DeadLetterPolicy::Continue,
                deliver: DeliveryMode::All,
                redelivery_interval: Duration::from_millis(10),
                max_redeliveries_in_flight: 16,
            },
            keep_attempts: 30 * 24 * HOUR,
        }
    }

    pub(super) fn start(&self) -> RunningChannel {
        self.start_with(Some(Arc::new(self.receiver.clone())))
    }

    /// Starts the channel with this receiver, or without one.
    pub(super) fn start_with(&self, receiver: Option<Arc<dyn Receiver>>) -> RunningChannel {
        let ((commands, command_queue), (gone_urls, gone)) = (mpsc::channel(4), mpsc::channel(1));
        let channel = ChannelContext {
            payloads: self.payloads.clone(),
            journal: self.data.journal.clone(),
            store: self.store.clone(),
            policy: self.policy.clone(),
            max_in_flight: 64,
            now: clock::now,
            receiver,
            is_paused: false,
            commands: command_queue,
            gone_urls,
        };
        let supervisor = ChannelSupervisor { channel, keep_attempts: self.keep_attempts, trusted: clock::now };
        let stop = CancellationToken::new();
        RunningChannel { commands, task: tokio::spawn(supervisor.run(stop.clone())), stop, _gone: gone }
    }

    /// Aborts the task at any point. Unwritten changes are lost.
    pub(super) async fn kill(&mut self, running: RunningChannel) {
        running.task.abort();
        assert!(running.task.await.unwrap_err().is_cancelled());
        self.store = DeliveryStore::open(self.data.store.clone(), self.payloads.channel);
    }

    /// Appends `events` events to each of the first `accounts` accounts.
    pub(super) async fn append_events(&self, accounts: u64, events: u64) {
        self.append_events_to(0..accounts, events).await;
    }

    pub(super) async fn append_events_to(&self, accounts: Range<u64>, events: u64) {
        let journal = self.data.journal.clone();
        // The paused clock stands still during blocking work.
        let happening = spawn_blocking(move || {
            for number in accounts {
                let account = account(number);
                let expected_version = journal.stream_head(StreamId::Account(account)).version;
                let events = (expected_version..expected_version + events).map(|version| match version % 2 {
                    0 => Event::OnlineRequested { reason: Reason::none() },
                    _ => Event::RecycleRequested { reason: Reason::none() },
                });
                let (events, origin) = (events.collect(), Origin::SERVICE);
                let append = AppendRequest { account, expected_version, events, origin, at: START_TIME };
                tokio::runtime::Handle::current().block_on(journal.append(append)).unwrap();
            }
        });
        happening.await.unwrap();
    }

    /// Appends a resync to each of these accounts.
    pub(super) async fn append_resyncs(&self, accounts: Range<u64>) {
        for number in accounts {
            let account = account(number);
            let (status, online_status) = (Status::Normal, OnlineStatus::Offline);
            let (reason, instance_code) = (Reason::none(), String::new());
            let events = vec![Event::StatusResynced { status, online_status, reason, instance_code }];
            let append =
                AppendRequest { account, expected_version: 0, events, origin: Origin::SERVICE, at: START_TIME };
            self.data.journal.append(append).await.unwrap();
        }
    }

    /// The attempts that arrived, one per line.
    pub(super) fn timeline(&self) -> String {
        let mut lines = String::new();
        for Arrival { at, delivery, attempt, is_taken } in self.receiver.arrived.lock().unwrap().iter() {
            let (seconds, tenths) = (at.as_secs(), at.subsec_millis() / 100);
            let clock = format!("{}:{:02}:{:02}.{tenths}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            let Delivery { account, version, .. } = delivery;
            let verdict = if *is_taken { "taken" } else { "not taken" };
            writeln!(lines, "{clock}  {account} version {version} attempt {attempt}: {verdict}").unwrap();
        }
        lines
    }

    /// The delivered versions of each account, in the order of arrival.
    pub(super) fn taken(&self) -> BTreeMap<AccountNumber, Vec<u64>> {
        let mut taken: BTreeMap<AccountNumber, Vec<u64>> = BTreeMap::new();
        for Arrival { delivery: Delivery { account, version, .. }, is_taken, .. } in
            self.receiver.arrived.lock().unwrap().iter()
        {
            taken.entry(*account).or_default().extend(is_taken.then_some(*version));
        }
        taken
    }

    pub(super) fn arrivals(&self) -> usize {
        self.receiver.arrived.lock().unwrap().len()
    }

    pub(super) fn dead_letters(&self) -> usize {
        usize::try_from(self.store.count_dead_letters().unwrap()).unwrap()
    }
}

impl RunningChannel {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(super) async fn send(&self, command: impl FnOnce(oneshot::Sender<()>) -> ChannelCommand) {
        self.ask(command).await;
    }

    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> ChannelCommand) -> T {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.unwrap();
        answer.await.unwrap()
    }
}
