//! The trace: the service's operations on its files, in order, as record.c wrote them.

use std::env::consts::DLL_SUFFIX;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::{Buf, Bytes};

use super::image::DiskImage;
use crate::service_process::run_command;

/// An operation.
#[derive(Clone, Debug)]
pub enum FileOperation {
    /// A process began, with no open files.
    Start,
    Open {
        fd: i32,
        creates: bool,
        truncates: bool,
        path: PathBuf,
    },
    Close {
        fd: i32,
    },
    Duplicate {
        fd: i32,
        to: i32,
    },
    Write {
        fd: i32,
        at: usize,
        data: WrittenBytes,
    },
    Truncate {
        fd: i32,
        to: usize,
    },
    /// Allocates space up to this size; a larger file keeps its size.
    Extend {
        fd: i32,
        to: usize,
    },
    /// A successful sync, and the length of the trace when it began.
    Sync {
        fd: i32,
        began: u64,
    },
    /// Not a full sync: it waits for neither the disk's cache nor the file's size.
    SyncRange,
    MakeDirectory {
        path: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// Power was cut here, and this image was left.
    PowerCut(DiskImage),
}

/// Written bytes. `Debug` shows only their length.
#[derive(Clone)]
pub struct WrittenBytes(pub Bytes);

impl fmt::Debug for WrittenBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// One record.
#[derive(Clone, Debug)]
pub struct TraceRecord {
    pub call: FileOperation,
    /// The length of the trace up to the end of this record.
    pub end: u64,
}

/// The recorder, and the directory that it watches.
pub struct TraceRecorder {
    library: PathBuf,
    trace: PathBuf,
    below: PathBuf,
}

impl TraceRecorder {
    /// Compiles the recorder into `work`. It records operations below `below`.
    pub fn new(work: &Path, below: &Path) -> TraceRecorder {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/power/record.c");
        let library = work.join(format!("librecord{DLL_SUFFIX}"));
        let mut compiler = Command::new("cc");
        // Fortified builds, the default of some distributions, replace the functions that are replaced here.
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-U_FORTIFY_SOURCE", "-o"]);
        let (code, _, said) = run_command(compiler.arg(&library).arg(source).args(["-ldl", "-lpthread"]));
        assert_eq!(code, Some(0), "the recorder does not compile: {said}");
        TraceRecorder { library, trace: work.join("trace"), below: below.to_owned() }
    }

    /// The environment that makes a process record, and kill itself after `kill` records; 0 means never.
    pub fn environment(&self, kill: u64) -> Vec<(&str, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD", text(&self.library)),
            ("RECORD_TO", text(&self.trace)),
            ("RECORD_BELOW", text(&self.below)),
            ("RECORD_KILL", kill.to_string()),
        ]
    }

    /// The current length of the trace.
    pub fn length(&self) -> u64 {
        fs::metadata(&self.trace).map_or(0, |trace| trace.len())
    }

    /// The records after the first `from` bytes of the trace. Paths are relative to the watched directory.
    pub fn read(&self, from: u64) -> Vec<TraceRecord> {
        let mut trace = Bytes::from(fs::read(&self.trace).unwrap());
        let all = trace.len() as u64;
        trace.advance(usize::try_from(from).unwrap());
        let mut records = Vec::new();
        while trace.has_remaining() {
            let call = self.call(&mut trace);
            records.push(TraceRecord { call, end: all - trace.len() as u64 });
        }
        records
    }

    fn call(&self, trace: &mut Bytes) -> FileOperation {
        let (kind, fd, at, bytes) = (trace.get_u32_ne(), trace.get_i32_ne(), trace.get_u64_ne(), trace.get_u64_ne());
        let data = trace.split_to(usize::try_from(bytes).unwrap());
        let place = usize::try_from(at).unwrap();
        match kind {
            0 => FileOperation::Start,
            1 => FileOperation::Open { fd, creates: at & 1 != 0, truncates: at & 2 != 0, path: self.path(&data) },
            2 => FileOperation::Close { fd },
            3 => FileOperation::Duplicate { fd, to: i32::try_from(at).unwrap() },
            4 => FileOperation::Write { fd, at: place, data: WrittenBytes(data) },
            5 => FileOperation::Truncate { fd, to: place },
            6 => FileOperation::Extend { fd, to: place },
            7 => FileOperation::Sync { fd, began: at },
            8 => FileOperation::SyncRange,
            9 => FileOperation::MakeDirectory { path: self.path(&data) },
            10 => FileOperation::Remove { path: self.path(&data) },
            11 => FileOperation::Rename { from: self.path(&data[..place]), to: self.path(&data[place..]) },
            _ => panic!("the service made a call of kind {kind} that is not understood here"),
        }
    }

    fn path(&self, text: &[u8]) -> PathBuf {
        let path = Path::new(str::from_utf8(text).unwrap());
        path.strip_prefix(&self.below).unwrap().to_owned()
    }
}
