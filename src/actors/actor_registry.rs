//! Which actors are active, on which arbiter, and which may be retired.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Arbiter, ArbiterHandle, System};
use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::account_actor::{AccountActor, AccountMessage, AccountRequest, ActorDependencies, RequestTracker, Retire};
use super::{CommandResult, Error};
use crate::config;
use crate::domain::AccountNumber;
use crate::journal::AppendSlot;
use crate::limits::{RETIRE_DIVISOR, RETIRE_PAUSE, RETIRE_SWEEP};
use crate::metrics::{CommandKind, CommandOutcome, Metrics};

/// The active actors. Cheap to clone.
#[derive(Clone)]
pub(super) struct ActorRegistry {
    inner: Arc<RegistryInner>,
}

struct RegistryInner {
    actors: DashMap<AccountNumber, Arc<ActiveActor>>,
    /// The size of `actors`. It is a separate counter, because `DashMap::len` visits all shards.
    active_count: AtomicUsize,
    max_active: usize,
    idle_after: Duration,
    dependencies: Arc<ActorDependencies>,
    arbiters: Vec<ArbiterHandle>,
    system: System,
    started: Instant,
    /// Before this time, in milliseconds after the start, no actor is retired to make space. It is set when all actors
    /// are busy.
    eviction_paused_until: AtomicU64,
}

/// One active actor.
struct ActiveActor {
    address: Addr<AccountActor>,
    /// Requests in progress. It is increased only under the lock of the actor's shard.
    in_flight: AtomicU32,
    /// When it last completed a request, in milliseconds after the registry's start.
    last_used: AtomicU64,
}

/// The permits of all commands of one request. The commands share it, and the last one to end releases them.
pub(super) type CommandPermit = Arc<OwnedSemaphorePermit>;

/// Stays with a request until the actor completes it, even if the caller stops waiting. If the guard is dropped before
/// it is completed, the actor has failed and is evicted. When it is dropped, the guard also records the command's
/// outcome in the metrics.
struct RequestGuard {
    registry: ActorRegistry,
    account: AccountNumber,
    active: Arc<ActiveActor>,
    is_done: bool,
    /// `None` if the request is not a command.
    kind: Option<CommandKind>,
    outcome: CommandOutcome,
    requested_at: Instant,
    _permit: Option<CommandPermit>,
}

impl ActorRegistry {
    /// Starts one arbiter per core, and the sweeper that retires idle actors.
    pub(super) fn start(
        dependencies: ActorDependencies,
        settings: &config::ActorSettings,
    ) -> Result<ActorRegistry, Error> {
        let (system, arbiters) = start_arbiters()?;
        let registry = ActorRegistry {
            inner: Arc::new(RegistryInner {
                actors: DashMap::new(),
                active_count: AtomicUsize::new(0),
                max_active: settings.max_active,
                idle_after: settings.idle_after,
                dependencies: Arc::new(dependencies),
                arbiters,
                system,
                started: Instant::now(),
                eviction_paused_until: AtomicU64::new(0),
            }),
        };
        let sweeper = Arc::downgrade(&registry.inner);
        registry.inner.arbiters.first().map(|arbiter| {
            arbiter.spawn(async move {
                loop {
                    tokio::time::sleep(RETIRE_SWEEP).await;
                    let Some(inner) = sweeper.upgrade() else { return };
                    inner.retire_idle();
                }
            })
        });
        Ok(registry)
    }

    /// Puts `request` into the account's mailbox at once; the returned future waits for the reply. The reply is `None`
    /// if the actor ended without one.
    pub(super) fn send_request(
        &self,
        account: AccountNumber,
        request: AccountRequest,
        slot: Option<AppendSlot>,
        permit: Option<CommandPermit>,
    ) -> impl Future<Output = Option<Result<CommandResult, Error>>> + use<> {
        let active = self.inner.acquire(account);
        let (reply, replied) = oneshot::channel();
        let tracker = RequestGuard {
            registry: self.clone(),
            account,
            active: active.clone(),
            is_done: false,
            kind: request.kind(),
            outcome: CommandOutcome::Failed,
            requested_at: Instant::now(),
            _permit: permit,
        };
        // Not `send`: when the mailbox is full, `send` keeps the requests at the caller, and they lose their order.
        // Permits limit the number of requests in flight (see `Accounts`).
        active.address.do_send(AccountMessage { request, slot, reply, tracker });
        async move { replied.await.ok() }
    }

    pub(super) fn active_count(&self) -> usize {
        self.inner.active_count.load(Ordering::Relaxed)
    }

    /// Stops the arbiters.
    pub(super) fn stop(&self) {
        self.inner.system.stop();
    }
}

impl RequestTracker for RequestGuard {
    /// Records how long the request waited.
    fn begin(&self) {
        if self.kind.is_some() {
            self.registry.inner.metrics().command_wait.observe_duration(self.requested_at.elapsed());
        }
    }

    fn complete(mut self, outcome: CommandOutcome) {
        (self.is_done, self.outcome) = (true, outcome);
    }

    fn fail(mut self, outcome: CommandOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let RequestGuard {
            registry: ActorRegistry { inner },
            account,
            active,
            is_done,
            kind,
            outcome,
            requested_at,
            _permit,
        } = self;
        if let Some(kind) = *kind {
            let metrics = inner.metrics();
            metrics.commands.with((kind, *outcome)).inc();
            metrics.command_seconds.with(kind).observe_duration(requested_at.elapsed());
        }
        if !*is_done {
            inner.evict(*account, active);
        }
        active.last_used.store(inner.elapsed_ms(), Ordering::Relaxed);
        active.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl RegistryInner {
    /// The account's actor, with one more request in flight. Starts it if there is none.
    fn acquire(&self, account: AccountNumber) -> Arc<ActiveActor> {
        if let Some(active) = self.actors.get(&account) {
            active.in_flight.fetch_add(1, Ordering::Acquire);
            return active.clone();
        }
        if self.active_count.load(Ordering::Relaxed) >= self.max_active {
            self.retire_oldest();
        }
        let entry = self.actors.entry(account).or_insert_with(|| {
            self.active_count.fetch_add(1, Ordering::Relaxed);
            self.metrics().actors_started.inc();
            let dependencies = self.dependencies.clone();
            let actor = AccountActor::new(account, dependencies);
            let address = AccountActor::start_in_arbiter(self.arbiter_of(account), |_| actor);
            Arc::new(ActiveActor {
                address,
                in_flight: AtomicU32::new(0),
                last_used: AtomicU64::new(self.elapsed_ms()),
            })
        });
        entry.in_flight.fetch_add(1, Ordering::Acquire);
        entry.clone()
    }

    /// Evicts an actor that ended, unless another has replaced it.
    fn evict(&self, account: AccountNumber, ended: &Arc<ActiveActor>) {
        if self.actors.remove_if(&account, |_, active| Arc::ptr_eq(active, ended)).is_some() {
            self.active_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Retires the actors that were idle for the configured time.
    fn retire_idle(&self) {
        let idle_after = u64::try_from(self.idle_after.as_millis()).unwrap_or(u64::MAX);
        let Some(before) = self.elapsed_ms().checked_sub(idle_after) else { return };
        for (account, _) in self.idle().into_iter().filter(|(_, last_used)| *last_used <= before) {
            self.retire(account);
        }
    }

    /// Retires the actors that were idle for longest, to make space. A busy actor is never retired, so the number of
    /// actors can exceed `max_active` while more accounts are busy.
    fn retire_oldest(&self) {
        if self.elapsed_ms() < self.eviction_paused_until.load(Ordering::Relaxed) {
            return;
        }
        let mut idle = self.idle();
        let part = (self.max_active / RETIRE_DIVISOR).max(1).min(idle.len());
        if part == 0 {
            let pause = u64::try_from(RETIRE_PAUSE.as_millis()).unwrap_or(u64::MAX);
            self.eviction_paused_until.store(self.elapsed_ms() + pause, Ordering::Relaxed);
            return;
        }
        idle.select_nth_unstable_by_key(part - 1, |(_, last_used)| *last_used);
        idle.truncate(part);
        idle.into_iter().for_each(|(account, _)| self.retire(account));
    }

    /// The idle actors, each with the time since which it is idle.
    fn idle(&self) -> Vec<(AccountNumber, u64)> {
        let is_idle = |active: &ActiveActor| active.in_flight.load(Ordering::Acquire) == 0;
        let entries = self.actors.iter().filter(|entry| is_idle(entry.value()));
        entries.map(|entry| (*entry.key(), entry.last_used.load(Ordering::Relaxed))).collect()
    }

    /// Retires one actor, unless it got a request in the meantime.
    fn retire(&self, account: AccountNumber) {
        let is_idle = |_: &AccountNumber, active: &Arc<ActiveActor>| active.in_flight.load(Ordering::Acquire) == 0;
        if let Some((_, active)) = self.actors.remove_if(&account, is_idle) {
            self.active_count.fetch_sub(1, Ordering::Relaxed);
            self.metrics().actors_retired.inc();
            active.address.do_send(Retire);
        }
    }

    fn arbiter_of(&self, account: AccountNumber) -> &ArbiterHandle {
        // A batch often has consecutive numbers; the multiplication (by 2^64 divided by the golden ratio) spreads them.
        let spread = account.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.arbiters[spread as usize % self.arbiters.len()]
    }

    fn metrics(&self) -> &Metrics {
        self.dependencies.journal.metrics()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Starts an actix system on its own thread, with one arbiter per core.
fn start_arbiters() -> Result<(System, Vec<ArbiterHandle>), Error> {
    let (started, on_start) = std::sync::mpsc::channel();
    let run = move || {
        let runner = System::new();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let arbiters = (0..cores).map(|_| Arbiter::new().handle()).collect::<Vec<_>>();
        let _gone = started.send((System::current(), arbiters));
        if let Err(error) = runner.run() {
            tracing::error!(%error, "the actor system failed");
        }
    };
    let thread = thread::Builder::new().name("actors".to_owned()).spawn(run);
    thread.map_err(|error| Error::Threads(Arc::new(error)))?;
    on_start.recv().map_err(|_| Error::Threads(Arc::new(std::io::Error::other("actix did not start"))))
}
