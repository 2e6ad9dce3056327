//! `muster webhooks show`.

use super::Told;
use crate::cli::source::{JSON, Question};
use crate::cli::{Error, listing, output};

/// Show how the channels are: receiver, state, lag, what waits, what is dead
#[derive(clap::Args)]
pub(super) struct Show {
    /// sync or register; both if it is left out
    channel: Option<String>,
    #[command(flatten)]
    told: Told,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), Error> {
        let Told { output: form, source } = &self.told;
        let path = self.channel.as_ref().map_or_else(|| "webhooks".to_owned(), |channel| format!("webhooks/{channel}"));
        let shown = source.open()?.ask_value(&Question { method: "GET", path: &path, accept: JSON })?;
        match shown["channels"].as_array() {
            Some(channels) if *form == listing::Form::Text => {
                for (at, channel) in channels.iter().enumerate() {
                    if at > 0 {
                        output::print("\n")?;
                    }
                    listing::value(*form, channel)?;
                }
                Ok(())
            }
            Some(_) | None => listing::value(*form, &shown),
        }
    }
}
