//! Events as CloudEvents 1.0 in JSON: the same form everywhere.
//!
//! | attribute | what |
//! |---|---|
//! | `id` | the position in the journal, as `48`; from generation 1 on with the generation, as `1-48` |
//! | `source` | the store and the generation, as in `urn:muster:0123456789abcdef:1`; generation 0 is left out |
//! | `type` | as in `muster.account.came_online.v1`: the name of the type, and the schema version of the stored event |
//! | `subject` | the account number, or `administration` |
//! | `time` | RFC 3339, UTC, to the microsecond |
//! | `version` | the number of the event in its subject's history, from 1 (extension) |
//! | `prev` | the id of the subject's previous event; `0` if there is none (extension) |
//! | `origin` | the requester: `caller`, `gateway`, `operator` or `service`, with its id if it has one (extension) |
//! | `requestid` | the request, 32 hex digits; omitted if there was none (extension) |
//! | `data` | what happened. Secrets are shown as fingerprints only |
//! | `keyname` | the name of the API key in `origin`; omitted without a key, and in bundles (extension) |
//!
//! Frozen: the attributes, their order and the forms of their values. Exports and bundles hold them, and their digests
//! cover them. New attributes come last.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::event_data::EventData;
use super::event_source::EventSource;
use super::rfc3339::format_rfc3339;
use crate::domain::{EventId, EventType, GatewayKind};
use crate::journal::{JournalEvent, JournalRecord, Origin, Principal, StreamId};

/// An event of the journal as a CloudEvent 1.0; the attributes keep this order.
#[derive(Serialize, ToSchema)]
pub struct CloudEvent<'a> {
    /// `1.0`.
    specversion: &'static str,
    /// The position in the journal, from 1. After a restore the generation stands before it, as in `1-48`.
    #[schema(pattern = "^([1-9][0-9]*-)?[1-9][0-9]*$")]
    pub(crate) id: String,
    /// The store, such as `urn:muster:0123456789abcdef`. After a restore the generation follows, as in
    /// `urn:muster:0123456789abcdef:1`.
    source: Cow<'a, str>,
    /// The event type, such as `muster.account.came_online.v1`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What happened, as a type; `None` if this program does not know it.
    #[serde(skip)]
    pub(crate) event_type: Option<EventType>,
    /// The account number, or `administration`.
    pub(crate) subject: String,
    /// The time in UTC, to the microsecond.
    #[schema(format = DateTime)]
    pub(crate) time: String,
    /// The version of the subject after this event, from 1.
    pub(crate) version: u64,
    /// The id of the subject's previous event; `0` if there is none.
    #[schema(pattern = "^([1-9][0-9]*-)?[0-9]+$")]
    pub(crate) prev: String,
    /// The requester: `caller`, `gateway`, `operator` or `service`. A colon and the API key's number may follow, or the
    /// name of the gateway.
    pub(crate) origin: String,
    /// The request id, 32 hex digits; left out if there was no request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9a-f]{32}$")]
    pub(crate) requestid: Option<String>,
    /// `application/json`.
    datacontenttype: &'static str,
    pub(crate) data: EventData<'a>,
    /// The name of the API key in `origin`; left out without a key, and in bundles, which list the names once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) keyname: Option<&'a str>,
}

/// An event of the journal as queries return it. It serializes as a [`CloudEvent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// The event.
    pub record: JournalRecord,
    /// Gives the event its `source` and `id`.
    pub(super) source: EventSource,
    /// The name of the API key in its origin.
    pub(super) key_name: Option<Arc<str>>,
}

impl EventView {
    /// Its attributes.
    pub fn cloud_event(&self) -> CloudEvent<'_> {
        CloudEvent::of(&self.record, &self.source, self.key_name.as_deref())
    }

    /// Its id.
    pub fn id(&self) -> EventId {
        self.source.event_id(self.record.position)
    }

    /// Its version, with its generation: the cursor of a history.
    pub fn version_id(&self) -> EventId {
        EventId { position: self.record.version, ..self.id() }
    }

    /// The event as one line of JSON, without a line end.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and integers always serialize.
        serde_json::to_vec(&self.cloud_event()).unwrap_or_default()
    }
}

impl Serialize for EventView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.cloud_event().serialize(serializer)
    }
}

impl<'a> CloudEvent<'a> {
    fn of(record: &'a JournalRecord, source: &'a EventSource, keyname: Option<&'a str>) -> CloudEvent<'a> {
        CloudEvent {
            specversion: "1.0",
            id: source.event_id(record.position).to_string(),
            source: source.at(record.position),
            kind: cloud_event_type(record),
            event_type: record.event.event_type(),
            subject: subject(record.stream),
            time: format_rfc3339(record.at),
            version: record.version,
            prev: source.event_id(record.previous).to_string(),
            origin: origin(record.origin),
            requestid: request_id(record.origin),
            datacontenttype: "application/json",
            data: EventData::of(record),
            keyname,
        }
    }
}

/// The event as one line of JSON, from its record alone: a bundle's reader has nothing else. `source` is that
/// of its log.
pub(super) fn record_to_json(record: &JournalRecord, source: &EventSource) -> Vec<u8> {
    // Texts and integers always serialize.
    serde_json::to_vec(&CloudEvent::of(record, source, None)).unwrap_or_default()
}

/// The `type` of an event.
pub(super) fn cloud_event_type(record: &JournalRecord) -> String {
    match &record.event {
        JournalEvent::Account(event) => cloud_event_type_of(EventType::Account(event.event_type()), record.schema),
        JournalEvent::Administration(entry) => {
            cloud_event_type_of(EventType::Administration(entry.event.event_type()), record.schema)
        }
        JournalEvent::Unknown(unknown) => format!("muster.unknown.{}.v{}", unknown.event_type, record.schema),
    }
}

/// The `type` of the events of an event type, in this schema version.
pub fn cloud_event_type_of(event_type: EventType, schema: u16) -> String {
    let subject = match event_type {
        EventType::Account(_) => "account",
        EventType::Administration(_) => "administration",
    };
    format!("muster.{subject}.{}.v{schema}", event_type.name())
}

/// The `data` of an event.
pub(super) fn data_json(record: &JournalRecord) -> String {
    serde_json::to_string(&EventData::of(record)).unwrap_or_default()
}

/// The event type of a `type`, or of a bare name. A `type` selects its event type in all schema versions, so that a
/// filter still finds the events of later versions. `None` if this program does not know the type or the version.
pub fn parse_event_type(text: &str) -> Option<EventType> {
    let name = text.strip_prefix("muster.account.").or(text.strip_prefix("muster.administration."));
    let Some((name, schema)) = name.and_then(|name| name.split_once(".v")) else { return EventType::from_name(text) };
    let event_type = EventType::from_name(name)?;
    let schemas = 1..=event_type.definition().schema;
    schemas.into_iter().any(|known| schema == known.to_string()).then_some(event_type)
}

/// The `subject` of a stream.
pub(super) fn subject(stream: StreamId) -> String {
    match stream {
        StreamId::Account(account) => account.to_string(),
        StreamId::Administration => "administration".to_owned(),
    }
}

/// The `origin` of a record.
pub(super) fn origin(origin: Origin) -> String {
    let named = |kind: &str, id: u64| if id == 0 { kind.to_owned() } else { format!("{kind}:{id}") };
    match origin.principal {
        Principal::Service => "service".to_owned(),
        Principal::Caller(id) => named("caller", id),
        // The simulator was the only gateway at first, so it has no name in this field.
        Principal::Gateway(id) => match u8::try_from(id).ok().and_then(GatewayKind::from_code) {
            Some(GatewayKind::Simulator) => "gateway".to_owned(),
            Some(kind) => format!("gateway:{}", kind.name()),
            None => named("gateway", id),
        },
        Principal::Operator(id) => named("operator", id),
    }
}

/// An `origin` with the name of its API key, for people.
pub fn label_origin(origin: &str, key_name: Option<&str>) -> String {
    key_name.map_or_else(|| origin.to_owned(), |name| format!("{origin} ({name})"))
}

/// The `requestid` of a record.
pub(super) fn request_id(origin: Origin) -> Option<String> {
    (origin.request.0 != 0).then(|| origin.request.to_string())
}
