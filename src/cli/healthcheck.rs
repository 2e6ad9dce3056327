//! `muster healthcheck`.

use super::Error;
use super::api_client::SourceArgs;

/// Ask a running service whether it takes requests, and say so by the exit code
///
/// Nothing is printed while it does. For probes of containers and service managers; no API key is needed.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct HealthcheckArgs {
    #[command(flatten)]
    source: SourceArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster healthcheck
  muster healthcheck --server https://localhost:8080 --ca-file ca.pem

Exit codes: 0 it takes requests, 1 it does not, 2 wrong usage.";

impl HealthcheckArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.source.open()?.check_ready()
    }
}
