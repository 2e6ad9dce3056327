//! `muster gateways`.

use clap::Subcommand;
use serde_json::json;

use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::{Error, listing_output};

/// Show how the ways to WhatsApp are, and have their sessions compared with what is shown
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

/// Have a gateway's sessions compared with what is shown, at once
#[derive(clap::Args)]
struct ReconcileArgs {
    /// Name of the gateway, as `muster gateways` lists it
    name: String,
    /// Why; it stands in the history
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster gateways                    how each is: up or away, accounts, calls, the last comparison, the last errors
  muster gateways -o json
  muster gateways reconcile bridge --reason \"it was restored from a backup\"

Sessions are compared with what is shown at the start, every gateway.reconcile_every, and when a gateway is back. It takes
a running service.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such gateway.";

impl GatewaysArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            Some(GatewaysVerb::Reconcile(verb)) => verb.run(),
            None => self.show(),
        }
    }

    fn show(&self) -> Result<(), Error> {
        let RequestArgs { output: form, source } = &self.request;
        let shown = source.open()?.request_json(&ApiRequest { method: "GET", path: "gateways", accept: JSON })?;
        listing_output::print_records(*form, &shown, "gateways")
    }
}

impl ReconcileArgs {
    fn run(&self) -> Result<(), Error> {
        let path = format!("gateways/{}/reconcile", self.name);
        let begun = self.request.source.open()?.submit("POST", &path, Some(&json!({"reason": self.reason})))?;
        listing_output::print_value(self.request.output, &begun)
    }
}
