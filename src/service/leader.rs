//! The modules that change something: actors, gateways, webhooks, idempotency records.
//!
//! The other modules are storage, views, reads, HTTP and the console. They are the same on every machine, and outlive a
//! leader. A leader is started and stopped as one value. On one machine, this process always leads.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Error, OpenStorage};
use crate::actors::{self, Accounts, ReportSender};
use crate::clock;
use crate::config::Settings;
use crate::gateway::{self, GatewayDependencies, GatewayRegistry};
use crate::idempotency::IdempotencyRecords;
use crate::journal::Journal;
use crate::vault::{RotationReport, Vault};
use crate::webhooks::Webhooks;

/// The running modules that write to the store, or reach gateways and receivers.
pub(super) struct Leader {
    pub(super) accounts: Accounts,
    pub(super) gateways: GatewayRegistry,
    pub(super) webhooks: Webhooks,
    pub(super) idempotency: IdempotencyRecords,
    tasks: TaskTracker,
    /// Ends the tasks.
    work: CancellationToken,
    /// Ends the delivery of webhooks. It is cancelled after `work`, so that receivers are notified of the results of
    /// that work.
    deliveries: CancellationToken,
}

impl Leader {
    /// Starts the modules, completes the unfinished work of the last leader, and dispatches pending effects again.
    pub(super) async fn start(settings: &Settings, storage: &OpenStorage) -> Result<Leader, Error> {
        let OpenStorage { store, vault, roster, journal, .. } = storage;
        actors::finish_erasures(vault, journal).await?;
        let tasks = TaskTracker::new();
        let [work, deliveries] = [(); 2].map(|()| CancellationToken::new());

        let (reports, reported) = actors::report_channel();
        let gateways = gateway::open(settings, &gateway_dependencies(storage, reports, &work, &tasks))?;
        gateways.warn_of_missing(roster);
        let (accounts, inbox) = Accounts::start(
            journal.clone(),
            vault.clone(),
            settings,
            Arc::new(gateways.clone()),
            reported,
            roster.last_task().max(journal.generations().lost_numbers()),
        )?;
        let webhooks =
            Webhooks::start(store, journal, roster, vault, settings.address_guard(), &settings.webhooks, &deliveries)?;
        tasks.spawn(inbox.run(roster.accounts_with_pending_effects(), work.clone()));
        let (metrics, every) = (journal.metrics().clone(), settings.gateway.reconcile_every);
        tasks.spawn(gateways.clone().run_reconciliation(roster.clone(), metrics, every, work.clone()));

        let idempotency = IdempotencyRecords::open(store, journal.clone(), clock::trusted);
        tasks.spawn(idempotency.clone().expire_periodically(work.clone()));

        resume_rotation(vault, journal);
        Ok(Leader { accounts, gateways, webhooks, idempotency, tasks, work, deliveries })
    }

    /// Stops the work, then the delivery of its results. Send no commands after this call.
    pub(super) async fn stop(self) {
        self.work.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.accounts.drain().await;
        self.deliveries.cancel();
        self.webhooks.drain().await;
    }
}

/// The dependencies of the gateways. `stop` ends their tasks, and `tasks` tracks them.
fn gateway_dependencies(
    storage: &OpenStorage,
    reports: ReportSender,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> GatewayDependencies {
    let OpenStorage { store, vault, roster, journal, .. } = storage;
    let (syncing, sessions) = (journal.clone(), journal.clone());
    GatewayDependencies {
        store: store.clone(),
        sync_store: Arc::new(move || {
            let journal = syncing.clone();
            async move { journal.sync().await.map_err(|error| error.to_string()) }.boxed()
        }),
        vault: vault.clone(),
        roster: roster.clone(),
        // If the account cannot be read, its session counts as the first. Its next command reports the error.
        latest_session: Arc::new(move |account| {
            sessions.load_account(account).map_or(1, |(state, _)| state.latest_session)
        }),
        reports,
        now: clock::moment,
        stop: stop.clone(),
        tasks: tasks.clone(),
    }
}

/// Continues an interrupted rotation of the master key, in the background.
fn resume_rotation(vault: &Vault, journal: &Journal) {
    let Some(rotation) = vault.unfinished_rotation() else { return };
    let (journal, runtime) = (journal.clone(), runtime::Handle::current());
    tracing::warn!("this start continues an interrupted rotation of the master key");
    tokio::task::spawn_blocking(move || match rotation.run_at_start(&journal, &runtime) {
        Ok(RotationReport { rewrapped, next }) => {
            tracing::warn!(rewrapped, "this start completed the rotation; what to do now: {next}");
        }
        Err(error) => tracing::error!(%error, "this start could not complete the rotation"),
    });
}
