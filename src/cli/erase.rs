//! `muster erase`.

use serde_json::json;

use super::Error;
use super::api_client::RequestArgs;
use super::listing_output;

/// Erase an account's secrets for good; its history stays
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EraseArgs {
    /// The account's number
    number: String,
    /// The reason, which is recorded for good
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "Examples:
  muster erase 861821726232 --reason \"the customer asked for it\"

Destroys the key that seals the account's secrets, so that they cannot be read any more. The account goes offline, and
stays offline until it is imported again. Earlier backups still have the key, wrapped by the master key; so may old
pages of the store. Needs a running service.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the account is unknown.";

impl EraseArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let path = format!("accounts/{}/secrets", self.number);
        let response = self.request.source.open()?.submit("DELETE", &path, Some(&json!({"reason": self.reason})))?;
        listing_output::print_value(self.request.output, &response)
    }
}
