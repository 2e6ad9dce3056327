//! The ways to WhatsApp that the settings have set up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Error, Rooms};
use crate::actors::Reports;
use crate::clock;
use crate::config::Settings;
use crate::domain::GatewayKind;
use crate::gateway::{Bridge, CloudApi, Gateways, Way, bridge, cloud_api};

/// Those beside the simulator.
pub(super) struct Ways {
    pub(super) bridge: Option<Bridge>,
    pub(super) cloud_api: Option<CloudApi>,
}

impl Ways {
    /// Opens them. What the Cloud API has under way ends with `stop`, and is among `tasks`.
    pub(super) fn open(
        settings: &Settings,
        rooms: &Rooms,
        reports: &Reports,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Ways, Error> {
        let is_set_up = |kind| settings.gateway.is_set_up(kind);
        let bridge = is_set_up(GatewayKind::Bridge).then(|| open_bridge(settings, rooms, reports)).transpose()?;
        let cloud_api = is_set_up(GatewayKind::CloudApi).then(|| {
            let around = cloud_api::Around {
                vault: rooms.vault.clone(),
                roster: rooms.roster.clone(),
                reports: reports.clone(),
                metrics: rooms.journal.metrics().clone(),
                stop: stop.clone(),
                tasks: tasks.clone(),
            };
            CloudApi::start(&settings.gateway.cloud_api, around)
        });
        Ok(Ways { bridge, cloud_api: cloud_api.transpose()? })
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<dyn Way>> {
        let bridge = self.bridge.iter().map(|way| Arc::new(way.clone()) as Arc<dyn Way>);
        bridge.chain(self.cloud_api.iter().map(|way| Arc::new(way.clone()) as Arc<dyn Way>)).collect()
    }

    /// Runs what runs by itself, until `stop`: commands are pushed, and sessions are compared with what is shown `every` so
    /// often, and once a gateway has lost its memory.
    pub(super) fn run(
        &self,
        gateways: &Gateways,
        rooms: &Rooms,
        every: Duration,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let (roster, metrics) = (rooms.roster.clone(), rooms.journal.metrics().clone());
        tasks.spawn(gateways.clone().keep_reconciled(roster, metrics, every, stop.clone()));
        let Some(bridge) = &self.bridge else { return };
        tasks.spawn(bridge.clone().run(stop.clone()));
        let (mut begun, gateways, stop) = (bridge.streams_begun(), gateways.clone(), stop.clone());
        tasks.spawn(async move {
            while let Some(Ok(())) = stop.run_until_cancelled(begun.changed()).await {
                gateways.look_again(GatewayKind::Bridge);
            }
        });
    }
}

fn open_bridge(settings: &Settings, rooms: &Rooms, reports: &Reports) -> Result<Bridge, bridge::Error> {
    let Rooms { store, vault, roster, journal, .. } = rooms;
    let journal = journal.clone();
    let settle = move || {
        let journal = journal.clone();
        async move { journal.settle().await.map_err(|error| error.to_string()) }.boxed()
    };
    let around = bridge::Around {
        store: store.clone(),
        settle: Arc::new(settle),
        reports: reports.clone(),
        roster: roster.clone(),
        vault: vault.clone(),
        now: clock::moment,
    };
    Bridge::new(&settings.gateway.bridge, around)
}
