//! `muster dashboard`.

use super::Error;
use super::output;
use crate::metrics::dashboard_json;

/// Print a dashboard for Grafana
///
/// The output is JSON that Grafana imports. Grafana then asks for the Prometheus that scrapes /metrics.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DashboardArgs {}

const EXAMPLES: &str = "\
Examples:
  muster dashboard > muster.json

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl DashboardArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        output::print(&format!("{:#}\n", dashboard_json()))
    }
}
