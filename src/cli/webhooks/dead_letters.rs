//! `muster webhooks dead-letters`, `replay`, `drop`.

use serde_json::{Value, json};

use super::ChannelArgs;
use crate::cli::{Error, listing_output};
use crate::domain::EventId;

/// List dead letters, earliest first
#[derive(clap::Args)]
pub(super) struct ListDeadLettersArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// Print at most this number of dead letters
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Replay dead letters: send them again
#[derive(clap::Args)]
pub(super) struct ReplayDeadLettersArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    #[command(flatten)]
    selection: DeadLetterSelectionArgs,
}

/// Drop dead letters
#[derive(clap::Args)]
pub(super) struct DropDeadLettersArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    #[command(flatten)]
    selection: DeadLetterSelectionArgs,
    /// The reason, which is recorded for good
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Which dead letters.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct DeadLetterSelectionArgs {
    /// The dead letters at these positions
    #[arg(value_name = "POSITION")]
    positions: Vec<EventId>,
    /// All dead letters up to this position
    #[arg(long, value_name = "POSITION")]
    up_to: Option<EventId>,
    /// All dead letters
    #[arg(long)]
    all: bool,
}

impl DeadLetterSelectionArgs {
    fn request_body(&self) -> Value {
        match (self.up_to, self.all) {
            (Some(up_to), _) => json!({"upTo": up_to.to_string()}),
            (None, true) => json!({"all": true}),
            (None, false) => json!({"positions": self.positions.iter().map(EventId::to_string).collect::<Vec<_>>()}),
        }
    }
}

impl ListDeadLettersArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let found = self.channel.get_pages("dead-letters", "deadLetters", &[], self.limit)?;
        let columns = ["position", "whatsApp", "time", "attempts", "failure", "body"];
        listing_output::print_rows(self.channel.request.output, columns, &found)
    }
}

impl ReplayDeadLettersArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print_value(&self.channel.submit(
            "POST",
            "dead-letters/replay",
            Some(&self.selection.request_body()),
        )?)
    }
}

impl DropDeadLettersArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut body = self.selection.request_body();
        body["reason"] = self.reason.as_str().into();
        self.channel.print_value(&self.channel.submit("POST", "dead-letters/drop", Some(&body))?)
    }
}
