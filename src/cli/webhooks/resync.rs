//! `muster webhooks resync`.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::channel_names;
use crate::cli::api_client::{ApiClient, ApiRequest, JSON, RequestArgs};
use crate::cli::{Error, listing_output};

/// Send the present state of accounts to receivers again, such as after a restore
#[derive(clap::Args)]
#[command(after_help = AFTER, next_line_help = true)]
pub(super) struct ResyncArgs {
    #[arg(help = format!("{}; all channels with a receiver by default", channel_names()))]
    channel: Option<String>,
    /// Only this account; may be repeated
    #[arg(long = "account", value_name = "NUMBER")]
    accounts: Vec<String>,
    /// The reason, which is recorded for good
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only count the accounts and the deliveries
    #[arg(long)]
    dry_run: bool,
    /// Go on where an interrupted run ended; it names the value
    #[arg(long, value_name = "CURSOR", requires = "channel", conflicts_with = "accounts")]
    after: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
}

const AFTER: &str = "Examples:
  muster webhooks resync --dry-run
  muster webhooks resync --reason \"the backup of 2026-11-25 was restored\"
  muster webhooks resync sync --account 861821726232

Each account gets an event, and its delivery follows the account's earlier ones, with a webhook id of its own. Deliveries
are sent at most as fast as webhooks.redeliver_per_second. The channel register tells the outcome of the last
registration, for accounts that have one. A resync may be repeated.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such channel or account.";

impl ResyncArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        let channels = match &self.channel {
            Some(channel) => vec![channel.clone()],
            None => channels_with_receiver(&client)?,
        };
        let mut rows = Vec::new();
        for (index, channel) in channels.iter().enumerate() {
            let mut after = self.after.clone();
            let resynced = self.resync_channel(&client, channel, &mut after);
            rows.push(resynced.inspect_err(|_| report_interruption(&channels[index..], after.as_deref()))?);
        }
        let columns = ["channel", "accounts", "deliveries", "dryRun"];
        listing_output::print_rows(self.request.output, columns, &rows)
    }

    /// Calls the service until all accounts are done, and returns the sums. `after` is where the next call continues.
    fn resync_channel(&self, client: &ApiClient, channel: &str, after: &mut Option<String>) -> Result<Value, Error> {
        let (mut accounts, mut deliveries) = (0, 0);
        loop {
            let mut body = json!({"dryRun": self.dry_run});
            if self.accounts.is_empty() {
                body["all"] = true.into();
            } else {
                body["accounts"] = json!(self.accounts);
            }
            for (name, value) in [("after", &*after), ("reason", &self.reason)] {
                if let Some(value) = value {
                    body[name] = value.as_str().into();
                }
            }
            let done = client.submit("POST", &format!("webhooks/{channel}/resync"), Some(&body))?;
            accounts += done["accounts"].as_u64().unwrap_or_default();
            deliveries += done["deliveries"].as_u64().unwrap_or_default();
            *after = done["next"].as_str().map(str::to_owned);
            if after.is_none() {
                let dry_run = self.dry_run;
                return Ok(json!({
                    "channel": channel, "accounts": accounts, "deliveries": deliveries, "dryRun": dry_run,
                }));
            }
        }
    }
}

/// The channels that have a receiver. An error if none has one.
fn channels_with_receiver(client: &ApiClient) -> Result<Vec<String>, Error> {
    let shown = client.request_json(&ApiRequest { method: "GET", path: "webhooks", accept: JSON })?;
    let channels = shown["channels"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let channels = channels.filter(|channel| !channel["url"].is_null());
    let channels: Vec<String> = channels.filter_map(|channel| Some(channel["channel"].as_str()?.to_owned())).collect();
    if channels.is_empty() {
        let detail = "no webhook has a receiver; set a URL first".to_owned();
        return Err(Error::ErrorResponse { status: 409, detail, is_fault: false });
    }
    Ok(channels)
}

/// Says how to continue after a call that failed. The error itself follows. `channels` are those that are not done.
fn report_interruption(channels: &[String], after: Option<&str>) {
    if let (Some(after), [channel, others @ ..]) = (after, channels) {
        let others = others.iter().map(|other| format!("; then: muster webhooks resync {other}"));
        let others: String = others.collect();
        // A note that cannot be written is ignored, because a resync may also be repeated from the start.
        let _unread = writeln!(
            io::stderr().lock(),
            "muster: interrupted; go on with: muster webhooks resync {channel} --after {after}{others}"
        );
    }
}
