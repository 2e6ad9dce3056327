//! The command line, one file per verb. Standard output is for data, standard error for messages.
//!
//! | file | what it knows |
//! |---|---|
//! | `serve` | the verb: serve the API |
//! | `config` | the verb: show the settings |
//! | `openapi` | the verb: print the description of the API |
//! | `demo` | the verb: demonstrate the product |
//! | `history` | the verb: show an account's events |
//! | `state` | the verb: show an account's state, now or earlier |
//! | `diff` | the verb: compare two versions of an account |
//! | `events` | the verb: show the events of all accounts |
//! | `verify` | the verb: check that nothing was altered or left out |
//! | `replay` | the verb: rebuild the projections and compare them |
//! | `prove` | the verb: write an account's history with its proof |
//! | `checkpoint` | the verb: print a signed checkpoint of the log |
//! | `export` | the verb: write events to a file |
//! | `erase` | the verb: destroy an account's secrets |
//! | `backup` | the verb: write everything to a file |
//! | `restore` | the verb: restore a backup |
//! | `webhooks` | the verb: receivers, deliveries, dead letters |
//! | `gateways` | the verb: the gateways to WhatsApp |
//! | `keys` | the verb: API keys and their roles |
//! | `vault` | the verb: the master key |
//! | `gateway` | the verb: check a gateway for the bridge |
//! | `listen` | the verb: receive webhooks, to try them |
//! | `dashboard` | the verb: a dashboard for Grafana |
//! | `alerts` | the verb: alerting rules for Prometheus |
//! | `healthcheck` | the verb: whether a service takes requests |
//! | `service` | the verb: a unit for systemd |
//! | `containerfile` | the verb: a Containerfile |
//! | `completions` | the verb: completions for shells |
//! | `man` | the verb: a page of the manual |
//! | `api_client` | the source that a verb reads: a running service, or a data directory without one |
//! | `offline_source` | a data directory without a running service, on which a verb calls the API |
//! | `listing_output` | printing events and values in the requested format |
//! | `progress` | progress of long tasks |
//! | `setting_flags` | the flags that set settings, for every verb that needs them |
//! | `secret_file` | a secret from a file |
//! | `exit_code` | the exit codes, and the code of each error |
//! | `output` | printing data, also into a pipe that closes early |
//! | `logging` | the log's destination and format |
//! | `log_writer` | writing the log without waiting for its reader |
//! | `number_masking` | masked account numbers in the log |
//! | `signals` | signal handling |
//!
//! A new verb is a file, a line in `CliVerb` and a line in its `run`.

mod alerts;
mod api_client;
mod backup;
mod checkpoint;
mod completions;
mod config;
mod containerfile;
mod dashboard;
mod demo;
mod diff;
mod erase;
mod events;
mod exit_code;
mod export;
mod gateway;
mod gateways;
mod healthcheck;
mod history;
mod keys;
mod listen;
mod listing_output;
mod log_writer;
mod logging;
mod man;
mod number_masking;
mod offline_source;
mod openapi;
mod output;
mod progress;
mod prove;
mod replay;
mod restore;
mod secret_file;
mod serve;
mod service;
mod setting_flags;
mod signals;
mod state;
mod vault;
mod verify;
mod webhooks;

use std::env;
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser, Subcommand};

pub use exit_code::{Error, Exit};

use crate::domain::escape_controls;
use crate::limits::LOG_FLUSH_TIMEOUT;

/// The register of a company's WhatsApp customer-service accounts.
#[derive(Parser)]
#[command(name = "muster", version, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    verb: Option<CliVerb>,
}

/// What can be done.
#[derive(Subcommand)]
enum CliVerb {
    Serve(serve::ServeArgs),
    History(history::HistoryArgs),
    State(state::StateArgs),
    Diff(diff::DiffArgs),
    Events(events::EventsArgs),
    Verify(verify::VerifyArgs),
    Replay(replay::ReplayArgs),
    Prove(prove::ProveArgs),
    Checkpoint(checkpoint::CheckpointArgs),
    Export(export::ExportArgs),
    Erase(erase::EraseArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Webhooks(webhooks::WebhooksArgs),
    Gateways(gateways::GatewaysArgs),
    Keys(keys::KeysArgs),
    Vault(vault::VaultArgs),
    Gateway(gateway::GatewayArgs),
    Listen(listen::ListenArgs),
    Dashboard(dashboard::DashboardArgs),
    Alerts(alerts::AlertsArgs),
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApiArgs),
    Config(config::ConfigArgs),
    Demo(demo::DemoArgs),
    Healthcheck(healthcheck::HealthcheckArgs),
    Service(service::ServiceArgs),
    Containerfile(containerfile::ContainerfileArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

const EXAMPLES: &str = "Examples:
  muster serve                            serve on 127.0.0.1:8080, with the data in ./muster-data
  muster serve --config /etc/muster.toml  serve with the settings in this file
  muster demo                             watch accounts come and go, on a temporary directory
  muster history 861821726232             list an account's events, with their times and requesters
  muster verify --data-dir ./muster-data  verify that nothing was altered or removed
  muster webhooks show                    show the webhooks' receivers, lag and pending deliveries
  muster gateways                         list the gateways and their health
  muster keys list                        list the API keys and their roles
  muster listen                           receive webhooks and print them
  muster config                           list every setting with its value and source
  muster serve --help                     show flags, environment and signals

Exit codes: 0 done, 1 failed, 2 wrong usage or invalid settings, 3 not found, 4 damaged.";

impl CliVerb {
    fn run(&self) -> Result<(), Error> {
        match self {
            CliVerb::Serve(verb) => verb.run(),
            CliVerb::History(verb) => verb.run(),
            CliVerb::State(verb) => verb.run(),
            CliVerb::Diff(verb) => verb.run(),
            CliVerb::Events(verb) => verb.run(),
            CliVerb::Verify(verb) => verb.run(),
            CliVerb::Replay(verb) => verb.run(),
            CliVerb::Prove(verb) => verb.run(),
            CliVerb::Checkpoint(verb) => verb.run(),
            CliVerb::Export(verb) => verb.run(),
            CliVerb::Erase(verb) => verb.run(),
            CliVerb::Backup(verb) => verb.run(),
            CliVerb::Restore(verb) => verb.run(),
            CliVerb::Webhooks(verb) => verb.run(),
            CliVerb::Gateways(verb) => verb.run(),
            CliVerb::Vault(verb) => verb.run(),
            CliVerb::Keys(verb) => verb.run(),
            CliVerb::Gateway(verb) => verb.run(),
            CliVerb::Listen(verb) => verb.run(),
            CliVerb::Dashboard(verb) => verb.run(),
            CliVerb::Alerts(verb) => verb.run(),
            CliVerb::OpenApi(verb) => verb.run(),
            CliVerb::Config(verb) => verb.run(),
            CliVerb::Demo(verb) => verb.run(),
            CliVerb::Healthcheck(verb) => verb.run(),
            CliVerb::Service(verb) => verb.run(),
            CliVerb::Containerfile(verb) => verb.run(),
            CliVerb::Completions(verb) => verb.run(),
            CliVerb::Man(verb) => verb.run(),
        }
    }
}

/// All verbs and their flags.
fn command() -> Command {
    CommandLine::command()
}

/// Executes the command line. An error is one sentence, the last on standard error.
pub fn run() -> ExitCode {
    // Before clap reads it, which takes longer than it takes to send a signal.
    let is_service = env::args_os().nth(1).is_some_and(|verb| verb == "serve");
    let ignored = signals::ignore_stray_signals(is_service);
    let done = match CommandLine::try_parse() {
        Ok(CommandLine { verb: Some(verb) }) => ignored.and_then(|()| verb.run()),
        Ok(CommandLine { verb: None }) => output::print(&command().render_help().to_string()),
        Err(usage) => {
            // Clap treats requested help as an error too. If the help cannot be printed, there is nothing left to do.
            let _unread = usage.print();
            return if usage.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let (exit, sentence) = match done {
        Ok(()) | Err(Error::OutputClosed) => (Exit::Done, String::new()),
        Err(error) => {
            // Line ends come from the error itself; some of the words between come from services and gateways.
            let lines: Vec<String> = error.to_string().lines().map(escape_controls).collect();
            (error.exit(), format!("muster: {}\n", lines.join("\n")))
        }
    };
    log_writer::write_and_flush(&sentence, LOG_FLUSH_TIMEOUT);
    exit.into()
}
