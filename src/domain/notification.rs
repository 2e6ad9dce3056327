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
        let status = |status, online_status, reason: Option<&'a Reason>, instance_code: &'a str| {
            Some(Notification::Status {
                status,
                online_status,
                reason: reason.map_or("", Reason::as_str),
                instance_code,
            })
        };
        match event {
            Event::OnlineRequested => status(Status::Normal, OnlineStatus::OnlineComing, None, ""),
            Event::CameOnline { instance_code } => status(Status::Normal, OnlineStatus::Online, None, instance_code),
            Event::RecycleRequested => status(Status::Normal, OnlineStatus::OfflineComing, None, ""),
            Event::WentOffline { reason, instance_code } => {
                status(Status::Normal, OnlineStatus::Offline, Some(reason), instance_code)
            }
            Event::Banned { reason, instance_code } => {
                status(Status::Banned, OnlineStatus::Offline, Some(reason), instance_code)
            }
            Event::BanLifted => status(Status::Normal, OnlineStatus::Offline, None, ""),
            Event::Registered => Some(Notification::Registration { successful: true, still_waiting: false }),
            Event::RegistrationFailed { still_waiting, .. } => {
                Some(Notification::Registration { successful: false, still_waiting: *still_waiting })
            }
            Event::AccountImported { .. }
            | Event::ContentReplaced { .. }
            | Event::RegistrationRequested { .. }
            | Event::CodeSent
            | Event::CodeSubmitted { .. }
            | Event::SecretsErased { .. }
            | Event::GatewayAssigned { .. }
            | Event::PinKept { .. }
            | Event::ProviderCalled { .. } => None,
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
