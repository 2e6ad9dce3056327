//! `muster prove`.

use super::api_client::{ApiRequest, JSON, SourceArgs};
use super::{Error, output};

/// Write an account's whole history with its proof to standard output
///
/// `muster verify --bundle` checks it, with nothing but the log's public key.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct ProveArgs {
    /// The account's number
    number: String,
    #[command(flatten)]
    source: SourceArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster prove 861821726232 > account.bundle.json

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the account is unknown.";

impl ProveArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let path = format!("log/proof/account/{}", self.number);
        self.source.open()?.request(&ApiRequest { method: "GET", path: &path, accept: JSON }, output::print_bytes)
    }
}
