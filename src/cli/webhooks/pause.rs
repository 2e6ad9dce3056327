//! `muster webhooks test`, `pause`, `resume`.

use serde_json::json;

use super::ChannelArgs;
use crate::cli::Error;

/// Send the API document's example once, and show the response
#[derive(clap::Args)]
pub(super) struct TestChannelArgs {
    #[command(flatten)]
    channel: ChannelArgs,
}

/// Pause a channel; events wait until it is resumed
#[derive(clap::Args)]
pub(super) struct PauseChannelArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// The reason, which is recorded for good
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Resume a channel
#[derive(clap::Args)]
pub(super) struct ResumeChannelArgs {
    #[command(flatten)]
    channel: ChannelArgs,
}

impl TestChannelArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let attempt = self.channel.submit("POST", "test", None)?;
        self.channel.print_value(&attempt)?;
        if attempt["outcome"] == "ok" { Ok(()) } else { Err(Error::TestNotAccepted) }
    }
}

impl PauseChannelArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print_value(&self.channel.submit("POST", "pause", Some(&json!({"reason": self.reason})))?)
    }
}

impl ResumeChannelArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print_value(&self.channel.submit("POST", "resume", None)?)
    }
}
