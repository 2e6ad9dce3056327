//! `muster service`.

use std::env;
use std::path::{Path, PathBuf};

use super::{Error, output};
use crate::limits::{SERVICE_MANAGER_STOP_TIMEOUT, SERVICE_OPEN_FILES};

/// Print a systemd unit that runs the service in a sandbox
///
/// The service runs as a dynamic user, and writes only to /var/lib/muster.
///
/// Its master key comes from /etc/muster/master.key, which only root needs to read; its settings come from
/// /etc/muster/muster.env.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(super) struct ServiceArgs {
    /// The executable, as an absolute path [default: this one]
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  muster service > /etc/systemd/system/muster.service
  muster service --bin /usr/local/bin/muster

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl ServiceArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let bin = match &self.bin {
            Some(bin) => bin.clone(),
            None => env::current_exe().map_err(|source| Error::FileAccess {
                what: "find",
                path: PathBuf::from("/proc/self/exe"),
                source,
            })?,
        };
        let bin =
            quote_path(&bin).ok_or(Error::Usage("--bin must be an absolute path, such as /usr/local/bin/muster"))?;
        output::print(&format_unit(&bin))
    }
}

/// Quotes a path for a unit file, where quotes, backslashes, `%` and `$` have a special meaning. `None` if the path is not
/// absolute, is not UTF-8, or has control characters.
fn quote_path(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| path.is_absolute() && !text.contains(char::is_control))?;
    let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Some(if text.contains([' ', '\\', '"', '\'', ';']) { format!("\"{text}\"") } else { text })
}

fn format_unit(bin: &str) -> String {
    let stop = SERVICE_MANAGER_STOP_TIMEOUT.as_secs();
    format!(
        r#"# Before the first start: mkdir -p /etc/muster && (umask 077 && openssl rand -hex 32 > /etc/muster/master.key),
# and keep a copy of the key elsewhere. Settings, as in MUSTER_HTTP__LISTEN=0.0.0.0:8080, go into /etc/muster/muster.env.

[Unit]
Description=Muster, the register of WhatsApp customer-service accounts
Wants=network-online.target
After=network-online.target time-sync.target

[Service]
Type=notify
ExecStart={bin} serve
# Reloads the TLS files and the log filter.
ExecReload=/bin/kill -HUP $MAINPID
Environment=MUSTER_DATA_DIR=%S/muster
Environment="MUSTER_VAULT__MASTER_KEY_COMMAND=/bin/cat %d/master.key"
EnvironmentFile=-/etc/muster/muster.env
LoadCredential=master.key:/etc/muster/master.key
# A start after a crash may have to read a long part of the journal.
TimeoutStartSec=infinity
KillSignal=SIGTERM
TimeoutStopSec={stop}
Restart=on-failure
RestartSec=1
# A restart does not help with invalid settings or a damaged journal.
RestartPreventExitStatus=2 4

DynamicUser=yes
User=muster
StateDirectory=muster
StateDirectoryMode=0700
UMask=0077
LimitNOFILE={SERVICE_OPEN_FILES}
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_unit() {
        let quote = |path: &str| quote_path(Path::new(path));
        assert_eq!(quote("/usr/bin/muster").as_deref(), Some("/usr/bin/muster"));
        assert_eq!(quote(r#"/a b/100%/$x/"y"\z"#).as_deref(), Some(r#""/a b/100%%/$$x/\"y\"\\z""#));
        assert_eq!((quote("bin/muster"), quote("/bin/a\nExecStartPre=b")), (None, None));
    }
}
