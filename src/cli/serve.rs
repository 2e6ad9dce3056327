//! `muster serve`.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use sd_notify::{NotifyState, notify};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::number_masking::mask;
use super::setting_flags::SettingFlags;
use super::{Error, logging, output, signals};
use crate::service;
use crate::traces::{MaskFn, TraceExporter};

/// Run the service
///
/// Prints `muster is ready on URL` on standard output when it accepts requests; the log goes to standard error.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: SettingFlags,
}

const EXAMPLES: &str = "Examples:
  muster serve
  muster serve --listen 0.0.0.0:8080 --data-dir /var/lib/muster --webhook-base-url https://example.com
  MUSTER_LOG__FORMAT=json MUSTER_ACTORS__COMING_TIMEOUT=90s muster serve --config /etc/muster.toml

Settings: each can be set in the file and in the environment. The environment overrides the file, and a flag overrides
  both. http.listen = \"0.0.0.0:8080\" in the file is MUSTER_HTTP__LISTEN=0.0.0.0:8080 in the environment.
  `muster config` lists all settings with their sources.

Signals: SIGTERM or SIGINT stops the service within ten seconds, with exit code 0, even during the start. Running work
  is finished, or continued by the next start. A second signal ends it at once, with 143 or 130, even if it hangs.
  Neither loses anything that was answered. SIGHUP reloads the TLS files and log.filter. SIGUSR1, SIGUSR2, SIGALRM and
  SIGPIPE do nothing.

Log: the service never waits for the reader of standard error. While the log is not read, lines are lost and counted
  (muster_log_lines_lost_total). One line then reports their number.

Exit codes: 0 stopped, 1 failed, 2 wrong usage or invalid settings, 4 the journal is damaged, 143 or 130 killed.";

impl ServeArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let stop = CancellationToken::new();
        signals::stop_on_signal(stop.clone())?;
        forbid_core_dumps().map_err(Error::CoreFiles)?;
        let effective = self.settings.load()?;
        let settings = &effective.settings;
        // Numbers in spans are masked as in the log.
        let mask = (!settings.log.full_numbers).then_some(mask as MaskFn);
        let exporter = TraceExporter::start(&settings.telemetry, mask)?;
        let filter = logging::start(&settings.log, exporter.as_ref())?;
        if let Some(variables) = effective.ignored_variable_list() {
            tracing::warn!(variables, "ignoring environment variables that are not settings");
        }
        raise_open_file_limit(settings.http.max_connections);
        let scheme = if settings.tls.cert.is_some() { "https" } else { "http" };
        let (flags, tls) = (self.settings.clone(), Arc::<Notify>::default());
        let reload_tls = tls.clone();
        signals::on_hangup(move || reload_settings(&flags, &filter, &tls))?;
        let outcome = service::run(&effective, |address| announce_ready(scheme, address), &reload_tls, &stop);
        if let Some(exporter) = exporter {
            exporter.flush_and_stop();
        }
        Ok(outcome?)
    }
}

/// Reloads what can change while the service runs: the log filter, and the TLS files.
fn reload_settings(flags: &SettingFlags, filter: &logging::LogFilterHandle, tls: &Notify) {
    tls.notify_one();
    let read = flags.load().map(|effective| effective.settings.log.filter);
    match read.map_err(Error::from).and_then(|text| filter.replace(&text).map(|()| text)) {
        Ok(text) => {
            tracing::info!(target: logging::ALWAYS, filter = text, "SIGHUP: the log filter was reloaded");
        }
        Err(error) => {
            let error = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            tracing::warn!(
                target: logging::ALWAYS,
                error,
                "SIGHUP: the log filter was not reloaded; correct the settings and send SIGHUP again"
            );
        }
    }
}

/// Prevents core dumps of this process, because its memory has secrets in clear text. Sets the size limit of core files to
/// zero, and withholds dumps from programs that collect them. As a side effect, only root can inspect the process.
fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Raises the limit of open files as far as permitted. Each connection uses one, and the usual limit in a shell is 1,024.
fn raise_open_file_limit(connections: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = getrlimit(Resource::Nofile).current;
    if raised.is_err() || files.is_some_and(|files| files <= connections as u64) {
        tracing::warn!(
            files,
            connections,
            "the limit on open files is lower than http.max_connections; raise it (ulimit -n)"
        );
    }
}

/// Prints the line that signals readiness, and notifies a service manager (NOTIFY_SOCKET).
///
/// Each runs on its own thread, so that a full pipe or socket delays neither the service nor the other notification.
fn announce_ready(scheme: &'static str, address: SocketAddr) {
    let print = move || output::print(&format!("muster is ready on {scheme}://{address}\n"));
    notify_on_thread("standard output", print);
    notify_on_thread("the service manager", || notify(&[NotifyState::Ready]));
}

/// Runs `notify` on its own thread, because it may never return.
fn notify_on_thread<E: Display>(recipient: &'static str, notify: impl FnOnce() -> Result<(), E> + Send + 'static) {
    let spawned = thread::Builder::new().name("ready".to_owned()).spawn(move || {
        if let Err(error) = notify() {
            tracing::warn!(%error, "{recipient} could not be notified that the service is ready");
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "{recipient} could not be notified that the service is ready");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_process_can_have_no_core_file() {
        forbid_core_dumps().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
