//! `muster diff`.

use super::Error;
use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::listing_output;
use crate::api::{accounts, operation, parse_account};

/// Compare two versions of an account
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct DiffArgs {
    /// The account's number
    number: String,
    /// The first version
    from: u64,
    /// The second version
    to: u64,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster diff 861821726232 2 4

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such account or version.";

impl DiffArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        let response = match client.offline() {
            Some(offline) => offline.call_json(operation::DIFF_ACCOUNT, async |call| {
                accounts::diff_account(call, parse_account("account", &self.number)?, self.from, self.to).await
            })?,
            None => {
                let path = format!("accounts/{}/diff?from={}&to={}", self.number, self.from, self.to);
                client.request_json(&ApiRequest { method: "GET", path: &path, accept: JSON })?
            }
        };
        let changes = response["changes"].as_array().map_or(&[][..], Vec::as_slice);
        listing_output::print_rows(self.request.output, ["field", "from", "to"], changes)
    }
}
