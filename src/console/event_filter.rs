//! The fields by which a page filters its events.

use maud::{Markup, html};

use super::forms::select;
use super::page_request::ConsoleRequest;
use crate::api::Problem;
use crate::audit::EventFilter;
use crate::domain::EventType;

/// Query parameters of a filter, with their values.
pub(super) type FilterQuery<'r> = [(&'static str, Option<&'r str>); EventFilter::PARAMETERS.len()];

/// The filter of the page's URL, for links to other pages of the same list.
pub(super) fn filter_query(request: &ConsoleRequest) -> FilterQuery<'_> {
    EventFilter::PARAMETERS.map(|name| (name, request.query_value(name)))
}

/// The filter of the page's URL. `account` is not among its parameters.
pub(super) fn parse_filter(request: &ConsoleRequest) -> Result<EventFilter, Problem> {
    request.parameters(&EventFilter::PARAMETERS).event_filter()
}

/// The fields of a form, with the values of the page's URL. `types` are the event types to choose from.
pub(super) fn filter_fields(request: &ConsoleRequest, types: impl Iterator<Item = EventType>) -> Markup {
    let types = types.map(|event_type| (event_type.name(), event_type.label()));
    let field = |name: &str, label: &str, example: &str| {
        let id = format!("filter-{name}");
        html! { div { label for=(id) { (label) } input id=(id) name=(name) value=[request.query_value(name)] placeholder=(example); } }
    };
    html! {
        div { label for="filter-type" { "Type" } (select("filter-type", "type", types, request.query_value("type"))) }
        (field("since", "Since", "2026-11-25"))
        (field("until", "Until", "2026-11-26"))
        (field("key", "Key number", "7"))
        (field("origin", "Origin", "gateway:bridge"))
        (field("requestid", "Request id", "32 hex digits"))
        (field("reason~", "Reason contains", ""))
    }
}
