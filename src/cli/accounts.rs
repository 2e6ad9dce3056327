//! `muster accounts`.

use super::Error;
use super::api_client::{ApiRequest, NDJSON, RequestArgs, query_string};
use super::listing_output::RecordPrinter;
use super::offline_source::take_lines;
use crate::api::accounts::{self, AccountQuery};
use crate::api::{LABEL_PARAMETER, Parameters, operation};
use crate::audit::AccountRow;

/// List the accounts with their status and labels
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct AccountsArgs {
    /// Only accounts with this label, as NAME:VALUE, or NAME for any value; may be repeated
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Only accounts with this status: 1 normal, 2 banned
    #[arg(long, value_name = "CODE")]
    status: Option<String>,
    /// Only accounts with this online status: 1 online-coming, 2 online, 3 offline-coming, 4 offline
    #[arg(long, value_name = "CODE")]
    online_status: Option<String>,
    /// Only accounts whose numbers begin with these digits
    #[arg(long, value_name = "DIGITS")]
    prefix: Option<String>,
    /// Print at most this number of accounts
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster accounts --label team:sales --status 2
  muster accounts --label team --prefix 8618 -o csv
  muster accounts --data-dir /var/lib/muster -o jsonl

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl AccountsArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        let mut printer = RecordPrinter::for_accounts(self.request.output);
        if let Some(offline) = client.offline() {
            let pages = offline.call(operation::LIST_ACCOUNTS, async |call| {
                let query =
                    AccountQuery { filter: Parameters::from_fields(self.filter()).account_filter()?, cursor: None };
                accounts::read_accounts(call, query, self.limit.unwrap_or(u64::MAX))
            })?;
            take_lines(pages, AccountRow::to_json, |lines| printer.print_ndjson(lines))?;
        } else {
            let filter = self.filter().map(|(name, value)| (name, value.map(str::to_owned)));
            let limit = self.limit.map(|limit| limit.to_string());
            let query: Vec<_> = filter.chain([("limit", limit)]).collect();
            let path = format!("accounts{}", query_string(&query));
            client.request(&ApiRequest { method: "GET", path: &path, accept: NDJSON }, |piece| {
                printer.print_ndjson(piece)
            })?;
        }
        printer.finish()
    }

    /// The filter, named as in the API.
    fn filter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let labels = self.labels.iter().map(|label| (LABEL_PARAMETER, Some(label.as_str())));
        let others = [
            ("status", self.status.as_deref()),
            ("onlineStatus", self.online_status.as_deref()),
            ("prefix", self.prefix.as_deref()),
        ];
        others.into_iter().chain(labels)
    }
}
