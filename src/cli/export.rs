//! `muster export`.

use super::api_client::{ApiRequest, NDJSON, SourceArgs, query_string};
use super::offline_source::take_bytes;
use super::progress::ProgressDisplay;
use super::{Error, output};
use crate::api::{Parameters, maintenance, operation};

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
    /// Only events of these types, separated by commas: came_online,banned
    #[arg(long = "type", value_name = "TYPES")]
    types: Option<String>,
    /// Only events from this time on: 2026-11-25 or 2026-11-25T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
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
        if let Some(offline) = client.offline() {
            let source = offline.call(operation::EXPORT_EVENTS, async |call| {
                let parameters = Parameters::from_fields([
                    ("format", Some(self.format.as_str())),
                    ("account", self.account.as_deref()),
                    ("type", self.types.as_deref()),
                    ("since", self.since.as_deref()),
                    ("until", self.until.as_deref()),
                ]);
                let (format, filter) = (parameters.export_format()?, parameters.event_filter()?);
                maintenance::export_events(call, format, filter).await
            })?;
            return take_bytes(source, print);
        }
        let query = query_string(&[
            ("format", Some(self.format.clone())),
            ("account", self.account.clone()),
            ("type", self.types.clone()),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
        ]);
        client.request(&ApiRequest { method: "GET", path: &format!("export{query}"), accept: NDJSON }, print)
    }
}
