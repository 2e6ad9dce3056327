//! Who caused the events of an export, in which requests, and why: compared with its filter.
//!
//! An export is read once, and its filter is in the last line. So the values in the lines before it are collected.

use std::collections::BTreeSet;

use super::IntegrityFault;
use super::event_filter::EventFilter;
use super::origin_filter::parse_origin;
use crate::journal::Principal;

/// The distinct values of `origin`, `requestid` and `data.reason` in the lines of an export.
#[derive(Default)]
pub(super) struct ExportedRequests {
    origins: BTreeSet<String>,
    /// At most two: a filter by request excludes one of two.
    request_ids: BTreeSet<Option<String>>,
    reasons: BTreeSet<String>,
    /// Whether an event has no reason. Every filter by reason excludes it, so no more reasons are collected.
    is_reason_missing: bool,
}

impl ExportedRequests {
    /// Adds the values of one line.
    pub(super) fn add(&mut self, origin: String, request_id: Option<String>, reason: Option<String>) {
        self.origins.insert(origin);
        if self.request_ids.len() < 2 {
            self.request_ids.insert(request_id);
        }
        let reason = reason.filter(|reason| !reason.is_empty() && !self.is_reason_missing);
        self.is_reason_missing = reason.is_none();
        match reason {
            Some(reason) => drop(self.reasons.insert(reason)),
            None => self.reasons.clear(),
        }
    }

    /// Checks that the events meet the conditions on API key, origin, request and reason.
    pub(super) fn check_filter(&self, filter: &EventFilter) -> Result<(), IntegrityFault> {
        let EventFilter { account: _, types: _, since: _, until: _, key, origin, request, reason } = filter;
        let fault = |what: String| Err(IntegrityFault::new(format!("its filter excludes {what}")));
        let is_excluded = |shown: &&String| {
            // An origin that only a newer program knows meets no condition.
            let principal = parse_origin(shown);
            key.is_some_and(|key| principal.and_then(Principal::key_id) != Some(key))
                || origin.is_some_and(|origin| !principal.is_some_and(|principal| origin.matches(principal)))
        };
        if let Some(shown) = self.origins.iter().find(is_excluded) {
            return fault(format!("the origin {shown}"));
        }
        let is_excluded = |shown: &&Option<String>| {
            request.is_some_and(|request| **shown != (request.0 != 0).then(|| request.to_string()))
        };
        if let Some(shown) = self.request_ids.iter().find(is_excluded) {
            return fault(
                shown.as_ref().map_or("an event without a request".to_owned(), |id| format!("the request {id}")),
            );
        }
        let Some(reason) = reason else { return Ok(()) };
        if self.is_reason_missing {
            return fault("an event without a reason".to_owned());
        }
        match self.reasons.iter().find(|shown| !reason.matches(shown)) {
            Some(shown) => fault(format!("the reason {shown:?}")),
            None => Ok(()),
        }
    }
}
