//! The console: pages for operators and auditors, made here and sent whole. They are made from what `/api/v1` answers to
//! whoever reads them, so that nobody sees or does more here than with their key alone.
//!
//! | file | what it knows |
//! |---|---|
//! | `pages` | paths to pages, and what every page has in common |
//! | `visit` | one request: who makes it, what stands in it, what it asks of the API |
//! | `session` | signing in and out |
//! | `frame` | the frame around every page, and an answer that is a page |
//! | `parts` | what pages are put together from: badges, times, tables, forms |
//! | `orders` | what a page asks to be done, with its reason, and what came of it |
//! | `assets` | styles and scripts, kept in the program |
//! | `counting` | how much happens a second, for the charts |
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
//! | `upkeep` | `/projections` and `/log` |
//! | `administration` | `/keys`, `/settings` and `/acts` |
//!
//! Every page that reads works without a script, every list is a URL, and what is not allowed says why. Scripts and styles
//! come from this program alone, and the answers forbid browsers all others.

mod account;
mod accounts;
mod administration;
mod assets;
mod chart;
mod counting;
mod deliveries;
mod events;
mod frame;
mod gateways;
mod history;
mod orders;
mod overview;
mod pages;
mod parts;
mod proof;
mod session;
mod timeline;
mod upkeep;
mod visit;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::access::Door;
use crate::config;
use crate::http::{RequestIds, Within};
use counting::Counting;

/// The console. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    inner: Arc<Inner>,
}

struct Inner {
    within: Within,
    door: Door,
    ids: RequestIds,
    counting: Counting,
    /// From a request's head to its answer's.
    request_timeout: Duration,
    /// Whether cookies travel over TLS alone.
    is_tls: bool,
}

impl Console {
    /// Over the API, for those whom `door` lets in.
    pub fn new(within: Within, door: Door, settings: &config::Http, is_tls: bool) -> Console {
        let (ids, counting) = (RequestIds::default(), Counting::default());
        let request_timeout = settings.request_timeout;
        Console { inner: Arc::new(Inner { within, door, ids, counting, request_timeout, is_tls }) }
    }

    /// All pages. Paths that are none are left to others.
    pub fn pages(&self) -> BoxedFilter<(Response,)> {
        pages::filter(self.clone()).boxed()
    }
}
