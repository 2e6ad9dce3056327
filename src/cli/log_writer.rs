//! The writer of the log: a bounded buffer, and one thread that writes it to standard error.
//!
//! Only that thread waits for the reader of standard error. All other threads put lines into the buffer. While the buffer
//! is full, their lines are lost.

use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::limits::LOG_BUFFER_BYTES;
use crate::metrics::count_lost_log_lines;

/// The target of the log line that reports lost lines. Every log filter lets this line through.
pub(super) const LOST_LINES_TARGET: &str = module_path!();

/// Lines for standard error. Global, because a process has one standard error.
static STDERR_BUFFER: LogBuffer = LogBuffer { state: Mutex::new(LogBufferState::EMPTY), changed: Condvar::new() };

/// Lines that wait to be written.
struct LogBuffer {
    state: Mutex<LogBufferState>,
    /// Notified when lines arrive, and when a batch of lines is written.
    changed: Condvar,
}

struct LogBufferState {
    lines: Vec<u8>,
    /// Whether a writer thread runs. Without one, the logging thread writes its lines itself.
    has_thread: bool,
    is_writing: bool,
    /// Set when a line does not fit, until the buffer is empty again. Meanwhile all lines are lost, so that the lost lines
    /// are consecutive, and one line can report them.
    is_full: bool,
    /// Lost lines that the log has not reported yet.
    lost: u64,
}

/// Accepts whole log lines, and never waits.
#[derive(Clone, Copy)]
pub(super) struct LogWriter;

/// Starts the thread that writes to standard error.
pub(super) fn start() -> io::Result<()> {
    if !mem::replace(&mut STDERR_BUFFER.lock().has_thread, true) {
        thread::Builder::new().name("log".to_owned()).spawn(|| STDERR_BUFFER.run(&mut io::stderr()))?;
    }
    Ok(())
}

/// Writes `sentence` after the log lines that wait. Does not wait for the reader once [`start`] was called.
pub(super) fn write_message(sentence: &str) {
    if !STDERR_BUFFER.push_unbounded(sentence.as_bytes()) {
        let _unread = io::stderr().write_all(sentence.as_bytes());
    }
}

/// Like [`write_message`], but waits until everything is written, at most for `patience`.
pub(super) fn write_and_flush(sentence: &str, patience: Duration) {
    write_message(sentence);
    STDERR_BUFFER.wait_until_written(patience);
}

impl LogBufferState {
    const EMPTY: LogBufferState =
        LogBufferState { lines: Vec::new(), has_thread: false, is_writing: false, is_full: false, lost: 0 };

    fn count_lost(&mut self, lines: u64) {
        self.lost += lines;
        count_lost_log_lines(lines);
    }
}

impl LogBuffer {
    fn lock(&self) -> MutexGuard<'_, LogBufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a line into the buffer, or counts it as lost.
    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.is_full || state.lines.len() + line.len() > LOG_BUFFER_BYTES {
            state.is_full = true;
            state.count_lost(1);
        } else {
            state.lines.extend_from_slice(line);
            self.changed.notify_all();
        }
    }

    /// Puts a line into the buffer, even if it is full. Returns false, and does nothing, if no writer thread runs.
    fn push_unbounded(&self, line: &[u8]) -> bool {
        let mut state = self.lock();
        if state.has_thread {
            state.lines.extend_from_slice(line);
            self.changed.notify_all();
        }
        state.has_thread
    }

    fn wait_until_written(&self, patience: Duration) {
        let is_pending = |state: &mut LogBufferState| state.is_writing || !state.lines.is_empty();
        let _state = self.changed.wait_timeout_while(self.lock(), patience, is_pending);
    }

    /// Writes lines to `output` as they arrive. Never returns.
    fn run(&self, output: &mut impl Write) {
        let mut batch = Vec::new();
        loop {
            self.write_batch(output, &mut batch);
        }
    }

    /// Waits for lines, and writes them. Reports lost lines once the buffer is empty and writing succeeds again.
    fn write_batch(&self, output: &mut impl Write, batch: &mut Vec<u8>) {
        let state = self.changed.wait_while(self.lock(), |state| state.lines.is_empty());
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        batch.clear();
        mem::swap(&mut state.lines, batch);
        state.is_writing = true;
        drop(state);
        let written = output.write_all(batch);
        let mut state = self.lock();
        state.is_writing = false;
        state.is_full &= !state.lines.is_empty();
        let lost = match written {
            Ok(()) if state.lines.is_empty() => mem::take(&mut state.lost),
            Ok(()) => 0,
            Err(_) => {
                state.count_lost(batch.iter().filter(|byte| **byte == b'\n').count() as u64);
                0
            }
        };
        self.changed.notify_all();
        drop(state);
        if lost > 0 {
            tracing::warn!(
                lines = lost,
                "log lines were lost here, because standard error was not read; make its reader faster, or log less \
                 (log.filter)"
            );
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR_BUFFER.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader has closed it.
    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn buffer() -> LogBuffer {
        LogBuffer {
            state: Mutex::new(LogBufferState { has_thread: true, ..LogBufferState::EMPTY }),
            changed: Condvar::new(),
        }
    }

    /// Writes the waiting lines, and returns the output.
    fn write_waiting(buffer: &LogBuffer) -> String {
        let mut output = Vec::new();
        buffer.write_batch(&mut output, &mut Vec::new());
        String::from_utf8_lossy(&output).into_owned()
    }

    #[test]
    fn lost_lines_are_consecutive() {
        let buffer = buffer();
        let line = [&vec![b'x'; LOG_BUFFER_BYTES - 3], &b"\n"[..]].concat();
        for line in [&line[..], b"long\n", b"\n", b"\n"] {
            buffer.push(line);
        }
        assert_eq!(buffer.lock().lost, 3, "a short line has room, but the lines before it were lost");
        assert!(buffer.push_unbounded(b"the last sentence\n"));
        assert!(write_waiting(&buffer).ends_with("x\nthe last sentence\n"));
        assert_eq!(buffer.lock().lost, 0, "the log reports them now");
        buffer.push(b"on\n");
        assert_eq!(write_waiting(&buffer), "on\n");
    }

    #[test]
    fn unwritten_lines_are_counted_and_reported_later() {
        let buffer = buffer();
        buffer.push(b"one\n");
        buffer.push(b"two\n");
        buffer.write_batch(&mut ClosedPipe, &mut Vec::new());
        assert_eq!(buffer.lock().lost, 2);
        buffer.push(b"three\n");
        assert_eq!((write_waiting(&buffer), buffer.lock().lost), ("three\n".to_owned(), 0));
    }
}
