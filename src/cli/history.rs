//! `muster history`.

use super::Error;
use super::api_client::{ApiRequest, EVENT_STREAM, NDJSON, RequestArgs, query_string};
use super::event_filter_args::EventFilterArgs;
use super::listing_output::RecordPrinter;
use super::offline_source::take_events;
use crate::api::accounts::{self, HistoryQuery, HistoryStart};
use crate::api::{Parameters, operation, parse_account};
use crate::audit::HistoryOrder;

/// List an account's events, with their times and requesters
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct HistoryArgs {
    /// The account's number
    number: String,
    #[command(flatten)]
    filter: EventFilterArgs,
    /// Print at most this number of events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print the newest event first
    #[arg(long, conflicts_with = "follow")]
    reverse: bool,
    /// Print new events as they happen, until interrupted
    #[arg(long, conflicts_with_all = ["data_dir", "limit"])]
    follow: bool,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster history 861821726232
  muster history 861821726232 --reverse --limit 1
  muster history 861821726232 --data-dir /var/lib/muster -o csv
  muster history 861821726232 --follow -o jsonl

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the account is unknown.";

impl HistoryArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        let mut events = RecordPrinter::for_events(self.request.output);
        if self.follow {
            let more = [("account", Some(self.number.clone())), ("after", Some("0".to_owned()))];
            let query = query_string(&self.filter.parameters(more));
            let request = ApiRequest { method: "GET", path: &format!("events{query}"), accept: EVENT_STREAM };
            client.request(&request, |piece| events.print_sse(piece))?;
            return Err(Error::LiveTailEnded);
        } else if let Some(offline) = client.offline() {
            let pages = offline.call(operation::SHOW_HISTORY, async |call| {
                let query = HistoryQuery {
                    account: parse_account("account", &self.number)?,
                    order: if self.reverse { HistoryOrder::Descending } else { HistoryOrder::Ascending },
                    filter: Parameters::from_values(&self.filter.parameters([])).event_filter()?,
                    start: HistoryStart::First,
                };
                accounts::read_history(call, query, self.limit.unwrap_or(u64::MAX)).await
            })?;
            take_events(pages, |line| events.print_ndjson(line))?;
        } else {
            let order = self.reverse.then(|| "desc".to_owned());
            let limit = self.limit.map(|limit| limit.to_string());
            let query = query_string(&self.filter.parameters([("order", order), ("limit", limit)]));
            let path = format!("accounts/{}/events{query}", self.number);
            client.request(&ApiRequest { method: "GET", path: &path, accept: NDJSON }, |piece| {
                events.print_ndjson(piece)
            })?;
        }
        events.finish()
    }
}
