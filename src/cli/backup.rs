//! `muster backup`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::progress::Bar;
use super::source::{JSON, Question, Source};
use super::{Error, output};

/// Write a backup of everything, but for the master key, to a file
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct Backup {
    /// The file to write; it must not be there yet
    to: PathBuf,
    #[command(flatten)]
    source: Source,
}

const EXAMPLES: &str = "\
Examples:
  muster backup /backup/muster-2026-11-25
  muster backup /backup/muster-2026-11-25 --data-dir /var/lib/muster

The master key is in no backup: keep a copy of it, elsewhere.

Exit codes: 0 the file is whole and on the disk, 1 failed; then there is no such file, 2 wrong usage.";

impl Backup {
    pub(super) fn run(&self) -> Result<(), Error> {
        let to = &self.to;
        if to.exists() {
            return Err(Error::Usage("there is something at the file's place already; name another file"));
        }
        let name = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = to.with_file_name(format!("{name}.part"));
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { what, path, source }
        };
        let open = self.source.open()?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside);
        let mut file = file.map_err(failed("create", &beside))?;
        let bar = Bar::of_bytes("backing up");
        let taken = open.ask(&Question { method: "POST", path: "backup", accept: JSON }, |piece| {
            bar.more(piece.len() as u64);
            file.write_all(piece).map_err(failed("write", &beside))
        });
        let kept = taken.and_then(|()| {
            file.sync_all().map_err(failed("write", &beside))?;
            fs::rename(&beside, to).map_err(failed("move the backup to", to))?;
            let above = to.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(above).and_then(|above| above.sync_all()).map_err(failed("sync", above))
        });
        if kept.is_err() {
            // It is not whole; that it cannot be removed is the smaller trouble.
            let _left = fs::remove_file(&beside);
        }
        kept?;
        drop(bar);
        output::print(&format!("{}\n", to.display()))
    }
}
