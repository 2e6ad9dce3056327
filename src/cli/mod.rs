//! The command line, with one file per verb. Standard output is for data, standard error for messages.
//!
//! | file | what it knows |
//! |---|---|
//! | `serve` | the verb: serve the API |
//! | `config` | the verb: list the settings |
//! | `openapi` | the verb: print the description of the API |
//! | `demo` | the verb: demonstrate the product |
//! | `accounts` | the verb: list the accounts |
//! | `history` | the verb: list an account's events |
//! | `state` | the verb: show an account's state, now or earlier |
//! | `diff` | the verb: compare two versions of an account |
//! | `events` | the verb: list the events of all accounts |
//! | `verify` | the verb: verify that nothing was altered or removed |
//! | `replay` | the verb: replay the journal, and compare the result with the served state |
//! | `prove` | the verb: print an account's history with its proof |
//! | `checkpoint` | the verb: print a signed checkpoint of the log |
//! | `export` | the verb: print events as CloudEvents or CSV |
//! | `labels` | the verb: replace an account's labels |
//! | `erase` | the verb: erase an account's secrets |
//! | `backup` | the verb: back up everything except the master key to a file |
//! | `restore` | the verb: restore a backup |
//! | `webhooks` | the verb: manage receivers, deliveries and dead letters |
//! | `gateways` | the verb: list the gateways to WhatsApp, and reconcile them |
//! | `keys` | the verb: create, list and revoke API keys |
//! | `vault` | the verb: show and rotate the master key |
//! | `gateway` | the verb: check that a gateway conforms to the bridge protocol |
//! | `listen` | the verb: receive webhooks and print them |
//! | `dashboard` | the verb: print a dashboard for Grafana |
//! | `alerts` | the verb: print alerting rules for Prometheus |
//! | `healthcheck` | the verb: check that a service accepts requests |
//! | `service` | the verb: print a systemd unit |
//! | `containerfile` | the verb: print a Containerfile |
//! | `completions` | the verb: print a completion script for a shell |
//! | `man` | the verb: print a manual page |
//! | `api_client` | the source that a verb reads: a running service, or a data directory without one |
//! | `offline_source` | a data directory without a running service, on which a verb calls the API |
//! | `event_filter_args` | the flags that filter events, for every verb that lists some |
//! | `listing_output` | prints events and values in the requested format |
//! | `progress` | shows the progress of long tasks |
//! | `setting_flags` | the flags that set settings, for every verb that needs them |
//! | `checkpoint_check` | compares a kept checkpoint with a service, a data directory or a file |
//! | `secret_file` | reads a secret from a file |
//! | `exit_code` | the exit codes, and the code of each error |
//! | `output` | prints data, even to a pipe that is closed early |
//! | `logging` | starts the log with its filter and format |
//! | `log_writer` | writes the log without waiting for its reader |
//! | `number_masking` | masks account numbers in the log |
//! | `signals` | signal handling |
//!
//! A new verb needs a file, an entry in `CliVerb`, and a branch in `CliVerb::run`.

mod accounts;
mod alerts;
mod api_client;
mod backup;
mod checkpoint;
mod checkpoint_check;
mod completions;
mod config;
mod containerfile;
mod dashboard;
mod demo;
mod diff;
mod erase;
mod event_filter_args;
mod events;
mod exit_code;
mod export;
mod gateway;
mod gateways;
mod healthcheck;
mod history;
mod keys;
mod labels;
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

// Frozen: verbs, their flags and the fields of `-o json`, because scripts use them. A better name is added beside the
// old one.
/// What can be done.
#[derive(Subcommand)]
enum CliVerb {
    Serve(serve::ServeArgs),
    Accounts(accounts::AccountsArgs),
    History(history::HistoryArgs),
    State(state::StateArgs),
    Diff(diff::DiffArgs),
    Events(events::EventsArgs),
    Verify(verify::VerifyArgs),
    Replay(replay::ReplayArgs),
    Prove(prove::ProveArgs),
    Checkpoint(checkpoint::CheckpointArgs),
    Export(export::ExportArgs),
    Labels(labels::LabelsArgs),
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
  muster accounts --label team:sales      list the accounts with this label
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
            CliVerb::Accounts(verb) => verb.run(),
            CliVerb::History(verb) => verb.run(),
            CliVerb::State(verb) => verb.run(),
            CliVerb::Diff(verb) => verb.run(),
            CliVerb::Events(verb) => verb.run(),
            CliVerb::Verify(verb) => verb.run(),
            CliVerb::Replay(verb) => verb.run(),
            CliVerb::Prove(verb) => verb.run(),
            CliVerb::Checkpoint(verb) => verb.run(),
            CliVerb::Export(verb) => verb.run(),
            CliVerb::Labels(verb) => verb.run(),
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

/// Executes the command line. An error is the last message on standard error.
pub fn run() -> ExitCode {
    // Clap has not parsed the arguments yet. A signal may arrive while it does, so signals are handled before that.
    let is_service = env::args_os().nth(1).is_some_and(|verb| verb == "serve");
    let ignored = signals::ignore_stray_signals(is_service);
    let outcome = match CommandLine::try_parse() {
        Ok(CommandLine { verb: Some(verb) }) => ignored.and_then(|()| verb.run()),
        Ok(CommandLine { verb: None }) => output::print(&command().render_help().to_string()),
        Err(usage) => {
            // For clap, a request for help is an error too. If printing it fails, there is nothing left to do.
            let _unread = usage.print();
            return if usage.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let (exit, sentence) = match outcome {
        Ok(()) | Err(Error::OutputClosed) => (Exit::Done, String::new()),
        Err(error) => {
            // The line ends are part of our message. The text in the lines may come from services and gateways.
            let lines: Vec<String> = error.to_string().lines().map(escape_controls).collect();
            (error.exit(), format!("muster: {}\n", lines.join("\n")))
        }
    };
    log_writer::write_and_flush(&sentence, LOG_FLUSH_TIMEOUT);
    exit.into()
}
