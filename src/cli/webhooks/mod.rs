//! `muster webhooks`: the webhook channels of a running service.
//!
//! | file | what it knows |
//! |---|---|
//! | `show` | showing the state of the channels |
//! | `receiver_settings` | setting a receiver's URL and secrets |
//! | `pause` | testing, pausing and resuming a channel |
//! | `close` | dropping pending deliveries, after a confirmation |
//! | `deliveries` | listing deliveries with their attempts, and sending them again |
//! | `resync` | sending the present state of accounts again |
//! | `dead_letters` | listing, replaying and dropping dead letters |

mod close;
mod dead_letters;
mod deliveries;
mod pause;
mod receiver_settings;
mod resync;
mod show;

use clap::Subcommand;
use serde_json::Value;

use super::Error;
use super::api_client::{ApiRequest, JSON, RequestArgs, query_string};
use super::listing_output;
use crate::domain::Channel;
use crate::limits::PAGE_EVENTS;

/// Show and control webhooks: receivers, secrets, deliveries, dead letters
#[derive(clap::Args)]
#[command(after_help = examples())]
pub(super) struct WebhooksArgs {
    #[command(subcommand)]
    verb: WebhooksVerb,
}

#[derive(Subcommand)]
enum WebhooksVerb {
    Show(show::ShowWebhooksArgs),
    Url(receiver_settings::SetUrlArgs),
    Secret(receiver_settings::SetSecretArgs),
    AppSecret(receiver_settings::SetAppSecretArgs),
    Test(pause::TestChannelArgs),
    Pause(pause::PauseChannelArgs),
    Resume(pause::ResumeChannelArgs),
    Close(close::CloseChannelArgs),
    Deliveries(deliveries::ListDeliveriesArgs),
    Delivery(deliveries::ShowDeliveryArgs),
    Resend(deliveries::ResendArgs),
    Redeliver(deliveries::RedeliverArgs),
    Resync(resync::ResyncArgs),
    DeadLetters(dead_letters::ListDeadLettersArgs),
    Replay(dead_letters::ReplayDeadLettersArgs),
    Drop(dead_letters::DropDeadLettersArgs),
}

fn examples() -> String {
    let channels = Channel::ALL.map(|channel| format!("{} ({})", channel.short_name(), channel.configuration_id()));
    format!(
        "\
Examples:
  muster webhooks show
  muster webhooks url sync https://example.com/status
  muster webhooks secret sync                      set a new secret and print it; the old one also signs for 24 h
  muster webhooks deliveries sync --account 861821726232
  muster webhooks redeliver sync --since 2026-11-25 --dry-run
  muster webhooks resync --dry-run                 count what receivers would be told after a restore
  muster webhooks replay sync --all

The channels are {}.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such channel, delivery or dead letter.",
        channels.join(" and ")
    )
}

impl WebhooksArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            WebhooksVerb::Show(verb) => verb.run(),
            WebhooksVerb::Url(verb) => verb.run(),
            WebhooksVerb::Secret(verb) => verb.run(),
            WebhooksVerb::AppSecret(verb) => verb.run(),
            WebhooksVerb::Test(verb) => verb.run(),
            WebhooksVerb::Pause(verb) => verb.run(),
            WebhooksVerb::Resume(verb) => verb.run(),
            WebhooksVerb::Close(verb) => verb.run(),
            WebhooksVerb::Deliveries(verb) => verb.run(),
            WebhooksVerb::Delivery(verb) => verb.run(),
            WebhooksVerb::Resend(verb) => verb.run(),
            WebhooksVerb::Redeliver(verb) => verb.run(),
            WebhooksVerb::Resync(verb) => verb.run(),
            WebhooksVerb::DeadLetters(verb) => verb.run(),
            WebhooksVerb::Replay(verb) => verb.run(),
            WebhooksVerb::Drop(verb) => verb.run(),
        }
    }
}

/// A channel, the service that sends it, and the output format.
#[derive(clap::Args)]
struct ChannelArgs {
    #[arg(help = channel_names())]
    channel: String,
    #[command(flatten)]
    request: RequestArgs,
}

/// The names of the channels, for help.
fn channel_names() -> String {
    Channel::ALL.map(Channel::short_name).join(" or ")
}

impl ChannelArgs {
    /// Requests the JSON at `path` under the channel.
    fn get_json(&self, path: &str) -> Result<Value, Error> {
        let path = format!("webhooks/{}/{path}", self.channel);
        self.request.source.open()?.request_json(&ApiRequest {
            method: "GET",
            path: path.trim_end_matches('/'),
            accept: JSON,
        })
    }

    /// Requests up to `max_items` items of the list `name`, page by page. The pages are at `path`, and get `filters` as their
    /// query.
    fn get_pages(
        &self,
        path: &str,
        name: &str,
        filters: &[(&str, &Option<String>)],
        max_items: usize,
    ) -> Result<Vec<Value>, Error> {
        let (mut items, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
        while items.len() < max_items {
            let limit = Some((max_items - items.len()).min(PAGE_EVENTS).to_string());
            let paging = [("cursor", &cursor), ("limit", &limit)];
            let parameters = filters.iter().chain(&paging).map(|(name, value)| (*name, (*value).clone()));
            let page = self.get_json(&format!("{path}{}", query_string(&parameters.collect::<Vec<_>>())))?;
            items.extend(page[name].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        Ok(items)
    }

    /// Sends a command to the channel.
    fn submit(&self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        self.request.source.open()?.submit(method, &format!("webhooks/{}/{path}", self.channel), body)
    }

    /// Prints a value.
    fn print_value(&self, value: &Value) -> Result<(), Error> {
        listing_output::print_value(self.request.output, value)
    }
}
