//! `muster webhooks close`.

use std::io::{self, BufRead, Read, Write};

use serde_json::{Value, json};

use super::ChannelArgs;
use crate::cli::Error;
use crate::limits::CONFIRMATION_BYTES;

/// Drop all pending deliveries of a channel without a receiver
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct CloseChannelArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// The reason, which is recorded for good
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Only count what would be dropped; fails if close would be rejected
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

const AFTER: &str = "Examples:
  muster webhooks close sync --dry-run
  muster webhooks close sync --reason \"the receiver no longer exists\"

A channel without a receiver keeps its pending deliveries. This drops them: new ones, those that wait for a retry, and
redeliveries. Dead letters stay. A receiver that is set later gets the events from then on. The command shows the number
of deliveries first, and drops nothing unless you type yes; --yes skips the question.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such channel.";

impl CloseChannelArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let counted = self.channel.submit("POST", "close", Some(&json!({"dryRun": true})))?;
        if self.dry_run {
            // The service counts also for a channel with a receiver, and rejects only the close itself.
            if !self.channel.get_json("")?["url"].is_null() {
                let detail = format!(
                    "{} has a receiver for its pending deliveries, so it cannot be closed; remove the receiver first",
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
        let waiting = format!("{deliveries} deliveries of {accounts} accounts are pending in {}", self.channel.channel);
        let mut stderr = io::stderr().lock();
        // A question that cannot be written is ignored, because only the answer "yes" drops anything.
        let _unseen = write!(stderr, "{waiting}. Type yes to drop them for good: ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        // An answer that cannot be read counts as no.
        let _unread = io::stdin().lock().take(CONFIRMATION_BYTES).read_line(&mut answer);
        if answer.trim() == "yes" { Ok(()) } else { Err(Error::NotConfirmed { waiting }) }
    }
}
