//! The command line, one file per verb. Standard output is data, standard error is talk.
//!
//! | file | what it knows |
//! |---|---|
//! | `serve` | the verb: serve the API |
//! | `config` | the verb: show the settings |
//! | `openapi` | the verb: print the description of the API |
//! | `demo` | the verb: show the product |
//! | `history` | the verb: what happened to an account |
//! | `state` | the verb: how an account stands, or stood |
//! | `diff` | the verb: what changed in an account |
//! | `events` | the verb: what happened to all |
//! | `verify` | the verb: check that nothing was altered or left out |
//! | `replay` | the verb: fold everything anew |
//! | `prove` | the verb: an account's history with its proof |
//! | `checkpoint` | the verb: a signed checkpoint of the log |
//! | `export` | the verb: events in a file |
//! | `erase` | the verb: destroy an account's secrets |
//! | `backup` | the verb: everything in a file |
//! | `restore` | the verb: and back |
//! | `webhooks` | the verb: receivers, deliveries, dead letters |
//! | `gateways` | the verb: the ways to WhatsApp |
//! | `keys` | the verb: who may do what |
//! | `vault` | the verb: the master key |
//! | `gateway` | the verb: check a gateway for the bridge |
//! | `listen` | the verb: receive webhooks, to try them |
//! | `dashboard` | the verb: a dashboard for Grafana |
//! | `alerts` | the verb: alerting rules for Prometheus |
//! | `healthcheck` | the verb: whether a service takes requests |
//! | `service` | the verb: a unit for systemd |
//! | `containerfile` | the verb: how a container is built |
//! | `completions` | the verb: what shells complete |
//! | `man` | the verb: a page of the manual |
//! | `source` | where a verb reads from: a running service, or a stopped directory |
//! | `listing` | events and values, in the form that was asked for |
//! | `progress` | how far something is that takes a while |
//! | `flags` | the flags that set settings, for every verb that needs them |
//! | `secret` | a secret that is given in a file |
//! | `exit` | the exit codes, and which error ends in which |
//! | `output` | printing data, also into a pipe that nobody reads to its end |
//! | `log` | where the log goes, and in which form |
//! | `log_writer` | writing the log, so that nobody waits for whoever reads it |
//! | `masking` | account numbers in the log, masked |
//! | `signals` | what signals do |
//!
//! A new verb is a file, a line in `Verb` and a line in its `run`.

mod alerts;
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
mod exit;
mod export;
mod flags;
mod gateway;
mod gateways;
mod healthcheck;
mod history;
mod keys;
mod listen;
mod listing;
mod log;
mod log_writer;
mod man;
mod masking;
mod openapi;
mod output;
mod progress;
mod prove;
mod replay;
mod restore;
mod secret;
mod serve;
mod service;
mod signals;
mod source;
mod state;
mod vault;
mod verify;
mod webhooks;

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser, Subcommand};

pub use exit::{Error, Exit};

use crate::domain::printable;
use crate::limits::LOG_FLUSH;

/// The register of a company's WhatsApp customer-service accounts.
#[derive(Parser)]
#[command(name = "muster", version, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What can be done.
#[derive(Subcommand)]
enum Verb {
    Serve(serve::Serve),
    History(history::History),
    State(state::State),
    Diff(diff::Diff),
    Events(events::Events),
    Verify(verify::Verify),
    Replay(replay::Replay),
    Prove(prove::Prove),
    Checkpoint(checkpoint::Checkpoint),
    Export(export::Export),
    Erase(erase::Erase),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Webhooks(webhooks::Webhooks),
    Gateways(gateways::Gateways),
    Keys(keys::Keys),
    Vault(vault::Vault),
    Gateway(gateway::Gateway),
    Listen(listen::Listen),
    Dashboard(dashboard::Dashboard),
    Alerts(alerts::Alerts),
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApi),
    Config(config::Config),
    Demo(demo::Demo),
    Healthcheck(healthcheck::Healthcheck),
    Service(service::Service),
    Containerfile(containerfile::Containerfile),
    Completions(completions::Completions),
    Man(man::Man),
}

const EXAMPLES: &str = "\
Examples:
  muster serve                            serve on 127.0.0.1:8080, keep everything in ./muster-data
  muster serve --config /etc/muster.toml  serve with the settings in this file
  muster demo                             watch accounts come and go, on a temporary directory
  muster history 861821726232             what happened to an account, when, and who asked
  muster verify --data-dir ./muster-data  check that nothing was altered or left out
  muster webhooks show                    how the webhooks are: receivers, lag, what waits
  muster gateways                         how the ways to WhatsApp are
  muster keys list                        who may do what
  muster listen                           receive webhooks, and show what they say
  muster config                           show every setting, its value, and where the value comes from
  muster serve --help                     flags, environment and signals

Exit codes: 0 done, 1 failed, 2 wrong usage or faulty settings, 3 not found, 4 not whole.";

impl Verb {
    fn run(&self) -> Result<(), Error> {
        match self {
            Verb::Serve(verb) => verb.run(),
            Verb::History(verb) => verb.run(),
            Verb::State(verb) => verb.run(),
            Verb::Diff(verb) => verb.run(),
            Verb::Events(verb) => verb.run(),
            Verb::Verify(verb) => verb.run(),
            Verb::Replay(verb) => verb.run(),
            Verb::Prove(verb) => verb.run(),
            Verb::Checkpoint(verb) => verb.run(),
            Verb::Export(verb) => verb.run(),
            Verb::Erase(verb) => verb.run(),
            Verb::Backup(verb) => verb.run(),
            Verb::Restore(verb) => verb.run(),
            Verb::Webhooks(verb) => verb.run(),
            Verb::Gateways(verb) => verb.run(),
            Verb::Vault(verb) => verb.run(),
            Verb::Keys(verb) => verb.run(),
            Verb::Gateway(verb) => verb.run(),
            Verb::Listen(verb) => verb.run(),
            Verb::Dashboard(verb) => verb.run(),
            Verb::Alerts(verb) => verb.run(),
            Verb::OpenApi(verb) => verb.run(),
            Verb::Config(verb) => verb.run(),
            Verb::Demo(verb) => verb.run(),
            Verb::Healthcheck(verb) => verb.run(),
            Verb::Service(verb) => verb.run(),
            Verb::Containerfile(verb) => verb.run(),
            Verb::Completions(verb) => verb.run(),
            Verb::Man(verb) => verb.run(),
        }
    }
}

/// All verbs and their flags.
fn command() -> Command {
    CommandLine::command()
}

/// Does what the command line says. An error is one sentence, the last on standard error.
pub fn run() -> ExitCode {
    let ignored = signals::ignore_what_means_nothing();
    let done = match CommandLine::try_parse() {
        Ok(CommandLine { verb: Some(verb) }) => ignored.and_then(|()| verb.run()),
        Ok(CommandLine { verb: None }) => output::print(&command().render_help().to_string()),
        Err(usage) => {
            // Help that was asked for is an error to clap too. If nobody reads what it says, nothing is to be done.
            let _unread = usage.print();
            return if usage.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let (exit, sentence) = match done {
        Ok(()) | Err(Error::Unread) => (Exit::Done, String::new()),
        Err(error) => {
            // Lines end where the error ends them; services and gateways write some of the words between.
            let lines: Vec<String> = error.to_string().lines().map(printable).collect();
            (error.exit(), format!("muster: {}\n", lines.join("\n")))
        }
    };
    log_writer::finish(&sentence, LOG_FLUSH);
    exit.into()
}
