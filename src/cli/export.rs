//! `muster export`.

use super::api_client::{ApiRequest, NDJSON, SourceArgs, query_string};
use super::event_filter_args::EventFilterArgs;
use super::offline_source::take_bytes;
use super::progress::ProgressDisplay;
use super::{Error, output};
use crate::api::{Parameters, maintenance, operation};
use crate::domain::EventId;

/// Export events: CloudEvents that can be verified, or CSV
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct ExportArgs {
    /// Output format; only cloudevents can be verified
    #[arg(long, value_name = "FORMAT", default_value = "cloudevents", value_parser = ["cloudevents", "csv"])]
    format: String,
    /// Only events of this account
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    /// Only events from this one on
    #[arg(long, value_name = "ID")]
    first: Option<EventId>,
    /// Only events up to this one
    #[arg(long, value_name = "ID")]
    last: Option<EventId>,
    #[command(flatten)]
    filter: EventFilterArgs,
    #[command(flatten)]
    source: SourceArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster export > events.jsonl
  muster export --format csv --since 2026-11-01 --data-dir /var/lib/muster > november.csv

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl ExportArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.source.open()?;
        let bar = ProgressDisplay::with_bytes("exporting");
        let print = |piece: &[u8]| {
            bar.advance(piece.len() as u64);
            output::print_bytes(piece)
        };
        let query = self.filter.parameters([
            ("format", Some(self.format.clone())),
            ("account", self.account.clone()),
            ("first", self.first.map(|position| position.to_string())),
            ("last", self.last.map(|position| position.to_string())),
        ]);
        if let Some(offline) = client.offline() {
            let source = offline.call(operation::EXPORT_EVENTS, async |call| {
                maintenance::export_stopped_events(call, Parameters::from_values(&query).export_query()?)
            })?;
            return take_bytes(source, print);
        }
        let query = query_string(&query);
        client.request(&ApiRequest { method: "GET", path: &format!("export{query}"), accept: NDJSON }, print)
    }
}
