//! The paths of pages, and the handler of each.

use warp::http::{HeaderMap, header};

use super::layout::PageResult;
use super::page_request::{ConsoleRequest, no_such_page};
use super::{
    account, account_labels, account_orders, accounts, administration, deliveries, events, gateways, history,
    maintenance, overview, proof, webhooks,
};
use crate::http::is_endpoint_path;

/// First segments of the paths of pages.
const PAGE_ROOTS: [&str; 12] = [
    "",
    "accounts",
    "acts",
    "events",
    "gateways",
    "keys",
    "log",
    "projections",
    "settings",
    "sign-in",
    "sign-out",
    "webhooks",
];

/// First segments of the paths of the API.
const API_ROOTS: [&str; 3] = ["/api", "/gateway", "/group-dispatch-api"];

/// The first segment of a path with its slash. It stands for the page in traces, which want few names.
pub(super) fn page_root(path: &str) -> &str {
    path.match_indices('/').nth(1).map_or(path, |(end, _)| &path[..end])
}

/// Whether a path belongs to the pages.
pub(super) fn is_page(path: &str) -> bool {
    path == "/" || page_root(path).strip_prefix('/').is_some_and(|root| !root.is_empty() && PAGE_ROOTS.contains(&root))
}

/// Whether a browser asks for a path that neither the pages nor the API have. Clients of the API get JSON in any case: some of them
/// accept HTML too.
pub(super) fn is_unknown_page(path: &str, headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_browser = accepts.split(',').any(|range| range.trim().starts_with("text/html"));
    is_browser && !API_ROOTS.contains(&page_root(path)) && !is_endpoint_path(path)
}

/// Renders the page of a path, or carries out the form submitted to it.
pub(super) async fn dispatch(request: &ConsoleRequest, changes: bool) -> PageResult {
    let segments: Vec<&str> = request.head.path.split('/').skip(1).collect();
    match (changes, &segments[..]) {
        (false, [""]) => overview::page(request).await,
        (false, ["accounts"]) => accounts::page(request).await,
        (false, ["accounts", "export"]) => accounts::export(request),
        (true, ["accounts"]) => account_orders::submit_order(request).await,
        (false, ["accounts", number]) => account::page(request, number).await,
        (true, ["accounts", number, "labels"]) => account_labels::submit_labels(request, number).await,
        (false, ["accounts", number, "verify"]) => proof::page(request, number).await,
        (false, ["accounts", number, "bundle"]) => proof::download_bundle(request, number).await,
        (false, ["accounts", number, "events", version]) => history::event_page(request, number, version).await,
        (false, ["events"]) => events::page(request).await,
        (false, ["events", "live"]) => events::live_stream(request),
        (false, ["webhooks"]) => webhooks::page(request).await,
        (false, ["webhooks", channel]) => webhooks::channel_page(request, channel).await,
        (true, ["webhooks", channel]) => webhooks::submit_action(request, channel).await,
        (false, ["webhooks", channel, "deliveries", position]) => deliveries::page(request, channel, position).await,
        (true, ["webhooks", channel, "deliveries", position]) => deliveries::resend(request, channel, position).await,
        (false, ["gateways"]) => gateways::page(request).await,
        (true, ["gateways"]) => gateways::submit_reconcile(request).await,
        (false, ["projections"]) => maintenance::projections_page(request).await,
        (true, ["projections"]) => maintenance::submit_rebuild(request).await,
        (false, ["log"]) => maintenance::log_page(request).await,
        (false, ["keys"]) => administration::keys_page(request).await,
        (true, ["keys"]) => administration::submit_key_form(request).await,
        (false, ["settings"]) => administration::settings_page(request).await,
        (false, ["acts"]) => administration::audit_log_page(request).await,
        _ => Err(no_such_page()),
    }
}

#[cfg(test)]
mod tests {
    use super::PAGE_ROOTS;
    use crate::{config, http};

    /// A base path that begins like a path of Muster would hide it.
    #[test]
    fn no_base_path_hides_a_path() {
        let is_accepted = |path: &str| {
            let variable = ("MUSTER_HTTP__BASE_PATH".into(), path.into());
            config::load(None, [variable], &[]).is_ok_and(|loaded| loaded.settings.http.base_path.is_some())
        };
        assert!(is_accepted("/muster") && is_accepted("/ops/accounts"));
        let endpoints = http::endpoints().filter_map(|endpoint| endpoint.path.split('/').nth(1));
        let roots = PAGE_ROOTS.into_iter().chain(["assets", "docs", "openapi.json"]).chain(endpoints);
        for root in roots {
            assert!(!is_accepted(&format!("/{root}")) && !is_accepted(&format!("/{root}/muster")), "{root}");
        }
        for path in ["muster", "/muster/", "//muster", "/", "/mus ter", "/../muster", "/muster?a", "/m\u{fc}ster"] {
            assert!(!is_accepted(path), "{path}");
        }
    }
}
