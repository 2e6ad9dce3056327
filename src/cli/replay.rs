//! `muster replay`.

use super::Error;
use super::listing;
use super::progress::Bar;
use super::source::{JSON, Question, Told, query};
use crate::audit::{Until, parse_time};

/// Fold everything anew, and hold it against what is served
///
/// No gateway and no receiver is asked or told anything.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct Replay {
    /// Up to this position or time; then nothing is compared
    #[arg(long, value_name = "TIME|POSITION")]
    until: Option<String>,
    /// Show this account as it stood then
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    #[command(flatten)]
    told: Told,
}

const EXAMPLES: &str = "\
Examples:
  muster replay --data-dir /var/lib/muster
  muster replay --until 2026-11-24 --account 861821726232

Exit codes: 0 what is served is what the events say, 1 failed, 2 wrong usage, 3 the account is unknown, 4 it is not, or
  the journal is not whole.";

impl Replay {
    pub(super) fn run(&self) -> Result<(), Error> {
        let open = self.told.source.open()?;
        let replayed = match open.offline() {
            Some(offline) => {
                let bar = Bar::of("replaying", "events");
                let account = self.account.as_deref().map(str::parse).transpose();
                let account =
                    account.map_err(|_| Error::Usage("--account must be an account number: 7 to 15 digits"))?;
                let replayed = offline.audit().replay(self.until()?, account, |at, of| bar.at(at, of))?;
                serde_json::to_value(replayed).unwrap_or_default()
            }
            None => {
                let query = query(&[("until", self.until.clone()), ("account", self.account.clone())]);
                open.ask_value(&Question { method: "POST", path: &format!("replay{query}"), accept: JSON })?
            }
        };
        listing::value(self.told.output, &replayed)?;
        match replayed["differences"].as_u64() {
            None | Some(0) => Ok(()),
            Some(_) => Err(Error::Differs),
        }
    }

    fn until(&self) -> Result<Until, Error> {
        let Some(text) = &self.until else { return Ok(Until::End) };
        let wrong = Error::Usage("--until must be a position, a time as in 2026-11-25T09:30:00Z, or a day");
        text.parse().map(Until::Position).ok().or_else(|| parse_time(text).map(Until::Time)).ok_or(wrong)
    }
}
