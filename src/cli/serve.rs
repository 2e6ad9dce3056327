//! `muster serve`.

use std::io;
use std::net::SocketAddr;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use sd_notify::{NotifyState, notify};
use tokio_util::sync::CancellationToken;

use super::flags::SettingFlags;
use super::masking::mask;
use super::{Error, log, output, signals};
use crate::service;
use crate::traces::{Exporter, Mask};

/// Serve the API until it is told to stop
///
/// Prints `muster is ready on URL` on standard output once it answers there; the log goes to standard error.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: SettingFlags,
}

const EXAMPLES: &str = "\
Examples:
  muster serve
  muster serve --listen 0.0.0.0:8080 --data-dir /var/lib/muster --webhook-base-url https://example.com
  MUSTER_LOG__FORMAT=json MUSTER_ACTORS__COMING_TIMEOUT=90s muster serve --config /etc/muster.toml

Settings: each may stand in the file, in the environment, or both; the environment wins, and a flag wins over it.
  http.listen = \"0.0.0.0:8080\" in the file is MUSTER_HTTP__LISTEN=0.0.0.0:8080 in the environment.
  `muster config` shows all settings, and which of them are in effect.

Signals: SIGTERM or SIGINT stops it in at most ten seconds, with exit code 0; what is under way is finished or taken up
  again by the next start. A second one ends it at once, with 143 or 130. Nothing that was answered is lost by either.

Exit codes: 0 stopped, 1 failed, 2 wrong usage or faulty settings, 4 the journal is not whole.";

impl Serve {
    pub(super) fn run(&self) -> Result<(), Error> {
        forbid_cores().map_err(Error::Cores)?;
        let effective = self.settings.load()?;
        let settings = &effective.settings;
        // Masked as in the log.
        let mask = (!settings.log.full_numbers).then_some(mask as Mask);
        let exporter = Exporter::start(&settings.telemetry, mask)?;
        log::start(&settings.log, exporter.as_ref());
        raise_open_files(settings.http.max_connections);
        let scheme = if settings.tls.cert.is_some() { "https" } else { "http" };
        let stop = CancellationToken::new();
        signals::watch(stop.clone()).map_err(Error::Signals)?;
        let ran = service::run(&effective, |address| say_ready(scheme, address), &stop);
        if let Some(exporter) = exporter {
            exporter.stop();
        }
        Ok(ran?)
    }
}

/// Keeps this process's memory, which has secrets in clear, out of core files, whatever limits it was started with: they
/// are as long as nothing, and where a program takes them instead none is made. Nor does anything but root look into the
/// process from then on.
fn forbid_cores() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Lets this process have as many files open as it may: each connection is one, and a shell gives it 1,024 to begin with.
fn raise_open_files(connections: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = getrlimit(Resource::Nofile).current;
    if raised.is_err() || files.is_some_and(|files| files <= connections as u64) {
        tracing::warn!(
            files,
            connections,
            "fewer files may be open than connections (http.max_connections); raise the limit (ulimit -n)"
        );
    }
}

/// Whoever started the service waits for this line, and a service manager to be notified; nothing else is printed.
fn say_ready(scheme: &str, address: SocketAddr) {
    if let Err(error) = output::print(&format!("muster is ready on {scheme}://{address}\n")) {
        tracing::warn!(%error, "nobody was told that the service is ready");
    }
    // Nothing is done where no service manager waits (NOTIFY_SOCKET).
    if let Err(error) = notify(&[NotifyState::Ready]) {
        tracing::warn!(%error, "the service manager was not told that the service is ready");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_process_can_have_no_core_file() {
        forbid_cores().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
