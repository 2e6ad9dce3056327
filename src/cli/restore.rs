//! `muster restore`.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::Error;
use super::listing_output::{self, ListingFormat};
use super::progress::ProgressDisplay;
use super::signals::InterruptFlag;
use super::verify::{count_reads, parse_signer};
use crate::api::parse_reason;
use crate::audit::{RestoreOptions, RestoredGeneration};
use crate::domain::Generation;
use crate::files::open_file;
use crate::limits::GENERATIONS;
use crate::vault::NamedMasterKey;
use crate::{audit, clock};

/// Restore a data directory from a backup
///
/// Verifies the backup while reading it. Creates the directory only if the whole backup is valid. The restored log
/// begins a new generation, because what happened after the backup is lost: receivers, readers and auditors are told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true, verbatim_doc_comment)]
pub(super) struct RestoreArgs {
    /// The backup file (`muster backup`)
    from: PathBuf,
    /// The directory to create; it must be empty or not exist
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The log's public key, or a file with it; by default, the key that the backup names
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
    /// Put the master key in this file into the directory; it must open the backup
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// Keep the generation of the backup: say so only if nothing happened after the backup was taken
    #[arg(long, conflicts_with_all = ["generation", "reason"])]
    same_generation: bool,
    /// The number of the new generation; by default, the next after that of the backup
    #[arg(long, value_name = "NUMBER", value_parser = parse_generation)]
    generation: Option<Generation>,
    /// Why the backup is restored; it is recorded for good
    #[arg(long, value_name = "TEXT", value_parser = parse_restore_reason)]
    reason: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = ListingFormat::Text)]
    output: ListingFormat,
}

const EXAMPLES: &str = "Examples:
  muster restore /backup/muster-2026-11-25 --data-dir /var/lib/muster --master-key-file /safe/master.key
  muster restore /backup/muster-2026-11-25 --data-dir /var/lib/muster     without the key: shows which one is needed
  muster restore /backup/muster-2026-11-25 --data-dir /var/lib/muster --reason 'disk failed'

Signals: SIGINT or SIGTERM stops the restore and removes what was written. A second signal ends the process at once.

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 the backup is damaged (the first fault is named), 130 or 143 ended by a
  signal.";

impl RestoreArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let signer = parse_signer(self.public_key.as_deref())?;
        let master_key = self.master_key_file.as_deref().map(NamedMasterKey::read).transpose();
        let master_key = master_key.map_err(audit::Error::from)?;
        let generation = match self.same_generation {
            true => RestoredGeneration::Same,
            false => {
                let (number, reason) = (self.generation, self.reason.clone().unwrap_or_default());
                RestoredGeneration::New { number, reason }
            }
        };
        let restored = read_backup(&self.from, "restoring", |backup| {
            let (signer, master_key, at) = (signer.as_ref(), master_key.as_ref(), clock::now());
            audit::restore(backup, &self.data_dir, &RestoreOptions { signer, master_key, generation, at })
        })?;
        listing_output::print_value(self.output, &serde_json::to_value(restored).unwrap_or_default())
    }
}

fn parse_generation(text: &str) -> Result<Generation, String> {
    let generation = text.parse().ok().and_then(Generation::new).filter(|number| *number != Generation::FIRST);
    generation.ok_or_else(|| format!("must be a number from 1 to {GENERATIONS}"))
}

fn parse_restore_reason(text: &str) -> Result<String, String> {
    parse_reason(text).map(str::to_owned).map_err(|problem| problem.detail)
}

/// Reads the backup at `path` with `read`, shows the progress, and stops after a signal to end.
pub(super) fn read_backup<T>(
    path: &Path,
    progress: &'static str,
    read: impl FnOnce(&mut dyn Read) -> Result<T, audit::Error>,
) -> Result<T, Error> {
    let failed = |source| Error::FileAccess { what: "read", path: path.to_owned(), source };
    let backup = BufReader::new(open_file(path).map_err(failed)?);
    let interrupt = InterruptFlag::register()?;
    let bar = ProgressDisplay::with_bytes(progress);
    let mut backup = InterruptibleReader { reader: count_reads(backup, &bar), interrupt: &interrupt };
    // After a signal, the read error is only a consequence of the signal.
    read(&mut backup).map_err(|error| interrupt.check().err().unwrap_or(error.into()))
}

/// A reader that fails after a signal to end.
struct InterruptibleReader<'a, R> {
    reader: R,
    interrupt: &'a InterruptFlag,
}

impl<R: Read> Read for InterruptibleReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(io::Error::other)?;
        self.reader.read(buffer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use signal_hook::consts::SIGTERM;
    use signal_hook::low_level::raise;

    use super::*;
    use crate::cli::Exit;

    #[test]
    fn a_signal_ends_the_reading_of_a_backup() {
        let interrupt = InterruptFlag::register().unwrap();
        let read = || InterruptibleReader { reader: &b"backup"[..], interrupt: &interrupt }.read(&mut [0; 6]);
        assert_eq!(read().unwrap(), 6);
        raise(SIGTERM).unwrap();
        assert!(read().is_err());
        assert_eq!(interrupt.check().unwrap_err().exit(), Exit::Terminated);
    }
}
