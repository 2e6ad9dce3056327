//! The headers of a received webhook that interest receivers. Pure.

/// The headers of Muster that interest receivers.
const HEADERS: [&str; 9] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "tenant_id",
    "timestamp",
    "access_token",
    "x-muster-attempt",
    "x-muster-account-version",
    "traceparent",
];

/// The headers listed in [`HEADERS`].
pub(super) struct ReceivedHeaders(Vec<(&'static str, String)>);

impl ReceivedHeaders {
    /// Reads the headers of interest. `header` returns the value of a header.
    pub(super) fn read(header: impl Fn(&str) -> Option<String>) -> ReceivedHeaders {
        ReceivedHeaders(HEADERS.into_iter().filter_map(|name| Some((name, header(name)?))).collect())
    }

    /// The value of a listed header, if the webhook has it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }

    /// The headers that the webhook has, in the order of [`HEADERS`].
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}
