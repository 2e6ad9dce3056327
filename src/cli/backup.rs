//! `muster backup`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::api_client::{ApiRequest, JSON, SourceArgs};
use super::offline_source::take_bytes;
use super::progress::ProgressDisplay;
use super::signals::InterruptFlag;
use super::{Error, output};
use crate::api::{maintenance, operation};

/// Back up everything except the master key to a file
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct BackupArgs {
    /// The file to create; it must not exist
    to: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
}

const EXAMPLES: &str = "Examples:
  muster backup /backup/muster-2026-11-25
  muster backup /backup/muster-2026-11-25 --data-dir /var/lib/muster

No backup has the master key: keep a copy of it elsewhere.

Signals: SIGINT or SIGTERM stops the backup and removes the incomplete file. A second signal ends the process at once.

Exit codes: 0 the file is complete and durable, 1 failed, 2 wrong usage, 130 or 143 ended by a signal. With any code but
  0 there is no file.";

impl BackupArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let to = &self.to;
        if to.exists() {
            return Err(Error::Usage("a file with this name exists; name another one"));
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |what| move |source| Error::FileAccess { what, path: to.clone(), source };
        let interrupt = InterruptFlag::register()?;
        let client = self.source.open()?;
        // A temporary file in the target's directory, with mode 0600. It is deleted unless it is renamed into place.
        let mut file = NamedTempFile::with_prefix_in(".muster-backup-", parent)
            .map_err(failed("write a temporary file beside"))?;
        let bar = ProgressDisplay::with_bytes("backing up");
        let write = |piece: &[u8]| {
            interrupt.check()?;
            bar.advance(piece.len() as u64);
            file.write_all(piece).map_err(failed("write"))
        };
        match client.offline() {
            Some(offline) => take_bytes(offline.call(operation::BACKUP, maintenance::create_backup)?, write)?,
            None => client.request(&ApiRequest { method: "POST", path: "backup", accept: JSON }, write)?,
        }
        file.as_file().sync_all().map_err(failed("write"))?;
        interrupt.check()?;
        file.persist_noclobber(to).map_err(|error| failed("move the backup to")(error.error))?;
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed("sync the directory of"))?;
        drop(bar);
        output::print(&format!("{}\n", to.display()))
    }
}
