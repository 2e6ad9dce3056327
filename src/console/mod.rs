//! The console: pages for operators and auditors, made here and sent whole. They are made from what `/api/v1` answers to
//! whoever reads them, so that nobody sees or does more here than with their key alone.
//!
//! | file | what it knows |
//! |---|---|
//! | `routes` | paths to pages, and what every page has in common |
//! | `page_request` | one request: who makes it, what stands in it, what it asks of the API |
//! | `sign_in` | signing in and out |
//! | `layout` | the frame around every page, and an answer that is a page |
//! | `components` | what pages are put together from: badges, times, tables, forms |
//! | `account_orders` | what a page asks to be done, with its reason, and what came of it |
//! | `assets` | styles and scripts, kept in the program |
//! | `throughput` | how much happens a second, for the charts |
//! | `chart` | the charts. Pure |
//! | `overview` | `/`: what needs a person, accounts by state, what flows |
//! | `accounts` | `/accounts`: which there are, found and ordered about |
//! | `account` | `/accounts/{n}`: one account, now and then |
//! | `history` | its history: feed, groups, lines |
//! | `timeline` | its status and presence, drawn. Pure |
//! | `proof` | its proof, checked before the reader's eyes |
//! | `events` | `/events`: all that happens, and as it happens |
//! | `webhooks` | `/webhooks`: how they are, and what operators do about it |
//! | `deliveries` | what they delivered, with every attempt |
//! | `gateways` | `/gateways`: how they are, their sessions |
//! | `maintenance` | `/projections` and `/log` |
//! | `administration` | `/keys`, `/settings` and `/acts` |
//!
//! Every page that reads works without a script, every list is a URL, and what is not allowed says why. Scripts and styles
//! come from this program alone, and the answers forbid browsers all others.

mod account;
mod account_orders;
mod accounts;
mod administration;
mod assets;
mod chart;
mod components;
mod deliveries;
mod events;
mod gateways;
mod history;
mod layout;
mod maintenance;
mod overview;
mod page_request;
mod proof;
mod routes;
mod sign_in;
mod throughput;
mod timeline;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::access::Authenticator;
use crate::config;
use crate::http::{InProcessClient, RequestIdGenerator};
use throughput::ThroughputHistory;

/// The console. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    inner: Arc<ConsoleInner>,
}

struct ConsoleInner {
    api: InProcessClient,
    authenticator: Authenticator,
    ids: RequestIdGenerator,
    throughput: ThroughputHistory,
    /// From a request's head to its answer's.
    request_timeout: Duration,
    /// Whether cookies travel over TLS alone.
    is_tls: bool,
}

impl Console {
    /// Over the API, for those whom `door` lets in.
    pub fn new(within: InProcessClient, door: Authenticator, settings: &config::HttpSettings, is_tls: bool) -> Console {
        let (ids, counting) = (RequestIdGenerator::default(), ThroughputHistory::default());
        let request_timeout = settings.request_timeout;
        Console {
            inner: Arc::new(ConsoleInner {
                api: within,
                authenticator: door,
                ids,
                throughput: counting,
                request_timeout,
                is_tls,
            }),
        }
    }

    /// All pages. Paths that are none are left to others.
    pub fn routes(&self) -> BoxedFilter<(Response,)> {
        routes::page_routes(self.clone()).boxed()
    }
}
