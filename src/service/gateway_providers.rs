//! The gateways that the settings set up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Error, OpenStorage};
use crate::actors::ReportSender;
use crate::clock;
use crate::config::Settings;
use crate::domain::GatewayKind;
use crate::gateway::{Bridge, CloudApi, GatewayProvider, GatewayRegistry, bridge, cloud_api};

/// The gateways except the simulator.
pub(super) struct GatewayProviders {
    pub(super) bridge: Option<Bridge>,
    pub(super) cloud_api: Option<CloudApi>,
}

impl GatewayProviders {
    /// Opens them. Cloud API work in progress ends with `stop`, and is tracked by `tasks`.
    pub(super) fn open(
        settings: &Settings,
        storage: &OpenStorage,
        reports: &ReportSender,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<GatewayProviders, Error> {
        let is_set_up = |kind| settings.gateway.is_set_up(kind);
        let bridge = is_set_up(GatewayKind::Bridge).then(|| open_bridge(settings, storage, reports)).transpose()?;
        let cloud_api = is_set_up(GatewayKind::CloudApi).then(|| {
            let dependencies = cloud_api::CloudApiDependencies {
                vault: storage.vault.clone(),
                roster: storage.roster.clone(),
                reports: reports.clone(),
                metrics: storage.journal.metrics().clone(),
                stop: stop.clone(),
                tasks: tasks.clone(),
            };
            CloudApi::start(&settings.gateway.cloud_api, dependencies)
        });
        Ok(GatewayProviders { bridge, cloud_api: cloud_api.transpose()? })
    }

    /// The providers of all of them.
    pub(super) fn providers(&self) -> Vec<Arc<dyn GatewayProvider>> {
        let bridge = self.bridge.iter().map(|gateway| Arc::new(gateway.clone()) as Arc<dyn GatewayProvider>);
        bridge
            .chain(self.cloud_api.iter().map(|gateway| Arc::new(gateway.clone()) as Arc<dyn GatewayProvider>))
            .collect()
    }

    /// Runs their background tasks until `stop`: pushing commands, and reconciliation. Reconciliation runs every
    /// `every`, and after a gateway has lost its memory.
    pub(super) fn spawn_tasks(
        &self,
        gateways: &GatewayRegistry,
        storage: &OpenStorage,
        every: Duration,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let (roster, metrics) = (storage.roster.clone(), storage.journal.metrics().clone());
        tasks.spawn(gateways.clone().run_reconciliation(roster, metrics, every, stop.clone()));
        let Some(bridge) = &self.bridge else { return };
        tasks.spawn(bridge.clone().run(stop.clone()));
        let (mut begun, gateways, stop) = (bridge.streams_started(), gateways.clone(), stop.clone());
        tasks.spawn(async move {
            while let Some(Ok(())) = stop.run_until_cancelled(begun.changed()).await {
                gateways.trigger_reconciliation(GatewayKind::Bridge);
            }
        });
    }
}

fn open_bridge(settings: &Settings, storage: &OpenStorage, reports: &ReportSender) -> Result<Bridge, bridge::Error> {
    let OpenStorage { store, vault, roster, journal, .. } = storage;
    let journal = journal.clone();
    let settle = move || {
        let journal = journal.clone();
        async move { journal.sync().await.map_err(|error| error.to_string()) }.boxed()
    };
    let dependencies = bridge::BridgeDependencies {
        store: store.clone(),
        sync_store: Arc::new(settle),
        reports: reports.clone(),
        roster: roster.clone(),
        vault: vault.clone(),
        now: clock::moment,
    };
    Bridge::new(&settings.gateway.bridge, dependencies)
}
