//! `muster webhooks`: what a running service tells receivers.
//!
//! | file | what it knows |
//! |---|---|
//! | `show` | how the channels are |
//! | `receiver` | where a receiver is, and what it knows the service by |
//! | `flow` | test, pause, resume |
//! | `closing` | dropping what waits, once somebody confirms it |
//! | `deliveries` | deliveries with their attempts, and sending them again |
//! | `letters` | dead letters |

mod closing;
mod deliveries;
mod flow;
mod letters;
mod receiver;
mod show;

use clap::Subcommand;
use serde_json::Value;

use super::Error;
use super::listing;
use super::source::{JSON, Question, Told, query};
use crate::limits::PAGE_EVENTS;

/// See and change what a running service tells receivers
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Webhooks {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Show(show::Show),
    Url(receiver::Url),
    Secret(receiver::Secret),
    AppSecret(receiver::AppSecret),
    Test(flow::Test),
    Pause(flow::Pause),
    Resume(flow::Resume),
    Close(closing::Close),
    Deliveries(deliveries::Deliveries),
    Delivery(deliveries::Delivery),
    Resend(deliveries::Resend),
    Redeliver(deliveries::Redeliver),
    DeadLetters(letters::DeadLetters),
    Replay(letters::Replay),
    Drop(letters::Drop),
}

const EXAMPLES: &str = "\
Examples:
  muster webhooks show
  muster webhooks url sync https://example.com/status
  muster webhooks secret sync                      draw a new secret and print it; the old one signs for 24 h too
  muster webhooks deliveries sync --account 861821726232
  muster webhooks redeliver sync --since 2026-11-25 --dry-run
  muster webhooks replay sync --all

The channels are sync (CHANNEL_SYNC_STATUS) and register (CHANNEL_REGISTER_STATUS).

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such channel, delivery or dead letter.";

impl Webhooks {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            Verb::Show(verb) => verb.run(),
            Verb::Url(verb) => verb.run(),
            Verb::Secret(verb) => verb.run(),
            Verb::AppSecret(verb) => verb.run(),
            Verb::Test(verb) => verb.run(),
            Verb::Pause(verb) => verb.run(),
            Verb::Resume(verb) => verb.run(),
            Verb::Close(verb) => verb.run(),
            Verb::Deliveries(verb) => verb.run(),
            Verb::Delivery(verb) => verb.run(),
            Verb::Resend(verb) => verb.run(),
            Verb::Redeliver(verb) => verb.run(),
            Verb::DeadLetters(verb) => verb.run(),
            Verb::Replay(verb) => verb.run(),
            Verb::Drop(verb) => verb.run(),
        }
    }
}

/// A channel, the service that has it, and the form of the answer.
#[derive(clap::Args)]
struct Channel {
    /// sync or register
    channel: String,
    #[command(flatten)]
    told: Told,
}

impl Channel {
    /// Asks for what is at a path of the channel.
    fn ask(&self, path: &str) -> Result<Value, Error> {
        let path = format!("webhooks/{}/{path}", self.channel);
        self.told.source.open()?.ask_value(&Question { method: "GET", path: path.trim_end_matches('/'), accept: JSON })
    }

    /// Asks for at most `most` of what there are pages of at a path, with these parameters, under this name.
    fn pages(
        &self,
        path: &str,
        name: &str,
        asked: &[(&str, &Option<String>)],
        most: usize,
    ) -> Result<Vec<Value>, Error> {
        let (mut found, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
        while found.len() < most {
            let limit = Some((most - found.len()).min(PAGE_EVENTS).to_string());
            let place = [("cursor", &cursor), ("limit", &limit)];
            let parameters = asked.iter().chain(&place).map(|(name, value)| (*name, (*value).clone()));
            let page = self.ask(&format!("{path}{}", query(&parameters.collect::<Vec<_>>())))?;
            found.extend(page[name].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        Ok(found)
    }

    /// Tells the channel to do something.
    fn tell(&self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        self.told.source.open()?.tell(method, &format!("webhooks/{}/{path}", self.channel), body)
    }

    /// Prints a value.
    fn print(&self, value: &Value) -> Result<(), Error> {
        listing::value(self.told.output, value)
    }
}
