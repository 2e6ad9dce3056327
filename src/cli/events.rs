//! `muster events`.

use super::Error;
use super::api_client::{ApiRequest, EVENT_STREAM, NDJSON, RequestArgs, query_string};
use super::event_filter_args::EventFilterArgs;
use super::listing_output::RecordPrinter;
use super::offline_source::take_events;
use crate::api::events::{self as journal_events, EventQuery, ReadStart};
use crate::api::{Parameters, operation};
use crate::domain::EventId;

/// List the events of all accounts and of the service
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct EventsArgs {
    /// Only events after this one; with --follow the default is new events
    #[arg(long, value_name = "ID")]
    after: Option<EventId>,
    /// Only events of this account
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    #[command(flatten)]
    filter: EventFilterArgs,
    /// Print at most this number of events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print new events as they happen, until interrupted
    #[arg(long, conflicts_with_all = ["data_dir", "limit"])]
    follow: bool,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster events --since 2026-11-25 --type banned
  muster events --key 7 --reason maintenance
  muster events --after 1000 --limit 10 -o jsonl
  muster events --follow

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the log does not have the event after which to start.";

impl EventsArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        let mut events = RecordPrinter::for_events(self.request.output);
        let filter = self.filter.parameters([("account", self.account.clone())]);
        if let Some(offline) = client.offline() {
            let pages = offline.call(operation::LIST_EVENTS, async |call| {
                let start = ReadStart::After(self.after);
                let query = EventQuery { start, filter: Parameters::from_values(&filter).event_filter()? };
                journal_events::read_events(call, query, self.limit.unwrap_or(u64::MAX))
            })?;
            take_events(pages, |line| events.print_ndjson(line))?;
            return events.finish();
        }
        let more = [("after", self.after.map(|id| id.to_string())), ("limit", self.limit.map(|most| most.to_string()))];
        let query = query_string(&[&filter[..], &more].concat());
        let path = format!("events{query}");
        if self.follow {
            client.request(&ApiRequest { method: "GET", path: &path, accept: EVENT_STREAM }, |piece| {
                events.print_sse(piece)
            })?;
            return Err(Error::LiveTailEnded);
        } else {
            client.request(&ApiRequest { method: "GET", path: &path, accept: NDJSON }, |piece| {
                events.print_ndjson(piece)
            })?;
        }
        events.finish()
    }
}
