//! `muster gateways`.

use clap::Subcommand;
use serde_json::json;

use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::{Error, listing_output};

/// List the gateways and their health; start a reconciliation
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct GatewaysArgs {
    #[command(subcommand)]
    verb: Option<GatewaysVerb>,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Subcommand)]
enum GatewaysVerb {
    Reconcile(ReconcileArgs),
}

/// Reconcile a gateway's sessions with the account list now
#[derive(clap::Args)]
struct ReconcileArgs {
    /// Name of the gateway, as `muster gateways` lists it
    name: String,
    /// The reason, which is recorded for good
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "Examples:
  muster gateways                    show state, accounts, calls, last reconciliation and last errors of each
  muster gateways -o json
  muster gateways reconcile bridge --reason \"it was restored from a backup\"

Muster reconciles a gateway's sessions with the account list at the start, every gateway.reconcile_every, and when the
gateway is back. Needs a running service.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such gateway.";

impl GatewaysArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            Some(GatewaysVerb::Reconcile(verb)) => verb.run(),
            None => self.show(),
        }
    }

    fn show(&self) -> Result<(), Error> {
        let RequestArgs { output: format, source } = &self.request;
        let response = source.open()?.request_json(&ApiRequest { method: "GET", path: "gateways", accept: JSON })?;
        listing_output::print_records(*format, &response, "gateways")
    }
}

impl ReconcileArgs {
    fn run(&self) -> Result<(), Error> {
        let path = format!("gateways/{}/reconcile", self.name);
        let response = self.request.source.open()?.submit("POST", &path, Some(&json!({"reason": self.reason})))?;
        listing_output::print_value(self.request.output, &response)
    }
}
