//! What a record of the journal holds: an event of an account, an administrative event, or one of a newer program.

use crate::domain::{AuditLogEntry, Event, EventType};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// An event of an account.
    Account(Event),
    /// An administrative event.
    Administration(AuditLogEntry),
    /// An event that a newer program wrote. It can be shown as it is stored, but not applied.
    Unknown(UnknownEvent),
}

/// A payload that this program cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent {
    /// The registered number of its type.
    pub event_type: u16,
    /// The version of its payload.
    pub schema: u16,
    /// The payload as stored.
    pub payload: Box<[u8]>,
}

impl JournalEvent {
    /// Its type. `None` for unknown events.
    pub fn event_type(&self) -> Option<EventType> {
        match self {
            JournalEvent::Account(event) => Some(EventType::Account(event.event_type())),
            JournalEvent::Administration(entry) => Some(EventType::Administration(entry.event.event_type())),
            JournalEvent::Unknown(_) => None,
        }
    }

    /// Why it happened. `None` if no reason was given, or if the event is unknown.
    pub fn reason(&self) -> Option<&str> {
        match self {
            JournalEvent::Account(event) => event.reason(),
            JournalEvent::Administration(entry) => entry.event.reason(),
            JournalEvent::Unknown(_) => None,
        }
    }
}
