//! `muster webhooks show`.

use super::{RequestArgs, channel_names};
use crate::cli::api_client::{ApiRequest, JSON};
use crate::cli::{Error, listing_output};

/// Show the channels: receiver, state, lag, pending deliveries, dead letters
#[derive(clap::Args)]
pub(super) struct ShowWebhooksArgs {
    #[arg(help = format!("{}; all if it is left out", channel_names()))]
    channel: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
}

impl ShowWebhooksArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let RequestArgs { output: format, source } = &self.request;
        let path = self.channel.as_ref().map_or_else(|| "webhooks".to_owned(), |channel| format!("webhooks/{channel}"));
        let response = source.open()?.request_json(&ApiRequest { method: "GET", path: &path, accept: JSON })?;
        listing_output::print_records(*format, &response, "channels")
    }
}
