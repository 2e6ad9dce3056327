//! `muster events`.

use super::Error;
use super::listing::Events as Printed;
use super::source::{LIVE, NDJSON, Question, Told, query};

/// Show what happened to all accounts, and to the service itself
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct Events {
    /// Behind this position; with --follow and without it, from now on
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// Of these types only, with commas between: came_online,banned
    #[arg(long = "type", value_name = "TYPES")]
    types: Option<String>,
    /// Of this account only
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    /// From this time on: 2026-11-25 or 2026-11-25T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Go on with what happens, until you stop it
    #[arg(long, conflicts_with_all = ["data_dir", "limit"])]
    follow: bool,
    #[command(flatten)]
    told: Told,
}

const EXAMPLES: &str = "\
Examples:
  muster events --since 2026-11-25 --type banned
  muster events --after 1000 --limit 10 -o jsonl
  muster events --follow

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl Events {
    pub(super) fn run(&self) -> Result<(), Error> {
        let open = self.told.source.open()?;
        let mut events = Printed::new(self.told.output);
        let query = query(&[
            ("after", self.after.map(|after| after.to_string())),
            ("type", self.types.clone()),
            ("account", self.account.clone()),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ]);
        let path = format!("events{query}");
        if self.follow {
            open.ask(&Question { method: "GET", path: &path, accept: LIVE }, |piece| events.take_live(piece))?;
            return Err(Error::TailEnded);
        } else {
            open.ask(&Question { method: "GET", path: &path, accept: NDJSON }, |piece| events.take(piece))?;
        }
        events.finish()
    }
}
