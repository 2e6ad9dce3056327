//! One channel with its dependencies. Its supervisor and its worker share them.

use std::sync::Arc;

use tokio::sync::mpsc;
use url::Url;

use super::channel_command::ChannelCommand;
use super::delivery::PayloadBuilder;
use super::delivery_store::DeliveryStore;
use super::lane::DeliveryPolicy;
use super::receiver_client::Receiver;
use crate::clock::Clock;
use crate::journal::Journal;

/// One channel.
pub(super) struct ChannelContext {
    pub(super) payloads: PayloadBuilder,
    pub(super) journal: Journal,
    pub(super) store: DeliveryStore,
    pub(super) policy: DeliveryPolicy,
    pub(super) max_in_flight: usize,
    pub(super) now: Clock,
    pub(super) receiver: Option<Arc<dyn Receiver>>,
    pub(super) is_paused: bool,
    pub(super) commands: mpsc::Receiver<ChannelCommand>,
    /// The worker sends the URL of a receiver here when the receiver answers HTTP 410.
    pub(super) gone_urls: mpsc::Sender<Url>,
}

impl ChannelContext {
    /// The channel's short name.
    pub(super) fn name(&self) -> &'static str {
        self.payloads.channel.short_name()
    }
}
