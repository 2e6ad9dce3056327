//! `muster webhooks close`.

use std::io::{self, BufRead, Read, Write};

use serde_json::{Value, json};

use super::ChannelArgs;
use crate::cli::Error;
use crate::limits::CONFIRMATION_BYTES;

/// Drop everything that waits in a channel without a receiver
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct CloseChannelArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// The reason, which the history shows
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Only count what would be dropped; fails where closing would be refused
    #[arg(long)]
    dry_run: bool,
    /// Do not ask first
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

const AFTER: &str = "\
Examples:
  muster webhooks close sync --dry-run
  muster webhooks close sync --reason \"the receiver is gone for good\"

A channel without a receiver keeps what waits. This drops it: what was never sent, what waits for a retry, and what was
to be sent again. Dead letters stay. A receiver that is set later is told what happens from then on. The number of
deliveries is shown first, and nothing is dropped unless you type yes; --yes does not ask.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such channel.";

impl CloseChannelArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let counted = self.channel.submit("POST", "close", Some(&json!({"dryRun": true})))?;
        if self.dry_run {
            // The service counts all the same, and refuses only the order itself.
            if !self.channel.get_json("")?["url"].is_null() {
                let detail = format!(
                    "{} has a receiver, which is to be told what waits, so closing it is refused; take the receiver away first",
                    self.channel.channel
                );
                return Err(Error::ErrorResponse { status: 409, detail, is_fault: false });
            }
            return self.channel.print_value(&counted);
        }
        if !self.yes {
            self.confirm(&counted)?;
        }
        self.channel.print_value(&self.channel.submit("POST", "close", Some(&json!({"reason": self.reason})))?)
    }

    /// Asks on standard error, and reads the answer from standard input.
    fn confirm(&self, counted: &Value) -> Result<(), Error> {
        let (deliveries, accounts) = (&counted["deliveries"], &counted["accounts"]);
        let waiting = format!("{deliveries} deliveries of {accounts} accounts wait in {}", self.channel.channel);
        let mut stderr = io::stderr().lock();
        // If the question cannot be written, the answer is no.
        let _unseen = write!(stderr, "{waiting}. Type yes to drop them for good: ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        // An answer that cannot be read is a no.
        let _unread = io::stdin().lock().take(CONFIRMATION_BYTES).read_line(&mut answer);
        if answer.trim() == "yes" { Ok(()) } else { Err(Error::NotConfirmed { waiting }) }
    }
}
