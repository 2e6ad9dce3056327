//! The flags that filter events, of every verb that lists some.

/// The flags of a filter. An event must meet all that are given.
#[derive(clap::Args)]
pub(super) struct EventFilterArgs {
    /// Only events of these types, separated by commas: came_online,banned
    #[arg(long = "type", value_name = "TYPES")]
    types: Option<String>,
    /// Only events from this time on: 2026-11-25 or 2026-11-25T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only events that the API key of this number caused, as a caller or as an operator
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only events of this origin: operator, caller:7, gateway:bridge, service
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Only events of the request with this id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only events whose reason contains this text, ignoring case
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// A parameter of a call: its name and its value, if it has one.
pub(super) type Parameter = (&'static str, Option<String>);

impl EventFilterArgs {
    /// The parameters of the filter, and `more`.
    pub(super) fn parameters(&self, more: impl IntoIterator<Item = Parameter>) -> Vec<Parameter> {
        let filter = [
            ("type", &self.types),
            ("since", &self.since),
            ("until", &self.until),
            ("key", &self.key),
            ("origin", &self.origin),
            ("requestid", &self.request_id),
            ("reason~", &self.reason),
        ];
        filter.into_iter().map(|(name, value)| (name, value.clone())).chain(more).collect()
    }
}
