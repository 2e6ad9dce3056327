//! `muster checkpoint`.

use super::api_client::{ApiRequest, JSON, SourceArgs};
use super::{Error, output};
use crate::api::{log_proofs, operation};

/// Print a signed checkpoint of the log: its size and root
///
/// Keep it where the service cannot reach it: `muster verify --checkpoint` shows whether a log has grown from it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct CheckpointArgs {
    /// Print the log's public key instead
    #[arg(long)]
    public_key: bool,
    #[command(flatten)]
    source: SourceArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster checkpoint
  muster checkpoint --public-key > muster.pub

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl CheckpointArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.source.open()?;
        match client.offline() {
            Some(offline) if self.public_key => {
                output::print(&offline.call(operation::SHOW_PUBLIC_KEY, log_proofs::show_public_key)?)
            }
            Some(offline) => output::print(&offline.call(operation::SHOW_CHECKPOINT, log_proofs::show_checkpoint)?),
            None => {
                let path = if self.public_key { "log/public-key" } else { "log/checkpoint" };
                client.request(&ApiRequest { method: "GET", path, accept: JSON }, output::print_bytes)
            }
        }
    }
}
