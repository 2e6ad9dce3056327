//! `muster replay`.

use super::Error;
use super::api_client::{ApiRequest, JSON, RequestArgs, query_string};
use super::listing_output;
use super::progress::ProgressDisplay;
use crate::audit::{ReplayEnd, parse_time};

/// Replay the journal, and compare the result with the served state
///
/// Contacts no gateway and no receiver.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct ReplayArgs {
    /// Replay up to this position or time; then nothing is compared
    #[arg(long, value_name = "TIME|POSITION")]
    until: Option<String>,
    /// Show the state of this account at that point
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "Examples:
  muster replay --data-dir /var/lib/muster
  muster replay --until 2026-11-24 --account 861821726232

Exit codes: 0 the served state matches the events, 1 failed, 2 wrong usage, 3 the account is unknown, 4 the served state
  differs, or the journal is damaged.";

impl ReplayArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        let response = match client.offline() {
            Some(offline) => {
                let bar = ProgressDisplay::with_unit("replaying", "events");
                let account = self.account.as_deref().map(str::parse).transpose();
                let account =
                    account.map_err(|_| Error::Usage("--account must be an account number: 7 to 15 digits"))?;
                let report = offline.audit().replay(self.parse_until()?, account, |at, of| bar.set_position(at, of))?;
                serde_json::to_value(report).unwrap_or_default()
            }
            None => {
                let query = query_string(&[("until", self.until.clone()), ("account", self.account.clone())]);
                client.request_json(&ApiRequest { method: "POST", path: &format!("replay{query}"), accept: JSON })?
            }
        };
        listing_output::print_value(self.request.output, &response)?;
        match response["differences"].as_u64() {
            None | Some(0) => Ok(()),
            Some(_) => Err(Error::ProjectionDiffers),
        }
    }

    fn parse_until(&self) -> Result<ReplayEnd, Error> {
        let Some(text) = &self.until else { return Ok(ReplayEnd::End) };
        let wrong = Error::Usage("--until must be a position, a time such as 2026-11-25T09:30:00Z, or a day");
        text.parse().map(ReplayEnd::Event).ok().or_else(|| parse_time(text).map(ReplayEnd::Time)).ok_or(wrong)
    }
}
