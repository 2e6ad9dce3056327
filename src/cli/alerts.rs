//! `muster alerts`.

use super::Error;
use super::output;
use crate::metrics::alert_rules_yaml;

/// Print alerting rules for Prometheus
///
/// The output is a file for Prometheus' rule_files. Each rule says what it means and what to do.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AlertsArgs {}

const EXAMPLES: &str = "\
Examples:
  muster alerts > /etc/prometheus/rules/muster.yml

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl AlertsArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        output::print(&alert_rules_yaml())
    }
}
