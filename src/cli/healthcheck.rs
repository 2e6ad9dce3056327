//! `muster healthcheck`.

use super::Error;
use super::api_client::SourceArgs;

/// Check that a running service accepts requests
///
/// Prints nothing on success; the exit code is the result. For container and service probes. Needs no API key.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct HealthcheckArgs {
    #[command(flatten)]
    source: SourceArgs,
}

const EXAMPLES: &str = "Examples:
  muster healthcheck
  muster healthcheck --server https://localhost:8080 --ca-file ca.pem

Exit codes: 0 the service accepts requests, 1 it does not, 2 wrong usage.";

impl HealthcheckArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.source.open()?.check_ready()
    }
}
