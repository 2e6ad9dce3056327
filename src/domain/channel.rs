//! The webhook channels, and the notifications that each sends to receivers. Which event is sent on which channel is in
//! the table of events.

use super::{Event, OnlineStatus, Reason, RegistrationResult, Status};

/// A webhook channel. `ALL` lists each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// `CHANNEL_SYNC_STATUS`: every change of an account's status.
    SyncStatus,
    /// `CHANNEL_REGISTER_STATUS`: every outcome of a registration.
    RegisterStatus,
}

// Frozen: numbers, names and paths. Journals hold the numbers; stored rows, settings and receivers hold the names and
// the paths.
/// The fixed properties of a channel.
#[derive(Debug)]
pub struct ChannelDefinition {
    /// The number that the journal stores. It is never changed or reused.
    pub number: u8,
    /// A one-word name for the API, metrics, logs, delivery ids and stored cursors. It is never changed.
    pub short_name: &'static str,
    /// The contract's configuration id. In lower case it names the channel's settings.
    pub configuration_id: &'static str,
    /// The contract's path under the receivers' base URL.
    pub default_path: &'static str,
    /// The operation's id in OpenAPI.
    pub operation_id: &'static str,
    /// The operation's summary in OpenAPI.
    pub summary: &'static str,
    /// The description of its body in OpenAPI.
    pub body: &'static str,
}

/// The notification that receivers get about one event.
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
    /// All channels.
    pub const ALL: [Channel; 2] = [Channel::SyncStatus, Channel::RegisterStatus];

    /// The fixed properties of this channel.
    pub fn definition(self) -> &'static ChannelDefinition {
        match self {
            Channel::SyncStatus => &ChannelDefinition {
                number: 1,
                short_name: "sync",
                configuration_id: "CHANNEL_SYNC_STATUS",
                default_path: "/callback/gsTask/syncWhatsAppStatus",
                operation_id: "syncWhatsAppStatus",
                summary: "Sync WhatsApp account status",
                body: "The account's new status.",
            },
            Channel::RegisterStatus => &ChannelDefinition {
                number: 2,
                short_name: "register",
                configuration_id: "CHANNEL_REGISTER_STATUS",
                default_path: "/group-dispatch-api/register/syncStatus",
                operation_id: "syncRegisterStatus",
                summary: "Sync customer service account registration status",
                body: "The outcome of the registration.",
            },
        }
    }

    /// Its one-word name.
    pub fn short_name(self) -> &'static str {
        self.definition().short_name
    }

    /// The contract's configuration id.
    pub fn configuration_id(self) -> &'static str {
        self.definition().configuration_id
    }

    /// The contract's path under the receivers' base URL.
    pub fn default_path(self) -> &'static str {
        self.definition().default_path
    }

    /// The channel that the journal stores as `number`.
    pub fn from_number(number: u8) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.definition().number == number)
    }

    /// The channel with this one-word name or configuration id.
    pub fn from_name(name: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.short_name() == name || channel.configuration_id() == name)
    }
}

impl<'a> Notification<'a> {
    /// The notification about `event`; `None` if no channel sends the event. It depends on the event alone, not on the
    /// state before it.
    pub fn for_event(event: &'a Event) -> Option<Notification<'a>> {
        if let Event::StatusResynced { status, online_status, reason, instance_code } = event {
            let (status, online_status, reason) = (*status, *online_status, reason.as_str());
            return Some(Notification::Status { status, online_status, reason, instance_code });
        }
        match event.definition().channel? {
            Channel::SyncStatus => {
                let (status, online_status) = event.definition().resulting_status?;
                let reason = event.status_reason().map_or("", Reason::as_str);
                let instance_code = event.instance_code().unwrap_or_default();
                Some(Notification::Status { status, online_status, reason, instance_code })
            }
            Channel::RegisterStatus => {
                let RegistrationResult { successful, still_waiting } = event.registration_result()?;
                Some(Notification::Registration { successful, still_waiting })
            }
        }
    }

    /// The channel that sends the notification.
    pub fn channel(&self) -> Channel {
        match self {
            Notification::Status { .. } => Channel::SyncStatus,
            Notification::Registration { .. } => Channel::RegisterStatus,
        }
    }
}
