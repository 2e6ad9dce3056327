//! `muster alerts`.

use super::Error;
use super::output;
use crate::metrics::alerts;

/// Print alerting rules for Prometheus
///
/// Prints a file for Prometheus' rule_files: what to be woken for, what it means, and what to do.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Alerts {}

const EXAMPLES: &str = "\
Examples:
  muster alerts > /etc/prometheus/rules/muster.yml

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl Alerts {
    pub(super) fn run(&self) -> Result<(), Error> {
        output::print(&alerts())
    }
}
