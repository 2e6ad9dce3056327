//! Meta's WhatsApp Business Cloud API, which serves business accounts.
//!
//! | file | what it knows |
//! |---|---|
//! | `table` | what Meta's states and error codes mean here |
//! | `answer` | what its Graph answers, read leniently |
//! | `graph` | the calls to it |
//! | `failure` | why one did not do what it should, and when it is worth another try |
//! | `brake` | when no call is made at all |
//! | `numbers` | which number has which id, and how each stands |
//! | `wishes` | what accounts wait for, each a task of its own |
//! | `registration` | a code is sent to a number, and confirmed |
//! | `registering` | the call that registers a number, which Meta counts |
//! | `presence` | online and offline |
//! | `looking` | all numbers, and what follows from a webhook |
//! | `hook` | webhooks from Meta: who sent them, and what they say |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Nothing is remembered here that a restart needs: what was called is on record in the account, and everything else is
//! looked at again at Meta before it is done again.

mod answer;
mod brake;
mod failure;
mod graph;
mod hook;
mod looking;
mod numbers;
mod presence;
mod registering;
mod registration;
mod table;
mod wishes;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use graph::NotSetUp;
pub use hook::Unsigned;
pub use looking::Taken;

use super::bulkhead::Bulkhead;
use super::way::{Away, Seen, Way};
use crate::actors::Reports;
use crate::config;
use crate::domain::{Account, AccountNumber, GatewayKind, Outstanding, Sealed};
use crate::limits::{GRAPH_PROBE, GRAPH_PROBE_MAX, META_LOOKS};
use crate::metrics::Metrics;
use crate::projections::Roster;
use crate::vault::Vault;
use graph::Graph;
use hook::Memory;
use numbers::Numbers;
use wishes::Hand;

/// The Cloud API. Cheap to clone.
#[derive(Clone)]
pub struct CloudApi {
    inner: Arc<Inner>,
}

/// What it works with.
pub struct Around {
    /// What seals PINs and opens codes.
    pub vault: Vault,
    /// How the accounts are.
    pub roster: Roster,
    /// Where it reports to.
    pub reports: Reports,
    /// What it counts with.
    pub metrics: Metrics,
    /// When everything under way ends.
    pub stop: CancellationToken,
    /// Where it can be waited for.
    pub tasks: TaskTracker,
}

struct Inner {
    graph: Graph,
    numbers: Numbers,
    settings: config::CloudApi,
    vault: Vault,
    roster: Roster,
    reports: Reports,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
    hands: Mutex<HashMap<AccountNumber, Hand>>,
    /// PINs that were kept since the account was last taken up.
    pins: Mutex<HashMap<AccountNumber, Sealed>>,
    memory: Mutex<Memory>,
    /// Places for looks that webhooks ask for.
    looks: Arc<Semaphore>,
}

impl CloudApi {
    /// The Cloud API of the settings. Its tasks are run by the runtime that this is called in.
    pub fn start(settings: &config::CloudApi, around: Around) -> Result<CloudApi, NotSetUp> {
        let Around { vault, roster, reports, metrics, stop, tasks } = around;
        let inner = Arc::new(Inner {
            graph: Graph::new(settings)?,
            numbers: Numbers::default(),
            settings: settings.clone(),
            vault,
            roster,
            reports,
            metrics,
            stop,
            tasks,
            runtime: Handle::current(),
            hands: Mutex::default(),
            pins: Mutex::default(),
            memory: Mutex::default(),
            looks: Arc::new(Semaphore::new(META_LOOKS)),
        });
        let probing = inner.clone();
        inner.tasks.spawn(async move {
            let stop = probing.stop.clone();
            stop.run_until_cancelled(probing.keep_probing()).await;
        });
        Ok(CloudApi { inner })
    }

    /// Takes in a webhook of Meta's, with the signature that came with it.
    pub async fn hear(&self, signature: Option<&str>, body: &[u8]) -> Taken {
        self.inner.hear(signature, body).await
    }

    /// Whether whoever says this is Meta, as it was told there.
    pub fn is_meta(&self, mode: &str, token: &str) -> bool {
        let ours = self.inner.settings.verify_token.as_ref();
        ours.is_some_and(|ours| hook::is_same(ours.text(), token)) && mode == "subscribe"
    }
}

impl Way for CloudApi {
    fn kind(&self) -> GatewayKind {
        GatewayKind::CloudApi
    }

    fn take_up(&self, account: AccountNumber, state: &Account, owed: &Outstanding, left: Duration) {
        self.inner.take_up(account, state, owed, left);
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<Seen>, Away>> {
        async { self.inner.sessions().await.map_err(|failure| Away { why: failure.to_string() }) }.boxed()
    }

    /// A number that nobody wants online stays registered: Meta counts each time that this is taken back, and a number that
    /// was only registered is not online here either. Whoever recycles an account has it deregistered, if the settings say so.
    fn close(&self, _: AccountNumber, _: Option<u32>) {}

    fn bulkhead(&self) -> &Bulkhead {
        self.inner.graph.bulkhead()
    }
}

impl Inner {
    /// Tries the token from time to time while it is refused.
    async fn keep_probing(&self) {
        let brake = self.graph.brake();
        loop {
            brake.stopped().await;
            self.metrics.meta_token_refused.set(1);
            let mut wait = GRAPH_PROBE;
            loop {
                sleep(wait).await;
                if self.graph.probe().await {
                    break;
                }
                wait = (wait * 2).min(GRAPH_PROBE_MAX);
            }
            self.metrics.meta_token_refused.set(0);
            brake.release();
            tracing::info!("Meta takes the token again");
        }
    }

    // What these hold is changed in one step each, so a panic elsewhere leaves it whole.

    fn hands(&self) -> MutexGuard<'_, HashMap<AccountNumber, Hand>> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<AccountNumber, Sealed>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
