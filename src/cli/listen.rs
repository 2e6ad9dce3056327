//! `muster listen`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::output::{self, OutputFormat};
use super::{Error, log_writer, logging, secret_file, signals};
use crate::config::{LogFormat, LogSettings};
use crate::domain::escape_controls;
use crate::receiver::{self, FaultInjector, ReceivedWebhook, ReceiverOptions, SignatureVerifier};
use crate::{clock, config};

/// Receive webhooks and print them, responding as the contract requires
///
/// Stands in for a caller's back end, or shows its developer what arrives. Accepts every POST, and marks repeated
/// webhooks (DUPLICATE) and late ones (OUT OF ORDER).
///
/// Prints one line per webhook on standard output, and its own URL on standard error.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true, verbatim_doc_comment)]
pub(super) struct ListenArgs {
    /// Listen on this address; port 0 uses a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000", value_parser = parse_address)]
    listen: String,
    /// Accept only webhooks signed with this secret (Standard Webhooks); may be repeated
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    secret: Vec<String>,
    /// Read such a secret from this file
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Accept only webhooks with this tenant id, signed with the app secret
    #[arg(long, value_name = "ID", requires = "app")]
    tenant_id: Option<String>,
    /// The tenant's app secret
    #[arg(long, value_name = "SECRET", group = "app", requires = "tenant_id")]
    app_secret: Option<String>,
    /// Read the app secret from this file
    #[arg(long, value_name = "FILE", group = "app", requires = "tenant_id")]
    app_secret_file: Option<PathBuf>,
    /// Answer this share of valid webhooks with a fault, HTTP 500: 0.1 is one in ten
    #[arg(long, value_name = "SHARE", value_parser = parse_ratio)]
    fail: Option<f64>,
    /// Use this HTTP status for faults; without --fail, for all responses
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..600))]
    status: Option<u16>,
    /// Use this code in the body for faults, with HTTP 200; without --fail, for all responses
    #[arg(long, value_name = "CODE")]
    code: Option<u32>,
    /// Use this seed for the faults, to repeat a run
    #[arg(long, value_name = "N", requires = "fail")]
    seed: Option<u64>,
    /// Wait this long before each response
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    slow: Duration,
    /// Output format: text for people, or one JSON object per line
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    output: OutputFormat,
}

const EXAMPLES: &str = "Examples:
  muster listen
  muster listen --secret-file webhook.secret --fail 0.1 --slow 2s
  muster listen --tenant-id 500975 --app-secret-file app.secret -o json
  muster serve --webhook-base-url http://127.0.0.1:9000

Other users can read secrets on the command line; secrets in files are safe from them.

Responses: 200 accepted, 400 not a JSON object, 401 wrong signature, 413 too long, or the chosen fault.

Signals: SIGTERM or SIGINT ends it with exit code 0, once open requests are answered.

Exit codes: 0 stopped, 1 failed, 2 wrong usage.";

impl ListenArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        // Only warnings and errors are logged: received webhooks are printed on standard output.
        logging::start(&LogSettings { filter: "warn".to_owned(), format: LogFormat::Text, full_numbers: false }, None)?;
        let seed = self.seed.unwrap_or_else(|| clock::now().0.cast_unsigned());
        let faults = FaultInjector::new(self.fail, self.status, self.code, seed);
        let options = ReceiverOptions { verifier: self.signature_verifier()?, faults, delay: self.slow };
        let stop = CancellationToken::new();
        signals::stop_on_signal(stop.clone())?;
        let mut printed = Ok(());
        let print = |arrival: &ReceivedWebhook| {
            let line = match self.output {
                OutputFormat::Text => arrival.to_text(),
                OutputFormat::Json => arrival.to_json(),
            };
            if let Err(error) = output::print(&(escape_controls(&line) + "\n")) {
                printed = Err(error);
                stop.cancel();
            }
        };
        let announce = |address| self.announce_ready(address, seed);
        let outcome = receiver::run(&self.listen, options, announce, print, &stop);
        printed.and(outcome.map_err(Error::from))
    }

    fn signature_verifier(&self) -> Result<SignatureVerifier, Error> {
        let secrets = match &self.secret_file {
            Some(file) => vec![secret_file::read_secret(file)?],
            None => self.secret.clone(),
        };
        let app_secret = self
            .app_secret_file
            .as_deref()
            .map(secret_file::read_secret)
            .transpose()?
            .or_else(|| self.app_secret.clone());
        Ok(SignatureVerifier::new(&secrets, self.tenant_id.as_deref().zip(app_secret.as_deref()))?)
    }

    /// Prints the URL to standard error, because standard output is for webhooks only.
    fn announce_ready(&self, address: SocketAddr, seed: u64) {
        let seed = self.fail.map(|_| format!(", with faults from --seed {seed}")).unwrap_or_default();
        log_writer::write_message(&format!("muster listens on http://{address}{seed}\n"));
    }
}

fn parse_address(text: &str) -> Result<String, &'static str> {
    let is_address = config::is_listen_address(text);
    is_address.then(|| text.to_owned()).ok_or("must be host:port, such as 127.0.0.1:9000 or localhost:0")
}

fn parse_ratio(text: &str) -> Result<f64, &'static str> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or("must be a number from 0 to 1, such as 0.1")
}

fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    config::parse_duration(text).ok_or("must be a duration, such as 2s or 500ms")
}
