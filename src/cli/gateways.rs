//! `muster gateways`.

use clap::Subcommand;
use serde_json::json;

use super::source::{JSON, Question, Told};
use super::{Error, listing, output};

/// Show how the ways to WhatsApp are, and have their sessions compared with what is shown
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Gateways {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    told: Told,
}

#[derive(Subcommand)]
enum Verb {
    Reconcile(Reconcile),
}

/// Have a gateway's sessions compared with what is shown, at once
#[derive(clap::Args)]
struct Reconcile {
    /// bridge or cloud_api
    name: String,
    /// Why; it stands in the history
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    told: Told,
}

const EXAMPLES: &str = "\
Examples:
  muster gateways                    how each is: up or away, accounts, calls, the last comparison, the last errors
  muster gateways -o json
  muster gateways reconcile bridge --reason \"it was restored from a backup\"

Sessions are compared with what is shown at the start, every gateway.reconcile_every, and when a gateway is back. It takes
a running service.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such gateway.";

impl Gateways {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            Some(Verb::Reconcile(verb)) => verb.run(),
            None => self.show(),
        }
    }

    fn show(&self) -> Result<(), Error> {
        let Told { output: form, source } = &self.told;
        let shown = source.open()?.ask_value(&Question { method: "GET", path: "gateways", accept: JSON })?;
        match shown["gateways"].as_array() {
            Some(gateways) if *form == listing::Form::Text => {
                for (at, gateway) in gateways.iter().enumerate() {
                    if at > 0 {
                        output::print("\n")?;
                    }
                    listing::value(*form, gateway)?;
                }
                Ok(())
            }
            Some(_) | None => listing::value(*form, &shown),
        }
    }
}

impl Reconcile {
    fn run(&self) -> Result<(), Error> {
        let path = format!("gateways/{}/reconcile", self.name);
        let begun = self.told.source.open()?.tell("POST", &path, Some(&json!({"reason": self.reason})))?;
        listing::value(self.told.output, &begun)
    }
}
