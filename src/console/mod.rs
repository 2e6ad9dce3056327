//! The console: HTML pages for operators and auditors, rendered on the server from the answers of the API. Each
//! page calls the API with its reader's key, so it shows and does no more than that key may.
//!
//! | file | content |
//! |---|---|
//! | `routes` | the paths of pages, and the handler of each |
//! | `console_dialect` | how pages are served: permission, time limit, errors as pages |
//! | `page_request` | one request: requester, form fields, calls to the API |
//! | `sign_in` | sign-in and sign-out |
//! | `layout` | the layout of every page, and the response that carries it |
//! | `response_headers` | security headers |
//! | `components` | HTML components: badges, times, links |
//! | `table` | tables: the head of each column, and what it shows |
//! | `forms` | parts of forms: buttons and fields |
//! | `event_filter` | the fields by which a page filters its events |
//! | `account_labels` | the form that replaces the labels of an account |
//! | `account_orders` | operator orders to accounts, with a reason, and their results |
//! | `assets` | style sheet and scripts, embedded in the binary |
//! | `throughput` | events and webhooks per second, for the charts |
//! | `chart` | draws the charts. Pure |
//! | `overview` | `/`: what needs attention, accounts by state, throughput |
//! | `accounts` | `/accounts`: list, filter, orders, export |
//! | `account` | `/accounts/{n}`: one account with all its sections |
//! | `account_state` | its state: now, earlier, and the difference between two versions |
//! | `history` | the account's history: feed, groups, CloudEvents |
//! | `timeline` | draws its status and online status over time. Pure |
//! | `proof` | its proof, verified step by step |
//! | `events` | `/events`: all events, and the live tail |
//! | `webhook_resync` | the form that sends the present state of accounts again |
//! | `webhooks` | `/webhooks`: status of the channels, dead letters, actions |
//! | `deliveries` | deliveries of a channel, with every attempt |
//! | `gateways` | `/gateways`: health, sessions, reconciliation |
//! | `maintenance` | `/projections` and `/log` |
//! | `administration` | `/keys`, `/settings` and `/acts` |
//!
//! Every page that reads works without a script, and every list has a URL. A forbidden button says why. The responses
//! forbid browsers all scripts and styles except those of this program.

mod account;
mod account_labels;
mod account_orders;
mod account_state;
mod accounts;
mod administration;
mod assets;
mod chart;
mod components;
mod console_dialect;
mod deliveries;
mod event_filter;
mod events;
mod forms;
mod gateways;
mod history;
mod layout;
mod maintenance;
mod overview;
mod page_request;
mod proof;
mod response_headers;
mod routes;
mod sign_in;
mod table;
mod throughput;
mod timeline;
mod webhook_resync;
mod webhooks;

use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::api::ApiState;
use throughput::ThroughputHistory;

/// The console. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    inner: Arc<ConsoleInner>,
}

struct ConsoleInner {
    api: ApiState,
    throughput: ThroughputHistory,
}

impl Console {
    /// A console over `api`.
    pub fn new(api: ApiState) -> Console {
        let throughput = ThroughputHistory::default();
        Console { inner: Arc::new(ConsoleInner { api, throughput }) }
    }

    /// The routes of all pages. They reject other paths, so that the API's routes can follow.
    pub fn routes(&self) -> BoxedFilter<(Response,)> {
        console_dialect::page_routes(self.clone()).boxed()
    }
}
