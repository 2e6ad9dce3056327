//! Hours and days of a channel: its task, with a real journal and book, and a receiver that behaves as a script says.
//! Time is tokio's paused clock, which leaps to whatever is due next, so that a night takes a second.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use insta::assert_snapshot;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::Error;
use super::super::book::Book;
use super::super::client::{Answered, Receiver};
use super::super::delivery::{Delivery, Form};
use super::super::dispatcher::Dispatcher;
use super::super::lane::Rules;
use super::super::order::Order;
use super::super::trail::State;
use super::super::verdict::Failure;
use crate::config::{AfterLastTry, Deliver, Settings};
use crate::domain::{AccountNumber, Channel, Event, Timestamp};
use crate::journal::{Append, Journal, Origin, Stream};
use crate::limits::{ATTEMPTS_PRUNE, BREAKER_OPEN, RETRY_WAITS};
use crate::store::Store;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The wall clock when a test begins.
const BEGIN: Timestamp = Timestamp(1_666_942_813_620_000);

thread_local! {
    /// The paused clock when a test began.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// How long a test has lasted. Its task runs on its own thread.
fn elapsed() -> Duration {
    BEGAN.get().expect("asked on a test's thread").elapsed()
}

fn now() -> Timestamp {
    BEGIN.plus(elapsed())
}

/// What a receiver answers to a delivery's `attempt`th attempt, so long after the beginning.
type Script = fn(&Delivery, u32, Duration) -> Answered;

/// A receiver, and what arrived.
#[derive(Clone)]
struct Scripted {
    script: Script,
    arrived: Arc<Mutex<Vec<Arrival>>>,
}

/// One attempt, as its receiver saw it.
#[derive(Clone)]
struct Arrival {
    /// How long after the beginning.
    at: Duration,
    delivery: Delivery,
    attempt: u32,
    is_taken: bool,
}

impl Receiver for Scripted {
    fn attempt<'a>(&'a self, _: &'a Form, delivery: &'a Delivery, attempt: u32) -> BoxFuture<'a, Answered> {
        async move {
            let answered = (self.script)(delivery, attempt, elapsed());
            let (delivery, is_taken) = (delivery.clone(), answered.verdict.is_ok());
            let arrival = Arrival { at: elapsed(), delivery, attempt, is_taken };
            self.arrived.lock().unwrap().push(arrival);
            sleep(answered.took).await;
            answered
        }
        .boxed()
    }
}

fn taken() -> Answered {
    Answered { status: Some(200), ..Answered::default() }
}

fn failed() -> Answered {
    Answered { verdict: Err(Failure::Status(503)), status: Some(503), ..Answered::default() }
}

/// A channel, and what is around it.
struct House {
    journal: Journal,
    book: Book,
    form: Form,
    receiver: Scripted,
    rules: Rules,
    keep_attempts: Duration,
    _directory: TempDir,
}

/// Its task, running.
struct Running {
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
    _gone: mpsc::Receiver<()>,
}

impl House {
    fn new(script: Script) -> House {
        BEGAN.set(Some(Instant::now()));
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data"), &Settings::default().store).unwrap();
        let journal = Journal::open(store.clone(), Box::new(|_| {})).unwrap();
        let form = Form { channel: Channel::SyncStatus, store: store.id(), status_as_string: false };
        let book = Book::open(store, form.channel);
        book.set_cursor(0).unwrap();
        House {
            journal,
            book,
            form,
            receiver: Scripted { script, arrived: Arc::default() },
            rules: Rules {
                retry_waits: RETRY_WAITS.to_vec(),
                after_last_try: AfterLastTry::Continue,
                deliver: Deliver::All,
                again_every: Duration::from_millis(10),
            },
            keep_attempts: 30 * 24 * HOUR,
            _directory: directory,
        }
    }

    fn start(&self) -> Running {
        let ((orders, ordered), (telling, gone)) = (mpsc::channel(4), mpsc::channel(1));
        let dispatcher = Dispatcher {
            form: self.form,
            journal: self.journal.clone(),
            book: self.book.clone(),
            rules: self.rules.clone(),
            max_in_flight: 64,
            keep_attempts: self.keep_attempts,
            now,
            receiver: Some(Arc::new(self.receiver.clone())),
            is_paused: false,
            orders: ordered,
            gone: telling,
        };
        let stop = CancellationToken::new();
        Running { orders, task: tokio::spawn(dispatcher.run(stop.clone())), stop, _gone: gone }
    }

    /// So many accounts go to and fro, `events` times each.
    async fn happen(&self, accounts: u64, events: u64) {
        let journal = self.journal.clone();
        // The paused clock stands while something blocks.
        let happening = spawn_blocking(move || {
            for number in 0..accounts {
                let account = AccountNumber::from_stored(861_821_700_000 + number).unwrap();
                let expected_version = journal.head_of(Stream::Account(account)).version;
                let events = (expected_version..expected_version + events).map(|version| match version % 2 {
                    0 => Event::OnlineRequested,
                    _ => Event::RecycleRequested,
                });
                let (events, origin) = (events.collect(), Origin::SERVICE);
                let append = Append { account, expected_version, events, origin, at: BEGIN };
                tokio::runtime::Handle::current().block_on(journal.append(append)).unwrap();
            }
        });
        happening.await.unwrap();
    }

    /// What arrived, a line each.
    fn timeline(&self) -> String {
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

    /// The versions of each account that were taken, in the order of their first arrival.
    fn taken(&self) -> BTreeMap<AccountNumber, Vec<u64>> {
        let mut taken: BTreeMap<AccountNumber, Vec<u64>> = BTreeMap::new();
        for Arrival { delivery: Delivery { account, version, .. }, is_taken, .. } in
            self.receiver.arrived.lock().unwrap().iter()
        {
            taken.entry(*account).or_default().extend(is_taken.then_some(*version));
        }
        taken
    }

    fn arrivals(&self) -> usize {
        self.receiver.arrived.lock().unwrap().len()
    }

    fn letters(&self) -> usize {
        usize::try_from(self.book.count_letters().unwrap()).unwrap()
    }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, obeyed) = oneshot::channel();
        self.orders.send(order(done)).await.unwrap();
        obeyed.await.unwrap();
    }
}

/// Until so long after the beginning.
async fn until(moment: Duration) {
    sleep_until(BEGAN.get().unwrap() + moment).await;
}

/// The contract's schedule to its end, with a receiver that wants to be left alone twice.
fn never(delivery: &Delivery, attempt: u32, _: Duration) -> Answered {
    let retry_after = match (delivery.version, attempt) {
        (2, 1) => Some(20 * MINUTE),
        (2, 2) => Some(24 * HOUR),
        _ => None,
    };
    Answered { retry_after, ..failed() }
}

#[tokio::test(start_paused = true)]
async fn every_wait_of_a_schedule_is_kept_over_restarts() {
    let house = House::new(never);
    let running = house.start();
    house.happen(1, 2).await;
    until(10 * HOUR).await;
    running.stop().await;
    let timeline = house.timeline();
    assert_snapshot!(timeline, @"
    0:00:00.0  861821700000 version 1 attempt 1: not taken
    0:00:11.9  861821700000 version 1 attempt 2: not taken
    0:00:43.6  861821700000 version 1 attempt 3: not taken
    0:03:32.7  861821700000 version 1 attempt 4: not taken
    0:07:34.0  861821700000 version 1 attempt 5: not taken
    0:41:05.9  861821700000 version 1 attempt 6: not taken
    2:35:46.4  861821700000 version 1 attempt 7: not taken
    2:35:46.4  861821700000 version 2 attempt 1: not taken
    2:55:46.4  861821700000 version 2 attempt 2: not taken
    3:55:46.4  861821700000 version 2 attempt 3: not taken
    3:58:11.9  861821700000 version 2 attempt 4: not taken
    4:03:52.5  861821700000 version 2 attempt 5: not taken
    4:30:53.8  861821700000 version 2 attempt 6: not taken
    6:35:42.7  861821700000 version 2 attempt 7: not taken
    ");
    assert_eq!(house.letters(), 2);

    let house = House::new(never);
    house.happen(1, 2).await;
    for start in 0..(10 * 60 / 7) {
        let running = house.start();
        until(7 * MINUTE * (start + 1)).await;
        running.stop().await;
    }
    assert_eq!(house.timeline(), timeline);
    assert_eq!(house.letters(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_due_while_the_service_was_down_is_tried_at_its_start() {
    let house = House::new(|_, attempt, _| if attempt < 4 { failed() } else { taken() });
    house.happen(1, 1).await;
    let running = house.start();
    until(MINUTE).await;
    running.stop().await;
    assert_eq!(house.arrivals(), 3, "{}", house.timeline());
    until(8 * HOUR).await;
    let running = house.start();
    until(8 * HOUR + SECOND).await;
    running.stop().await;
    let last = house.receiver.arrived.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.at, last.attempt, last.is_taken), (8 * HOUR, 4, true));
}

#[tokio::test(start_paused = true)]
async fn a_night_without_receiver_uses_up_no_attempts() {
    const NIGHT: Duration = Duration::from_secs(8 * 60 * 60);
    let house = House::new(|_, _, at| if at < NIGHT { failed() } else { taken() });
    let running = house.start();
    house.happen(200, 2).await;
    until(NIGHT / 2).await;
    house.happen(100, 3).await;
    until(NIGHT).await;
    let asked = house.arrivals();
    let probes = NIGHT.as_secs() / BREAKER_OPEN.as_secs();
    assert!((probes as usize / 2..=probes as usize + 64).contains(&asked), "asked {asked} times in the night");
    until(NIGHT + BREAKER_OPEN + 2 * RETRY_WAITS[0]).await;
    running.stop().await;
    let taken = house.taken();
    assert_eq!(taken.len(), 200);
    for (number, versions) in (0..).zip(taken.values()) {
        assert_eq!(*versions, (1..=if number < 100 { 5 } else { 2 }).collect::<Vec<_>>());
    }
    assert_eq!(house.letters(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_arrives_on_a_paused_day() {
    let house = House::new(|_, attempt, _| if attempt == 1 { failed() } else { taken() });
    let running = house.start();
    house.happen(3, 1).await;
    until(SECOND).await;
    assert_eq!(house.arrivals(), 3);
    let receiver: Arc<dyn Receiver> = Arc::new(house.receiver.clone());
    let configure = |is_paused| {
        let receiver = Some(receiver.clone());
        move |done| Order::Configure { receiver, is_paused, done }
    };
    running.order(configure(true)).await;
    until(12 * HOUR).await;
    house.happen(4, 1).await;
    until(24 * HOUR).await;
    assert_eq!(house.arrivals(), 3, "{}", house.timeline());
    running.order(configure(false)).await;
    until(24 * HOUR + RETRY_WAITS[0] * 2).await;
    running.stop().await;
    assert_eq!(house.taken().into_values().collect::<Vec<_>>(), [vec![1, 2], vec![1, 2], vec![1, 2], vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_to_wait_for_an_operator_does() {
    let mut house = House::new(|_, _, at| if at < 9 * HOUR { failed() } else { taken() });
    house.rules.after_last_try = AfterLastTry::Block;
    house.happen(1, 3).await;
    let running = house.start();
    until(24 * HOUR).await;
    running.stop().await;
    let attempts = RETRY_WAITS.len() + 1;
    assert_eq!((house.arrivals(), house.letters()), (attempts, 1));
    let running = house.start();
    until(36 * HOUR).await;
    assert_eq!(house.arrivals(), attempts);
    let account = AccountNumber::from_stored(861_821_700_000).unwrap();
    running.order(|done| Order::Again { which: vec![(account, 1)], done }).await;
    until(36 * HOUR + SECOND).await;
    running.stop().await;
    assert_eq!(house.taken()[&account], [1, 2, 3]);
    assert_eq!(house.letters(), 0);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_forgotten_when_their_time_is_over() {
    let mut house = House::new(|delivery, _, _| if delivery.version == 2 { failed() } else { taken() });
    house.keep_attempts = 3 * HOUR;
    house.happen(1, 2).await;
    let running = house.start();
    let state = |position| house.book.trail(position).unwrap().map(|trail| trail.state);
    until(3 * HOUR - SECOND).await;
    assert_eq!(state(1), Some(State::Delivered));
    until(3 * HOUR + ATTEMPTS_PRUNE + SECOND).await;
    assert_eq!((state(1), state(2)), (None, Some(State::Dead)), "a dead letter's attempts stay");
    running.stop().await;
}
