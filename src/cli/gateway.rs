//! `muster gateway`.

use std::path::PathBuf;
use std::time::Duration;

use super::output::{self, OutputFormat};
use super::{Error, log_writer, logging, secret_file};
use crate::config::{self, LogFormat, LogSettings};
use crate::conformance::{self, CheckReport, SuiteOptions};
use crate::domain::{AccountNumber, escape_controls};
use crate::limits::CHECK_TIMEOUT;

/// Develop your own gateway for the bridge
#[derive(clap::Args)]
pub(super) struct GatewayArgs {
    #[command(subcommand)]
    verb: GatewayVerb,
}

#[derive(clap::Subcommand)]
enum GatewayVerb {
    Check(GatewayCheckArgs),
}

/// Check that a gateway conforms to the bridge protocol
///
/// Plays Muster: it sends commands to the URL, and accepts reports on the address to listen on. Configure the gateway
/// with this address. Without a URL the gateway fetches its commands there too.
/// Brings the account and the next one online, and registers the next one. The gateway must be able to do this.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true, verbatim_doc_comment)]
struct GatewayCheckArgs {
    /// The URL to send commands to; without it, the gateway fetches them
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Play Muster on this address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_address)]
    listen: String,
    /// Read the shared signing secret (whsec_ and base64) from this file, or from standard input for -
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// A number that can come online at the gateway; the next number must be able to, too
    #[arg(long, value_name = "NUMBER", default_value_t = AccountNumber::EXAMPLE)]
    account: AccountNumber,
    /// The correct code for the next number
    #[arg(long, value_name = "CODE", default_value = "123456")]
    code: String,
    /// A wrong code
    #[arg(long, value_name = "CODE", default_value = "654321")]
    wrong_code: String,
    /// How long to wait for each step of the gateway
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout, default_value = "10s")]
    patience: Duration,
    /// Output format: text for people, or one JSON object per line
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    output: OutputFormat,
}

const EXAMPLES: &str = "Examples:
  muster gateway check http://127.0.0.1:9000 --secret-file bridge.secret
  muster gateway check --secret-file bridge.secret --listen 0.0.0.0:8080    a gateway that fetches its commands

Exit codes: 0 the gateway conforms, 1 the check could not run, 2 wrong usage, 4 the gateway does not conform.";

impl GatewayArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            GatewayVerb::Check(check) => check.run(),
        }
    }
}

impl GatewayCheckArgs {
    fn run(&self) -> Result<(), Error> {
        // Checked here, because an error of the command line parser would repeat a password in the URL.
        if self.url.as_deref().is_some_and(|url| config::parse_receiver_url(url).is_none()) {
            return Err(Error::Usage(
                "the gateway's URL must be an http or https URL without a #fragment, such as http://127.0.0.1:9000",
            ));
        }
        logging::start(&LogSettings { filter: "warn".to_owned(), format: LogFormat::Text, full_numbers: false }, None)?;
        let options = SuiteOptions {
            url: self.url.clone(),
            listen: self.listen.clone(),
            secret: secret_file::read_secret(&self.secret_file)?,
            account: self.account.get(),
            code: self.code.clone(),
            wrong_code: self.wrong_code.clone(),
            patience: self.patience,
        };
        let announce = |address| log_writer::write_message(&format!("playing Muster on http://{address}\n"));
        let (mut all, mut failed, mut printed) = (0, 0, Ok(()));
        let report = |result: &CheckReport| {
            all += 1;
            failed += usize::from(!result.passed);
            if printed.is_ok() {
                printed = output::print(&(self.format_check(result) + "\n"));
            }
        };
        conformance::run(&options, announce, report)?;
        printed?;
        if failed == 0 { Ok(()) } else { Err(Error::NotConformant { failed, all }) }
    }

    fn format_check(&self, result: &CheckReport) -> String {
        match self.output {
            OutputFormat::Json => serde_json::to_string(result).unwrap_or_default(),
            OutputFormat::Text if result.passed => format!("passed  {:<13} {}", result.check, result.requirement),
            OutputFormat::Text => {
                let observed = escape_controls(&result.observed);
                format!("FAILED  {:<13} {}\n        {:<13} {observed}", result.check, result.requirement, "")
            }
        }
    }
}

fn parse_address(text: &str) -> Result<String, &'static str> {
    let is_address = config::is_listen_address(text);
    is_address.then(|| text.to_owned()).ok_or("must be host:port, such as 127.0.0.1:8080 or localhost:0")
}

fn parse_timeout(text: &str) -> Result<Duration, &'static str> {
    config::parse_duration(text).filter(|it| *it <= 6 * CHECK_TIMEOUT).ok_or("must be a duration up to 1m, such as 10s")
}
