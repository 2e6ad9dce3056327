//! Parses and validates the parameters of calls. They arrive as text, in an HTTP query or in the fields of a form.

use super::maintenance::ExportQuery;
use super::problem::Problem;
use crate::audit::{
    AccountFilter, AsOf, EventFilter, ExportFormat, HistoryOrder, InvalidFilter, ReplayEnd, TIME_FORM, parse_time,
};
use crate::domain::{
    AccountNumber, EventId, MalformedEventId, MalformedLabelFilter, OnlineStatus, Status, Timestamp,
    describe_invisible_control, is_single_line, trim_line,
};
use crate::limits::{ACCOUNT_DIGITS_MAX, OPERATOR_REASON_BYTES, PAGE_EVENTS, PAGE_EVENTS_DEFAULT};

/// The filter by a label. A call may have several; an account must match all of them.
pub const LABEL_PARAMETER: &str = "label";

/// The parameters of a call, by name.
pub struct Parameters<'q> {
    pairs: Vec<(&'q str, &'q str)>,
}

impl<'q> Parameters<'q> {
    /// The parameters of a query. Only the names in `known` are allowed, each at most once, except [`LABEL_PARAMETER`].
    pub fn from_query(query: &'q [(String, String)], known: &[&str]) -> Result<Parameters<'q>, Problem> {
        for (at, (name, _)) in query.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::invalid_parameter(
                    name,
                    format_args!("is not a parameter of this endpoint; it has: {known}"),
                ));
            }
            if name != LABEL_PARAMETER && query[..at].iter().any(|(other, _)| other == name) {
                return Err(Problem::invalid_parameter(name, "is given twice; give it once"));
            }
        }
        Ok(Parameters { pairs: query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect() })
    }

    /// The parameters of a form or a command line. Leaves out a field without a value.
    pub fn from_fields(fields: impl IntoIterator<Item = (&'q str, Option<&'q str>)>) -> Parameters<'q> {
        Parameters { pairs: fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect() }
    }

    /// Like [`from_fields`](Parameters::from_fields), from owned values.
    pub fn from_values(values: &'q [(&'q str, Option<String>)]) -> Parameters<'q> {
        Parameters::from_fields(values.iter().map(|(name, value)| (*name, value.as_deref())))
    }

    /// The text of a parameter.
    pub fn text(&self, name: &'static str) -> Option<&'q str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A whole number.
    pub fn number(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        let number = |text: &str| {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = is_plain.then(|| text.parse().ok()).flatten();
            number.ok_or_else(|| Problem::invalid_parameter(name, format_args!("must be a whole number, not {text:?}")))
        };
        self.text(name).map(number).transpose()
    }

    /// A required whole number.
    pub fn required_number(&self, name: &'static str) -> Result<u64, Problem> {
        self.number(name)?.ok_or_else(|| Problem::invalid_parameter(name, "is missing; it is required"))
    }

    /// The id of an event.
    pub fn event_id(&self, name: &'static str) -> Result<Option<EventId>, Problem> {
        self.text(name).map(|text| parse_event_id(name, text)).transpose()
    }

    /// A time, or a day.
    pub fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.text(name).map(|text| parse_time_parameter(name, text)).transpose()
    }

    /// The parameter `account`, an account number.
    pub fn account(&self) -> Result<Option<AccountNumber>, Problem> {
        self.text("account").map(|text| parse_account("account", text)).transpose()
    }

    /// The page size; [`PAGE_EVENTS_DEFAULT`] by default.
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.number("limit")?.unwrap_or(PAGE_EVENTS_DEFAULT as u64);
        match usize::try_from(limit) {
            Ok(limit) if (1..=PAGE_EVENTS).contains(&limit) => Ok(limit),
            Ok(_) | Err(_) => {
                Err(Problem::invalid_parameter("limit", format_args!("must be 1 to {PAGE_EVENTS}, not {limit}")))
            }
        }
    }

    /// The filter of a list of events: [`EventFilter::PARAMETERS`], and `account` if the endpoint has it.
    pub fn event_filter(&self) -> Result<EventFilter, Problem> {
        EventFilter::parse(|name| self.text(name))
            .map_err(|InvalidFilter { parameter, words }| Problem::invalid_parameter(parameter, words))
    }

    /// `order`: `asc` or `desc`.
    pub fn order(&self) -> Result<HistoryOrder, Problem> {
        match self.text("order") {
            None | Some("asc") => Ok(HistoryOrder::Ascending),
            Some("desc") => Ok(HistoryOrder::Descending),
            Some(other) => Err(Problem::invalid_parameter("order", format_args!("must be asc or desc, not {other:?}"))),
        }
    }

    /// `until`, as a position or a time.
    pub fn replay_end(&self) -> Result<ReplayEnd, Problem> {
        let Some(text) = self.text("until") else { return Ok(ReplayEnd::End) };
        match text.parse() {
            Ok(id) => Ok(ReplayEnd::Event(id)),
            Err(MalformedEventId { .. }) => Ok(ReplayEnd::Time(parse_time_parameter("until", text)?)),
        }
    }

    /// The query of an export: `format`, `first`, `last`, and the filter.
    pub fn export_query(&self) -> Result<ExportQuery, Problem> {
        let format = match self.text("format") {
            None => ExportFormat::CloudEvents,
            Some(name) => ExportFormat::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
                Problem::invalid_parameter("format", format_args!("must be cloudevents or csv, not {name:?}"))
            })?,
        };
        let (first, last) = (self.event_id("first")?, self.event_id("last")?);
        for (name, bound) in [("first", first), ("last", last)] {
            if bound.is_some_and(|bound| bound.position == 0) {
                return Err(Problem::invalid_parameter(name, "must be a position; the first is 1"));
            }
        }
        if first.zip(last).is_some_and(|(first, last)| first.position > last.position) {
            return Err(Problem::invalid_parameter("last", "must not be before first"));
        }
        Ok(ExportQuery { format, filter: self.event_filter()?, first, last })
    }

    /// `at` or `version`, not both.
    pub fn as_of(&self) -> Result<AsOf, Problem> {
        match (self.time("at")?, self.number("version")?) {
            (None, None) => Ok(AsOf::Now),
            (Some(time), None) => Ok(AsOf::Time(time)),
            (None, Some(version)) => Ok(AsOf::Version(version)),
            (Some(_), Some(_)) => Err(Problem::invalid_parameter("version", "excludes at; give one of them")),
        }
    }

    /// `status`, `onlineStatus`, `prefix` and each `label`.
    pub fn account_filter(&self) -> Result<AccountFilter, Problem> {
        let code = |name, allowed: &str| -> Result<Option<u8>, Problem> {
            let code = self.number(name)?;
            let wrong = |code| Problem::invalid_parameter(name, format_args!("must be {allowed}, not {code}"));
            code.map(|code| u8::try_from(code).map_err(|_| wrong(code))).transpose()
        };
        const STATUS: &str = "1 (normal) or 2 (banned)";
        const ONLINE: &str = "1 (online-coming), 2 (online), 3 (offline-coming) or 4 (offline)";
        let status = code("status", STATUS)?
            .map(|code| {
                Status::from_code(code)
                    .ok_or_else(|| Problem::invalid_parameter("status", format_args!("must be {STATUS}, not {code}")))
            })
            .transpose()?;
        let online_status = code("onlineStatus", ONLINE)?
            .map(|code| {
                OnlineStatus::from_code(code).ok_or_else(|| {
                    Problem::invalid_parameter("onlineStatus", format_args!("must be {ONLINE}, not {code}"))
                })
            })
            .transpose()?;
        let prefix = self.text("prefix").unwrap_or_default();
        if prefix.len() > ACCOUNT_DIGITS_MAX || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Problem::invalid_parameter(
                "prefix",
                format_args!("must be up to {ACCOUNT_DIGITS_MAX} digits"),
            ));
        }
        let labels = self.pairs.iter().filter(|(name, _)| *name == LABEL_PARAMETER).map(|(_, text)| text.parse());
        let labels = labels.collect::<Result<_, _>>();
        let labels =
            labels.map_err(|malformed: MalformedLabelFilter| Problem::invalid_parameter(LABEL_PARAMETER, malformed))?;
        Ok(AccountFilter { status, online_status, prefix: prefix.to_owned(), labels })
    }
}

/// Parses an account number in a URL or a body.
pub fn parse_account(name: &'static str, text: &str) -> Result<AccountNumber, Problem> {
    text.parse().map_err(|malformed| Problem::invalid_parameter(name, malformed))
}

/// Parses the id of an event in a URL or a body.
pub fn parse_event_id(name: &'static str, text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|malformed: MalformedEventId| {
        Problem::invalid_parameter(name, format_args!("{malformed}, not {text:?}"))
    })
}

/// Parses a time in a URL or a body.
pub fn parse_time_parameter(name: &'static str, text: &str) -> Result<Timestamp, Problem> {
    parse_time(text).ok_or_else(|| Problem::invalid_parameter(name, format_args!("must be {TIME_FORM}, not {text:?}")))
}

/// Trims and validates the reason in a body.
pub fn parse_reason(reason: &str) -> Result<&str, Problem> {
    let reason = trim_line(reason);
    if is_single_line(reason, OPERATOR_REASON_BYTES) {
        return Ok(reason);
    }
    let cause = describe_invisible_control(reason);
    let words =
        format!("must be 1 to {OPERATOR_REASON_BYTES} bytes of text on one line{cause}; it is recorded for good");
    Err(Problem::invalid_parameter("reason", words))
}
