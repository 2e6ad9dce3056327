//! `muster webhooks test`, `pause`, `resume`.

use serde_json::json;

use super::Channel;
use crate::cli::Error;

/// Send the API document's example once, now, and show how it was answered
#[derive(clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    channel: Channel,
}

/// Send nothing until it is resumed; what happens meanwhile waits
#[derive(clap::Args)]
pub(super) struct Pause {
    #[command(flatten)]
    channel: Channel,
    /// Why, for whoever reads the history
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Send what waited
#[derive(clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    channel: Channel,
}

impl Test {
    pub(super) fn run(&self) -> Result<(), Error> {
        let attempt = self.channel.tell("POST", "test", None)?;
        self.channel.print(&attempt)?;
        if attempt["outcome"] == "ok" { Ok(()) } else { Err(Error::NotTaken) }
    }
}

impl Pause {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print(&self.channel.tell("POST", "pause", Some(&json!({"reason": self.reason})))?)
    }
}

impl Resume {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print(&self.channel.tell("POST", "resume", None)?)
    }
}
