//! The high-water mark: how far the log was durable, stored outside the log.
//!
//! sled finds the end of its log by itself: it treats a damaged byte as the end and clears what follows. So after a
//! crash, a damaged log looks like an intact shorter one. The mark reveals the difference.
//!
//! It is written after each commit and not synced, because it need not survive a power cut. An older mark is lower,
//! never too high.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::data_directory::io_error;
use crate::files::open_with;

/// A position and its complement, so that a torn mark is detected.
pub(super) struct HighWaterMark {
    file: File,
    /// For error messages.
    path: PathBuf,
}

// Frozen: the position and its complement, little endian. In another layout an older mark would count as missing, and a
// start would not notice a shortened log.
const BYTES: usize = 16;

impl HighWaterMark {
    pub(super) fn open(path: &Path) -> Result<HighWaterMark, Error> {
        let file = open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false), path);
        Ok(HighWaterMark { file: file.map_err(io_error("open", path))?, path: path.to_owned() })
    }

    /// The last position that was set; 0 if there is no valid mark.
    pub(super) fn get(&self) -> u64 {
        let mut bytes = [0; BYTES];
        let read = self.file.read_exact_at(&mut bytes, 0);
        let [position, complement] = [0, 8].map(|at| bytes[at..].first_chunk().map_or(0, |it| u64::from_le_bytes(*it)));
        if read.is_ok() && position == !complement { position } else { 0 }
    }

    /// Records that everything up to `position` is durable.
    pub(super) fn set(&self, position: u64) -> Result<(), Error> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&position.to_le_bytes());
        bytes[8..].copy_from_slice(&(!position).to_le_bytes());
        self.file.write_all_at(&bytes, 0).map_err(io_error("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_whole_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark");
        let reopened = || HighWaterMark::open(&path).unwrap();
        assert_eq!(reopened().get(), 0);
        for position in [1, 7, u64::MAX - 1, 41] {
            reopened().set(position).unwrap();
            assert_eq!(reopened().get(), position);
        }
        let whole = std::fs::read(&path).unwrap();
        for at in 0..BYTES {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(reopened().get(), 0, "byte {at}");
        }
        std::fs::write(&path, &whole[..9]).unwrap();
        assert_eq!(reopened().get(), 0);
    }
}
