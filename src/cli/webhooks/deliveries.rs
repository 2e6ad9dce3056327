//! `muster webhooks deliveries`, `delivery`, `resend`, `redeliver`.

use serde_json::{Map, Value, json};

use super::ChannelArgs;
use crate::cli::listing_output::{self, ListingFormat};
use crate::cli::{Error, output};
use crate::domain::EventId;

/// List webhook deliveries, latest first
#[derive(clap::Args)]
#[command(next_line_help = true)]
pub(super) struct ListDeliveriesArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    /// Print at most this number of deliveries
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Show a delivery with its attempts and payload
#[derive(clap::Args)]
pub(super) struct ShowDeliveryArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// The position of its event
    position: EventId,
}

/// Redeliver one delivery, with the same webhook id
#[derive(clap::Args)]
pub(super) struct ResendArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// The position of its event
    position: EventId,
}

/// Redeliver finished deliveries, earliest first, with the same webhook ids
#[derive(clap::Args)]
#[command(next_line_help = true)]
pub(super) struct RedeliverArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    /// Only from this position on
    #[arg(long, value_name = "POSITION")]
    from: Option<EventId>,
    /// Only up to this position
    #[arg(long, value_name = "POSITION")]
    to: Option<EventId>,
    /// Only count the deliveries
    #[arg(long)]
    dry_run: bool,
}

/// Which deliveries.
#[derive(clap::Args)]
struct DeliveryFilterArgs {
    /// Only deliveries of this account
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    /// Only deliveries in this state: pending, waiting, delivered, dead, dropped, superseded or forgotten
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only deliveries of events from this time on: 2026-11-25 or 2026-11-25T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only deliveries of events before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl ListDeliveriesArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let DeliveryFilterArgs { account, state, since, until } = &self.filter;
        let filters = [("account", account), ("state", state), ("since", since), ("until", until)];
        let found = self.channel.get_pages("deliveries", "deliveries", &filters, self.limit)?;
        let rows = match self.channel.request.output {
            ListingFormat::Json | ListingFormat::Jsonl => found,
            ListingFormat::Text | ListingFormat::Csv => found.iter().map(summary_row).collect(),
        };
        let columns = ["position", "whatsApp", "version", "time", "state", "attempts", "last", "next"];
        listing_output::print_rows(self.channel.request.output, columns, &rows)
    }
}

/// A delivery in one row: the number of attempts, and the last outcome.
fn summary_row(delivery: &Value) -> Value {
    let mut row = delivery.clone();
    let attempts = delivery["attempts"].as_array().map_or(&[][..], Vec::as_slice);
    let last = attempts.last().map_or(Value::Null, |last| match last["status"].as_u64() {
        Some(status) => format!("{status} {}", last["outcome"].as_str().unwrap_or_default()).into(),
        None => last["outcome"].clone(),
    });
    row["attempts"] = attempts.len().into();
    row["last"] = last;
    row
}

impl ShowDeliveryArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let delivery = self.channel.get_json(&format!("deliveries/{}", self.position))?;
        if self.channel.request.output != ListingFormat::Text {
            return self.channel.print_value(&delivery);
        }
        let mut head = delivery.clone();
        head["attempts"] = delivery["attempts"].as_array().map_or(0, Vec::len).into();
        self.channel.print_value(&head)?;
        let attempts = delivery["attempts"].as_array().map_or(&[][..], Vec::as_slice);
        if attempts.is_empty() {
            return Ok(());
        }
        output::print("\n")?;
        let columns = ["attempt", "time", "durationMs", "outcome", "status", "next", "failure", "response"];
        listing_output::print_rows(ListingFormat::Text, columns, attempts)
    }
}

impl ResendArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print_value(&self.channel.submit("POST", &format!("deliveries/{}/resend", self.position), None)?)
    }
}

impl RedeliverArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let DeliveryFilterArgs { account, state, since, until } = &self.filter;
        let texts = [("account", account), ("state", state), ("since", since), ("until", until)];
        let mut body: Map<String, Value> =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into()))).collect();
        for (name, position) in [("from", self.from), ("to", self.to)] {
            body.extend(position.map(|position| (name.to_owned(), position.to_string().into())));
        }
        body.extend([("dryRun".to_owned(), json!(self.dry_run))]);
        self.channel.print_value(&self.channel.submit("POST", "redeliver", Some(&body.into()))?)
    }
}
