//! `muster prove`.

use super::api_client::{ApiRequest, JSON, SourceArgs};
use super::{Error, output};
use crate::api::{log_proofs, operation, parse_account};

/// Export an account's whole history with its proof
///
/// `muster verify --bundle` verifies it, with nothing but the log's public key.
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
        let client = self.source.open()?;
        if let Some(offline) = client.offline() {
            let bundle = offline.call(operation::PROVE_ACCOUNT, async |call| {
                log_proofs::prove_stopped_account(call, parse_account("account", &self.number)?).await
            })?;
            return output::print_bytes(&bundle);
        }
        let path = format!("log/proof/account/{}", self.number);
        client.request(&ApiRequest { method: "GET", path: &path, accept: JSON }, output::print_bytes)
    }
}
