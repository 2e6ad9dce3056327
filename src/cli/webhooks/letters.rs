//! `muster webhooks dead-letters`, `replay`, `drop`.

use serde_json::{Value, json};

use super::Channel;
use crate::cli::{Error, listing};

/// Show deliveries of which no attempt is left, the earliest first
#[derive(clap::Args)]
pub(super) struct DeadLetters {
    #[command(flatten)]
    channel: Channel,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Send dead letters again
#[derive(clap::Args)]
pub(super) struct Replay {
    #[command(flatten)]
    channel: Channel,
    #[command(flatten)]
    which: Which,
}

/// Give dead letters up
#[derive(clap::Args)]
pub(super) struct Drop {
    #[command(flatten)]
    channel: Channel,
    #[command(flatten)]
    which: Which,
    /// Why, for whoever reads the history
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Which dead letters.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Those at these positions
    #[arg(value_name = "POSITION")]
    positions: Vec<u64>,
    /// All up to this position
    #[arg(long, value_name = "POSITION")]
    up_to: Option<u64>,
    /// All
    #[arg(long)]
    all: bool,
}

impl Which {
    fn body(&self) -> Value {
        match (self.up_to, self.all) {
            (Some(up_to), _) => json!({"upTo": up_to}),
            (None, true) => json!({"all": true}),
            (None, false) => json!({"positions": self.positions}),
        }
    }
}

impl DeadLetters {
    pub(super) fn run(&self) -> Result<(), Error> {
        let found = self.channel.pages("dead-letters", "deadLetters", &[], self.limit)?;
        let columns = ["position", "whatsApp", "time", "attempts", "failure", "body"];
        listing::rows(self.channel.told.output, columns, &found)
    }
}

impl Replay {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print(&self.channel.tell("POST", "dead-letters/replay", Some(&self.which.body()))?)
    }
}

impl Drop {
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut body = self.which.body();
        body["reason"] = self.reason.as_str().into();
        self.channel.print(&self.channel.tell("POST", "dead-letters/drop", Some(&body))?)
    }
}
