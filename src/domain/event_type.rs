//! The types of events, and the fixed properties of each.
//!
//! The tables in `event` and `administrative_event` define each type once. Codec, API, console and metrics read them.

use super::{AccountEventType, AdministrativeEventType, Channel, OnlineStatus, Status};

/// The type of an event in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventType {
    /// Of an account's events.
    Account(AccountEventType),
    /// Of administrative events.
    Administration(AdministrativeEventType),
}

/// The fixed properties of a type of event.
#[derive(Debug)]
pub struct EventDefinition {
    /// The number that the journal stores. It is registered once, and never changed or reused.
    pub number: u16,
    /// The name in the API, in filters and in metrics. It is never changed.
    pub name: &'static str,
    /// The version of the payload that this program writes, from 1. It reads all versions up to this one.
    pub schema: u16,
    /// Whether the event records that a caller or an operator requested a change of the account.
    pub is_request: bool,
    /// The statuses after the event. They do not depend on the state before it. `None` if the event does not change
    /// them.
    pub resulting_status: Option<(Status, OnlineStatus)>,
    /// Whether a registration waits for a code after the event. `None` if the event does not change that.
    pub awaits_code: Option<bool>,
    /// The webhook channel that sends it to receivers.
    pub channel: Option<Channel>,
    /// The group in which the console shows the event, and the event's place in that group. `None` without a group.
    pub group: Option<(EventGroup, GroupStep)>,
}

/// Related events, which the console shows as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventGroup {
    /// From the request to be online to the end of the session.
    Session,
    /// From the request to register to its outcome.
    Registration,
    /// From the ban until it is lifted.
    Ban,
}

/// Where an event stands in its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupStep {
    /// It begins a new group.
    First,
    /// It continues the group before it, or begins one.
    Middle,
    /// Like `Middle`, but it ends the group.
    Last,
}

impl EventDefinition {
    /// The default properties: the type changes no status, and no channel sends it.
    pub(super) const DEFAULT: EventDefinition = EventDefinition {
        number: 0,
        name: "",
        schema: 1,
        is_request: false,
        resulting_status: None,
        awaits_code: None,
        channel: None,
        group: None,
    };
}

/// Defines an enum of event types from a table. A row is: variant, number, name, and the properties that differ from
/// [`EventDefinition::DEFAULT`].
macro_rules! event_types {
    (
        #[doc = $about:literal]
        $enum:ident {
            $($variant:ident = $number:literal $name:literal { $($fact:ident: $value:expr),* $(,)? })*
        }
    ) => {
        #[doc = $about]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $enum {
            $(#[doc = concat!("`", $name, "`.")] $variant),*
        }

        impl $enum {
            /// All types, in the order of their numbers.
            pub const ALL: &[$enum] = &[$($enum::$variant),*];

            /// The fixed properties of this type.
            pub fn definition(self) -> &'static EventDefinition {
                match self {
                    $($enum::$variant => const {
                        &EventDefinition { number: $number, name: $name, $($fact: $value,)* ..EventDefinition::DEFAULT }
                    },)*
                }
            }

            /// The type that the journal stores as `number`.
            pub(super) fn from_number(number: u16) -> Option<$enum> {
                match number {
                    $($number => Some($enum::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(super) use event_types;

impl EventType {
    /// The number of types.
    pub const COUNT: usize = AccountEventType::ALL.len() + AdministrativeEventType::ALL.len();

    /// All types, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = EventType> {
        let administrative = AdministrativeEventType::ALL.iter().copied().map(EventType::Administration);
        AccountEventType::ALL.iter().copied().map(EventType::Account).chain(administrative)
    }

    /// The type that the journal stores as `number`.
    pub fn from_number(number: u16) -> Option<EventType> {
        let administrative = || AdministrativeEventType::from_number(number).map(EventType::Administration);
        AccountEventType::from_number(number).map(EventType::Account).or_else(administrative)
    }

    /// The type with this name.
    pub fn from_name(name: &str) -> Option<EventType> {
        EventType::all().find(|event_type| event_type.name() == name)
    }

    /// The fixed properties of this type.
    pub fn definition(self) -> &'static EventDefinition {
        match self {
            EventType::Account(event_type) => event_type.definition(),
            EventType::Administration(event_type) => event_type.definition(),
        }
    }

    /// Its name: `came_online`.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// Its name for people: `came online`.
    pub fn label(self) -> String {
        self.name().replace('_', " ")
    }

    /// Its index in [`all`](EventType::all).
    pub fn index(self) -> usize {
        match self {
            EventType::Account(event_type) => event_type as usize,
            EventType::Administration(event_type) => AccountEventType::ALL.len() + event_type as usize,
        }
    }
}

impl EventGroup {
    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            EventGroup::Session => "online",
            EventGroup::Registration => "registration",
            EventGroup::Ban => "ban",
        }
    }
}
