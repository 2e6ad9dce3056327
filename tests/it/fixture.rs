//! Services on one data directory, started one after the other, with a bridge gateway, a fake Graph, and a webhook
//! receiver.

use std::path::PathBuf;

use muster::journal::Journal;
use tempfile::TempDir;

use crate::bridge::scripted_gateway::ScriptedGateway;
use crate::fake_graph::{APP_SECRET, FakeGraph, TOKEN, VERIFY_TOKEN, WABA};
use crate::gateway_check::SECRET;
use crate::service_process::{ReceivedDelivery, ServiceProcess, WebhookReceiver, accepted_payloads, temp_directory};
use crate::testkit::fixture::{open_journal, open_store};

/// The data directory is `data`, below `place`.
pub struct Fixture {
    pub place: TempDir,
    pub gateway: ScriptedGateway,
    pub graph: FakeGraph,
    pub receiver: WebhookReceiver,
    settings: Vec<(&'static str, String)>,
}

impl Fixture {
    /// With a receiver that accepts everything. The simulator serves all accounts.
    pub async fn new() -> Fixture {
        Fixture::with_receiver(WebhookReceiver::start().await).await
    }

    pub async fn with_receiver(receiver: WebhookReceiver) -> Fixture {
        let (gateway, graph) = (ScriptedGateway::start().await, FakeGraph::start().await);
        let settings = vec![("MUSTER_WEBHOOKS__BASE_URL", receiver.base.clone())];
        Fixture { place: temp_directory(), gateway, graph, receiver, settings }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Fixture {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// With the bridge set up, for a gateway that fetches its commands.
    pub fn with_pull(self) -> Fixture {
        self.with("MUSTER_GATEWAY__BRIDGE__SECRET", SECRET)
    }

    /// With the bridge set up, for a gateway that commands are pushed to.
    pub fn with_push(self) -> Fixture {
        let url = self.gateway.base.clone();
        self.with_pull().with("MUSTER_GATEWAY__BRIDGE__URL", &url)
    }

    /// With the Cloud API set up.
    pub fn with_cloud_api(self) -> Fixture {
        let graph = self.graph.base.clone();
        self.with("MUSTER_GATEWAY__CLOUD_API__BASE_URL", &graph)
            .with("MUSTER_GATEWAY__CLOUD_API__WABA_ID", WABA)
            .with("MUSTER_GATEWAY__CLOUD_API__TOKEN", TOKEN)
            .with("MUSTER_GATEWAY__CLOUD_API__APP_SECRET", APP_SECRET)
            .with("MUSTER_GATEWAY__CLOUD_API__VERIFY_TOKEN", VERIFY_TOKEN)
            .with("MUSTER_GATEWAY__CLOUD_API__VERIFIED_NAME", "Lucky Shrub")
            .with("MUSTER_GATEWAY__CLOUD_API__CALLS_PER_SECOND", "1000")
    }

    pub fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    pub fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts the service on the directory as it is; the gateway reports to it from then on.
    pub fn start(&self) -> ServiceProcess {
        self.start_with(&[])
    }

    /// As `start`, with further settings.
    pub fn start_with(&self, more: &[(&str, &str)]) -> ServiceProcess {
        let settings = self.settings.iter().map(|(name, value)| (*name, value.as_str()));
        let muster = ServiceProcess::start(&self.data(), &settings.chain(more.iter().copied()).collect::<Vec<_>>());
        self.gateway.set_report_target(&muster.url(""));
        muster
    }

    /// Waits until the last webhook of an account is this one.
    pub async fn wait_for_payload(&self, account: &str, last: &str) {
        let is_last = |all: &[ReceivedDelivery]| {
            accepted_payloads(all, account).last().is_some_and(|payload| payload.starts_with(last))
        };
        self.receiver.wait_until(&format!("{last:?} of {account}"), is_last).await;
    }

    /// The journal, while no service runs.
    pub fn journal(&self) -> Journal {
        open_journal(open_store(&self.data()))
    }
}
