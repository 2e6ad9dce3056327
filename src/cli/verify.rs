//! `muster verify`.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;
use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::checkpoint_check::check_checkpoint;
use super::listing_output;
use super::progress::ProgressDisplay;
use crate::audit::{Signer, verify_bundle, verify_export};
use crate::files::{open_file, read_file, read_text};
use crate::limits::{BUNDLE_FILE_BYTES, NAMED_FILE_BYTES};

/// Verify that nothing was altered or removed
///
/// Checks the journal from its first record to its last: records decode, roots match, positions, versions and chains
/// have no gaps, histories follow the rules, and the last signed checkpoint holds. A bundle or an export is verified
/// with nothing but the log's public key.
///
/// With --checkpoint it compares a checkpoint that you kept with the log: a service must prove that its log has grown
/// from the checkpoint, a data directory or a backup must have its events.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true, verbatim_doc_comment)]
pub(super) struct VerifyArgs {
    /// Verify this bundle of one account (`muster prove`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["export", "server", "data_dir"])]
    bundle: Option<PathBuf>,
    /// Verify this export (`muster export`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "data_dir"])]
    export: Option<PathBuf>,
    /// Check that the log has only grown since this kept checkpoint (`muster checkpoint`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bundle", "export"])]
    checkpoint: Option<PathBuf>,
    /// Compare the kept checkpoint with this file: a backup, a bundle, an export or another checkpoint
    #[arg(long, value_name = "FILE", requires = "checkpoint", conflicts_with_all = ["server", "data_dir"])]
    against: Option<PathBuf>,
    /// The log's public key, or a file with it; by default, the key that the file or the log names
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "Examples:
  muster verify --data-dir /var/lib/muster
  muster verify --bundle account.bundle.json --public-key muster.pub
  muster verify --export events.jsonl --public-key muster.pub
  muster verify --checkpoint kept.checkpoint --public-key muster.pub --server https://muster.example
  muster verify --checkpoint kept.checkpoint --against muster.backup

Exit codes: 0 complete and unchanged, or the same log; 1 cannot be read, or undecided; 2 wrong usage; 4 damaged, or not
the same log; the first fault is named.";

impl VerifyArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let verifies_journal = self.bundle.is_none() && self.export.is_none() && self.checkpoint.is_none();
        if self.public_key.is_some() && verifies_journal {
            return Err(Error::Usage("--public-key needs --bundle, --export or --checkpoint"));
        }
        let signer = self.parse_signer()?;
        if let Some(kept) = &self.checkpoint {
            return check_checkpoint(kept, self.against.as_deref(), signer, &self.request);
        }
        let report = if let Some(path) = &self.bundle {
            let bytes = read_file(path, BUNDLE_FILE_BYTES).map_err(read_error(path))?;
            serde_json::to_value(verify_bundle(&bytes, signer.as_ref()).map_err(crate::audit::Error::from)?)
        } else if let Some(path) = &self.export {
            let bar = ProgressDisplay::with_bytes("verifying");
            let file = BufReader::new(open_file(path).map_err(read_error(path))?);
            serde_json::to_value(verify_export(count_reads(file, &bar), signer.as_ref())?)
        } else {
            Ok(self.verify_journal()?)
        };
        listing_output::print_value(self.request.output, &report.unwrap_or_default())
    }

    fn verify_journal(&self) -> Result<Value, Error> {
        let client = self.request.source.open()?;
        match client.offline() {
            Some(offline) => {
                let bar = ProgressDisplay::with_unit("verifying", "events");
                let verified = offline.audit().verify(|at, of| bar.set_position(at, of))?;
                Ok(serde_json::to_value(verified).unwrap_or_default())
            }
            None => client.request_json(&ApiRequest { method: "POST", path: "verify", accept: JSON }),
        }
    }

    fn parse_signer(&self) -> Result<Option<Signer>, Error> {
        parse_signer(self.public_key.as_deref())
    }
}

/// Parses the public key of a signer. The argument is the key, or the path of a file with it.
pub(super) fn parse_signer(key_or_path: Option<&str>) -> Result<Option<Signer>, Error> {
    let Some(key_or_path) = key_or_path else { return Ok(None) };
    let path = Path::new(key_or_path);
    let key = match path.exists() {
        true => read_text(path, NAMED_FILE_BYTES).map_err(read_error(path))?.to_string(),
        false => key_or_path.to_owned(),
    };
    let wrong = "--public-key must be a key as GET /api/v1/log/public-key returns it (name+id+key), or a file with one";
    Signer::parse(&key).map(Some).ok_or(Error::Usage(wrong))
}

fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::FileAccess { what: "read", path: path.to_owned(), source }
}

/// A reader that shows the number of bytes read on `bar`.
pub(super) fn count_reads<'a, R: std::io::BufRead + 'a>(
    reader: R,
    bar: &'a ProgressDisplay,
) -> impl std::io::BufRead + 'a {
    CountingReader { reader, bar }
}

struct CountingReader<'a, R> {
    reader: R,
    bar: &'a ProgressDisplay,
}

impl<R: std::io::BufRead> std::io::Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bar.advance(read as u64);
        Ok(read)
    }
}

impl<R: std::io::BufRead> std::io::BufRead for CountingReader<'_, R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.bar.advance(count as u64);
        self.reader.consume(count);
    }
}
