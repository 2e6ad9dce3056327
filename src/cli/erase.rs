//! `muster erase`.

use serde_json::json;

use super::Error;
use super::listing;
use super::source::Told;

/// Destroy an account's secrets for good; its history stays
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Erase {
    /// The account
    number: String,
    /// Why; it stands in the account's history
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    told: Told,
}

const EXAMPLES: &str = "\
Examples:
  muster erase 861821726232 --reason \"the customer asked for it\"

The key that the account's secrets are sealed with is destroyed: nobody opens them again. The account goes offline, and
stays so until it is imported again. Backups that were taken before hold the key still, and so may old pages of the
store, wrapped by the master key. It takes a running service.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the account is unknown.";

impl Erase {
    pub(super) fn run(&self) -> Result<(), Error> {
        let path = format!("accounts/{}/secrets", self.number);
        let told = self.told.source.open()?.tell("DELETE", &path, Some(&json!({"reason": self.reason})))?;
        listing::value(self.told.output, &told)
    }
}
