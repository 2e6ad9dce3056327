//! Which event is sent to receivers, on which channel, and in which words.

use super::{Event, OnlineStatus, Reason, Status};

/// The two webhook channels of the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// `CHANNEL_SYNC_STATUS`: every change of an account's status.
    SyncStatus,
    /// `CHANNEL_REGISTER_STATUS`: every outcome of a registration.
    RegisterStatus,
}

/// What receivers learn from one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notification<'a> {
    /// On [`Channel::SyncStatus`].
    Status {
        /// Normal or banned.
        status: Status,
        /// Online, offline, or in transition.
        online_status: OnlineStatus,
        /// Why, where there is a reason.
        reason: &'a str,
        /// The gateway's scan or pairing id, if there is one.
        instance_code: &'a str,
    },
    /// On [`Channel::RegisterStatus`].
    Registration {
        /// Whether the number is registered now.
        successful: bool,
        /// Whether another code may be tried; false after success.
        still_waiting: bool,
    },
}

impl Channel {
    /// Both channels.
    pub const ALL: [Channel; 2] = [Channel::SyncStatus, Channel::RegisterStatus];

    /// The contract's configuration id.
    pub fn configuration_id(self) -> &'static str {
        match self {
            Channel::SyncStatus => "CHANNEL_SYNC_STATUS",
            Channel::RegisterStatus => "CHANNEL_REGISTER_STATUS",
        }
    }

    /// The contract's path under the receivers' base URL.
    pub fn default_path(self) -> &'static str {
        match self {
            Channel::SyncStatus => "/callback/gsTask/syncWhatsAppStatus",
            Channel::RegisterStatus => "/group-dispatch-api/register/syncStatus",
        }
    }

    /// A one-word name for logs, delivery ids and stored cursors; never changed.
    pub fn short_name(self) -> &'static str {
        match self {
            Channel::SyncStatus => "sync",
            Channel::RegisterStatus => "register",
        }
    }
}

impl<'a> Notification<'a> {
    /// The notification of `event`, if it has one. The event alone decides: each leads to one state, independent of the
    /// state before.
    pub fn for_event(event: &'a Event) -> Option<Notification<'a>> {
        match event.definition().channel? {
            Channel::SyncStatus => {
                let (status, online_status) = event.definition().resulting_status?;
                let reason = event.status_reason().map_or("", Reason::as_str);
                let instance_code = event.instance_code().unwrap_or_default();
                Some(Notification::Status { status, online_status, reason, instance_code })
            }
            Channel::RegisterStatus => Some(Notification::Registration {
                successful: *event == Event::Registered,
                still_waiting: event.awaits_code() != Some(false),
            }),
        }
    }

    /// The channel that sends it.
    pub fn channel(&self) -> Channel {
        match self {
            Notification::Status { .. } => Channel::SyncStatus,
            Notification::Registration { .. } => Channel::RegisterStatus,
        }
    }
}
