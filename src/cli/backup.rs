//! `muster backup`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tempfile::NamedTempFile;

use super::api_client::{ApiRequest, JSON, SourceArgs};
use super::listing_output::{self, ListingFormat};
use super::offline_source::take_bytes;
use super::progress::ProgressDisplay;
use super::restore::read_backup;
use super::signals::InterruptFlag;
use super::verify::parse_signer;
use super::{Error, output};
use crate::api::{maintenance, operation};
use crate::audit;

/// Back up everything except the master key to a file
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    verb: Option<BackupVerb>,
    /// The file to create; it must not exist
    #[arg(required = true)]
    to: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Subcommand)]
enum BackupVerb {
    Verify(VerifyBackupArgs),
}

/// Check a backup without restoring it, and show which master key opens it
#[derive(clap::Args)]
#[command(after_help = VERIFY_EXAMPLES, next_line_help = true)]
struct VerifyBackupArgs {
    /// The backup file (`muster backup`)
    from: PathBuf,
    /// The log's public key, or a file with it; by default, the key that the backup names
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = ListingFormat::Text)]
    output: ListingFormat,
}

const EXAMPLES: &str = "Examples:
  muster backup /backup/muster-2026-11-25
  muster backup /backup/muster-2026-11-25 --data-dir /var/lib/muster
  muster backup verify /backup/muster-2026-11-25

No backup has the master key: keep a copy of it elsewhere.

Signals: SIGINT or SIGTERM stops the backup and removes the incomplete file. A second signal ends the process at once.

Exit codes: 0 the file is complete and durable, 1 failed, 2 wrong usage, 130 or 143 ended by a signal. With any code but
  0 there is no file.";

const VERIFY_EXAMPLES: &str = "Examples:
  muster backup verify /backup/muster-2026-11-25 --public-key /safe/log.key

Reads the whole file: every block, the root over all events, and the signature. Needs no service and no master key.
`masterKey` is the id of the key that opens the backup's secrets; backups of version 0.1 do not have it.

Exit codes: 0 the backup is as the service signed it, 1 failed, 2 wrong usage, 4 it was altered or is incomplete (the
  first fault is named), 130 or 143 ended by a signal.";

impl BackupArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match (&self.verb, &self.to) {
            (Some(BackupVerb::Verify(verb)), _) => verb.run(),
            (None, Some(to)) => self.create(to),
            (None, None) => Err(Error::Usage("name the file to create")),
        }
    }

    fn create(&self, to: &Path) -> Result<(), Error> {
        if to.exists() {
            return Err(Error::Usage("a file with this name exists; name another one"));
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |what| move |source| Error::FileAccess { what, path: to.to_owned(), source };
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

impl VerifyBackupArgs {
    fn run(&self) -> Result<(), Error> {
        let signer = parse_signer(self.public_key.as_deref())?;
        let verified = read_backup(&self.from, "verifying", |backup| audit::verify_backup(backup, signer.as_ref()))?;
        listing_output::print_value(self.output, &serde_json::to_value(verified).unwrap_or_default())
    }
}
