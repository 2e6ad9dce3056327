//! `muster erase`.

use serde_json::json;

use super::Error;
use super::api_client::RequestArgs;
use super::listing_output;

/// Destroy an account's secrets for good; its history stays
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EraseArgs {
    /// The account
    number: String,
    /// Why; it stands in the account's history
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster erase 861821726232 --reason \"the customer asked for it\"

The key that the account's secrets are sealed with is destroyed: nobody opens them again. The account goes offline, and
stays so until it is imported again. Backups that were taken before hold the key still, and so may old pages of the
store, wrapped by the master key. It takes a running service.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the account is unknown.";

impl EraseArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let path = format!("accounts/{}/secrets", self.number);
        let response = self.request.source.open()?.submit("DELETE", &path, Some(&json!({"reason": self.reason})))?;
        listing_output::print_value(self.request.output, &response)
    }
}
