//! Filters for events: how they are asked for, and which events they match. Pure.

use std::collections::BTreeMap;

use super::cloud_event::parse_event_type;
use super::origin_filter::{OriginFilter, parse_id};
use super::rfc3339::{TIME_FORM, format_rfc3339, parse_rfc3339};
use crate::domain::{
    AccountNumber, EventType, MalformedAccountNumber, Timestamp, describe_invisible_control, is_single_line,
};
use crate::journal::{JournalEvent, JournalRecord, RecordHeader, RequestId, StreamId};
use crate::limits::REASON_BYTES;

/// A filter. An event matches if it meets every condition that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events of this account.
    pub account: Option<AccountNumber>,
    /// Only events of these types, of any version. Empty for all types.
    pub types: Vec<EventType>,
    /// Only events at or after this time.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Only events that the API key of this number caused, in whichever role.
    pub key: Option<u64>,
    /// Only events of this origin.
    pub origin: Option<OriginFilter>,
    /// Only events of this request.
    pub request: Option<RequestId>,
    /// Only events with such a reason.
    pub reason: Option<ReasonFilter>,
}

/// A text that a reason contains, ignoring case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonFilter {
    text: String,
    lowercase: String,
}

/// A value that a parameter of a filter does not allow.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidFilter {
    /// The parameter.
    pub parameter: &'static str,
    /// What it must be. Continues the sentence after its name.
    pub words: String,
}

impl EventFilter {
    /// The parameters of every list of events. Lists of several accounts also have `account`.
    pub const PARAMETERS: [&str; 7] = ["type", "since", "until", "key", "origin", "requestid", "reason~"];

    /// Parses a filter. `text` returns the value of a parameter.
    pub fn parse<'t>(text: impl Fn(&'static str) -> Option<&'t str>) -> Result<EventFilter, InvalidFilter> {
        let time = |text: &str| allow(parse_rfc3339(text), TIME_FORM, text);
        let (since, until) = (parse_with(&text, "since", time)?, parse_with(&text, "until", time)?);
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            return Err(InvalidFilter { parameter: "until", words: "must not be before since".to_owned() });
        }
        Ok(EventFilter {
            account: parse_with(&text, "account", |text| {
                text.parse().map_err(|malformed: MalformedAccountNumber| malformed.to_string())
            })?,
            types: parse_with(&text, "type", parse_types)?.unwrap_or_default(),
            since,
            until,
            key: parse_with(&text, "key", |text| allow(parse_id(text), "the number of an API key, such as 7", text))?,
            origin: parse_with(&text, "origin", |text| {
                allow(OriginFilter::parse(text), &OriginFilter::allowed(), text)
            })?,
            request: parse_with(&text, "requestid", |text| {
                allow(RequestId::parse(text), "the id of a request, 32 hex digits", text)
            })?,
            reason: parse_with(&text, "reason~", ReasonFilter::parse)?,
        })
    }

    /// The filter as parameters with values, which [`parse`](EventFilter::parse) accepts. Times are in RFC 3339.
    pub fn to_parameters(&self) -> BTreeMap<String, String> {
        let EventFilter { account, types, since, until, key, origin, request, reason } = self;
        let types: Vec<&str> = types.iter().map(|event_type| event_type.name()).collect();
        let values = [
            ("account", account.map(|account| account.to_string())),
            ("type", (!types.is_empty()).then(|| types.join(","))),
            ("since", since.map(format_rfc3339)),
            ("until", until.map(format_rfc3339)),
            ("key", key.map(|key| key.to_string())),
            ("origin", origin.map(|origin| origin.to_string())),
            ("requestid", request.map(|request| request.to_string())),
            ("reason~", reason.as_ref().map(|reason| reason.text.clone())),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Whether the filter accepts every event.
    pub fn matches_all(&self) -> bool {
        *self == EventFilter::default()
    }

    /// Whether an event with this header may match. [`matches_event`](EventFilter::matches_event) decides the rest.
    pub(super) fn matches_header(&self, header: &RecordHeader) -> bool {
        let RecordHeader { position: _, stream, at, event_type, origin } = *header;
        let EventFilter { account, types, since, until, key, origin: from, request, reason: _ } = self;
        account.is_none_or(|account| stream == StreamId::Account(account))
            && (types.is_empty() || event_type.is_some_and(|event_type| types.contains(&event_type)))
            && since.is_none_or(|since| at >= since)
            && until.is_none_or(|until| at < until)
            && key.is_none_or(|key| origin.principal.key_id() == Some(key))
            && from.is_none_or(|from| from.matches(origin.principal))
            && request.is_none_or(|request| origin.request == request)
    }

    /// Whether an event matches, if its header does.
    pub(super) fn matches_event(&self, event: &JournalEvent) -> bool {
        self.reason.as_ref().is_none_or(|wanted| event.reason().is_some_and(|reason| wanted.matches(reason)))
    }

    pub(super) fn matches_record(&self, record: &JournalRecord) -> bool {
        let JournalRecord { position, stream, at, origin, event, .. } = record;
        let event_type = event.event_type();
        let header = RecordHeader { position: *position, stream: *stream, at: *at, event_type, origin: *origin };
        self.matches_header(&header) && self.matches_event(event)
    }
}

impl ReasonFilter {
    fn parse(text: &str) -> Result<ReasonFilter, String> {
        match is_single_line(text, REASON_BYTES) {
            true => Ok(ReasonFilter { text: text.to_owned(), lowercase: text.to_lowercase() }),
            false => {
                let cause = describe_invisible_control(text);
                Err(format!("must be 1 to {REASON_BYTES} bytes of text on one line{cause}"))
            }
        }
    }

    pub(super) fn matches(&self, reason: &str) -> bool {
        reason.to_lowercase().contains(&self.lowercase)
    }
}

fn parse_types(text: &str) -> Result<Vec<EventType>, String> {
    let event_type = |text| {
        parse_event_type(text).ok_or_else(|| {
            let known = EventType::all().map(EventType::name).collect::<Vec<_>>().join(", ");
            format!("must be one or more of {known}; {text:?} is not an event type")
        })
    };
    text.split(',').map(event_type).collect()
}

/// A parsed value, or what is allowed in place of `text`.
fn allow<T>(value: Option<T>, allowed: &str, text: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("must be {allowed}, not {text:?}"))
}

fn parse_with<'t, T>(
    text: impl Fn(&'static str) -> Option<&'t str>,
    parameter: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, InvalidFilter> {
    text(parameter).map(parse).transpose().map_err(|words| InvalidFilter { parameter, words })
}
