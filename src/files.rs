//! Files that others may have replaced: opened without blocking, and read up to a size limit.
//!
//! Settings, keys, secrets, certificates, bundles, exports and backups are all opened here. So are the files that a start
//! reads in the data directory. A FIFO would block until a writer comes, and a device may be endless.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Opens a regular file for reading. Anything else is an error, without blocking.
pub fn open_file(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Like [`open_file`], with these options, which may also create the file.
pub fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Checked before it is opened, because merely opening some devices has an effect.
    match check_file(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        checked => checked?,
    }
    // The file may have been replaced since: with `NONBLOCK`, a FIFO does not wait for a writer.
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Fails unless there is a regular file at `path`.
pub fn check_file(path: &Path) -> io::Result<()> {
    check_regular(&fs::metadata(path)?)
}

/// Reads a whole regular file of at most `bytes` bytes.
pub fn read_file(path: &Path, bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    read_open_file(&open_file(path)?, bytes)
}

/// Like [`read_file`], for a file that is already open.
pub fn read_open_file(file: &File, bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    read_bounded(file, length, bytes)
}

/// Like [`read_file`], for a file that is UTF-8.
pub fn read_text(path: &Path, bytes: usize) -> io::Result<Zeroizing<String>> {
    decode_utf8(&read_file(path, bytes)?)
}

/// Reads standard input to its end: UTF-8, at most `bytes` bytes.
pub fn read_stdin(bytes: usize) -> io::Result<Zeroizing<String>> {
    decode_utf8(&read_bounded(io::stdin().lock(), bytes, bytes)?)
}

/// Reads `from` to its end. It has probably `expected` bytes; more than `bytes` are an error.
fn read_bounded(from: impl Read, expected: usize, bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // It may be a secret, and a growing vector leaves copies of it behind.
    let mut read = Zeroizing::new(Vec::with_capacity(expected.min(bytes) + 1));
    from.take(bytes as u64 + 1).read_to_end(&mut read)?;
    if read.len() > bytes {
        let words = format!("it has more than {bytes} bytes, which is too long for such a file");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    Ok(read)
}

fn decode_utf8(bytes: &[u8]) -> io::Result<Zeroizing<String>> {
    let text = str::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn check_regular(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let kinds = [(kind.is_dir(), "a directory"), (kind.is_fifo(), "a FIFO"), (kind.is_socket(), "a socket")];
    let what = kinds.iter().find(|(matches, _)| *matches).map_or("a device", |(_, what)| what);
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}; name a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_bound_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let (fifo, file) = (directory.path().join("fifo"), directory.path().join("file"));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        fs::write(&file, "four").unwrap();
        let words = |path: &Path| read_text(path, 4).map(|text| text.to_string()).map_err(|error| error.to_string());
        assert_eq!(words(&file), Ok("four".to_owned()));
        assert_eq!(words(&fifo), Err("it is a FIFO; name a regular file".to_owned()));
        assert_eq!(words(Path::new("/dev/zero")), Err("it is a device; name a regular file".to_owned()));
        assert_eq!(words(directory.path()), Err("it is a directory; name a regular file".to_owned()));
        fs::write(&file, "fives").unwrap();
        assert!(words(&file).is_err_and(|words| words.contains("more than 4 bytes")));
        fs::write(&file, [0xff]).unwrap();
        assert_eq!(words(&file), Err("it is not UTF-8".to_owned()));
        // It may have grown by the time it is read.
        let mut grown = io::repeat(b'a').take(100);
        assert!(read_bounded(&mut grown, 4, 4).is_err());
        assert_eq!(grown.limit(), 95, "one byte more than the bound was read");
    }
}
