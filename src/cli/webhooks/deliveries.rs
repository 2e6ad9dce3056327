//! `muster webhooks deliveries`, `delivery`, `resend`, `redeliver`.

use serde_json::{Map, Value, json};

use super::Channel;
use crate::cli::listing::{self, Form};
use crate::cli::{Error, output};

/// Show deliveries, the latest first, and what became of them
#[derive(clap::Args)]
#[command(next_line_help = true)]
pub(super) struct Deliveries {
    #[command(flatten)]
    channel: Channel,
    #[command(flatten)]
    which: Which,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Show one delivery with every attempt, and what is posted
#[derive(clap::Args)]
pub(super) struct Delivery {
    #[command(flatten)]
    channel: Channel,
    /// The position of its event
    position: u64,
}

/// Send one delivery again, under its id
#[derive(clap::Args)]
pub(super) struct Resend {
    #[command(flatten)]
    channel: Channel,
    /// The position of its event
    position: u64,
}

/// Send what is settled again, under the same ids, the earliest first
#[derive(clap::Args)]
#[command(next_line_help = true)]
pub(super) struct Redeliver {
    #[command(flatten)]
    channel: Channel,
    #[command(flatten)]
    which: Which,
    /// From this position on
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Up to this position
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
}

/// Which deliveries.
#[derive(clap::Args)]
struct Which {
    /// Of this account
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    /// That are pending, waiting, delivered, dead, dropped, superseded or forgotten
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Of events from this time on: 2026-11-25 or 2026-11-25T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Of events before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Deliveries {
    pub(super) fn run(&self) -> Result<(), Error> {
        let Which { account, state, since, until } = &self.which;
        let asked = [("account", account), ("state", state), ("since", since), ("until", until)];
        let found = self.channel.pages("deliveries", "deliveries", &asked, self.limit)?;
        let rows = match self.channel.told.output {
            Form::Json | Form::Jsonl => found,
            Form::Text | Form::Csv => found.iter().map(row).collect(),
        };
        let columns = ["position", "whatsApp", "version", "time", "state", "attempts", "last", "next"];
        listing::rows(self.channel.told.output, columns, &rows)
    }
}

/// A delivery in one line: its attempts counted, and how the last one ended.
fn row(delivery: &Value) -> Value {
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

impl Delivery {
    pub(super) fn run(&self) -> Result<(), Error> {
        let delivery = self.channel.ask(&format!("deliveries/{}", self.position))?;
        if self.channel.told.output != Form::Text {
            return self.channel.print(&delivery);
        }
        let mut head = delivery.clone();
        head["attempts"] = delivery["attempts"].as_array().map_or(0, Vec::len).into();
        self.channel.print(&head)?;
        let attempts = delivery["attempts"].as_array().map_or(&[][..], Vec::as_slice);
        if attempts.is_empty() {
            return Ok(());
        }
        output::print("\n")?;
        let columns = ["attempt", "time", "durationMs", "outcome", "status", "next", "failure", "response"];
        listing::rows(Form::Text, columns, attempts)
    }
}

impl Resend {
    pub(super) fn run(&self) -> Result<(), Error> {
        self.channel.print(&self.channel.tell("POST", &format!("deliveries/{}/resend", self.position), None)?)
    }
}

impl Redeliver {
    pub(super) fn run(&self) -> Result<(), Error> {
        let Which { account, state, since, until } = &self.which;
        let texts = [("account", account), ("state", state), ("since", since), ("until", until)];
        let mut body: Map<String, Value> =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into()))).collect();
        for (name, position) in [("from", self.from), ("to", self.to)] {
            body.extend(position.map(|position| (name.to_owned(), position.into())));
        }
        body.extend([("dryRun".to_owned(), json!(self.dry_run))]);
        self.channel.print(&self.channel.tell("POST", "redeliver", Some(&body.into()))?)
    }
}
