//! Values that follow from settings.

use std::net::SocketAddr;

use super::settings::{ChannelSettings, Settings, WebhookSettings};
use crate::client::AddressGuard;
use crate::domain::Channel;

impl WebhookSettings {
    /// The URL of a channel's receiver: the channel's own URL, or the base URL with the channel's default path.
    /// `None` if neither is set.
    pub fn receiver_url(&self, channel: Channel) -> Option<String> {
        let under_base =
            || Some(format!("{}{}", self.base_url.as_ref()?.trim_end_matches('/'), channel.default_path()));
        self.channel(channel).url.clone().or_else(under_base)
    }

    /// The settings of one channel.
    pub fn channel(&self, channel: Channel) -> &ChannelSettings {
        &self.channels[channel as usize]
    }

    /// The settings of one channel, to change them.
    pub fn channel_mut(&mut self, channel: Channel) -> &mut ChannelSettings {
        &mut self.channels[channel as usize]
    }
}

impl Settings {
    /// The addresses that receivers may have: public ones, and those in the listed networks. Without a list, private
    /// addresses are allowed too if the service listens on loopback only.
    pub fn address_guard(&self) -> AddressGuard {
        match &self.webhooks.allow_networks {
            Some(networks) => AddressGuard::new(networks.iter().copied()),
            None if is_loopback(&self.http.listen) => AddressGuard::allow_private(),
            None => AddressGuard::new([]),
        }
    }
}

/// Whether a listen address is a loopback address.
fn is_loopback(listen: &str) -> bool {
    match listen.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => listen.rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case("localhost")),
    }
}
