//! `muster restore`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use super::Error;
use super::listing::{self, Form};
use super::progress::Bar;
use super::verify::{counted, signer};
use crate::{audit, clock};

/// Make a data directory from a backup
///
/// It is checked as it is read, and put in its place only when all of it is found whole; otherwise nothing is written.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct Restore {
    /// The backup (`muster backup`)
    from: PathBuf,
    /// The directory to make; empty, or not there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Who must have signed it: the log's public key, or a file with it; without it, whoever the backup names
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

const EXAMPLES: &str = "\
Examples:
  muster restore /backup/muster-2026-11-25 --data-dir /var/lib/muster
  install -m 600 -D /safe/master.key /var/lib/muster/keys/master.key

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 the backup is not whole; the first fault is named.";

impl Restore {
    pub(super) fn run(&self) -> Result<(), Error> {
        let failed = |source| Error::File { what: "read", path: self.from.clone(), source };
        let backup = BufReader::new(File::open(&self.from).map_err(failed)?);
        let signer = signer(self.public_key.as_deref())?;
        let bar = Bar::of_bytes("restoring");
        let restored = audit::restore(counted(backup, &bar), &self.data_dir, signer.as_ref(), clock::now(), |_| {})?;
        drop(bar);
        listing::value(self.output, &serde_json::to_value(restored).unwrap_or_default())
    }
}
