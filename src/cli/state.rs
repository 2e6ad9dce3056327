//! `muster state`.

use super::Error;
use super::api_client::{ApiRequest, JSON, RequestArgs, query_string};
use super::listing_output;
use crate::api::{Parameters, accounts, operation, parse_account};

/// Show an account's state, now or in the past
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct StateArgs {
    /// The account's number
    number: String,
    /// Show the state at this time: 2026-11-25 or 2026-11-25T09:30:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "version")]
    at: Option<String>,
    /// Show the state after this number of events
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "Examples:
  muster state 861821726232
  muster state 861821726232 --at 2026-11-24
  muster state 861821726232 --version 3 -o json

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the account is unknown, or had no events then.";

impl StateArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let version = self.version.map(|version| version.to_string());
        let client = self.request.source.open()?;
        let state = match client.offline() {
            Some(offline) => offline.call_json(operation::SHOW_ACCOUNT, async |call| {
                let account = parse_account("account", &self.number)?;
                let as_of = [("at", self.at.as_deref()), ("version", version.as_deref())];
                accounts::show_account(call, account, Parameters::from_fields(as_of).as_of()?).await
            })?,
            None => {
                let query = query_string(&[("at", self.at.clone()), ("version", version)]);
                let path = format!("accounts/{}{query}", self.number);
                client.request_json(&ApiRequest { method: "GET", path: &path, accept: JSON })?
            }
        };
        listing_output::print_value(self.request.output, &state)
    }
}
